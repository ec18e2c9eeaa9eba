"""Looking at the Hub from time to time: whoever is in with something of ours and is gone from the Hub is out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import hub_accounts
from .door import Door
from .errors import ExchangeError
from .hub import Hub

Run = Callable[..., Awaitable[Any]]


async def look(hub: Hub, door: Door, run: Run) -> None:
    """Ask about everybody who is in; a Hub that does not answer, or may not, puts nobody out."""
    with _told(hub):
        names = await run(hub_accounts.watched, door) if await hub.reads_users() else ()
        for name in names:
            with _told(hub):  # what goes wrong with one name shields none after it
                await run(hub_accounts.seen, door, name, await hub.user(name))


@contextmanager
def _told(hub: Hub) -> Iterator[None]:
    try:
        yield
    except ExchangeError as error:
        hub.log.warning("jhe: looking at the Hub: %s", error.detail)
