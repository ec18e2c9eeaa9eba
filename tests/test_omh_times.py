"""When a data point was measured: strict date-times and every form of a time frame, in UTC with the offset kept."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jhe_server import omh
from jhe_server.errors import Unprocessable

START, END = "2026-03-01T08:00:00+01:00", "2026-03-01T09:30:00+01:00"


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit}


def span(**interval: object) -> tuple[str, str, int | None]:
    """Start and end, both UTC to the second, and the offset of an interval."""
    start, end, offset = omh.effective_time({"effective_time_frame": {"time_interval": interval}})
    assert start is not None
    assert end is not None
    return start.isoformat()[:19], end.isoformat()[:19], offset


@pytest.mark.parametrize(
    ("written", "moment", "offset"),
    [
        ("2026-03-01T08:00:00-05:00", datetime(2026, 3, 1, 13, tzinfo=UTC), -300),
        ("2026-03-01T08:00:00+05:45", datetime(2026, 3, 1, 2, 15, tzinfo=UTC), 345),
        ("2026-03-01T08:00:00+00:00", datetime(2026, 3, 1, 8, tzinfo=UTC), 0),
        ("2026-03-01T08:00:00-00:00", datetime(2026, 3, 1, 8, tzinfo=UTC), None),
        ("2026-03-01T08:00:00Z", datetime(2026, 3, 1, 8, tzinfo=UTC), None),
        ("2026-03-01t08:00:00z", datetime(2026, 3, 1, 8, tzinfo=UTC), None),
        ("2026-03-01T08:00:00", datetime(2026, 3, 1, 8, tzinfo=UTC), None),
        ("2026-03-01T08:00:00.1234567891Z", datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC), None),
        ("2024-02-29T00:00:00+14:00", datetime(2024, 2, 28, 10, tzinfo=UTC), 840),
        ("1990-12-31T23:59:60Z", datetime(1991, 1, 1, tzinfo=UTC), None),
        ("1990-12-31T15:59:60-08:00", datetime(1991, 1, 1, tzinfo=UTC), -480),
    ],
)
def test_date_times_are_read_as_rfc_3339_writes_them(written: str, moment: datetime, offset: int | None) -> None:
    assert omh.parse_date_time(written) == (moment, offset)


@pytest.mark.parametrize(
    "written",
    [
        "yesterday", "", " ", "2026-03-01", "2026-03-01T08:00", "2026-03-01 08:00:00Z", "2026-03-01T08:00:00Z\n",
        "2026-02-29T08:00:00Z", "2026-13-01T08:00:00Z", "2026-03-00T08:00:00Z", "2026-03-01T24:00:00Z",
        "2026-03-01T08:60:00Z", "2026-03-01T08:00:60Z", "2026-03-01T08:00:61Z", "2026-03-01T08:00:00+5:00",
        "2026-03-01T08:00:00+0500", "2026-03-01T08:00:00+14:30", "2026-03-01T08:00:00+05:60", "2026-W09-7T08:00:00Z",
        "20260301T080000Z", "2026-03-01T08:00:00.Z", "2026-03-01T08:00:00,5Z", "٢٠٢٦-03-01T08:00:00Z",
        "1899-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1772352000", 1772352000, None, [],
    ],
)  # fmt: skip
def test_what_is_no_rfc_3339_date_time_is_refused(written: object) -> None:
    with pytest.raises(Unprocessable):
        omh.parse_date_time(written)


@given(st.datetimes(datetime(1901, 1, 1), datetime(2100, 1, 1)), st.integers(-840, 840))
def test_every_moment_survives_being_written_with_every_offset(utc: datetime, offset: int) -> None:
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    written = f"{(utc + timedelta(minutes=offset)).isoformat()}{sign}{hours:02}:{minutes:02}"
    known = None if written.endswith("-00:00") else offset
    assert omh.parse_date_time(written) == (utc.replace(tzinfo=UTC), known)


@given(st.text())
def test_any_other_text_is_refused_and_never_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(Unprocessable):
        moment, _ = omh.parse_date_time(text)
        assert moment.tzinfo is UTC


def test_every_form_of_an_interval_has_a_start_and_an_end() -> None:
    both = ("2026-03-01T07:00:00", "2026-03-01T08:30:00", 60)
    assert span(start_date_time=START, end_date_time=END) == both
    assert span(start_date_time=START, duration=quantity(90, "min")) == both
    assert span(end_date_time=END, duration=quantity(1.5, "h")) == both
    assert span(start_date_time=START, end_date_time=START)[0] == span(start_date_time=START, end_date_time=START)[1]


@pytest.mark.parametrize(
    ("unit", "value", "end"),
    [
        ("ps", 1e12, "2026-01-31T10:00:01"), ("ns", 1e9, "2026-01-31T10:00:01"), ("us", 1e6, "2026-01-31T10:00:01"),
        ("ms", 1000, "2026-01-31T10:00:01"), ("sec", 1, "2026-01-31T10:00:01"), ("min", 1, "2026-01-31T10:01:00"),
        ("h", 1, "2026-01-31T11:00:00"), ("d", 1, "2026-02-01T10:00:00"), ("wk", 1, "2026-02-07T10:00:00"),
        ("Mo", 1, "2026-02-28T10:00:00"), ("Mo", 13, "2027-02-28T10:00:00"), ("yr", 1, "2027-01-31T10:00:00"),
        ("Mo", 0.5, "2026-02-15T15:14:33"), ("yr", 0.5, "2026-07-31T10:00:00"),
    ],
)  # fmt: skip
def test_durations_of_every_unit(unit: str, value: float, end: str) -> None:
    assert span(start_date_time="2026-01-31T10:00:00Z", duration=quantity(value, unit))[1] == end


def test_months_are_counted_on_the_local_calendar() -> None:
    """Half past midnight on 1 March in Paris is still February in UTC."""
    assert span(start_date_time="2026-03-01T00:30:00+01:00", duration=quantity(1, "Mo"))[1] == "2026-03-31T23:30:00"
    assert span(end_date_time="2024-02-29T12:00:00Z", duration=quantity(1, "yr"))[0] == "2023-02-28T12:00:00"


def test_the_offset_is_the_start_s_or_else_the_end_s() -> None:
    assert span(start_date_time="2026-03-29T01:00:00+01:00", end_date_time="2026-03-29T08:00:00+02:00")[2] == 60
    assert span(start_date_time="2026-03-01T01:00:00Z", end_date_time="2026-03-01T08:00:00+02:00")[2] == 120
    assert span(start_date_time="2026-03-01T01:00:00+00:00", end_date_time="2026-03-01T08:00:00+02:00")[2] == 0


@pytest.mark.parametrize(("part", "first", "last"), [("night", 0, 6), ("morning", 6, 12), ("afternoon", 12, 18)])
def test_parts_of_the_day(part: str, first: int, last: int) -> None:
    assert span(date="2026-03-01", part_of_day=part) == (
        f"2026-03-01T{first:02}:00:00",
        f"2026-03-01T{last:02}:00:00",
        None,
    )
    assert span(date="2026-03-01", part_of_day="evening")[1] == "2026-03-02T00:00:00"


@pytest.mark.parametrize(
    "interval",
    [
        {},
        {"start_date_time": START},
        {"duration": quantity(1, "h")},
        {"start_date_time": END, "end_date_time": START},
        {"start_date_time": START, "duration": quantity(-1, "h")},
        {"start_date_time": START, "duration": quantity(1, "moons")},
        {"start_date_time": START, "duration": {"value": "1", "unit": "h"}},
        {"start_date_time": START, "duration": 90},
        {"start_date_time": START, "duration": quantity(1e300, "h")},
        {"start_date_time": START, "duration": quantity(9e9, "Mo")},
        {"end_date_time": START, "duration": quantity(200, "yr")},
        {"end_date_time": START, "duration": quantity(1e7, "d")},
        {"start_date_time": START, "duration": quantity(float("nan"), "h")},
        {"date": "2026-02-30", "part_of_day": "morning"},
        {"date": "2026-03-01", "part_of_day": "teatime"},
        {"date": "2026-03-01"},
        {"date": 20260301, "part_of_day": "night"},
        {"date": "0001-01-01", "part_of_day": "night"},
    ],
)
def test_impossible_intervals_are_refused(interval: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable) as refusal:
        omh.effective_time({"effective_time_frame": {"time_interval": interval}})
    assert refusal.value.detail.startswith("/body/effective_time_frame/time_interval")


@pytest.mark.parametrize("frame", ["2026", [], {}, {"time_interval": "long"}])
def test_what_is_no_time_frame_is_refused(frame: object) -> None:
    with pytest.raises(Unprocessable, match="must have a date_time or a time_interval"):
        omh.effective_time({"effective_time_frame": frame})
