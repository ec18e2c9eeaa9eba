"""Places for streams: each keeps a connection of the store, so there are only so many, and nobody has them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Caller:
    """Somebody who reads streams or waits for their turn: how many times, and the turns."""

    turns: asyncio.Semaphore
    here: int = 0


class StreamPlaces:
    """At most `most` streams at once and at most `each` of one caller; who comes later waits, which costs nothing."""

    def __init__(self, most: int, each: int) -> None:
        self._all, self._each = asyncio.Semaphore(most), each
        self.known: dict[str, Caller] = {}

    @asynccontextmanager
    async def place(self, whose: str) -> AsyncIterator[None]:
        """A place for as long as one reads; one's own turn comes first, so that waiting for it keeps nobody out."""
        caller = self.known.setdefault(whose, Caller(asyncio.Semaphore(self._each)))
        caller.here += 1
        try:
            async with caller.turns, self._all:
                yield
        finally:
            caller.here -= 1
            if not caller.here:
                del self.known[whose]
