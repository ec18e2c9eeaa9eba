"""Times as people write them, in the one spelling the Exchange takes."""

from __future__ import annotations

from datetime import UTC, date, datetime

Time = datetime | date | str


def rfc3339(time: Time | None) -> str | None:
    """A time as RFC 3339 in UTC; a date is its midnight, and a time without a zone is taken as UTC.

    >>> rfc3339("2026-01-31"), rfc3339("2026-01-31T08:00+02:00"), rfc3339(date(2026, 1, 31))
    ('2026-01-31T00:00:00Z', '2026-01-31T06:00:00Z', '2026-01-31T00:00:00Z')

    Raises ValueError for a text that is no ISO 8601 time.
    """
    if time is None:
        return None
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time.strip())
        except ValueError:
            raise ValueError(f"{time!r} is no time; write 2026-01-31 or 2026-01-31T08:00:00Z") from None
    elif not isinstance(time, datetime):
        time = datetime(time.year, time.month, time.day)
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return aware.isoformat().removesuffix("+00:00") + "Z"


def iso_date(day: date | str) -> str:
    """A date as `YYYY-MM-DD`; text goes to the Exchange as it is, which says what is wrong with it.

    >>> iso_date(datetime(1980, 1, 1)), iso_date("1980-01-01")
    ('1980-01-01', '1980-01-01')
    """
    if isinstance(day, datetime):
        return day.date().isoformat()
    return day.isoformat() if isinstance(day, date) else day
