"""Who did what: one row per request, refusals included, append only and hash-chained; no names or values in it.

A row's hash covers all of its fields, the ids of the patients it concerned and the hash before it, so a row changed,
removed or slipped in breaks the chain at its place. A chain cannot show that its end was cut off or that all of it was
written anew: keep the head (`jupyter jhe audit head`) somewhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Index, Select, String, and_, exists, false, func, insert, or_, select
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.orm import Mapped, Session, mapped_column

from .access import Actor
from .columns import Column, Table
from .db import Base, BigId, UTCTime, count, microseconds, now, ordered, within
from .shapes import MAX_ID, Listing, Moment, Page, Shape, Time

GENESIS = "0" * 64
# Patients stand above the audit, so their membership is known here by name only.
MEMBERSHIP = sql_table("patient_organization", sql_column("patient_id"), sql_column("organization_id"))
FIELDS = ("seq", "time", "actor_id", "via", "verb", "patient_id", "study_id", "organization_id", "outcome", "count",
          "request_id", "address")  # fmt: skip
Run = tuple[str, int, int]  # kind of subject, first id, last id


class AuditRow(Base):
    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_actor", "actor_id", "verb", "time"),
        Index("audit_patient", "patient_id", "seq"),
        Index("audit_organization", "organization_id", "seq"),
    )

    seq: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    time: Mapped[datetime] = mapped_column(UTCTime)
    actor_id: Mapped[int | None] = mapped_column(BigId)
    via: Mapped[str] = mapped_column(String(16))
    verb: Mapped[str] = mapped_column(String(60))
    patient_id: Mapped[int | None] = mapped_column(BigId)
    study_id: Mapped[int | None] = mapped_column(BigId)
    organization_id: Mapped[int | None] = mapped_column(BigId)
    outcome: Mapped[str] = mapped_column(String(16))
    count: Mapped[int] = mapped_column(BigId)
    request_id: Mapped[str] = mapped_column(String(40))
    address: Mapped[str | None] = mapped_column(String(60))
    hash: Mapped[str] = mapped_column(String(64))


class AuditSubjectRow(Base):
    """The patients and organizations a row concerned, as runs of consecutive ids: a list of 100,000 is a few rows."""

    __tablename__ = "audit_subject"
    __table_args__ = (Index("audit_subject_run", "kind", "first_id", "last_id"),)

    seq: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(12), primary_key=True)
    first_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    last_id: Mapped[int] = mapped_column(BigId)


@dataclass
class Entry:
    """A row in the making; verbs fill in what they touch through `note`."""

    verb: str
    actor_id: int | None = None
    via: str = "token"
    request_id: str = ""
    outcome: str = "ok"
    patient_id: int | None = None
    study_id: int | None = None
    organization_id: int | None = None
    count: int = 0
    address: str | None = None
    patients: set[int] = field(default_factory=set)
    organizations: set[int] = field(default_factory=set)

    def read(self) -> Any:
        """What a read concerned, to be said again of the same answer."""
        return (self.patient_id, self.study_id, self.organization_id, self.count,
                frozenset(self.patients), frozenset(self.organizations))  # fmt: skip

    def reads(self, whom: Any) -> None:
        self.patient_id, self.study_id, self.organization_id, self.count, patients, organizations = whom
        self.patients, self.organizations = set(patients), set(organizations)

    def subjects(self) -> list[Run]:
        found = {"organization": self.organizations, "patient": self.patients}
        return [(kind, first, last) for kind, ids in found.items() for first, last in runs(ids)]


def note(
    session: Session,
    *,
    patient: int | None = None,
    study: int | None = None,
    organization: int | None = None,
    patients: Iterable[int] = (),
    organizations: Iterable[int] = (),
    count: int | None = None,
) -> None:
    """Tell the audit row of this request what the verb touches."""
    entry: Entry | None = session.info.get("audit")
    if entry is None:
        return
    entry.patient_id = patient if patient is not None else entry.patient_id
    entry.study_id = study if study is not None else entry.study_id
    entry.organization_id = organization if organization is not None else entry.organization_id
    entry.patients.update(patients)
    entry.organizations.update(organizations)
    entry.count = count if count is not None else entry.count


def append(session: Session, *entries: Entry) -> int:
    """Write rows at the end of the chain. Writers are serialised, so no number is given twice."""
    last, before = head(session)
    rows, named = [], []
    for seq, entry in enumerate(entries, last + 1):
        values, found = _values(seq, entry), entry.subjects()
        before = link(before, values, found)
        rows.append({**values, "hash": before})
        named += [{"seq": seq, "kind": kind, "first_id": first, "last_id": last} for kind, first, last in found]
    session.execute(insert(AuditRow), rows)
    if named:
        session.execute(insert(AuditSubjectRow), named)
    return last + len(rows)


def _values(seq: int, entry: Entry) -> dict[str, Any]:
    # An id that only the caller made up may be larger than any column: it cannot name anything, so it is not kept.
    named = {key: getattr(entry, key) for key in ("patient_id", "study_id", "organization_id")}
    return {
        "seq": seq, "time": now(), "actor_id": entry.actor_id, "via": entry.via, "verb": entry.verb[:60],
        **{key: id if id is None or id <= MAX_ID else None for key, id in named.items()},
        "outcome": entry.outcome, "count": entry.count, "request_id": entry.request_id[:40], "address": entry.address,
    }  # fmt: skip


def link(before: str, values: dict[str, Any], found: list[Run]) -> str:
    """The hash of a row: SHA-256 over the hash before it, its fields in order, and whom it concerned."""
    plain = [microseconds(v) if isinstance(v := values[name], datetime) else v for name in FIELDS]
    said = json.dumps([before, plain, found], separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(said.encode()).hexdigest()


def runs(ids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Consecutive ids as (first, last).

    >>> list(runs({40001, 40002, 40005}))
    [(40001, 40002), (40005, 40005)]
    """
    numbered = enumerate(sorted(set(ids)))
    for _, together in groupby(numbered, key=lambda pair: pair[1] - pair[0]):
        members = [id for _, id in together]
        yield members[0], members[-1]


