"""What no body can produce: one generous row per leaf, each with the record or the definition it comes from.

A record says what was seen once and the limit stands well beyond it. Where nothing is recorded, the limit is a
definition, or our own (`our bound: …`, with what it would take to reach it).
"""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    """Inclusive bounds of a leaf in one unit, and where they come from."""

    low: float
    high: float
    source: str


_TO_GRAM = {"fg": 1e-15, "pg": 1e-12, "ng": 1e-9, "ug": 1e-6, "mg": 1e-3, "g": 1.0, "kg": 1e3, "Metric Ton": 1e6}
_TO_GRAM |= {"gr": 0.06479891, "oz": 28.349523125, "lb": 453.59237, "Ton": 907_184.74}
_TO_METRE = {"fm": 1e-15, "pm": 1e-12, "nm": 1e-9, "um": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3}
_TO_METRE |= {"in": 0.0254, "ft": 0.3048, "yd": 0.9144, "mi": 1609.344}
_TO_HOUR = {"ps": 1e-12 / 3600, "ns": 1e-9 / 3600, "us": 1e-6 / 3600, "ms": 1e-3 / 3600, "sec": 1 / 3600}
_TO_HOUR |= {"min": 1 / 60, "h": 1.0, "d": 24.0, "wk": 168.0, "Mo": 730.485, "yr": 8765.82}
_TO_SPEED = {"m/s": 1.0, "km/h": 1 / 3.6}

_SLEEP = (
    "sleep_duration total_sleep_time time_in_bed latency_to_sleep_onset latency_to_arising wake_after_sleep_onset "
    "light_sleep_duration deep_sleep_duration rem_sleep_duration awake_duration"
)
_ACTIVITY = "duration duration_light_activity duration_moderate_activity duration_vigorous_activity"
_PERCENTAGES = (
    "sleep_efficiency_percentage sleep_maintenance_efficiency_percentage rem_sleep_percentage light_sleep_percentage "
    "deep_sleep_percentage awake_percentage"
)
_COUNTS = "number_of_awakenings rem_sleep_episode_count light_sleep_episode_count deep_sleep_episode_count"

_PRESSURE = "over 480/350 mmHg in weight lifting, doi:10.1152/jappl.1985.58.3.785"
_TACHYCARDIA = "600/min for some 20 s, a case report of 2012 ('Mouse heart rate in a human')"
_RR_INTERVAL = "our bound: below, more than the heart rate's limit; above, two minutes without a beat"
_GLUCOSE = "2,656 mg/dL (M. P. Buonocore, 2008, Guinness World Records)"
_TEMPERATURE = (
    "11.8 °C (Kraków, 2014) to 46.5 °C (W. Jones, 1980), both Guinness World Records; our bound: skin is cooler"
)
_METABOLIC = "a MET is 3.5 mL of oxygen/kg/min by definition; 97.5 or 28 MET reported (O. Svendsen, 2012)"
_LUNGS = "9.38 L in a rower (P. Reed, The Independent, 2006), 11.68 L reported of him later"
_WEIGHT = "212 g (Kwek Yu Xuan, The Straits Times, 2021) to 635 kg, an estimate (J. Minnoch, Guinness World Records)"
_HEIGHT = "24 cm at birth (Kwek Yu Xuan, i, 2021) to 2.72 m (R. Wadlow, Guinness World Records)"
_RESPIRATION = "our bound: nearly seven times the newborn's median of 44/min, doi:10.1016/S0140-6736(10)62226-X"
_OXYGEN_FLOW = "our bound: three times the 60 L/min of high-flow nasal therapy, PMC5359952"
_ENERGY = "our bound: 128 days like the hardest of a Tour de France, 32.7 MJ, doi:10.1055/s-2007-1024951"
_STEPS = "our bound: a step a metre, a month at the pace of the 24-hour record, 319.6 km (A. Sorokin, 2022)"
_SPEED = "82 m/s on a bicycle behind a dragster (D. Mueller-Korenek, 2018)"
_DISTANCE = "our bound: seven times the year's cycling record, 139,326 km (A. Coker, 2017, Guinness World Records)"
_LIFETIME = "the longest documented human life (J. Calment, 1875-1997)"

