"""Observations as typed columns, for an Arrow stream: segments as they are, and what is loose read from its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from heapq import merge
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from .. import audit, consents
from ..access import Actor
from ..columns import Packed, Table
from ..db import microseconds
from ..devices import CodeRow, DataSourceRow
from ..packing import cut, unpacked
from .counting import moved
from .layout import layout
from .reading import code_ids, homes_of, narrowed, readable
from .rows import LooseRow, ObservationRow, SegmentRow
from .segments import KEPT, ready
from .shapes import ObservationSearch
from .typed import BATCH, decoded, fields, typed

VERB = "observations.search"
TOGETHER = 2**21  # bytes of segments fetched at once: some ten of them, or one that is larger
Key = tuple[int, str, int]  # a patient, a code, and how far along in it: what the stream is in the order of


def table(session: Session, actor: Actor, query: ObservationSearch) -> Table:
    """The same observations, all of them, as typed columns: keys first, then one column per leaf of their schemas.

    In order of patient, code and id within it. What a schema does not name is JSON text in `extra`; `effective_end` of
    a point in time is null.
    """
    actor.knock(VERB)
    return _Question(session, actor, query).table()


@dataclass(frozen=True)
class _Chosen:
    """A segment of which something is asked for and may be read: all of it, or the rows that `mask` marks."""

    head: Any
    mask: Any = None

    @property
    def rows(self) -> int:
        return int(self.head.rows if self.mask is None else self.mask.true_count)


@dataclass(frozen=True)
class _Question:
    """One search of observations, asked of segments and of loose rows alike."""

    session: Session
    actor: Actor
    query: ObservationSearch

    def table(self) -> Table:
        chosen = self._chosen(self._heads())
        found = self._found(chosen)
        asked = code_ids(self.session, self.query.code) if self.query.code is not None else ()
        codes = self._codes({code for _, code in found} | set(asked))
        self._note({patient for patient, _ in found}, sum(found.values()))
        return Table(layout(codes.values()), self._batches(chosen, codes), self._words(chosen, codes))

    # -------------------------------------------------------------- what there is
    def _heads(self) -> list[Any]:
        """What the segments of the open pairs hold, their batches left where they are."""
        row, query = SegmentRow, self.query
        only: Any = {"study_id": query.study_id, "organization_id": query.organization_id, "verb": VERB}
        patient, code = row.patient_id.expression, row.code_id.expression
        whole = consents.pair_gate(self.actor, patient, code, whole=True, **only)
        heads = (
            select(row.id, row.patient_id, row.code_id, row.rows, row.first_id, row.last_id, row.earliest, row.latest,
                   row.words, func.length(row.batch).label("size"), whole.label("whole"), CodeRow.coding_code)
            .join(CodeRow, CodeRow.id == row.code_id)
            .where(consents.pair_gate(self.actor, patient, code, whole=False, **only))
            .order_by(row.patient_id, CodeRow.coding_code, row.first_id)
        )  # fmt: skip
        if query.patient_id is not None:
            heads = heads.where(row.patient_id == query.patient_id)
        if query.code is not None:
            heads = heads.where(row.code_id.in_(code_ids(self.session, query.code)))
        return list(self.session.execute(heads))

    def _chosen(self, heads: list[Any]) -> list[_Chosen]:
        """What of the segments is asked for and open, in their order."""
        near = [head for head in heads if not (head.whole and self._misses(head))]
        whole = {head.id for head in near if head.whole and self._covers(head)}
        masks = dict(self._masks([head for head in near if head.id not in whole]))
        found = (_Chosen(head, masks.get(head.id)) for head in near)
        return [one for one in found if one.rows]

    def _masks(self, heads: list[Any]) -> Iterator[tuple[int, Any]]:
        """Which rows of segments are asked for and open, by segment."""
        for head, batch in self._ready(heads):
            yield head.id, self._asked(head, batch) if head.whole else self._open(head, batch)

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

    @cached_property
    def _bounds(self) -> tuple[int | None, int | None, str | None]:
        query = self.query
        since = None if query.since is None else microseconds(query.since)
        until = None if query.until is None else microseconds(query.until)
        return since, until, None if query.data_source_id is None else str(query.data_source_id)

    def _asked(self, head: Any, batch: Packed) -> Any:
        """Which rows of a segment are asked for, told by the columns that the question is about."""
        import pyarrow.compute as pc

        since, until, source = self._bounds
        asked = []
        if since is not None or until is not None:
            start = self._column(head, batch, "effective_start").cast("int64")
            asked += [pc.greater_equal(start, since)] if since is not None else []
            asked += [pc.less(start, until)] if until is not None else []
        if source is not None:
            asked.append(pc.equal(self._column(head, batch, "data_source").cast("string"), source))
        return reduce(pc.and_, asked).fill_null(False)

    def _column(self, head: Any, batch: Packed, name: str) -> Any:
        [column] = (column for column in layout([head.coding_code]) if column.name == name)
        return unpacked([column], batch).column(0)

    def _open(self, head: Any, batch: Packed) -> Any:
        """Which rows of a segment are asked for and open, where the gate opens to some alone: asked of each."""
        import pyarrow as pa
        import pyarrow.compute as pc

        pair = (ObservationRow.patient_id == head.patient_id, ObservationRow.code_id == head.code_id)
        ids = self.session.scalars(self._rows.where(*pair, ObservationRow.id.between(head.first_id, head.last_id)))
        return pc.is_in(self._column(head, batch, "observation_id"), pa.array(list(ids), pa.int64()))

    @property
    def _rows(self) -> Select[Any]:
        query = self.query
        return narrowed(self.session, readable(self.actor, VERB, query.study_id, query.organization_id), query)

    @property
    def _loose(self) -> Select[Any]:
        """What is asked of patients and codes is asked of the loose rows, which lead to their observations by id."""
        rows = select(ObservationRow.id).join(LooseRow, LooseRow.observation_id == ObservationRow.id)
        asked = self._rows.whereclause
        return rows if asked is None else rows.where(moved(asked, LooseRow))

    def _found(self, chosen: list[_Chosen]) -> dict[tuple[int, int], int]:
        """How many observations of which patients and codes."""
        pair = (ObservationRow.patient_id, ObservationRow.code_id)
        counted = self.session.execute(self._loose.with_only_columns(*pair, func.count()).group_by(*pair))
        found = {(patient, code): number for patient, code, number in counted}
        for one in chosen:
            here = (one.head.patient_id, one.head.code_id)
            found[here] = found.get(here, 0) + one.rows
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
    def _words(self, chosen: list[_Chosen], codes: Mapping[int, str]) -> dict[str, list[str]]:
        """The words of the segments that leave as they are, known before the first batch."""
        words: dict[str, dict[str, None]] = {"code": dict.fromkeys(sorted(codes.values()))}
        for one in chosen:
            for name, some in one.head.words.items() if one.mask is None else ():
                named = [self._sources[int(id)] for id in some] if name == "data_source" else some
                words.setdefault(name, {}).update(dict.fromkeys(named))
        return {name: list(some) for name, some in words.items()}

    def _batches(self, chosen: list[_Chosen], codes: dict[int, str]) -> Iterator[list[tuple[Any, ...]] | Packed]:
        """Segments and loose rows in one order; loose rows are gathered up to the next segment."""
        ordered: Iterator[Any] = merge(self._packed(chosen), self._loose_rows(codes), key=lambda pair: pair[0])
        things = (thing for _, thing in ordered)
        for is_rows, some in groupby(things, lambda thing: type(thing) is tuple):
            if is_rows:
                while gathered := list(islice(some, BATCH)):
                    yield gathered
            else:
                yield from some

    def _loose_rows(self, codes: dict[int, str]) -> Iterator[tuple[Key, tuple[Any, ...]]]:
        rows = self._loose.join(CodeRow, CodeRow.id == ObservationRow.code_id)
        rows = rows.order_by(ObservationRow.patient_id, CodeRow.coding_code, ObservationRow.id)
        for row in typed(decoded(self.session.execute(fields(rows))), codes, self._sources):
            yield (row[1], row[2], row[0]), row

    def _packed(self, chosen: list[_Chosen]) -> Iterator[tuple[Key, Packed]]:
        masks = {one.head.id: one.mask for one in chosen}
        for head, batch in self._ready([one.head for one in chosen]):
            if masks[head.id] is not None:
                batch = cut(layout([head.coding_code]), batch, masks[head.id])
            names = [self._sources[int(id)] for id in batch.words["data_source"]]  # those they have now
            key = head.patient_id, head.coding_code, head.first_id
            yield key, Packed(batch.rows, batch.parts, {**batch.words, "data_source": names})

    def _ready(self, heads: list[Any]) -> Iterator[tuple[Any, Packed]]:
        """The segments as they leave, a few at a time: a question costs the store as much as carrying several."""
        for some in _together(heads):
            of_these = SegmentRow.id.in_([head.id for head in some])
            kept = {one.id: one for one in self.session.execute(select(SegmentRow.id, *KEPT).where(of_these))}
            for head in some:
                yield head, ready(layout([head.coding_code]), kept.pop(head.id))


def _together(heads: list[Any]) -> Iterator[list[Any]]:
    """Segments in groups that memory has room for."""
    some, size = list[Any](), 0
    for head in heads:
        if some and size + head.size > TOGETHER:
            yield some
            some, size = [], 0
        some.append(head)
        size += head.size
    if some:
        yield some
