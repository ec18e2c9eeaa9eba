"""Observations read from their rows and payloads as typed tuples, one value per column of a layout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import BigInteger, Select, type_coerce

from .. import omh
from .layout import KEYS, layout
from .rows import ObservationRow, PayloadRow

BATCH = 8192

_ROW = ObservationRow
_FIELDS = (
    _ROW.id, _ROW.patient_id, _ROW.code_id, _ROW.data_source_id, _ROW.status, _ROW.effective_start,
    _ROW.effective_end, _ROW.utc_offset_minutes, type_coerce(_ROW.created, BigInteger), _ROW.modality,
    PayloadRow.payload,
)  # fmt: skip


def fields(rows: Select[Any]) -> Select[*tuple[Any, ...]]:
    """What `typed` needs of a select of observations, fetched as it is taken."""
    full = rows.join(PayloadRow, PayloadRow.observation_id == _ROW.id).with_only_columns(*_FIELDS)
    return full.execution_options(yield_per=BATCH)


def decoded(found: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of `fields` with the payload as the object it is the text of."""
    return ((*row[:-1], orjson.loads(row[-1])) for row in found)


def typed(
    found: Iterable[tuple[Any, ...]], codes: Mapping[int, str], sources: Mapping[int, str]
) -> Iterator[tuple[Any, ...]]:
    """Decoded rows as values of `layout(codes.values())`, `codes` and `sources` by their ids in words."""
    places = {id: _places(code, list(codes.values())) for id, code in codes.items()}
    width = len(layout(codes.values()))
    for id, patient_id, code_id, source_id, *rest, payload in found:
        code = codes[code_id]
        values, more = omh.laid_flat(payload if code == omh.QUESTIONNAIRE else payload["body"], code)
        row: list[Any] = [None] * width
        row[: len(KEYS)] = id, patient_id, code, sources[source_id], *rest
        for place, value in zip(places[code_id], values, strict=True):
            row[place] = value
        row[-1] = json.dumps(more, ensure_ascii=False) if more else None
        yield tuple(row)


def _places(code: str, codes: Sequence[str]) -> list[int]:
    """Where the leaves of one code stand in the layout of several."""
    names = [column.name for column in layout(codes)]
    return [names.index(name) for name in omh.leaves(code)]