# leaves (by name) | their units, or unit -> factor to the unit the bounds are in | low | high | source
_ROWS: tuple[tuple[str, dict[str, float], float, float, str], ...] = (
    ("heart_rate", {"beats/min": 1}, 0, 700, _TACHYCARDIA),
    ("rr_interval", {"ms": 1}, 50, 120_000, _RR_INTERVAL),
    ("systolic_blood_pressure", {"mmHg": 1}, 0, 600, _PRESSURE),
    ("diastolic_blood_pressure", {"mmHg": 1}, 0, 500, _PRESSURE),
    ("blood_glucose", {"mg/dL": 1, "mmol/L": 18.0182}, 1, 3000, _GLUCOSE),
    ("body_temperature", {"C": 1}, 0, 50, _TEMPERATURE),
    ("body_temperature", {"F": 1}, 32, 122, _TEMPERATURE),
    ("body_temperature", {"K": 1}, 273.15, 323.15, _TEMPERATURE),
    ("oxygen_saturation", {"%": 1}, 0, 100, "a share of the whole"),
    ("supplemental_oxygen_flow_rate", {"L/min": 1}, 0, 200, _OXYGEN_FLOW),
    ("respiratory_rate", {"breaths/min": 1}, 0, 300, _RESPIRATION),
    ("body_weight", _TO_GRAM, 100, 1_000_000, _WEIGHT),
    ("body_height", _TO_METRE, 0.1, 3, _HEIGHT),
    ("forced_vital_capacity", {"L": 1}, 0, 20, _LUNGS),
    ("forced_expiratory_volume_1_second", {"L": 1}, 0, 20, "by definition never more than the forced vital capacity"),
    ("step_count", {"steps": 1}, 0, 10_000_000, _STEPS),
    ("base_movement_quantity", {"steps": 1}, 0, 10_000_000, "as step_count"),
    (_SLEEP, _TO_HOUR, 0, 744, "our bound: a month of 31 days, the longest denominator the schemas name"),
    (_ACTIVITY, _TO_HOUR, 0, 122 * 8765.82, _LIFETIME),
    (_PERCENTAGES, {"%": 1}, 0, 100, "a share of the whole"),
    (_COUNTS, {"": 1}, 0, 100_000, "our bound: more than two a minute for a month"),
    ("distance", _TO_METRE, 0, 1e9, _DISTANCE),
    ("cumulative_elevation_gain", _TO_METRE, 0, 1e9, "by definition never more than the distance"),
    ("average_speed", _TO_SPEED, 0, 100, _SPEED),
    ("kcal_burned", {"kcal": 1}, 0, 1_000_000, _ENERGY),
    ("met_value", {"": 1}, 0, 50, _METABOLIC),
)

PLAUSIBLE: dict[tuple[str, str], Limit] = {
    (leaf, unit): Limit(low / factor, high / factor, source)
    for leaves, units, low, high, source in _ROWS
    for leaf in leaves.split()
    for unit, factor in units.items()
}

# A statistic of these kinds is no longer a reading of the body: only a negative one is impossible.
NOT_A_READING = frozenset({"count", "sum", "standard deviation", "variance", "quartile deviation"})


def broken_limit(leaf: str, unit: str, value: float, *, reading: bool = True) -> str | None:
    """The rule that `value` (in `unit`) breaks for this leaf, or None; a unit or leaf without a row breaks none.

    >>> broken_limit("heart_rate", "beats/min", 72.0) is None
    True
    >>> broken_limit("heart_rate", "beats/min", 7200)
    'must be between 0 and 700 beats/min, the range a body can produce'
    """
    limit = PLAUSIBLE.get((leaf, unit))
    if limit is None or (limit.low <= value <= limit.high) or (not reading and value >= 0):
        return None
    if not reading:
        return "must not be negative"
    return f"must be between {limit.low:.6g} and {limit.high:.6g} {unit}".rstrip() + ", the range a body can produce"
