"""The demo study's people: the same every time, valid Open mHealth, and each with the story the notebooks tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jhe_server import demo, omh
from jhe_server.demo import bodies as signals
from jhe_server.demo.bodies import BLOOD_PRESSURE, GLUCOSE, HEART_RATE, STEPS

START = date(2026, 10, 25)  # a fortnight that holds the end of summer time in Europe (day 1) and in the US (day 8)
SHARED = (GLUCOSE, BLOOD_PRESSURE, HEART_RATE, STEPS)
PEOPLE = {who.name_given: who for who in demo.participants()}


@cache
def fortnight(given: str) -> list[tuple[str, int, dict[str, Any]]]:
    return list(demo.data_points(PEOPLE[given], start=START))


def bodies(given: str, code: str) -> list[dict[str, Any]]:
    return [payload["body"] for kind, _, payload in fortnight(given) if kind == code]


def glucose(given: str) -> list[float]:
    return [body["blood_glucose"]["value"] for body in bodies(given, GLUCOSE)]


def measured(body: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(body["effective_time_frame"]["date_time"])


def share(values: list[float], low: float, high: float) -> float:
    return sum(low <= value <= high for value in values) / len(values)


def test_the_same_seed_gives_the_same_people_and_points_and_another_seed_others() -> None:
    again, other = demo.participants(), demo.participants(seed=7)
    assert again == list(PEOPLE.values())
    assert [who.body for who in other] != [who.body for who in again]
    assert list(demo.data_points(PEOPLE["Amara"], start=START)) == fortnight("Amara")
    assert list(demo.data_points(PEOPLE["Amara"], start=START, seed=7)) != fortnight("Amara")


def test_people_can_be_told_apart_and_reached_only_at_example_com() -> None:
    people = list(PEOPLE.values())
    for field in ("email", "identifier", "phone", "name_family"):
        assert len({getattr(who, field) for who in people}) == 20, field
    assert all(who.email.isascii() and who.email.endswith("@example.com") for who in people)
    assert len({who.zone for who in people}) >= 5


@pytest.mark.parametrize("code", SHARED)
@pytest.mark.parametrize("given", ["Amara", "Dilan", "Iqbal"])
def test_every_kind_is_valid_open_mhealth_measured_in_the_persons_own_clock(given: str, code: str) -> None:
    who = PEOPLE[given]
    points = [p for kind, _, p in demo.data_points(who, start=START, days=2) if kind == code]
    assert len(points) >= 8
    for payload in points:
        point = omh.check(payload, code)
        assert point.effective_start is not None
        offset = point.effective_start.astimezone(who.tz).utcoffset()
        assert offset is not None
        assert point.utc_offset_minutes == offset // timedelta(minutes=1)
        assert (point.effective_end is not None) == (code == STEPS)
        assert point.modality == "sensed"


def test_uuids_are_never_used_twice() -> None:
    uuids = Counter(p["header"]["uuid"] for given in PEOPLE for _, _, p in fortnight(given))
    assert uuids.total() > 80_000
    assert uuids.most_common(1)[0][1] == 1


def test_everything_lies_within_the_local_days_asked_for() -> None:
    for who in PEOPLE.values():
        midnight = datetime.combine(START, datetime.min.time(), who.tz)
        end = datetime.combine(START + timedelta(days=3), datetime.min.time(), who.tz)
        for _, _, payload in demo.data_points(who, start=START, days=3):
            frame = payload["body"]["effective_time_frame"]
            when = frame.get("date_time") or frame["time_interval"]["start_date_time"]
            assert midnight <= datetime.fromisoformat(when) < end


def test_the_stories() -> None:
    codes = {given: {code for code, _, _ in fortnight(given)} for given in PEOPLE}
    assert [given for given, found in codes.items() if not found] == ["Quiana"]
    assert codes["Hana"] == {GLUCOSE, BLOOD_PRESSURE}
    assert codes["Amara"] == {GLUCOSE, BLOOD_PRESSURE, HEART_RATE, STEPS}
    last = {given: max(map(measured, bodies(given, GLUCOSE))).date() for given in ("Amara", "Goran", "Luís")}
    assert last == {"Amara": date(2026, 11, 7), "Goran": date(2026, 10, 30), "Luís": date(2026, 11, 2)}


def test_time_in_range_tells_the_patients_apart() -> None:
    assert share(glucose("Amara"), 70, 180) > 0.9
    assert share(glucose("Oksana"), 70, 180) < 0.6
    nights = [b["blood_glucose"]["value"] for b in bodies("Nam", GLUCOSE) if measured(b).hour < 6]
    days = [b["blood_glucose"]["value"] for b in bodies("Nam", GLUCOSE) if measured(b).hour >= 6]
    assert share(nights, 0, 69) > 3 * share(days, 0, 69)


def test_sensors_have_gaps_and_speak_the_patients_unit() -> None:
    times = [measured(body) for body in bodies("Luís", GLUCOSE)]
    steps = Counter((b - a) // timedelta(minutes=1) for a, b in pairwise(times))
    assert steps[5] > 0.95 * len(times)
    assert max(steps) >= 120  # a new sensor warming up
    assert {body["blood_glucose"]["unit"] for body in bodies("Kaisa", GLUCOSE)} == {"mmol/L"}
    assert 5 < mean(glucose("Kaisa")) < 9


def test_blood_pressure_falls_at_night_except_where_it_does_not() -> None:
    ratio = {}
    for given in ("Rei", "Piotr"):
        by_posture = defaultdict(list)
        for body in bodies(given, BLOOD_PRESSURE):
            by_posture[body["body_posture"]].append(body["systolic_blood_pressure"]["value"])
        ratio[given] = mean(by_posture["lying down"]) / mean(by_posture["sitting"])
    assert ratio["Rei"] < 0.9 < 0.97 < ratio["Piotr"]


def test_a_night_with_two_two_oclocks_loses_and_doubles_nothing() -> None:
    zone = ZoneInfo("America/Los_Angeles")
    times = list(signals.local_grid(zone, date(2026, 11, 1), 1, timedelta(minutes=5)))
    assert len(times) == 25 * 12
    assert len({moment.astimezone(UTC) for moment in times}) == 25 * 12
