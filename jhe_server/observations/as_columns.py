"""Observations as typed columns, for an Arrow stream: segments as they are, and what is loose read from its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import merge
from itertools import groupby
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from .. import audit, consents
from ..access import Actor
from ..columns import Packed, Table, packed
from ..db import microseconds
from ..devices import CodeRow, DataSourceRow
from .layout import layout
from .reading import code_ids, homes_of, narrowed, readable
from .rows import LooseRow, ObservationRow, SegmentRow
from .segments import KEPT, opened, ready
from .shapes import ObservationSearch
from .typed import BATCH, decoded, fields, typed

VERB = "observations.search"
Key = tuple[int, str, int]  # a patient, a code, and how far along in it: what the stream is in the order of


def table(session: Session, actor: Actor, query: ObservationSearch) -> Table:
    """The same observations, all of them, as typed columns: keys first, then one column per leaf of their schemas.

    In order of patient, code and id within it. What a schema does not name is JSON text in `extra`; `effective_end` of
    a point in time is null.
    """
    actor.knock(VERB)
    return _Question(session, actor, query).table()


@dataclass(frozen=True)
class _Question:
    """One search of observations, asked of segments and of loose rows alike."""

    session: Session
    actor: Actor
    query: ObservationSearch

    def table(self) -> Table:
        heads = self._heads()
        found = self._found(heads)
        codes = self._codes({code for _, code in found})
        self._note({patient for patient, _ in found}, sum(found.values()))
        columns = layout(codes.values())
        heads = [head for head in heads if head.code_id in codes]
        batches = self._batches(heads, codes)
        return Table(columns, batches, self._words(heads, codes))

    # -------------------------------------------------------------- what there is
    @property
    def _rows(self) -> Select[Any]:
        query = self.query
        return narrowed(self.session, readable(self.actor, VERB, query.study_id, query.organization_id), query)

    @property
    def _loose(self) -> Select[Any]:
        return self._rows.join(LooseRow, LooseRow.observation_id == ObservationRow.id)

    @property
    def _asks_for_all(self) -> bool:
        return self.query.since is None and self.query.until is None and self.query.data_source_id is None

    def _heads(self) -> list[Any]:
        """What the segments of the open pairs hold, their batches left where they are."""
        row = SegmentRow
        only: Any = {"study_id": self.query.study_id, "organization_id": self.query.organization_id, "verb": VERB}
        patient, code = row.patient_id.expression, row.code_id.expression
        whole = consents.pair_gate(self.actor, patient, code, whole=True, **only)
        heads = (
            select(row.id, row.patient_id, row.code_id, row.rows, row.first_id, row.last_id, row.earliest, row.latest,
                   row.words, whole.label("whole"), CodeRow.coding_code)
            .join(CodeRow, CodeRow.id == row.code_id)
            .where(consents.pair_gate(self.actor, patient, code, whole=False, **only))
            .order_by(row.patient_id, CodeRow.coding_code, row.first_id)
        )  # fmt: skip
        if self.query.patient_id is not None:
            heads = heads.where(row.patient_id == self.query.patient_id)
        if self.query.code is not None:
            heads = heads.where(row.code_id.in_(code_ids(self.session, self.query.code)))
        return list(self.session.execute(heads))

    def _found(self, heads: list[Any]) -> dict[tuple[int, int], int]:
        """How many observations of which patients and codes: what the segments say of themselves, where that is all."""
        pair = (ObservationRow.patient_id, ObservationRow.code_id)
        sealed_whole = self._asks_for_all and all(head.whole for head in heads)
        rows = self._loose if sealed_whole else self._rows
        counted = self.session.execute(rows.with_only_columns(*pair, func.count()).group_by(*pair))
        found = {(patient, code): number for patient, code, number in counted}
        for head in heads if sealed_whole else ():
            here = (head.patient_id, head.code_id)
            found[here] = found.get(here, 0) + head.rows
        return found

    def _codes(self, ids: set[int]) -> dict[int, str]:
        named = select(CodeRow.id, CodeRow.coding_code).where(CodeRow.id.in_(ids)).order_by(CodeRow.id)
        return {id: code for id, code in self.session.execute(named)}

    @cached_property
    def _sources(self) -> dict[int, str]:
        return {id: name for id, name in self.session.execute(select(DataSourceRow.id, DataSourceRow.name))}

    def _note(self, patients: set[int], number: int) -> None:
        """Who was read, in the row that the audit will have of it."""
        query = self.query
        homes = homes_of(self.session, self.actor, patients)
        audit.note(self.session, patient=query.patient_id, study=query.study_id, organization=query.organization_id)
        audit.note(self.session, patients=patients, organizations=homes, count=number)

    # -------------------------------------------------------------- how it leaves
    def _batches(self, heads: list[Any], codes: dict[int, str]) -> Iterator[list[tuple[Any, ...]] | Packed]:
        """Segments and loose rows in one order; loose rows are gathered up to the next segment."""
        sealed = (((head.patient_id, head.coding_code, head.first_id), head) for head in heads)
        rows = self._loose_rows(codes)
        for is_rows, some in groupby(merge(sealed, rows, key=lambda one: one[0]), lambda one: type(one[1]) is tuple):
            if not is_rows:
                yield from (batch for _, head in some if (batch := self._of_segment(head)) is not None)
                continue
            gathered: list[tuple[Any, ...]] = []
            for _, row in some:
                gathered.append(row)
                if len(gathered) == BATCH:
                    yield gathered
                    gathered = []
            if gathered:
                yield gathered

    def _words(self, heads: list[Any], codes: Mapping[int, str]) -> dict[str, list[str]]:
        """The words of the segments that leave as they are, known before the first batch."""
        words: dict[str, dict[str, None]] = {"code": dict.fromkeys(sorted(codes.values()))}
        for head in heads:
            for name, some in head.words.items() if head.whole and self._covers(head) else ():
                named = [self._sources[int(id)] for id in some] if name == "data_source" else some
                words.setdefault(name, {}).update(dict.fromkeys(named))
        return {name: list(some) for name, some in words.items()}

    def _loose_rows(self, codes: dict[int, str]) -> Iterator[tuple[Key, tuple[Any, ...]]]:
        rows = self._loose.join(CodeRow, CodeRow.id == ObservationRow.code_id)
        rows = rows.order_by(ObservationRow.patient_id, CodeRow.coding_code, ObservationRow.id)
        for row in typed(decoded(self.session.execute(fields(rows))), codes, self._sources):
            yield (row[1], row[2], row[0]), row

    def _of_segment(self, head: Any) -> Packed | None:
        """What of a segment is asked for and may be read: as it is, cut, or none of it."""
        columns = layout([head.coding_code])
        if head.whole and self._misses(head):
            return None
        kept = self.session.execute(select(*KEPT).where(SegmentRow.id == head.id)).one()
        if head.whole and self._covers(head):
            batch = ready(columns, kept)
        else:
            cut = self._cut(head, opened(columns, kept))
            if not len(cut):
                return None
            batch = packed(columns, cut)
        return _with_names(batch, self._sources)

    def _misses(self, head: Any) -> bool:
        """Whether nothing of it can be asked for."""
        since, until, source = self._bounds
        if source is not None and source not in head.words["data_source"]:
            return True
        if head.earliest is None:
            return False
        return (since is not None and head.latest < since) or (until is not None and head.earliest >= until)

    def _covers(self, head: Any) -> bool:
        """Whether all of it is asked for."""
        since, until, source = self._bounds
        if source is not None and head.words["data_source"] != [source]:
            return False
        if since is None and until is None:
            return True
        if head.earliest is None:
            return False
        return (since is None or head.earliest >= since) and (until is None or head.latest < until)

    @property
    def _bounds(self) -> tuple[int | None, int | None, str | None]:
        query = self.query
        since = None if query.since is None else microseconds(query.since)
        until = None if query.until is None else microseconds(query.until)
        return since, until, None if query.data_source_id is None else str(query.data_source_id)

    def _cut(self, head: Any, batch: Any) -> Any:
        """The rows that are asked for, where all may be read; else those that the gate opens one by one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not head.whole:
            pair = (ObservationRow.patient_id == head.patient_id, ObservationRow.code_id == head.code_id)
            ids = self.session.scalars(self._rows.where(*pair, ObservationRow.id.between(head.first_id, head.last_id)))
            return batch.filter(pc.is_in(batch.column("observation_id"), pa.array(list(ids), pa.int64())))
        since, until, source = self._bounds
        start = batch.column("effective_start").cast("int64")
        asked = pa.scalar(True)
        if since is not None:
            asked = pc.and_(asked, pc.greater_equal(start, since))
        if until is not None:
            asked = pc.and_(asked, pc.less(start, until))
        if source is not None:
            asked = pc.and_(asked, pc.equal(batch.column("data_source").cast("string"), source))
        return batch.filter(asked, null_selection_behavior="drop")


def _with_names(batch: Packed, sources: Mapping[int, str]) -> Packed:
    """Data sources by the name they have now."""
    names = [sources[int(id)] for id in batch.words["data_source"]]
    return Packed(batch.rows, batch.parts, {**batch.words, "data_source": names})
