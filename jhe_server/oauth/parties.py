"""Who may ask for tokens: a registered app, a practitioner's own key, and the notebooks of `jhe_jupyter`."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from .. import settings
from ..oauth_clients import OAuthClientRow
from ..practitioner_clients import NOTEBOOK, PREFIX, PractitionerClientRow, secret_hash

LOOPBACK = ("127.0.0.1", "::1")
APP_GRANTS = frozenset({"authorization_code", "refresh_token"})
KEY_GRANTS = frozenset({"client_credentials"})


@dataclass(frozen=True)
class Party:
    """A client of the OAuth2 endpoints; `owner_id` is the practitioner whose key it is."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...] = ()
    secret_hash: str | None = None
    grants: frozenset[str] = APP_GRANTS
    owner_id: int | None = None

    @property
    def confidential(self) -> bool:
        return self.secret_hash is not None

    def is_secret(self, secret: str | None) -> bool:
        """Whether this is the client's secret; an empty one is nobody's."""
        return bool(secret) and self.secret_hash is not None and hmac.compare_digest(
            self.secret_hash, secret_hash(secret or "")
        )  # fmt: skip

    def redirects_to(self, uri: str) -> bool:
        """Whether a redirect address is registered, letter by letter; on loopback with any port (RFC 8252, 7.3).

        >>> app = Party("app", "App", ("https://app.example.org/cb", "http://127.0.0.1/cb"))
        >>> app.redirects_to("https://app.example.org/cb"), app.redirects_to("https://app.example.org/cb/")
        (True, False)
        >>> app.redirects_to("http://127.0.0.1:50123/cb"), app.redirects_to("http://127.0.0.1.example.org/cb")
        (True, False)
        """
        return uri in self.redirect_uris or _without_port(uri) in self.redirect_uris


def _without_port(uri: str) -> str | None:
    """A loopback address without its port, which the operating system chooses anew each time."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme != "http" or host not in LOOPBACK or port is None or "@" in parts.netloc:
        return None
    return parts._replace(netloc=f"[{host}]" if ":" in host else host).geturl()


def party(session: Session, client_id: str | None) -> Party | None:
    """Who a client id stands for."""
    if not client_id:
        return None
    if client_id == NOTEBOOK:
        return _notebook(session)
    return _key(session, client_id) if client_id.startswith(PREFIX) else _app(session, client_id)


def _notebook(session: Session) -> Party:
    """Everybody's own notebooks: on this machine by loopback, elsewhere by a code shown on our own page."""
    here = "http://127.0.0.1/callback"
    return Party(NOTEBOOK, "JupyterHealth for notebooks", (here, f"{settings.of(session).site}/o/code"))


def _key(session: Session, client_id: str) -> Party | None:
    row = session.scalar(select(PractitionerClientRow).where(PractitionerClientRow.client_id == client_id))
    if row is None:
        return None
    return Party(client_id, row.name, secret_hash=row.secret_hash, grants=KEY_GRANTS, owner_id=row.user_id)


def _app(session: Session, client_id: str) -> Party | None:
    row = session.scalar(select(OAuthClientRow).where(OAuthClientRow.client_id == client_id))
    if row is None:
        return None
    return Party(client_id, row.name, tuple(row.redirect_uris.splitlines()), row.secret_hash)
