"""Which rows of an observations frame are readings of something, and which of them know the patient's own clock.

Numbers and pictures choose their rows here, so that both leave out the same ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def measured(df: pd.DataFrame, column: str, *, what: str) -> pd.DataFrame:
    """The rows of `df` that carry a reading in `column`: a value, and not an average or extreme of other values.

    Raises ValueError, naming `what` is missing, where there is none.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"heart_rate_value": [61, 64, None], "descriptive_statistic": [None, "average", None]})
    >>> len(measured(frame, "heart_rate_value", what="heart rate"))
    1
    """
    rows = df[df[column].notna()] if column in df else df.iloc[:0]
    if "descriptive_statistic" in rows:
        rows = rows[rows["descriptive_statistic"].isna()]
    if rows.empty:
        raise ValueError(f"There are no {what} readings in this frame (looked for {column!r} in {len(df):,} rows).")
    return rows


def clocked(rows: pd.DataFrame, column: str, *, what: str) -> pd.DataFrame:
    """The `rows` whose local clock in `column` is known; ValueError where it is known for none.

    UTC is no substitute: breakfast in Honolulu would be drawn at dinner time.
    """
    known = rows[rows[column].notna()]
    if known.empty:
        raise ValueError(
            f"{what} needs the patient's local clock, and none of these {len(rows):,} readings states its offset "
            "from UTC."
        )
    return known
