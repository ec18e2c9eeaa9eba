"""Units of the Open mHealth schemas and how they turn into each other, within one kind of quantity only."""

from __future__ import annotations

from typing import NamedTuple

GLUCOSE_MG_DL = 18.0182  # mg/dL in one mmol/L of glucose (molar mass 180.182 g/mol)


class Unit(NamedTuple):
    """What one step of a unit is worth in the base unit of its quantity, and where its zero lies there."""

    quantity: str
    factor: float
    zero: float = 0.0


UNITS: dict[str, Unit] = {
    "mg/dL": Unit("glucose", 1.0),
    "mmol/L": Unit("glucose", GLUCOSE_MG_DL),
    "K": Unit("temperature", 1.0),
    "C": Unit("temperature", 1.0, 273.15),
    "F": Unit("temperature", 5 / 9, 273.15 - 32 * 5 / 9),
    "fg": Unit("mass", 1e-18),
    "pg": Unit("mass", 1e-15),
    "ng": Unit("mass", 1e-12),
    "ug": Unit("mass", 1e-9),
    "mg": Unit("mass", 1e-6),
    "g": Unit("mass", 1e-3),
    "kg": Unit("mass", 1.0),
    "Metric Ton": Unit("mass", 1e3),
    "gr": Unit("mass", 6.479891e-5),
    "oz": Unit("mass", 0.028349523125),
    "lb": Unit("mass", 0.45359237),
    "Ton": Unit("mass", 907.18474),
    "fm": Unit("length", 1e-15),
    "pm": Unit("length", 1e-12),
    "nm": Unit("length", 1e-9),
    "um": Unit("length", 1e-6),
    "mm": Unit("length", 1e-3),
    "cm": Unit("length", 1e-2),
    "m": Unit("length", 1.0),
    "km": Unit("length", 1e3),
    "in": Unit("length", 0.0254),
    "ft": Unit("length", 0.3048),
    "yd": Unit("length", 0.9144),
    "mi": Unit("length", 1609.344),
    "ps": Unit("duration", 1e-12),
    "ns": Unit("duration", 1e-9),
    "us": Unit("duration", 1e-6),
    "ms": Unit("duration", 1e-3),
    "sec": Unit("duration", 1.0),
    "min": Unit("duration", 60.0),
    "h": Unit("duration", 3600.0),
    "d": Unit("duration", 86400.0),
    "wk": Unit("duration", 604800.0),
}

_LOOSE = {"".join(filter(str.isalnum, name)).casefold(): name for name in UNITS if len(name) > 2}
_LOOSE |= {"s": "sec", "hour": "h", "hours": "h", "minutes": "min", "seconds": "sec", "days": "d", "°c": "C", "°f": "F"}


def spelled(unit: str) -> str:
    """The schemas' spelling of a unit, where there is one; other units stay as they are.

    >>> spelled("MGDL"), spelled("mmol/l"), spelled("s"), spelled("beats/min")
    ('mg/dL', 'mmol/L', 'sec', 'beats/min')
    """
    if unit in UNITS:
        return unit
    loose = unit.strip().casefold()
    return _LOOSE.get(loose) or _LOOSE.get("".join(filter(str.isalnum, loose)), unit)


def conversion(given: str, wanted: str) -> tuple[float, float] | None:
    """(factor, shift) so that `wanted = given * factor + shift`, or None where the units measure different things.

    >>> conversion("mmol/L", "mg/dL")
    (18.0182, 0.0)
    >>> factor, shift = conversion("F", "C")
    >>> round(98.6 * factor + shift, 6)
    37.0
    >>> conversion("kg", "mg/dL") is None
    True
    """
    source, target = UNITS.get(spelled(given)), UNITS.get(spelled(wanted))
    if source is None or target is None or source.quantity != target.quantity:
        return None
    return source.factor / target.factor, (source.zero - target.zero) / target.factor
