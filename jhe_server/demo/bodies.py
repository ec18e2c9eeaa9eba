"""Synthetic bodies: glucose, blood pressure, heart rate and steps of people who never lived, as Open mHealth points.

Everything is drawn from a seed, so the same seed gives the same two weeks everywhere. The signals are built to be
believed at a glance, not to model physiology: a level, a daily rhythm, meals, slow drift and sensor noise. Pure: knows
neither people nor tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

GLUCOSE = "omh:blood-glucose:4.0"
BLOOD_PRESSURE = "omh:blood-pressure:4.0"
HEART_RATE = "omh:heart-rate:2.0"
STEPS = "omh:step-count:3.0"

CADENCE = timedelta(minutes=5)
SENSOR_LIFE, WARM_UP = timedelta(days=10), timedelta(hours=2)
MGDL_PER_MMOLL = 18.0182
SENSOR_RANGE = (40, 400)  # mg/dL; a continuous glucose sensor reports nothing beyond it
DEFENDED = 75  # mg/dL, below which the body itself pushes back
MEALS = ((7.4, 1.0), (12.6, 0.9), (18.9, 1.2))  # local hour, relative size
WAKING = (7, 22)


@dataclass(frozen=True)
class Physiology:
    """How one body behaves; the defaults are an adult whose diabetes and blood pressure are well managed.

    Glucose in mg/dL, blood pressure in mmHg, heart rate in beats/min; `dip` is the share by which blood pressure falls
    at night, `night_lows` the chance of a low glucose per night, `gaps` the sensor's signal losses per day, `late` how
    many hours after everybody else this body eats.
    """

    fasting: float = 108
    meal_rise: float = 52
    dawn_rise: float = 12
    drift: float = 9
    night_lows: float = 0.0
    systolic: float = 126
    diastolic: float = 79
    dip: float = 0.12
    resting: float = 64
    steps: float = 7200
    gaps: float = 0.6
    late: float = 0.0
    unit: str = "mg/dL"


def data_points(
    body: Physiology, zone: ZoneInfo, *, start: date, days: int, seed: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every data point of `body` from local midnight of `start` over `days` local days: pairs of (code, payload).

    The date-times carry the offset of `zone`; each kind comes in the order of time.

    >>> week = list(data_points(Physiology(), ZoneInfo("Asia/Kolkata"), start=date(2026, 3, 2), days=7, seed="a"))
    >>> code, payload = week[0]
    >>> code, payload["body"]["blood_glucose"]["unit"], payload["body"]["effective_time_frame"]["date_time"][-6:]
    ('omh:blood-glucose:4.0', 'mg/dL', '+05:30')
    """
    if days < 1:
        return
    for code, signal in SIGNALS.items():
        draw = Random(f"{seed}/{code}")  # noqa: S311 - repeatable by design, nothing here is secret
        for content in signal(body, zone, start, days, draw):
            yield code, {"header": _header(code, content, draw), "body": content}


def _header(code: str, content: Mapping[str, Any], draw: Random) -> dict[str, Any]:
    namespace, name, version = code.split(":")
    frame = content["effective_time_frame"]
    return {
        "uuid": str(UUID(int=draw.getrandbits(128), version=4)),
        "schema_id": {"namespace": namespace, "name": name, "version": version},
        "source_creation_date_time": frame.get("date_time") or frame["time_interval"]["end_date_time"],
        "modality": "sensed",
    }


# --- the clock -------------------------------------------------------------------------------------------------------


def _instant(day: date, hour: float, zone: ZoneInfo) -> datetime:
    """The instant when the local clock of `zone` shows `hour`; hours before 0 or past 24 reach into other days."""
    local = datetime.combine(day, time()) + timedelta(hours=hour)
    return local.replace(tzinfo=zone)


def local_grid(zone: ZoneInfo, start: date, days: int, step: timedelta) -> Iterator[datetime]:
    """Instants `step` apart over whole local days; counted in UTC, so that a change to summer time loses nothing."""
    utc = ZoneInfo("UTC")
    now, end = (_instant(day, 0, zone).astimezone(utc) for day in (start, start + timedelta(days=days)))
    while now < end:
        yield now.astimezone(zone)
        now += step


def _hour(moment: datetime) -> float:
    return moment.hour + moment.minute / 60


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _bump(hour: float, centre: float, width: float) -> float:
    """A bell over the local clock, 1 at `centre`, wrapping round midnight."""
    away = (hour - centre + 12) % 24 - 12
    return math.exp(-0.5 * (away / width) ** 2)


