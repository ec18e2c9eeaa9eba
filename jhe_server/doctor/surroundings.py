"""What lies between the Exchange and people: the mail server, and the certificates clients see."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from .. import mail
from ..app import ExchangeApp
from ..mail import MailSettings
from .findings import Finding, ok, warn, wrong

PATIENCE = 5.0  # seconds
SOON = 21  # days before its end at which a certificate should have been renewed


def findings(app: ExchangeApp, config: Any) -> Iterator[Finding]:
    yield from _mail(app)
    if app.public_url.startswith("https:"):
        yield from seen_by_clients(app.public_url)
    certificate = config.get("ServerApp", {}).get("certfile")
    if certificate:
        yield from own_certificate(Path(certificate))


def _mail(app: ExchangeApp) -> Iterator[Finding]:
    if not app.smtp_host:
        yield warn("mail", "No smtp_host is set: invitations are written to the outbox folder, to be sent by hand.")
        return
    kind = cast(Literal["starttls", "tls", "none"], app.smtp_tls)
    settings = MailSettings(app.smtp_host, app.smtp_port, kind, app.smtp_user, app.smtp_password, timeout=PATIENCE)
    if kind == "none" and app.smtp_user:
        yield wrong("mail", "smtp_tls is none: the password and every invitation leave in the clear. Use starttls.")
        return
    refused = mail.refused(settings)
    if refused is None:
        yield ok("mail", f"{app.smtp_host} lets us in.")
    else:
        yield wrong("mail", f"{app.smtp_host}: {refused}. Look at the smtp_ settings; mail is not lost meanwhile.")
    if app.mail_sender.endswith("@localhost"):
        yield warn("mail", "mail_sender is noreply@localhost, which most mail servers throw away: set it.")


def seen_by_clients(url: str) -> Iterator[Finding]:
    """From here, which may not be where clients are."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    try:
        end = _certificate_end(host, port)
    except ssl.SSLError as error:
        said = getattr(error, "verify_message", "") or error.reason or "no TLS"
        yield wrong("certificate", f"{host}:{port} cannot be trusted: {said}.")
        return
    except OSError:
        yield warn("certificate", f"{host}:{port} cannot be reached from here, so its certificate was not seen.")
        return
    yield _lasting(f"{host}:{port}", datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC))


def _certificate_end(host: str, port: int) -> str:
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return str((secured.getpeercert() or {}).get("notAfter", ""))


def own_certificate(file: Path) -> Iterator[Finding]:
    from cryptography import x509

    try:
        yield _lasting(str(file), x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc)
    except (OSError, ValueError):
        yield wrong("certificate", f"{file} cannot be read as a certificate.")


def _lasting(where: str, end: datetime) -> Finding:
    days = (end - datetime.now(UTC)).days
    if days < 0:
        return wrong("certificate", f"That of {where} ended on {end:%Y-%m-%d}: renew it.")
    if days < SOON:
        return warn("certificate", f"That of {where} ends in {days} days: renew it.")
    return ok("certificate", f"That of {where} is good for {days} days.")
