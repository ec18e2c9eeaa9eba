"""Segments: observations of one patient and code, sealed as the compressed Arrow batch that leaves in a stream.

They are derived: dropping one makes its rows loose again, and every answer stays the same. Sealing happens in the
transaction that wrote the rows, once enough of a pair are loose; a short segment is sealed again together with what
comes after it, until it is long enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import and_, delete, func, insert, select, tuple_
from sqlalchemy.orm import Session

from ..bulk import insert_many
from ..columns import Column, Packed, record_batch
from ..devices import CodeRow
from ..packing import message_of, packed, unpacked, unpacked_message
from ..studies import chunks
from .layout import digest, layout
from .rows import LooseRow, ObservationRow, SegmentRow
from .typed import decoded, fields, typed

Pair = tuple[int, int]
LOOSE = 256  # so many loose rows of a pair, and they are sealed
KEPT = (SegmentRow.words, SegmentRow.batch)
ROWS = 8192  # of a full segment: large enough to cost little, small enough to be cut for a question about time


# ------------------------------------------------------------------ sealing
def arrived(session: Session, found: Iterable[tuple[Any, ...]]) -> None:
    """New observations, decoded, as `typed` takes them: sealed where many of a pair came at once, else loose."""
    new: dict[Pair, list[tuple[Any, ...]]] = {}
    for row in found:
        new.setdefault((row[1], row[2]), []).append(row)
    waiting = _loose(session, sorted(new))
    loose = {pair: rows for pair, rows in new.items() if pair in waiting or len(rows) < LOOSE}
    add_loose(session, ((*pair, row[0]) for pair, rows in loose.items() for row in rows))
    for pair, rows in new.items():
        if pair not in loose:
            _keep(session, pair, _code(session, pair), rows)
    for pair, rows in loose.items():
        if waiting.get(pair, 0) + len(rows) >= LOOSE:
            seal(session, pair)


def add_loose(session: Session, found: Iterable[tuple[int, int, int]]) -> None:
    """Note observations (patient, code, id) that are in no segment."""
    insert_many(session, LooseRow, ("patient_id", "code_id", "observation_id"), found)


def _loose(session: Session, pairs: Sequence[Pair]) -> dict[Pair, int]:
    """How many observations of each pair are loose."""
    pair = (LooseRow.patient_id, LooseRow.code_id)
    counted = select(*pair, func.count()).group_by(*pair)
    found = (session.execute(counted.where(tuple_(*pair).in_(chunk))) for chunk in chunks(pairs))
    return {(patient, code): number for some in found for patient, code, number in some}


def seal_all(session: Session) -> None:
    """Seal every pair of which enough are loose."""
    pair = (LooseRow.patient_id, LooseRow.code_id)
    enough = session.execute(select(*pair).group_by(*pair).having(func.count() >= LOOSE)).all()
    for patient, code in enough:
        seal(session, (patient, code))


def seal(session: Session, pair: Pair) -> None:
    """Make segments of all that is loose of a pair."""
    code, loose = _code(session, pair), _of(LooseRow, pair)
    first = select(LooseRow.observation_id).where(loose).order_by(LooseRow.observation_id).limit(ROWS)
    rows = fields(select(ObservationRow.id).where(ObservationRow.id.in_(first)).order_by(ObservationRow.id))
    while found := list(decoded(session.execute(rows))):
        session.execute(delete(LooseRow).where(loose, LooseRow.observation_id <= found[-1][0]))
        _keep(session, pair, code, found)


def _keep(session: Session, pair: Pair, code: str, found: list[tuple[Any, ...]]) -> None:
    """Make segments of decoded rows of a pair; a data source goes by its id, since its name may change."""
    columns, sources = layout([code]), {row[3]: str(row[3]) for row in found}
    batch = record_batch(columns, list(typed(found, {pair[1]: code}, sources)))
    for one in _full(_with_short_ones(session, pair, columns, batch)):
        session.execute(insert(SegmentRow), _segment(pair, columns, one))


def _code(session: Session, pair: Pair) -> str:
    return session.scalars(select(CodeRow.coding_code).where(CodeRow.id == pair[1])).one()


def _with_short_ones(session: Session, pair: Pair, columns: list[Column], batch: Any) -> Any:
    """The batch after the segments before it that are not much longer: so that each row is sealed but a few times."""
    import pyarrow as pa

    last = select(SegmentRow.id, SegmentRow.rows).where(_of(SegmentRow, pair)).order_by(SegmentRow.id.desc()).limit(1)
    while (found := session.execute(last).first()) is not None and found.rows <= min(2 * len(batch), ROWS - 1):
        before = session.execute(delete(SegmentRow).where(SegmentRow.id == found.id).returning(*KEPT)).one()
        table = pa.Table.from_batches([opened(columns, before), batch]).unify_dictionaries().combine_chunks()
        [batch] = table.to_batches()
    return batch


def _full(batch: Any) -> Iterator[Any]:
    for start in range(0, len(batch), ROWS):
        yield batch.slice(start, ROWS)


def _segment(pair: Pair, columns: list[Column], batch: Any) -> dict[str, Any]:
    sealed = packed(columns, batch)
    ids, starts = (batch.column(name).cast("int64") for name in ("observation_id", "effective_start"))
    times = (None, None) if starts.null_count else _span(starts)
    return {
        "patient_id": pair[0],
        "code_id": pair[1],
        "layout": digest(sealed.words["code"][0]),
        "rows": sealed.rows,
        "first_id": _span(ids)[0],
        "last_id": _span(ids)[1],
        "earliest": times[0],
        "latest": times[1],
        "words": dict(sealed.words),
        "batch": message_of(columns, sealed),
    }


def _span(values: Any) -> tuple[int, int]:
    import pyarrow.compute as pc

    found = pc.min_max(values)
    return found["min"].as_py(), found["max"].as_py()


def _of(row: type[LooseRow] | type[SegmentRow], pair: Pair) -> Any:
    return and_(row.patient_id == pair[0], row.code_id == pair[1])


# ------------------------------------------------------------------ opening
def ready(columns: list[Column], segment: Any) -> Packed:
    """A segment as it leaves, still compressed."""
    return unpacked_message(columns, segment.batch, segment.words)


def opened(columns: list[Column], segment: Any) -> Any:
    """A segment as a `pyarrow.RecordBatch`."""
    return unpacked(columns, ready(columns, segment))


# ------------------------------------------------------------------ unsealing
def forget(session: Session, patients: Sequence[int]) -> None:
    """Drop all columns of patients whose observations are deleted."""
    for row in (SegmentRow, LooseRow):
        session.execute(delete(row).where(row.patient_id.in_(patients)))


def take_out(session: Session, pair: Pair, observation_id: int) -> None:
    """Drop the segment an observation is in; the others of it are loose until they are sealed again."""
    session.execute(delete(LooseRow).where(_of(LooseRow, pair), LooseRow.observation_id == observation_id))
    around = and_(SegmentRow.first_id <= observation_id, SegmentRow.last_id >= observation_id)
    for segment in session.execute(select(SegmentRow.id, *KEPT).where(_of(SegmentRow, pair), around)).all():
        ids = opened(layout([_code(session, pair)]), segment).column("observation_id").to_pylist()
        if observation_id in ids:
            session.execute(delete(SegmentRow).where(SegmentRow.id == segment.id))
            add_loose(session, ((*pair, id) for id in ids if id != observation_id))
            if len(ids) > LOOSE:
                seal(session, pair)


def unseal(session: Session, codes: Iterable[int]) -> None:
    """Drop the segments of some codes: every observation of theirs is loose again."""
    of_codes = list(codes)
    for row in (SegmentRow, LooseRow):
        session.execute(delete(row).where(row.code_id.in_(of_codes)))
    rows = select(ObservationRow.patient_id, ObservationRow.code_id, ObservationRow.id)
    rows = rows.where(ObservationRow.code_id.in_(of_codes))
    session.execute(insert(LooseRow).from_select(["patient_id", "code_id", "observation_id"], rows))


def outdated(session: Session) -> set[int]:
    """The codes of which something was sealed under another layout than this version's."""
    found = session.execute(
        select(SegmentRow.code_id, CodeRow.coding_code, SegmentRow.layout)
        .join(CodeRow, CodeRow.id == SegmentRow.code_id)
        .distinct()
    )
    return {id for id, code, known in found if known != digest(code)}