def _asleep(hour: float) -> float:
    """How deeply asleep: 0 by day, 1 in the small hours, with an hour or two to fall asleep and to wake."""
    return 1 / (1 + math.exp(-2.2 * (math.cos((hour - 2.9) / 24 * 2 * math.pi) - 0.45) * 4))


# --- glucose ---------------------------------------------------------------------------------------------------------


def _glucose(body: Physiology, zone: ZoneInfo, start: date, days: int, draw: Random) -> Iterator[dict[str, Any]]:
    grid = list(local_grid(zone, start, days, CADENCE))
    second = draw.randrange(60)  # a sensor keeps its own second, not the full minute
    curve = _meal_curve(body, grid, zone, start, days, draw)
    worn = _worn(body, len(grid), draw)
    slow = noise = 0.0
    for moment, rise, seen in zip(grid, curve, worn, strict=True):
        slow = _ar1(slow, 0.995, body.drift, draw)
        noise = _ar1(noise, 0.75, 3.2, draw)
        if seen:
            level = body.fasting + body.dawn_rise * _bump(_hour(moment), 6.4, 1.6) + rise + slow + noise
            yield _glucose_body(level, body.unit, moment.replace(second=second))


def _glucose_body(level: float, unit: str, moment: datetime) -> dict[str, Any]:
    low, high = SENSOR_RANGE
    defended = level if level > DEFENDED else DEFENDED - 0.65 * (DEFENDED - level)
    milligrams = round(min(max(defended, low), high))
    value = milligrams if unit == "mg/dL" else round(milligrams / MGDL_PER_MMOLL, 1)
    return {
        "blood_glucose": {"value": value, "unit": unit},
        "specimen_source": "interstitial fluid",
        "effective_time_frame": {"date_time": _written(moment)},
    }


def _ar1(last: float, memory: float, spread: float, draw: Random) -> float:
    """The next value of an AR(1) process whose standard deviation in the long run is `spread`."""
    return memory * last + draw.gauss(0, spread * math.sqrt(1 - memory**2))


def _meal_curve(
    body: Physiology, grid: list[datetime], zone: ZoneInfo, start: date, days: int, draw: Random
) -> list[float]:
    """What meals add and nightly lows take away, one value per grid point; it begins with the evening before."""
    curve = [0.0] * len(grid)
    origin = grid[0].timestamp()
    for day in (start + timedelta(days=n) for n in range(-1, days)):
        for when, size in _eaten(draw):
            _add_meal(curve, _minutes(_instant(day, when + body.late, zone), origin), body.meal_rise * size, draw)
        if draw.random() < body.night_lows:
            middle = _minutes(_instant(day, 26 + draw.gauss(0.8, 0.9), zone), origin)
            _add_low(curve, middle, depth=draw.uniform(38, 68), width=draw.uniform(28, 50))
    return curve


def _minutes(moment: datetime, origin: float) -> float:
    return (moment.timestamp() - origin) / 60


def _eaten(draw: Random) -> Iterator[tuple[float, float]]:
    """(local hour, size) of one day's meals: three that move about, and a snack on most days."""
    for hour, size in MEALS:
        yield hour + draw.gauss(0, 0.45), size * draw.lognormvariate(0, 0.28)
    if draw.random() < 0.7:
        yield draw.uniform(15, 16.8), 0.35 * draw.lognormvariate(0, 0.3)


def _add_meal(curve: list[float], eaten: float, rise: float, draw: Random) -> None:
    """Add a rise that peaks `peak` minutes after eating and, some hours later, a shallow undershoot."""
    peak = draw.uniform(48, 78)
    for i in _reach(curve, eaten, eaten + 420):
        since = (i * 5 - eaten) / peak
        up = (since * math.exp(1 - since)) ** 1.7
        curve[i] += rise * (up - 0.24 * _lobe(since, centre=4.0, width=0.9))


def _add_low(curve: list[float], middle: float, depth: float, width: float) -> None:
    for i in _reach(curve, middle - 4 * width, middle + 4 * width):
        curve[i] -= depth * _lobe(i * 5, middle, width)


def _reach(curve: list[float], begin: float, end: float) -> range:
    """The indexes of `curve`, five minutes apart, within [begin, end) minutes."""
    return range(max(0, math.ceil(begin / 5)), min(len(curve), math.ceil(end / 5)))


