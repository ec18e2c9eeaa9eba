"""What the Hub said a moment ago, and how many tokens somebody may try before the Hub is no longer asked about them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .errors import TooMany

WRONG = 30  # tokens in a minute, from one network, that turn out to be nobody's
MINUTE = 60.0
ROOM = 10_000  # answers, and networks, remembered at once
STOP = "Too many tokens that are not good; wait a minute and try again."


class Answers:
    """Answers by question, each for some seconds; the oldest go first where there are too many.

    >>> moment = [0.0]
    >>> answers = Answers(15, clock=lambda: moment[0])
    >>> answers.keep("ada", {"name": "ada"})
    {'name': 'ada'}
    >>> answers.known("ada")
    (True, {'name': 'ada'})
    >>> moment[0] = 15.0
    >>> answers.known("ada")
    (False, None)
    >>> answers.was_good("ada"), answers.was_good("eve")
    (True, False)
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._kept: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def known(self, question: str) -> tuple[bool, Any]:
        """(whether there is an answer, the answer)."""
        since, answer = self._kept.get(question, (0.0, None))
        good = question in self._kept and self._clock() - since < self._seconds
        return (True, answer) if good else (False, None)

    def was_good(self, question: str) -> bool:
        """Whether somebody was found the last time, however long ago."""
        return self._kept.get(question, (0.0, None))[1] is not None

    def keep(self, question: str, answer: Any) -> Any:
        self._kept[question] = (self._clock(), answer)
        self._kept.move_to_end(question)
        if len(self._kept) > ROOM:
            self._kept.popitem(last=False)
        return answer

    def forget(self, question: str) -> None:
        self._kept.pop(question, None)


class Guesses:
    """Wrong tokens counted by network. The counts are this process's: it protects the Hub from itself.

    >>> guesses = Guesses(allowed=1, clock=lambda: 0.0)
    >>> guesses.check("192.0.2.7")
    >>> guesses.wrong("192.0.2.7")
    >>> guesses.check("192.0.2.7")
    Traceback (most recent call last):
    jhe_server.errors.TooMany: Too many tokens that are not good; wait a minute and try again.
    >>> guesses.check("192.0.2.8")
    """

    def __init__(self, allowed: int = WRONG, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed, self._clock = allowed, clock
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, network: str) -> None:
        """Raise TooMany for somebody who has been wrong too often within a minute."""
        if self._window(network)[1] >= self._allowed:
            raise TooMany(STOP, headers={"Retry-After": str(int(MINUTE))})

    def wrong(self, network: str) -> None:
        since, tried = self._window(network)
        self._counts[network] = (since, tried + 1)
        self._counts.move_to_end(network)
        if len(self._counts) > ROOM:
            self._counts.popitem(last=False)

    def _window(self, network: str) -> tuple[float, int]:
        since, tried = self._counts.get(network, (self._clock(), 0))
        return (since, tried) if self._clock() - since < MINUTE else (self._clock(), 0)
