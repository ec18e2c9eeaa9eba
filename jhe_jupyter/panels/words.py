"""How panels write things: a person's name, a moment, the line of Python that does what was just done."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from datetime import datetime
from typing import Any


def called(patient: Mapping[str, Any]) -> str:
    """A patient as they are listed.

    >>> called({"nameFamily": "Smith", "nameGiven": "Jo"})
    'Smith, Jo'
    """
    return f"{patient['nameFamily']}, {patient['nameGiven']}"


def moment(time: str | None, none: str = "–") -> str:
    """A time of the Exchange (RFC 3339) to the minute, in UTC as it came.

    >>> moment("2026-11-22T08:30:59.5Z"), moment(None)
    ('2026-11-22 08:30 UTC', '–')
    """
    return none if time is None else f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M} UTC"


def day(time: str | None, none: str = "–") -> str:
    """The day of a time of the Exchange, in UTC.

    >>> day("2026-11-22T08:30:59.5Z")
    '2026-11-22'
    """
    return none if time is None else f"{datetime.fromisoformat(time):%Y-%m-%d}"


def plural(things: int | Sized, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "patient"), plural([1, 2], "study")
    ('1 patient', '2 studies')
    """
    number = things if isinstance(things, int) else len(things)
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else many}"


def python(method: str, *arguments: Any, **named: Any) -> str:
    """The line that calls a method of the Exchange.

    >>> python("enroll", 30002, [40001], note=None)
    'ex.enroll(30002, [40001], note=None)'
    """
    given = [repr(one) for one in arguments] + [f"{name}={one!r}" for name, one in named.items()]
    return f"ex.{method}({', '.join(given)})"


def listed(names: Any, most: int = 8) -> str:
    """Names in a sentence, cut where they get too many.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = [str(one) for one in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