def _lobe(x: float, centre: float, width: float) -> float:
    return math.exp(-0.5 * ((x - centre) / width) ** 2)


def _worn(body: Physiology, points: int, draw: Random) -> list[bool]:
    """Whether the sensor delivered, per grid point: none while a new one warms up, and signal losses now and then."""
    life, warm = (int(span / CADENCE) for span in (SENSOR_LIFE, WARM_UP))
    phase = draw.randrange(life)
    worn = [(i + phase) % life >= warm for i in range(points)]
    for begin in range(points):
        if draw.random() < body.gaps / 288:
            for i in range(begin, min(points, begin + 2 + int(draw.expovariate(1 / 9)))):
                worn[i] = False
    return worn


# --- blood pressure, heart rate, steps -------------------------------------------------------------------------------


def _blood_pressure(body: Physiology, zone: ZoneInfo, start: date, days: int, draw: Random) -> Iterator[dict[str, Any]]:
    """Two sitting readings each morning and evening, and three by the cuff on the sleeping arm every other night."""
    for day in (start + timedelta(days=n) for n in range(days)):
        today = draw.gauss(0, 3)
        morning, evening = 7 + draw.gauss(0.2, 0.3), 21 + draw.gauss(0.2, 0.4)
        hours = [2.0, 3.0, 4.0] if day.toordinal() % 2 else []
        for hour in [*hours, morning, morning + 1 / 30, evening, evening + 1 / 30]:
            yield _cuff(body, _instant(day, hour, zone), today, draw)


def _cuff(body: Physiology, moment: datetime, today: float, draw: Random) -> dict[str, Any]:
    hour = _hour(moment)
    level = 1 - body.dip * _asleep(hour) + 0.025 * _bump(hour, 7.5, 1.5)
    systolic = round(body.systolic * level + today + draw.gauss(0, 4.5))
    diastolic = round(body.diastolic * level + 0.6 * today + draw.gauss(0, 3))
    return {
        "systolic_blood_pressure": {"value": systolic, "unit": "mmHg"},
        "diastolic_blood_pressure": {"value": min(diastolic, systolic - 20), "unit": "mmHg"},
        "body_posture": "lying down" if hour < 5 else "sitting",
        "measurement_location": "left upper arm",
        "effective_time_frame": {"date_time": _written(moment)},
    }


def _heart_rate(body: Physiology, zone: ZoneInfo, start: date, days: int, draw: Random) -> Iterator[dict[str, Any]]:
    """One sensed rate every half hour, slowest asleep, fastest in the late afternoon."""
    noise = 0.0
    for moment in local_grid(zone, start, days, timedelta(minutes=30)):
        hour = _hour(moment)
        noise = _ar1(noise, 0.5, 6, draw)
        awake = 1 - _asleep(hour)
        rate = body.resting * (0.9 + 0.16 * awake + 0.14 * _bump(hour, 17.5, 2)) + noise * (0.4 + 0.6 * awake)
        yield {
            "heart_rate": {"value": max(38, round(rate)), "unit": "beats/min"},
            "effective_time_frame": {"date_time": _written(moment)},
        }


def _steps(body: Physiology, zone: ZoneInfo, start: date, days: int, draw: Random) -> Iterator[dict[str, Any]]:
    """Steps per waking hour, always an interval: a count belongs to a stretch of time, never to an instant."""
    first, last = WAKING
    shape = [0.4 + _bump(h, 8.2, 1) + _bump(h, 12.7, 1) + 1.3 * _bump(h, 17.8, 1.4) for h in range(first, last)]
    for day in (start + timedelta(days=n) for n in range(days)):
        active = body.steps * draw.lognormvariate(0, 0.3) * (0.8 if day.weekday() == 6 else 1)
        for hour, share in zip(range(first, last), shape, strict=True):
            count = round(active * share / sum(shape) * draw.lognormvariate(-0.1, 0.5))
            yield {
                "step_count": {"value": count, "unit": "steps"},
                "effective_time_frame": {
                    "time_interval": {
                        "start_date_time": _written(_instant(day, hour, zone)),
                        "end_date_time": _written(_instant(day, hour + 1, zone)),
                    }
                },
            }


SIGNALS = {GLUCOSE: _glucose, BLOOD_PRESSURE: _blood_pressure, HEART_RATE: _heart_rate, STEPS: _steps}
