"""OAuth clients: the apps through which patients connect, and the address an invitation to each one has."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, field_validator
from sqlalchemy import Boolean, ForeignKey, Identity, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes
from .access import Actor
from .db import Base, BigId, count, ordered, within
from .devices import DataSource, DataSourceRow, data_source_of
from .devices import shapes as data_source_shapes
from .errors import Conflict, Invalid, NotFound
from .shapes import Body, Id, Line, Listing, Name, Page, Shape, WebAddress

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class OAuthClientRow(Base):
    __tablename__ = "oauth_client"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, Identity(start=1), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    client_id: Mapped[str] = mapped_column(String(200), unique=True)
    invitation_url: Mapped[str | None] = mapped_column(String(2000))
    redirect_uris: Mapped[str] = mapped_column(Text, default="")  # one a line: an address holds no line break
    confidential: Mapped[bool] = mapped_column(Boolean, default=False)
    secret_hash: Mapped[str | None] = mapped_column(String(64))


class ClientDataSourceRow(Base):
    __tablename__ = "oauth_client_data_source"

    oauth_client_id: Mapped[int] = mapped_column(ForeignKey("oauth_client.id"), primary_key=True)
    data_source_id: Mapped[int] = mapped_column(ForeignKey("data_source.id"), primary_key=True)


def _with_code(address: str | None) -> str | None:
    if address is not None and "CODE" not in address:
        raise ValueError("must contain CODE, where the invitation's code is put")
    return address


def _redirect(address: str) -> str:
    """Where codes are sent: over TLS, to this machine, or to an app by a scheme of its own (RFC 8252)."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        raise ValueError("is not an address") from None
    own = "." in parts.scheme  # org.example.app:/callback
    web = (parts.scheme == "https" and host) or (parts.scheme == "http" and host in LOOPBACK)
    if not (own or web) or "#" in address or re.search(r"[\s\"'<>;,]", address) or "@" in parts.netloc:
        raise ValueError("must be https://…, http://127.0.0.1/… or an app's own scheme like org.example.app:/…")
    return address


RedirectUri = Annotated[Line, AfterValidator(_redirect)]


class NewClient(Body):
    name: Name
    invitation_url: WebAddress | None = None
    redirect_uris: list[RedirectUri] = []
    confidential: bool = False

    _code = field_validator("invitation_url")(_with_code)


class ClientChange(Body):
    name: Name | None = None
    invitation_url: WebAddress | None = None
    redirect_uris: list[RedirectUri] | None = None

    _code = field_validator("invitation_url")(_with_code)


class ClientDataSource(Body):
    data_source_id: Id


class ClientSearch(Listing):
    search: Line | None = None


class OAuthClient(Shape):
    """A client as practitioners read it; it has no field a secret could leak from."""

    id: int
    name: str
    client_id: str
    invitation_url: str | None
    redirect_uris: list[str]
    confidential: bool


class OAuthClientWithSecret(OAuthClient):
    """What the maker of a confidential client is answered, once."""

    client_secret: str | None = None


def shape(row: OAuthClientRow) -> OAuthClient:
    return OAuthClient(
        id=row.id,
        name=row.name,
        client_id=row.client_id,
        invitation_url=row.invitation_url,
        redirect_uris=row.redirect_uris.splitlines(),
        confidential=row.confidential,
    )


def row_of(session: Session, oauth_client_id: int) -> OAuthClientRow:
    row = session.get(OAuthClientRow, oauth_client_id)
    if row is None:
        raise NotFound()
    return row


def known(session: Session, reference: int | str) -> OAuthClientRow:
    """The client named in a body by its id or by its OAuth `client_id`."""
    by_id = isinstance(reference, int) or (reference.isascii() and reference.isdecimal() and len(reference) < 19)
    where = OAuthClientRow.id == int(reference) if by_id else OAuthClientRow.client_id == reference
    row = session.scalar(select(OAuthClientRow).where(where))
    if row is None:
        raise Invalid("No client has this id; GET clients lists them.", {"clientId": ["is not known"]})
    return row


def register(session: Session, body: NewClient) -> tuple[OAuthClientRow, str | None]:
    """Make a client; a confidential one has a secret, which is kept as a hash only."""
    if session.scalar(select(OAuthClientRow.id).where(func.lower(OAuthClientRow.name) == body.name.lower())):
        raise Conflict(f"A client named {body.name} already exists.", {"name": ["is taken"]})
    secret = secrets.token_urlsafe(32) if body.confidential else None
    row = OAuthClientRow(
        name=body.name,
        client_id=secrets.token_urlsafe(24),
        invitation_url=body.invitation_url,
        redirect_uris="\n".join(body.redirect_uris),
        confidential=body.confidential,
        secret_hash=hashlib.sha256(secret.encode()).hexdigest() if secret else None,
    )
    session.add(row)
    _noted(session, row)
    return row, secret


