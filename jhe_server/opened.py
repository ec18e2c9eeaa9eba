"""An opened Exchange: the store, the door to it, the threads that work on it, and the handlers of every route."""

from __future__ import annotations

import asyncio
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from . import api, api_page, fhir_api, hub_policy, metrics, oauth_api, pages_api, public, settings, upgrading
from .complaints import opening
from .db import Database
from .door import Door
from .errors import ExchangeError
from .hub_policy import HubPolicy
from .mail import MailSettings
from .people import owner
from .readiness import unready
from .routes import Route, by_pattern
from .settings import Settings
from .strangers import Strangers
from .web import ExchangeHandler

if TYPE_CHECKING:
    from .app import ExchangeApp


# What somebody looks for at the wrong place is not there; but it holds a secret, and Jupyter would log it.
NOT_HERE: list[Any] = [
    (pattern, ExchangeHandler, {"routes": {}}) for pattern in (r"/(?:api/v1|me)/invitation/.*", r"/o/password/.*")
]


# Seconds for which a thread keeps the interpreter while others want it. A small read gives it back some thirty times,
# at each statement; beside an upload that is read it would wait for Python's usual 5 ms each time.
SWITCH_WITHIN = 0.0005


class Opened:
    """Everything of an Exchange that needs its store."""

    def __init__(self, app: ExchangeApp) -> None:
        self.database = open_store(app.database)
        self.database.waited = metrics.WRITER_WAIT.observe
        metrics.IN_FLIGHT.set_function(lambda: (app.current_activity() or {}).get("requests", 0))
        self._asked: asyncio.Future[str | None] | None = None
        self.door = Door(self.database, settings_of(app), app.log)
        self.pool = ThreadPoolExecutor(app.threads, "jhe")
        self.strangers = Strangers(self.door.record)
        self.owner_id = None if app.alone else self._owner()
        self.kernel_token = app.kernel_token
        if self.kernel_token is not None and self.owner_id is not None:
            self.kernel_token.register(self.database, self.owner_id)
        # What is here now stays: Python's collector need not walk through all of it again in the middle of an upload.
        gc.freeze()
        sys.setswitchinterval(min(SWITCH_WITHIN, sys.getswitchinterval()))

    def asked_whether_ready(self) -> asyncio.Future[str | None]:
        """The question under way, else a new one, in a thread like any request's."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().run_in_executor(self.pool, unready, self.database)
        return self._asked

    def _owner(self) -> int:
        with self.database.write() as session:
            return owner(session).id

    def handlers(self, app: ExchangeApp) -> list[Any]:
        """Alone, the host's front page is ours as well; with `at_root`, the whole API is there too."""
        found = handlers("/jhe")
        if app.alone:
            found += handlers("") if app.at_root else [("/", public.FrontPage), *NOT_HERE]
        return found

    def close(self) -> None:
        """What was counted is written, what was lent is ended, what is under way is finished; then the store closes."""
        self.strangers.flush(everything=True)
        if self.kernel_token is not None and self.owner_id is not None:
            with suppress(ExchangeError):  # on a full disk it ends with its lease
                self.kernel_token.end(self.database)
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.database.close()


def open_store(url: str) -> Database:
    """The store, made or brought up to date."""
    with opening():
        database = Database(url)
        try:
            upgrading.bring_up_to_date(database)
        except BaseException:
            database.close()
            raise
    return database


def settings_of(app: ExchangeApp) -> Settings:
    return Settings(
        site=app.site,
        invitation_link_prefix=app.invitation_link_prefix,
        invitation_days=app.invitation_days,
        default_client=app.default_client,
        lookups_per_minute=app.lookups_per_minute,
        lifetimes=settings.lifetimes(app.lifetimes),
        limits=settings.limits(app.limits),
        hub=_hub_policy(app),
        key_file=Path(app.key_file) if app.key_file else beside(app.database, "signing-key.json"),
        mail=MailSettings(
            host=app.smtp_host,
            port=app.smtp_port,
            tls=cast(Literal["starttls", "tls", "none"], app.smtp_tls),
            user=app.smtp_user,
            password=app.smtp_password,
            sender=app.mail_sender,
            outbox=Path(app.outbox) if app.outbox else beside(app.database, "outbox"),
        ),
    )


def _hub_policy(app: ExchangeApp) -> HubPolicy | None:
    if app.hub is None:
        return None
    return HubPolicy(app.hub_email, hub_policy.groups(app.hub_groups), app.hub_admins_are_superusers)


def beside(url: str, name: str) -> Path:
    """A name in the folder of the database file, or in the working directory where the database is a server."""
    database = Database.file_of(url)
    return (database.parent if database else Path()) / name


def handlers(root: str) -> list[Any]:
    """(pattern, handler, arguments) of everything served below a root; whatever matches nothing is a 404 of ours."""
    found: list[Any] = [
        (f"{root}/health/?", public.HealthHandler),
        (f"{root}/health/ready/?", public.ReadyHandler),
        (f"{root}/?", public.FrontPage),
        *_below(f"{root}/api/v1/", api.ROUTES, ExchangeHandler),
        (rf"{root}/openapi\.json", api_page.DescriptionHandler),
        (f"{root}/openapi/?", api_page.ViewerHandler),
        *oauth_api.documents(root),
        *_below(f"{root}/o/", oauth_api.ROUTES, oauth_api.OAuthHandler),
        *_below(f"{root}/", pages_api.ROUTES, pages_api.PageHandler),
        (f"{root}/o(?:/.*)?", oauth_api.OAuthHandler, {"routes": {}}),
    ]
    for base in fhir_api.ROOTS:
        found.append((f"{root}/{base}/metadata/?", public.MetadataHandler))
        found += _below(f"{root}/{base}/", fhir_api.ROUTES, fhir_api.FHIRHandler)
        found.append((f"{root}/{base}(?:/.*)?", fhir_api.FHIRHandler, {"routes": {}}))
    if root:
        found.append((f"{root}/.*", ExchangeHandler, {"routes": {}}))
    return found


def _below(base: str, routes: list[Route], handler: type[ExchangeHandler]) -> list[Any]:
    paths = by_pattern(routes).items()
    return [(_joined(base, pattern), handler, {"routes": by_method}) for pattern, by_method in paths]


def _joined(base: str, pattern: str) -> str:
    """A pattern below a base; the base itself (FHIR's Bundles) is served with and without its slash."""
    return base.rstrip("/") + pattern if pattern == "/?" else base + pattern