def head(session: Session) -> tuple[int, str]:
    """The last number and hash, to keep elsewhere."""
    row = session.execute(select(AuditRow.seq, AuditRow.hash).order_by(AuditRow.seq.desc()).limit(1)).first()
    return (row.seq, row.hash) if row else (0, GENESIS)


def verify(session: Session) -> int | None:
    """Walk the whole chain; the number of the first broken link, or None where all of it holds."""
    key = (AuditSubjectRow.seq, AuditSubjectRow.kind, AuditSubjectRow.first_id)
    by_parts = {"yield_per": 5000}
    rows = select(AuditRow).order_by(AuditRow.seq).execution_options(**by_parts)
    runs = select(*key, AuditSubjectRow.last_id).order_by(*key).execution_options(**by_parts)
    # Both are closed however far they were read: a broken link is no reason to leave cursors open.
    with session.execute(rows) as in_order, session.execute(runs) as named:
        return _first_broken(session, in_order, _Subjects(named))


def _first_broken(session: Session, rows: Iterable[Any], subjects: _Subjects) -> int | None:
    expected, before = 1, GENESIS
    for (row,) in rows:
        values = {name: getattr(row, name) for name in FIELDS}
        if row.seq != expected or row.hash != link(before, values, subjects.of(row.seq)):
            return expected if row.seq > expected else int(row.seq)
        expected, before = expected + 1, row.hash
        session.expunge(row)
    return subjects.stray(expected)


