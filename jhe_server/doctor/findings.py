"""What the doctor says: one line a finding, how bad it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`about` is one of a few words (database, mail, …); a sentence names no secret and no patient.

    >>> print(Finding("warn", "mail", "No server is set."))
    warn   mail           No server is set.
    """

    level: Literal["ok", "warn", "wrong"]
    about: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.level:<6} {self.about:<14} {self.sentence}"


def ok(about: str, sentence: str) -> Finding:
    return Finding("ok", about, sentence)


def warn(about: str, sentence: str) -> Finding:
    return Finding("warn", about, sentence)


def wrong(about: str, sentence: str) -> Finding:
    return Finding("wrong", about, sentence)
