"""Whole columns of values turned into one unit, with the column beside them saying so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .units import conversion, spelled


def convert_units(frame: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The frame with every `*_value` that can be in `unit` turned into it, and its `*_unit` column saying so.

    >>> frame = pd.DataFrame({"blood_glucose_value": [5.0, 90.0], "blood_glucose_unit": ["mmol/L", "mg/dL"]})
    >>> convert_units(frame, "mg/dL")["blood_glucose_value"].round(3).to_list()
    [90.091, 90.0]

    Raises ValueError where no value is of that kind, or one beside them is not.
    """
    wanted = spelled(unit)
    stems = [name.removesuffix("_unit") for name in frame.columns if name.endswith("_unit")]
    units = {stem: pd.Categorical(frame[f"{stem}_unit"]) for stem in stems if f"{stem}_value" in frame}
    there = {stem: list(one.categories[np.unique(one.codes[one.codes >= 0])]) for stem, one in units.items()}
    fitting = [stem for stem, given in there.items() if any(_factor(stem, one, wanted) for one in given)]
    if not fitting and any(there.values()):
        have = ", ".join(f"{stem} in {' and '.join(map(str, given))}" for stem, given in there.items() if given)
        raise ValueError(f"nothing here can be given in {unit!r}; there is {have}")
    converted: dict[str, Any] = {}
    for stem in fitting:
        _refuse_strangers(stem, units[stem], there[stem], wanted)
        converted[f"{stem}_value"] = _in_unit(frame[f"{stem}_value"], stem, units[stem], wanted)
        stated = np.where(units[stem].codes < 0, -1, 0)
        converted[f"{stem}_unit"] = pd.Categorical.from_codes(stated, categories=pd.Index([wanted]))
    return frame.assign(**converted)


def _in_unit(values: pd.Series[float], stem: str, units: pd.Categorical, wanted: str) -> Any:
    """Values times a factor plus a shift, both looked up by the number of the unit; without a unit as they are."""
    steps = [_factor(stem, given, wanted) or (1.0, 0.0) for given in units.categories]
    factors, shifts = np.array([*steps, (1.0, 0.0)]).T
    return values.to_numpy(dtype="float64", na_value=np.nan) * factors[units.codes] + shifts[units.codes]


def _refuse_strangers(stem: str, units: pd.Categorical, there: Sequence[str], wanted: str) -> None:
    for given in there:
        if _factor(stem, given, wanted) is None:
            rows = int((units == given).sum())
            raise ValueError(f"{rows} values of {stem} are in {given!r}, which cannot be given in {wanted!r}")


def _factor(stem: str, given: str, wanted: str) -> tuple[float, float] | None:
    """The conversion for one column; mg/dL is turned into mmol/L with glucose's molar mass, so only for glucose."""
    if spelled(given) == wanted:
        return 1.0, 0.0
    if wanted in {"mg/dL", "mmol/L"} and "glucose" not in stem:
        return None
    return conversion(given, wanted)