def _noted(session: Session, row: OAuthClientRow) -> None:
    session.flush()
    changes.note(session, "client", row.id)
    audit.note(session, count=1)


def knows_origin(session: Session, origin: str) -> bool:
    """Whether the browser app of some client is served from this origin.

    A redirect address begins with its origin; whatever else is in the list may be there in any number.
    """
    found = session.scalars(select(OAuthClientRow.redirect_uris).where(OAuthClientRow.redirect_uris.contains(origin)))
    return any(origin_of(uri) == origin for uris in found for uri in uris.splitlines())


def origin_of(uri: str) -> str:
    """The origin of a redirect address, as browsers write it.

    >>> origin_of("https://app.example.org/callback?x=1")
    'https://app.example.org'
    """
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


# ------------------------------------------------------------------ verbs
def search(session: Session, actor: Actor, query: ClientSearch) -> Page[OAuthClient]:
    """The clients through which patients can connect."""
    actor.knock("oauth_clients.search")
    rows = select(OAuthClientRow)
    if query.search:
        rows = rows.where(func.lower(OAuthClientRow.name).startswith(query.search.lower(), autoescape=True))
    total = count(session, rows)
    offset, limit = within(total, query)
    columns: dict[str, Any] = {"id": OAuthClientRow.id, "name": OAuthClientRow.name}
    found = session.scalars(ordered(rows, query, columns, OAuthClientRow.id).offset(offset).limit(limit))
    return Page(count=total, results=[shape(row) for row in found])


def get(session: Session, actor: Actor, oauth_client_id: int) -> OAuthClient:
    """One client."""
    actor.knock("oauth_clients.get")
    return shape(row_of(session, oauth_client_id))


def create(session: Session, actor: Actor, body: NewClient) -> OAuthClientWithSecret:
    """A new client; the secret of a confidential one is in this answer and nowhere else."""
    actor.require("oauth_clients.create")
    row, secret = register(session, body)
    return OAuthClientWithSecret(**shape(row).model_dump(), client_secret=secret)


def update(session: Session, actor: Actor, oauth_client_id: int, body: ClientChange) -> OAuthClient:
    """Change a client."""
    actor.require("oauth_clients.update")
    row = row_of(session, oauth_client_id)
    row.name = body.name or row.name
    if "invitation_url" in body.model_fields_set:
        row.invitation_url = body.invitation_url
    if body.redirect_uris is not None:
        row.redirect_uris = "\n".join(body.redirect_uris)
    _noted(session, row)
    return shape(row)


def data_sources(session: Session, actor: Actor, oauth_client_id: int) -> list[DataSource]:
    """The data sources a client brings."""
    actor.knock("oauth_clients.data_sources")
    row = row_of(session, oauth_client_id)
    linked = select(ClientDataSourceRow.data_source_id).where(ClientDataSourceRow.oauth_client_id == row.id)
    found = session.scalars(select(DataSourceRow).where(DataSourceRow.id.in_(linked)).order_by(DataSourceRow.id))
    return data_source_shapes(session, list(found))


def add_data_source(session: Session, actor: Actor, oauth_client_id: int, body: ClientDataSource) -> list[DataSource]:
    """Say that a client brings a data source."""
    actor.require("oauth_clients.add_data_source")
    row, source = row_of(session, oauth_client_id), data_source_of(session, body.data_source_id)
    if session.get(ClientDataSourceRow, (row.id, source.id)) is None:
        session.add(ClientDataSourceRow(oauth_client_id=row.id, data_source_id=source.id))
    _noted(session, row)
    return data_sources(session, actor, row.id)


def remove_data_source(session: Session, actor: Actor, oauth_client_id: int, body: ClientDataSource) -> None:
    """Say that a client no longer brings a data source."""
    actor.require("oauth_clients.remove_data_source")
    row = row_of(session, oauth_client_id)
    pair = session.get(ClientDataSourceRow, (row.id, body.data_source_id))
    if pair is None:
        raise NotFound("This client does not bring the data source.")
    session.delete(pair)
    _noted(session, row)
