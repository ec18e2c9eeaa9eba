"""The change feed: one counter over everything that is written; a panel asks what is new since it last looked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import BigInteger, ColumnElement, Index, String, func, insert, or_, select, type_coerce
from sqlalchemy.orm import Mapped, Session, mapped_column

from .access import Actor
from .db import Base, BigId, UTCTime, now
from .shapes import Query, Shape

AT_ONCE = 1000


class ChangeRow(Base):
    __tablename__ = "change"
    __table_args__ = (Index("change_organization", "organization_id", "seq"),)

    seq: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    time: Mapped[datetime] = mapped_column(UTCTime)
    concept: Mapped[str] = mapped_column(String(40))
    id: Mapped[int] = mapped_column(BigId)
    organization_id: Mapped[int | None] = mapped_column(BigId)
    patient_id: Mapped[int | None] = mapped_column(BigId)


class Since(Query):
    since: Annotated[int, Field(ge=0)] = 0
    wait: Annotated[float, Field(ge=0, le=60)] = 0


class Change(Shape):
    """Something was written: `concept` and `id` say what; for `observations` the id is the patient's."""

    seq: int
    concept: str
    id: int


class Feed(Shape):
    changes: list[Change]
    next: int


def note(
    session: Session,
    concept: str,
    id: int,
    organizations: Iterable[int | None] = (None,),
    patient_id: int | None = None,
) -> None:
    """Remember that something was written; `append` puts it into the feed when the transaction ends."""
    noted = session.info.setdefault("changes", {})
    for organization_id in organizations:
        noted[concept, id, organization_id, patient_id] = None


def append(session: Session) -> None:
    """Number what was noted. Writers are serialised, so a reader never sees a number before a smaller one."""
    noted = session.info.pop("changes", {})
    if not noted:
        return
    first, time = head(session) + 1, now()
    keys = ("concept", "id", "organization_id", "patient_id")
    rows = [{"seq": first + i, "time": time, **dict(zip(keys, key, strict=True))} for i, key in enumerate(noted)]
    session.execute(insert(ChangeRow), rows)


def head(session: Session) -> int:
    """The number of the last change; whatever could change an answer moves it."""
    return int(session.scalar(select(func.max(ChangeRow.seq))) or 0)


def mark(session: Session) -> str:
    """The last change with its moment: a store restored or made anew does not take another's answers for its own."""
    rows = select(ChangeRow.seq, type_coerce(ChangeRow.time, BigInteger)).order_by(ChangeRow.seq.desc())
    found = session.execute(rows.limit(1)).first()
    return "0" if found is None else f"{found[0]}@{found[1]}"


def feed(session: Session, actor: Actor, query: Since) -> Feed:
    """What has changed since a number, of what the caller may see."""
    last = head(session)
    mine = actor.organizations("changes.feed")
    rows = select(ChangeRow).where(ChangeRow.seq > query.since, ChangeRow.seq <= last)
    if mine is not None:
        seen: list[ColumnElement[bool]] = [ChangeRow.organization_id.in_(mine)]
        if actor.patient_id is not None:
            seen.append(ChangeRow.patient_id == actor.patient_id)
        rows = rows.where(or_(*seen))
    found = session.scalars(rows.order_by(ChangeRow.seq).limit(AT_ONCE)).all()
    # The same thing may have changed for two of the caller's organizations; once is enough to hear of it.
    once = {(row.concept, row.id): Change(seq=row.seq, concept=row.concept, id=row.id) for row in found}
    upto = found[-1].seq if len(found) == AT_ONCE else last
    return Feed(
        changes=sorted(once.values(), key=lambda change: change.seq),
        next=max(upto, query.since if last >= query.since else last),
    )
