"""Where panels do their work: one event loop in a thread of its own, and beside it threads that wait for the Exchange.

So a panel answers while a cell is running, a click never waits for another click's request, and what a panel knows is
changed in one thread only.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache, partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
AT_ONCE = 12  # requests under way for all panels of a kernel


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The panels' event loop, started when first needed."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="jhe-panels", daemon=True).start()
    return made


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "jhe-panels")


async def call(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What a function that waits for the Exchange returns; the loop goes on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_pool(), partial(function, *arguments, **named))


class Work:
    """The work a panel has under way."""

    def __init__(self) -> None:
        self._under_way: set[Future[None]] = set()

    def start(self, job: Coroutine[Any, Any, None]) -> None:
        """Begin a job; jobs begin in the order in which they are given."""
        future = asyncio.run_coroutine_threadsafe(job, loop())
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until nothing is under way; TimeoutError where it never ends."""
        while self._under_way:
            if wait(set(self._under_way), seconds).not_done:
                raise TimeoutError(f"the panel is still at work after {seconds} s")
