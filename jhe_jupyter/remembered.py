"""What a connection remembers of its last answers, so that an unchanged one need not travel again; in memory only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Any, NamedTuple

MOST_BYTES = 1 << 30  # 1 GiB: some fifteen million observations


class Answer(NamedTuple):
    """An answer with the ETag it came with and the memory it takes."""

    etag: str
    value: Any
    size: int


class Remembered:
    """Answers by question, together at most `most` bytes; those not asked for longest go first.

    Nothing of it is ever written anywhere: what a patient withdraws must not be found on a disk.

    >>> remembered = Remembered(most=10)
    >>> for question in "abc":
    ...     remembered.keep(question, Answer('"1"', question.upper(), 5))
    >>> [remembered.recall(question) is not None for question in "abc"]
    [False, True, True]
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._lock = Lock()  # panels ask from threads

    def __len__(self) -> int:
        return len(self._answers)

    def recall(self, question: Hashable) -> Answer | None:
        """The answer last kept for a question, if it is still there."""
        with self._lock:
            if question in self._answers:
                self._answers.move_to_end(question)
            return self._answers.get(question)

    def keep(self, question: Hashable, answer: Answer) -> None:
        """Keep an answer in the place of an earlier one; one that is larger than all the room is not kept."""
        with self._lock:
            self._answers.pop(question, None)
            if answer.size > self._most:
                return
            self._answers[question] = answer
            while sum(one.size for one in self._answers.values()) > self._most:
                self._answers.popitem(last=False)

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._answers.clear()
