"""Refusals of callers nobody knows: counted by address and written to the audit once a minute is over.

A row per refusal would let anybody on the network fill the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .audit import Entry
from .errors import ExchangeError

ADDRESSES = 1000  # more in one minute share a row


class Strangers:
    """Counts refusals; `flush` hands over those of closed minutes, or all of them when the Exchange stops."""

    def __init__(self, record: Callable[[Entry], None]) -> None:
        self._record = record
        self._lock = threading.Lock()
        self._counts: dict[tuple[int, str], int] = {}

    def refused(self, address: str) -> None:
        with self._lock:
            key = (int(time.time() // 60), address[:60])
            if key not in self._counts and len(self._counts) >= ADDRESSES:
                key = (key[0], "many")
            self._counts[key] = self._counts.get(key, 0) + 1

    def flush(self, everything: bool = False) -> None:
        this_minute = int(time.time() // 60)
        with self._lock:
            closed = {key: n for key, n in self._counts.items() if everything or key[0] != this_minute}
            for key in closed:
                del self._counts[key]
        while closed:
            key = min(closed)
            try:
                self._record(Entry(verb="strangers", via="none", outcome="denied", count=closed[key], address=key[1]))
            except ExchangeError:  # a full disk, a busy store: counted still, and written when there is room again
                self._restore(closed)
                return
            del closed[key]

    def _restore(self, counts: dict[tuple[int, str], int]) -> None:
        with self._lock:
            for key, number in counts.items():
                self._counts[key] = self._counts.get(key, 0) + number
