"""Following the change feed: a panel shows what others write, and says when the Exchange is lost and found.

One thread per connection waits for the Exchange; panels nobody looks at are not woken.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from ..errors import ConnectionLost, ExchangeError, Unavailable

if TYPE_CHECKING:
    from ..exchange import Exchange

WAIT = 20.0  # seconds the Exchange may hold one question
AGAIN = 1.0  # seconds before asking an Exchange again that did not answer


class Follower(Protocol):
    """What wants to know."""

    def changed(self, concepts: frozenset[str]) -> None: ...
    def lost(self, why: str) -> None: ...
    def found(self) -> None: ...


class Feed:
    """The change feed of one Exchange, followed for as long as it has followers."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = weakref.ref(exchange)
        self._followers: weakref.WeakSet[Follower] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._away = False
        self._lock = threading.Lock()
        self._pause = threading.Event()

    def join(self, follower: Follower) -> None:
        with self._lock:
            self._followers.add(follower)
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="jhe-changes", daemon=True)
                self._thread.start()

    def leave(self, follower: Follower) -> None:
        with self._lock:
            self._followers.discard(follower)

    def _follow(self) -> None:
        at: int | None = None
        while (exchange := self._exchange()) is not None and self._wanted():
            try:
                at = self._step(exchange, at)
            except (ConnectionLost, Unavailable) as error:
                self._lose(str(error))
            except ExchangeError as error:  # the token is no longer good: say it, and ask less often
                self._lose(str(error))
                self._pause.wait(10 * AGAIN)
            del exchange  # between two questions only the notebook holds it

    def _wanted(self) -> bool:
        with self._lock:
            if not self._followers:
                self._thread = None
            return self._thread is not None

    def _step(self, exchange: Exchange, at: int | None) -> int:
        """Ask once; a number the Exchange does not know any more (another database) starts anew."""
        feed = exchange.get_changes(at, 0 if at is None or self._away else WAIT)
        if self._away:
            self._away = False
            for one in self._all():
                one.found()
        concepts = frozenset(change["concept"] for change in feed["changes"])
        if concepts and at is not None:
            for one in self._all():
                one.changed(concepts)
        return int(feed["next"])

    def _lose(self, why: str) -> None:
        if not self._away:
            self._away = True
            for one in self._all():
                one.lost(why)
        self._pause.wait(AGAIN)

    def _all(self) -> Iterable[Follower]:
        with self._lock:
            return list(self._followers)


_FEEDS: weakref.WeakKeyDictionary[Exchange, Feed] = weakref.WeakKeyDictionary()


def feed_of(exchange: Exchange) -> Feed:
    """The one feed of an Exchange."""
    return _FEEDS.setdefault(exchange, Feed(exchange))
