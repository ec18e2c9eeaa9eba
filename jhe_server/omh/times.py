"""When a data point was measured: strict RFC 3339 date-times, and every form of an Open mHealth time frame, in UTC."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from jhe_server.omh.refusals import Path, refusal

EARLIEST_YEAR = 1900  # nobody alive was measured before; older dates are unset clocks

# Offsets stop at ±14:00 because FHIR's dateTime, in which the moment leaves again, stops there.
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?P<second>[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?P<zone>[Zz]|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OFFSET_UNKNOWN = frozenset({None, "Z", "z", "-00:00"})  # RFC 3339 §4.3: the moment is known, the local clock is not

# Seconds per unit of the schemas' duration enum; a day is 24 hours, a week seven of them.
_SECONDS = {"ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SECONDS["wk"] = 7 * _SECONDS["d"]
_MONTHS = {"Mo": 1, "yr": 12}
_MEAN_MONTH = timedelta(days=365.2425 / 12)  # Gregorian mean, for the fractions a calendar cannot count

# The schema names the parts and commits to no hours; quarters of the day are ours.
_PART_OF_DAY = {"night": 0, "morning": 6, "afternoon": 12, "evening": 18}

# A data point says the same moment two or three times, and a Bundle says few.
_KNOWN: dict[str, tuple[datetime, int | None]] = {}
_REMEMBERED = 4096

Effective = tuple[datetime | None, datetime | None, int | None]


def parse_date_time(text: object, path: Path = ()) -> tuple[datetime, int | None]:
    """The moment in UTC and the offset it was written with, in minutes; None where the local clock is unknown.

    Strict RFC 3339 with real calendar dates and leap seconds; without an offset the moment is UTC (IEEE 1752.1
    `date-time`). Raises Unprocessable for everything else, for years before 1900 and offsets beyond ±14:00.

    >>> parse_date_time("2026-03-01T08:00:00-05:00")
    (datetime.datetime(2026, 3, 1, 13, 0, tzinfo=datetime.timezone.utc), -300)
    >>> parse_date_time("2026-03-01T08:00:00Z")[1] is None
    True
    >>> parse_date_time("yesterday", ("body",))
    Traceback (most recent call last):
    jhe_server.errors.Unprocessable: /body must be an RFC 3339 date-time such as 2026-03-01T08:00:00-05:00.
    """
    known = _KNOWN.get(text) if type(text) is str else None
    if known is not None:
        return known
    found = _parsed(text, path)
    if len(_KNOWN) >= _REMEMBERED:
        _KNOWN.clear()
    _KNOWN[str(text)] = found
    return found


def _parsed(text: object, path: Path) -> tuple[datetime, int | None]:
    match = _DATE_TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise refusal(path, "must be an RFC 3339 date-time such as 2026-03-01T08:00:00-05:00")
    second, zone = match.groups()
    moment = _moment(match.string, path, leap=second == "60")
    if moment.year < EARLIEST_YEAR:
        raise refusal(path, f"must not be before {EARLIEST_YEAR}")
    if zone is None:
        return moment.replace(tzinfo=UTC), None
    if zone in _OFFSET_UNKNOWN:
        return _in_utc(moment, path), None
    return _in_utc(moment, path), _minutes(moment)


def _moment(text: str, path: Path, *, leap: bool) -> datetime:
    written = text.upper()
    if leap:
        written = written[:17] + "59" + written[19:]
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise refusal(path, "must be a date that exists in the calendar") from None
    return _after_leap_second(moment, path) if leap else moment


def _after_leap_second(moment: datetime, path: Path) -> datetime:
    """The second after 23:59:59 UTC, which is how a clock without leap seconds shows the leap second."""
    utc = _in_utc(moment, path) if moment.tzinfo else moment
    if (utc.hour, utc.minute) != (23, 59):
        raise refusal(path, "has a second 60 that is no leap second")
    return moment + timedelta(seconds=1)


def _in_utc(moment: datetime, path: Path) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise refusal(path, "must be a date that exists in the calendar") from None


def _minutes(moment: datetime) -> int:
    offset = moment.utcoffset() or timedelta()
    return offset // timedelta(minutes=1)


def effective_time(body: Mapping[str, object]) -> Effective:
    """Start, end (UTC) and offset (minutes) of a body's `effective_time_frame`; (None, None, None) without one.

    A point in time has no end. An interval is start+end, start+duration, end+duration, or a date with a part of the
    day. Durations of `Mo` and `yr` are counted on the calendar, clipped to the last day of the month; a fraction of
    one is a fraction of the mean Gregorian month. Results are rounded to microseconds. Raises Unprocessable.

    >>> effective_time({"effective_time_frame": {"date_time": "2026-03-01T08:00:00Z"}})
    (datetime.datetime(2026, 3, 1, 8, 0, tzinfo=datetime.timezone.utc), None, None)
    >>> start, end, offset = effective_time({"effective_time_frame": {"time_interval": {
    ...     "start_date_time": "2026-01-31T00:00:00+01:00", "duration": {"value": 1, "unit": "Mo"}}}})
    >>> end.isoformat(), offset
    ('2026-02-27T23:00:00+00:00', 60)
    """
    path: Path = ("body", "effective_time_frame")
    frame = body.get("effective_time_frame")
    if frame is None:
        return None, None, None
    if isinstance(frame, Mapping) and "date_time" in frame:
        moment, offset = parse_date_time(frame["date_time"], (*path, "date_time"))
        return moment, None, offset
    if isinstance(frame, Mapping) and isinstance(frame.get("time_interval"), Mapping):
        return interval(frame["time_interval"], (*path, "time_interval"))
    raise refusal(path, "must have a date_time or a time_interval")


def interval(written: Mapping[str, object], path: Path) -> tuple[datetime, datetime, int | None]:
    """Start and end in UTC and the offset in minutes (the start's, else the end's) of a `time_interval`.

    >>> [t.hour for t in interval({"date": "2026-03-01", "part_of_day": "morning"}, ())[:2]]
    [6, 12]
    """
    if "date" in written and "part_of_day" in written:
        return _part_of_day(written, path)
    start = _end_point(written, "start_date_time", path)
    end = _end_point(written, "end_date_time", path)
    if start and end:
        return _ordered(start[0], end[0], end[1] if start[1] is None else start[1], path)
    if start:
        return _ordered(start[0], _shifted(start, written.get("duration"), 1, path), start[1], path)
    if end:
        return _ordered(_shifted(end, written.get("duration"), -1, path), end[0], end[1], path)
    raise refusal(path, "must have a start or an end")


def _end_point(written: Mapping[str, object], key: str, path: Path) -> tuple[datetime, int | None] | None:
    return parse_date_time(written[key], (*path, key)) if key in written else None


def _ordered(start: datetime, end: datetime, offset: int | None, path: Path) -> tuple[datetime, datetime, int | None]:
    if end < start:
        raise refusal(path, "must not end before it starts")
    return start, end, offset


def _part_of_day(written: Mapping[str, object], path: Path) -> tuple[datetime, datetime, None]:
    day = _calendar_date(written["date"], (*path, "date"))
    part = written["part_of_day"]
    if not isinstance(part, str) or part not in _PART_OF_DAY:
        raise refusal((*path, "part_of_day"), f"must be one of {', '.join(_PART_OF_DAY)}")
    start = datetime.combine(day, time(_PART_OF_DAY[part]), UTC)
    return start, start + timedelta(hours=6), None


def _calendar_date(text: object, path: Path) -> date:
    try:
        day = date.fromisoformat(text) if isinstance(text, str) and _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not EARLIEST_YEAR <= day.year < 9999:
        raise refusal(path, f"must be a calendar date such as 2026-03-01, not before {EARLIEST_YEAR}")
    return day


def _shifted(moment: tuple[datetime, int | None], duration: object, sign: int, path: Path) -> datetime:
    value, unit = _value_and_unit(duration, (*path, "duration"))
    start, offset = moment
    try:
        if unit in _SECONDS:
            shifted = start + timedelta(seconds=sign * value * _SECONDS[unit])
        else:
            shifted = _shifted_by_months(start, sign * value * _MONTHS[unit], offset or 0)
    except (OverflowError, ValueError):
        raise refusal((*path, "duration"), "must not reach beyond the calendar") from None
    if shifted.year < EARLIEST_YEAR:
        raise refusal((*path, "duration"), f"must not reach before {EARLIEST_YEAR}")
    return shifted


def _value_and_unit(duration: object, path: Path) -> tuple[float, str]:
    known = isinstance(duration, Mapping) and duration.get("unit") in {*_SECONDS, *_MONTHS}
    value = duration.get("value") if isinstance(duration, Mapping) and known else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise refusal(path, f"must have a number and one of the units {', '.join([*_SECONDS, *_MONTHS])}")
    if not value >= 0:
        raise refusal(path, "must not be negative")
    assert isinstance(duration, Mapping)
    return value, str(duration["unit"])


def _shifted_by_months(moment: datetime, months: float, offset: int) -> datetime:
    """Calendar months are counted on the local clock: 31 January plus one month is the last of February there."""
    if months != int(months):
        return moment + months * _MEAN_MONTH
    local = moment + timedelta(minutes=offset)
    years, month = divmod(local.year * 12 + local.month - 1 + int(months), 12)
    day = min(local.day, monthrange(years, month + 1)[1])
    return local.replace(year=years, month=month + 1, day=day) - timedelta(minutes=offset)
