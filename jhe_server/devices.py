"""Data sources (FHIR's Device) and codes: what was measured with what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import ForeignKey, Identity, Index, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes, fhir
from .access import Actor
from .db import Base, BigId, UTCTime, count, now, ordered, within
from .errors import Invalid, NotFound
from .fhir_search import FHIRSearch, Resources
from .fhir_select import By, Searchable, starts
from .shapes import Body, Code, Id, Line, Listing, Name, Page, Shape


class CodeRow(Base):
    __tablename__ = "code"
    __table_args__ = (
        Index("code_unique", "coding_system", "coding_code", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, Identity(start=50_001), primary_key=True)
    coding_system: Mapped[str] = mapped_column(String(1000))
    coding_code: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(String(200))


class DataSourceRow(Base):
    __tablename__ = "data_source"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, Identity(start=70_001), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(20))
    last_updated: Mapped[datetime] = mapped_column(UTCTime, default=now, onupdate=now)


class SupportedCodeRow(Base):
    __tablename__ = "data_source_code"

    data_source_id: Mapped[int] = mapped_column(ForeignKey("data_source.id"), primary_key=True)
    code_id: Mapped[int] = mapped_column(ForeignKey("code.id"), primary_key=True)


Type = Literal["personal_device", "patient_app", "device", "other"]


class NewDataSource(Body):
    name: Name
    type: Type = "personal_device"


class DataSourceChange(Body):
    name: Name | None = None
    type: Type | None = None


class OneCode(Body):
    """The public API says `scope_code_id`."""

    scope_code_id: Id


class DataSourceSearch(Listing):
    search: Annotated[Line | None, Field(max_length=200)] = None


class DataSource(Shape):
    id: int
    name: str
    type: str
    supported_scopes: list[Code]


def code_shape(row: CodeRow) -> Code:
    return Code(id=row.id, coding_system=row.coding_system, coding_code=row.coding_code, text=row.text)


def code_named(session: Session, system: str, code: str) -> CodeRow | None:
    """The one code of that name in that system; a code is `system|code`, never the code alone."""
    return session.scalar(select(CodeRow).where(CodeRow.coding_system == system, CodeRow.coding_code == code))


def code_of(session: Session, code_id: int) -> CodeRow:
    row = session.get(CodeRow, code_id)
    if row is None:
        raise Invalid("No code has this id; data_sources/all_scopes lists them.", {"scopeCodeId": ["is not known"]})
    return row


def data_source_of(session: Session, data_source_id: int) -> DataSourceRow:
    row = session.get(DataSourceRow, data_source_id)
    if row is None:
        raise Invalid("No data source has this id.", {"dataSourceId": ["is not known"]})
    return row


def shapes(session: Session, rows: list[DataSourceRow]) -> list[DataSource]:
    """Data sources with the codes each can send, one statement for all."""
    supported: dict[int, list[Code]] = {}
    pairs = session.execute(
        select(SupportedCodeRow.data_source_id, CodeRow)
        .join(CodeRow, CodeRow.id == SupportedCodeRow.code_id)
        .where(SupportedCodeRow.data_source_id.in_([row.id for row in rows]))
        .order_by(CodeRow.id)
    )
    for data_source_id, code in pairs:
        supported.setdefault(data_source_id, []).append(code_shape(code))
    return [
        DataSource(id=row.id, name=row.name, type=row.type, supported_scopes=supported.get(row.id, [])) for row in rows
    ]


def _row(session: Session, data_source_id: int) -> DataSourceRow:
    row = session.get(DataSourceRow, data_source_id)
    if row is None:
        raise NotFound()
    return row


def _written(session: Session, row: DataSourceRow) -> DataSource:
    session.flush()
    changes.note(session, "data_source", row.id)
    audit.note(session, count=1)
    return shapes(session, [row])[0]


# ------------------------------------------------------------------ verbs
def search(session: Session, actor: Actor, query: DataSourceSearch) -> Page[DataSource]:
    """Data sources with the codes each can send."""
    actor.knock("devices.search")
    rows = select(DataSourceRow)
    if query.search:
        rows = rows.where(func.lower(DataSourceRow.name).startswith(query.search.lower(), autoescape=True))
    total = count(session, rows)
    offset, limit = within(total, query)
    columns: dict[str, Any] = {"id": DataSourceRow.id, "name": DataSourceRow.name, "type": DataSourceRow.type}
    found = session.scalars(ordered(rows, query, columns, DataSourceRow.id).offset(offset).limit(limit)).all()
    return Page(count=total, results=shapes(session, list(found)))


def get(session: Session, actor: Actor, data_source_id: int) -> DataSource:
    """One data source."""
    actor.knock("devices.get")
    return shapes(session, [_row(session, data_source_id)])[0]


def codes(session: Session, actor: Actor) -> list[Code]:
    """Every code a study can request."""
    actor.knock("devices.codes")
    return [code_shape(row) for row in session.scalars(select(CodeRow).order_by(CodeRow.id))]


def supported_codes(session: Session, actor: Actor, data_source_id: int) -> list[Code]:
    """The codes one data source can send."""
    return get(session, actor, data_source_id).supported_scopes


def create(session: Session, actor: Actor, body: NewDataSource) -> DataSource:
    """A new data source."""
    actor.require("devices.create")
    row = DataSourceRow(name=body.name, type=body.type)
    session.add(row)
    return _written(session, row)


def update(session: Session, actor: Actor, data_source_id: int, body: DataSourceChange) -> DataSource:
    """Change a data source."""
    actor.require("devices.update")
    row = _row(session, data_source_id)
    row.name, row.type = body.name or row.name, body.type or row.type
    return _written(session, row)


def support_code(session: Session, actor: Actor, data_source_id: int, body: OneCode) -> DataSource:
    """Say that a data source can send a code: a hint for panels, not a rule for uploads."""
    actor.require("devices.support_code")
    row, code = _row(session, data_source_id), code_of(session, body.scope_code_id)
    if session.get(SupportedCodeRow, (row.id, code.id)) is None:
        session.add(SupportedCodeRow(data_source_id=row.id, code_id=code.id))
    return _written(session, row)


def unsupport_code(session: Session, actor: Actor, data_source_id: int, body: OneCode) -> None:
    """Say that a data source no longer sends a code."""
    actor.require("devices.unsupport_code")
    row = _row(session, data_source_id)
    pair = session.get(SupportedCodeRow, (row.id, body.scope_code_id))
    if pair is None:
        raise NotFound("This data source does not send the code.")
    session.delete(pair)
    _written(session, row)


# ------------------------------------------------------------------ as FHIR Devices
SEARCHABLE = Searchable(
    "Device",
    id=DataSourceRow.id,
    updated=DataSourceRow.last_updated,
    by={"device-name": By("string", lambda _, texts: starts(texts, DataSourceRow.name))},
    order={"device-name": func.lower(DataSourceRow.name)},
)


def fhir_search(session: Session, actor: Actor, query: FHIRSearch) -> Resources:
    """Data sources as FHIR Devices, newest first."""
    actor.knock("devices.fhir_search")
    total, ids = SEARCHABLE.page(session, actor, select(DataSourceRow.id), query)
    rows = {row.id: row for row in session.scalars(select(DataSourceRow).where(DataSourceRow.id.in_(ids)))}
    return Resources(total, [to_fhir(rows[id]) for id in ids])


def fhir_get(session: Session, actor: Actor, data_source_id: int) -> fhir.Resource:
    """One data source as a FHIR Device."""
    actor.knock("devices.fhir_get")
    return to_fhir(_row(session, data_source_id))


def to_fhir(row: DataSourceRow) -> fhir.Resource:
    """The Device resource: a kind of device or app that uploads, not one that somebody owns."""
    return {
        "resourceType": "Device",
        "id": str(row.id),
        "meta": fhir.meta(row.last_updated),
        "status": "active",
        "displayName": row.name,
        "name": [{"value": row.name, "type": "user-friendly-name", "display": True}],
        "type": [{"text": row.type}],
    }
