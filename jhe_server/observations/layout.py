"""The columns of observations: keys first, then one per leaf of the schemas asked for, then what no schema names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache

from .. import omh
from ..columns import Column

KEYS = [
    Column("observation_id", "int"),
    Column("patient_id", "int"),
    Column("code", "word"),
    Column("data_source", "word"),
    Column("status", "word"),
    Column("effective_start", "time"),
    Column("effective_end", "time"),
    Column("utc_offset_minutes", "short"),
    Column("created", "time"),
    Column("modality", "word"),
]
KINDS = {"double": "double", "int": "int", "bool": "bool", "string": "word"}
EXTRA = Column("extra", "text")
FORMAT = 1  # of segments: another number makes every kept one worthless


def layout(codes: Iterable[str]) -> list[Column]:
    """The columns of a frame of these codes, in their order."""
    leaves: Mapping[str, str] = {name: kind for code in codes for name, kind in omh.leaves(code).items()}
    return [*KEYS, *(Column(name, KINDS[kind]) for name, kind in leaves.items()), EXTRA]


@cache
def digest(code: str) -> str:
    """What tells one layout from another: a schema that changes makes the segments of its code worthless."""
    said = [FORMAT, *((column.name, column.kind) for column in layout([code]))]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
