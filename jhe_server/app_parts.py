"""What `ExchangeApp` puts together: the store, the settings verbs know, and the handlers of every route."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from . import api, fhir_api, migrations, public
from .db import Database
from .mail import MailSettings
from .routes import Route, by_pattern
from .settings import Settings
from .web import ExchangeHandler, NothingHere

if TYPE_CHECKING:
    from .app import ExchangeApp


class FHIRNothingHere(fhir_api.FHIRHandler, NothingHere):
    """The same, as an OperationOutcome."""


def open_store(url: str) -> Database:
    """The store, made or brought up to date."""
    database = Database(url)
    migrations.upgrade(database)
    return database


def settings_of(app: ExchangeApp, site: str) -> Settings:
    return Settings(
        site=site,
        invitation_link_prefix=app.invitation_link_prefix,
        invitation_days=app.invitation_days,
        default_client=app.default_client,
        lookups_per_minute=app.lookups_per_minute,
        mail=MailSettings(
            host=app.smtp_host,
            port=app.smtp_port,
            tls=cast(Literal["starttls", "tls", "none"], app.smtp_tls),
            user=app.smtp_user,
            password=app.smtp_password,
            sender=app.mail_sender,
            outbox=Path(app.outbox) if app.outbox else outbox_beside(app.database),
        ),
    )


def outbox_beside(url: str) -> Path:
    """`outbox` in the folder of the database file, or in the working directory where the database is a server."""
    database = Database.file_of(url)
    return (database.parent if database else Path()) / "outbox"


def handlers(root: str) -> list[Any]:
    """(pattern, handler, arguments) of everything served below a root; whatever matches nothing is a 404 of ours."""
    found: list[Any] = [
        (f"{root}/health/?", public.HealthHandler),
        (f"{root}/?", public.FrontPage),
        *_below(f"{root}/api/v1/", api.ROUTES, ExchangeHandler),
    ]
    for base in fhir_api.ROOTS:
        found.append((f"{root}/{base}/metadata/?", public.MetadataHandler))
        found += _below(f"{root}/{base}/", fhir_api.ROUTES, fhir_api.FHIRHandler)
        found.append((f"{root}/{base}(?:/.*)?", FHIRNothingHere, {"routes": {}}))
    if root:
        found.append((f"{root}/.*", NothingHere, {"routes": {}}))
    return found


def _below(base: str, routes: list[Route], handler: type[ExchangeHandler]) -> list[Any]:
    paths = by_pattern(routes).items()
    return [(_joined(base, pattern), handler, {"routes": by_method}) for pattern, by_method in paths]


def _joined(base: str, pattern: str) -> str:
    """A pattern below a base; the base itself (FHIR's Bundles) is served with and without its slash."""
    return base.rstrip("/") + pattern if pattern == "/?" else base + pattern