class _Subjects:
    """The runs of each row, read along with the rows in the same order."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def of(self, seq: int) -> list[Run]:
        found: list[Run] = []
        while self._next is not None and self._next.seq <= seq:
            # A run of an earlier number belongs to no row: it is given to this one, whose hash then fails.
            found.append((self._next.kind, self._next.first_id, self._next.last_id))
            self._next = next(self._rows, None)
        return found

    def stray(self, expected: int) -> int | None:
        return expected if self._next is not None else None


class AuditSearch(Listing):
    patient_id: int | None = None
    actor_id: int | None = None
    verb: str | None = None
    organization_id: int | None = None
    since: Moment | None = None
    until: Moment | None = None


class AuditEntry(Shape):
    """One row as it is read: `patients` are the ids of all it concerned, as runs ("40001-40002,40005")."""

    seq: int
    time: Time
    actor_id: int | None
    via: str
    verb: str
    patient_id: int | None
    study_id: int | None
    organization_id: int | None
    outcome: str
    count: int
    request_id: str
    address: str | None
    patients: str = ""


def visible(actor: Actor, query: AuditSearch) -> Select[Any]:
    """The rows a caller may read: those that concern organizations they manage; all of them for a superuser."""
    rows = select(AuditRow)
    mine = actor.organizations("audit.search")
    if mine is not None:
        concerned = [_concerns("organization", id) for id in sorted(mine)]
        rows = rows.where(or_(AuditRow.organization_id.in_(mine), *concerned))
    if query.patient_id is not None:
        rows = rows.where(or_(AuditRow.patient_id == query.patient_id, _listed(query.patient_id, mine)))
    equal = {AuditRow.actor_id: query.actor_id, AuditRow.verb: query.verb}
    rows = rows.where(*(column == value for column, value in equal.items() if value is not None))
    if query.organization_id is not None:
        asked = query.organization_id
        rows = rows.where(or_(AuditRow.organization_id == asked, _concerns("organization", asked)))
        rows = rows if mine is None or asked in mine else rows.where(false())
    if query.since is not None:
        rows = rows.where(AuditRow.time >= query.since)
    return rows if query.until is None else rows.where(AuditRow.time < query.until)


def _concerns(kind: str, id: int) -> ColumnElement[bool]:
    return exists().where(
        AuditSubjectRow.seq == AuditRow.seq,
        AuditSubjectRow.kind == kind,
        AuditSubjectRow.first_id <= id,
        AuditSubjectRow.last_id >= id,
    )


def _listed(patient_id: int, mine: frozenset[int] | None) -> ColumnElement[bool]:
    """Whether a list held the patient; a manager may only ask so about patients of their own organizations."""
    listed = _concerns("patient", patient_id)
    if mine is None:
        return listed
    member = select(MEMBERSHIP.c.patient_id).where(
        MEMBERSHIP.c.patient_id == patient_id, MEMBERSHIP.c.organization_id.in_(mine)
    )
    return and_(listed, member.exists())


def search(session: Session, actor: Actor, query: AuditSearch) -> Page[AuditEntry]:
    """Who did what, newest first."""
    actor.knock("audit.search")
    rows = visible(actor, query)
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"seq": AuditRow.seq, "time": AuditRow.time, "verb": AuditRow.verb, "actorId": AuditRow.actor_id}
    page = ordered(rows, query, columns, AuditRow.seq.desc()).offset(offset).limit(limit)
    found = session.scalars(page).all()
    named = _named(session, [row.seq for row in found], actor.organizations("audit.search"))
    note(session, count=len(found))
    return Page(count=total, results=[_entry(row, named.get(row.seq, "")) for row in found])


def table(session: Session, actor: Actor, query: AuditSearch) -> Table:
    """The same rows, all of them, for an Arrow stream: oldest first."""
    actor.knock("audit.search")
    rows = visible(actor, query)
    note(session, count=count(session, rows))
    kinds = {"time": "time", "via": "word", "verb": "word", "outcome": "word", "request_id": "text", "address": "text",
             "patients": "text"}  # fmt: skip
    columns = [Column(name, kinds.get(name, "int")) for name in [*FIELDS, "patients"]]
    return Table(columns, _batches(session, rows, actor.organizations("audit.search")))


def _batches(
    session: Session, rows: Select[Any], mine: frozenset[int] | None, size: int = 2000
) -> Iterator[list[tuple[Any, ...]]]:
    last = 0
    while True:
        found = session.scalars(rows.where(AuditRow.seq > last).order_by(AuditRow.seq).limit(size)).all()
        if not found:
            return
        named = _named(session, [row.seq for row in found], mine)
        yield [(*(getattr(row, name) for name in FIELDS), named.get(row.seq, "")) for row in found]
        last = found[-1].seq
        session.expunge_all()


def _named(session: Session, seqs: list[int], mine: frozenset[int] | None) -> dict[int, str]:
    """The patients of each row as text; a manager sees them where all the row concerned is theirs."""
    key = (AuditSubjectRow.seq, AuditSubjectRow.kind, AuditSubjectRow.first_id)
    found = session.execute(select(*key, AuditSubjectRow.last_id).where(AuditSubjectRow.seq.in_(seqs)).order_by(*key))
    said: dict[int, list[str]] = {}
    foreign: set[int] = set()
    for seq, kind, first, last in found:
        if kind == "patient":
            said.setdefault(seq, []).append(str(first) if first == last else f"{first}-{last}")
        elif mine is not None and not mine.issuperset(range(first, last + 1)):
            foreign.add(seq)
    return {seq: ",".join(named) for seq, named in said.items() if seq not in foreign}


def _entry(row: AuditRow, patients: str) -> AuditEntry:
    return AuditEntry(**{name: getattr(row, name) for name in FIELDS}, patients=patients)


def recently(session: Session, actor_id: int, verb: str, seconds: float, patient_id: int | None = None) -> int:
    """How often an actor did a verb within the last seconds: rate limits and "found by lookup" rest on the audit."""
    time = now()  # another process may be a minute ahead; what is later still is left from a clock that was set back
    lately = AuditRow.time.between(time - timedelta(seconds=seconds), time + timedelta(minutes=1))
    done = (AuditRow.actor_id == actor_id, AuditRow.verb == verb, AuditRow.outcome == "ok")
    rows = select(func.count()).where(*done, lately)
    if patient_id is not None:
        rows = rows.where(_concerns("patient", patient_id))
    return int(session.scalar(rows) or 0)
