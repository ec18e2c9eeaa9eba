"""Places for streams: so many at once, and not all of them for one who reads slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from jhe_server.stream_places import StreamPlaces


class Reader:
    """Takes a place and keeps it until told to leave."""

    def __init__(self, places: StreamPlaces, whose: str) -> None:
        self.reads, self.leave = False, asyncio.Event()
        self.task = asyncio.create_task(self._read(places, whose))

    async def _read(self, places: StreamPlaces, whose: str) -> None:
        async with places.place(whose):
            self.reads = True
            await self.leave.wait()
        self.reads = False

    async def gone(self) -> None:
        self.leave.set()
        await self.task


async def settled(readers: list[Reader]) -> list[bool]:
    """Who reads, once everybody who can has begun."""
    for _ in range(2 * len(readers)):
        await asyncio.sleep(0)
    return [reader.reads for reader in readers]


def played(play: Coroutine[Any, Any, None]) -> None:
    asyncio.run(play)


def test_one_who_reads_slowly_leaves_places_for_others() -> None:
    async def play() -> None:
        places = StreamPlaces(3, 2)
        slow = [Reader(places, "slow") for _ in range(4)]
        assert await settled(slow) == [True, True, False, False]
        others = [Reader(places, name) for name in ("ada", "bea")]
        assert await settled(others) == [True, False], "beyond so many everybody waits"
        await others[0].gone()
        assert await settled(others) == [False, True], "and whoever waits for their own keeps nobody waiting"
        assert await settled(slow) == [True, True, False, False]
        await slow[0].gone()
        assert await settled(slow) == [False, True, True, False]
        for reader in (*slow, *others):
            await reader.gone()
        assert not places.known, "nothing is kept of whoever is gone"

    played(play())


def test_one_who_gives_up_waiting_is_forgotten() -> None:
    async def play() -> None:
        places = StreamPlaces(1, 1)
        first, second = Reader(places, "ada"), Reader(places, "ada")
        assert await settled([first, second]) == [True, False]
        second.task.cancel()
        await asyncio.gather(second.task, return_exceptions=True)
        await first.gone()
        third = Reader(places, "ada")
        assert await settled([third]) == [True]
        await third.gone()
        assert not places.known

    played(play())
