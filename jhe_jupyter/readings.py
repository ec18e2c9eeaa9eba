"""Which rows of an observations frame are readings of something, and which of them know the patient's own clock.

Numbers and pictures choose their rows here, so that both leave out the same ones and refuse in the same words.
"""

from __future__ import annotations

import pandas as pd

NIGHT = (22, 6)  # local hours between which a patient is taken to be asleep
ALWAYS = ("patient_id", "effective_start", "effective_local")


def measured(df: pd.DataFrame, column: str, *, code: str) -> pd.DataFrame:
    """The rows of `df` that carry a reading in `column`: a value, and not an average or extreme of other values.

    `code` is the short name under which `Exchange.observations_df` finds such readings. Raises ValueError, saying what
    is missing and what to do, where the columns are not there, hold nothing, or hold only aggregates.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": pd.NaT, "effective_local": pd.NaT,
    ...     "heart_rate_value": [61, 64, None], "descriptive_statistic": [None, "average", None]})
    >>> len(measured(frame, "heart_rate_value", code="heart-rate"))
    1
    """
    _has(df, column, code)
    rows = df[df[column].notna()]
    if rows.empty:
        raise ValueError(
            f"There are no {_words(code)} readings in this frame: {column!r} is empty in all {len(df):,} rows; widen "
            "the query, or see in ex.consents_df(…) what was agreed to."
        )
    single = rows[~_aggregate(rows)]
    if single.empty:
        raise ValueError(
            f"All {len(rows):,} {_words(code)} values in this frame are aggregates (descriptive_statistic), not "
            "readings; fetch the readings, or drop the column descriptive_statistic to treat them as such."
        )
    return single


def aggregates(df: pd.DataFrame, column: str) -> int:
    """How many rows with a value in `column` are aggregates, which `measured` leaves out."""
    return int((df[column].notna() & _aggregate(df)).sum()) if column in df else 0


def clocked(rows: pd.DataFrame, column: str, *, what: str) -> pd.DataFrame:
    """The `rows` whose local clock in `column` is known; ValueError where it is known for none.

    UTC is no substitute: breakfast in Honolulu would be drawn at dinner time.
    """
    known = rows[rows[column].notna()]
    if known.empty:
        raise ValueError(
            f"{what} needs the patient's local clock, and none of these {len(rows):,} readings states its offset from "
            "UTC; where you know the time zone, set effective_local = "
            "effective_start.dt.tz_convert(zone).dt.tz_localize(None)."
        )
    return known


def in_unit(rows: pd.DataFrame, stem: str, unit: str) -> pd.DataFrame:
    """The `rows` again, once their `{stem}_unit` is known to be `unit`; ValueError where some are in another one."""
    if f"{stem}_unit" in rows:
        other = sorted({str(one) for one in rows[f"{stem}_unit"].dropna().unique()} - {unit})
        if other:
            raise ValueError(
                f"{stem} is understood in {unit}, and this frame has it in {' and '.join(other)} too; choose the rows "
                "of one unit."
            )
    return rows


def utc(times: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """Times in UTC as numpy keeps them, whichever pandas backend they came in."""
    return times.astype("datetime64[us, UTC]")


def wall(times: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """Naive local times as numpy keeps them, whichever pandas backend they came in."""
    return times.astype("datetime64[us]")


def at_night(local: pd.Series[pd.Timestamp]) -> pd.Series[bool]:
    """Whether each local time lies between 22:00 and 06:00."""
    hour = local.dt.hour
    return (hour >= NIGHT[0]) | (hour < NIGHT[1])


def _has(df: pd.DataFrame, column: str, code: str) -> None:
    if column not in df:
        raise ValueError(
            f"There are no {_words(code)} readings in this frame: it has no column {column!r}; fetch them with "
            f"ex.observations_df({code!r}, …)."
        )
    missing = [name for name in ALWAYS if name not in df]
    if missing:
        raise ValueError(f"This frame has lost {', '.join(missing)}; keep the columns ex.observations_df gave it.")


def _aggregate(rows: pd.DataFrame) -> pd.Series[bool]:

    if "descriptive_statistic" in rows:
        return rows["descriptive_statistic"].notna()
    return pd.Series(False, index=rows.index)


def _words(code: str) -> str:
    return code.replace("-", " ")
