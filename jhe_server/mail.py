"""Mail leaves through one function: an SMTP server where one is set, else a file in the outbox folder.

Nothing is lost and nothing is raised when a server fails: the caller records the one sentence it gets back.
"""

from __future__ import annotations

import os
import re
import smtplib
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from html import escape
from pathlib import Path
from typing import Literal

from jhe_server.errors import Invalid

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SPECIAL = r"\s\x00-\x1f\x7f-\x9f@<>()\[\],;:\\\""
_ADDRESS = re.compile(rf"[^{_SPECIAL}]{{1,64}}@[^{_SPECIAL}]{{1,255}}")


@dataclass(frozen=True)
class MailSettings:
    """How mail leaves: without a `host`, into the `outbox` folder.

    `port` 0 is the usual one (587 for STARTTLS, 465 for TLS, 25 for none); certificates are verified against the
    system's authorities, or those in the file `certificates`. `timeout` is in seconds. The password is never shown.

    >>> "secret" in repr(MailSettings(host="mail.example.com", user="lab", password="secret"))
    False
    """

    host: str = ""
    port: int = 0
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = "noreply@localhost"
    outbox: Path = Path("outbox")
    timeout: float = 10.0
    certificates: Path | None = None


def send(settings: MailSettings, message: EmailMessage) -> str:
    """Hand the message over: `sent` (a server took it), `outbox` (written to a file) or `failed: <why>`.

    Raises nothing that a server, a network or a full disk can cause; the reason holds no address and no secret.
    """
    return _transmitted(settings, message) if settings.host else _filed(settings.outbox, message)


def _transmitted(settings: MailSettings, message: EmailMessage) -> str:
    try:
        _transmit(settings, message)
    except (OSError, ValueError) as error:  # all of smtplib's and ssl's are OSErrors
        return f"failed: {_why(error)}"
    return "sent"


def _filed(outbox: Path, message: EmailMessage) -> str:
    try:
        _write(outbox, message)
    except (OSError, ValueError):
        return "failed: the message could not be written to the outbox folder"
    return "outbox"


def refused(settings: MailSettings) -> str | None:
    """Why a mail server would not take our mail; None where it lets us in. Nothing is sent."""
    try:
        with _connected(settings) as server:
            _sign_in(server, settings)
            server.noop()
    except (OSError, ValueError) as error:
        return _why(error)
    return None


def _transmit(settings: MailSettings, message: EmailMessage) -> None:
    with _connected(settings) as server:
        _sign_in(server, settings)
        server.send_message(message)


def _sign_in(server: smtplib.SMTP, settings: MailSettings) -> None:
    if settings.tls == "starttls":
        server.starttls(context=_context(settings))
    if settings.user:
        server.login(settings.user, settings.password)


def _connected(settings: MailSettings) -> smtplib.SMTP:
    port = settings.port or {"starttls": 587, "tls": 465, "none": 25}[settings.tls]
    if settings.tls == "tls":
        return smtplib.SMTP_SSL(settings.host, port, timeout=settings.timeout, context=_context(settings))
    return smtplib.SMTP(settings.host, port, timeout=settings.timeout)


def _context(settings: MailSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.certificates)


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (smtplib.SMTPAuthenticationError, "the mail server refused the user name or password"),
    (smtplib.SMTPRecipientsRefused, "the mail server refused the recipient"),
    (smtplib.SMTPSenderRefused, "the mail server refused the sender"),
    (smtplib.SMTPDataError, "the mail server refused the message"),
    (smtplib.SMTPNotSupportedError, "the mail server does not offer what the settings ask for"),
    (smtplib.SMTPServerDisconnected, "the mail server closed the connection or did not answer in time"),
    (smtplib.SMTPException, "the mail server did not accept the message"),
    (ssl.SSLCertVerificationError, "the mail server's certificate could not be verified"),
    (ssl.SSLError, "no secure connection to the mail server could be made"),
    (TimeoutError, "the mail server did not answer in time"),
    (ConnectionRefusedError, "no mail server is listening there"),
    (OSError, "the mail server cannot be reached"),
)


def _why(error: Exception) -> str:
    """Our own words: a server's answer may repeat addresses, and a traceback names files."""
    return next(
        (reason for kind, reason in _REASONS if isinstance(error, kind)), "the message could not be sent as it is"
    )


def _write(outbox: Path, message: EmailMessage) -> None:
    """One .eml per message, named by time; the folder 0700, the file 0600 and there as a whole or not at all."""
    outbox.mkdir(mode=0o700, parents=True, exist_ok=True)  # a folder that was there keeps the mode its owner gave it
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    descriptor, unfinished = tempfile.mkstemp(prefix=f"{stamp}-", suffix=".part", dir=outbox)  # 0600 by itself
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(message.as_bytes(policy=SMTP))
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(Path(unfinished).with_suffix(".eml"))
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def invitation_message(
    *,
    sender: str,
    to: str,
    given_name: str,
    organization: str,
    study: str | None,
    contact: str | None,
    link: str,
    expires: datetime,
) -> EmailMessage:
    """The invitation a patient receives: plain text, and the same as HTML with every value escaped.

    `study` and `contact` may be unknown. Line breaks and control characters in a name become a space, so that no
    name can become a header; in an address or the link they raise Invalid, as does an address that is none.

    >>> message = invitation_message(sender="lab@example.com", to="ada@example.com", given_name="Ada",
    ...     organization="The Lab", study="Sleep", contact=None, link="https://example.com/i/abc",
    ...     expires=datetime(2026, 3, 15, tzinfo=UTC))
    >>> message["Subject"]
    'Join Sleep - Connect Your Health Data'
    """
    names = {"given_name": given_name, "organization": organization, "study": study or ""}
    words = {key: _one_line(value) for key, value in names.items()}
    words |= {"link": _unbroken(link, "link"), "contact": _one_line(contact or "")}
    words["expires"] = expires.astimezone(UTC).strftime("%Y-%m-%d, %H:%M UTC")
    subject = f"Join {words['study'] or words['organization']} - Connect Your Health Data"
    message = _addressed(subject, words["organization"], sender, to)
    message.set_content(_text(words))
    message.add_alternative(_html(words), subtype="html")
    return message


def password_message(*, sender: str, to: str, link: str, hours: float) -> EmailMessage:
    """The one-time link for a first or a forgotten password, as plain text; `hours` is how long it works.

    >>> message = password_message(sender="lab@example.com", to="ada@example.com", hours=48, link="https://example.com/p")
    >>> "https://example.com/p" in message.get_content()
    True
    """
    message = _addressed("Set your password", "JupyterHealth Exchange", sender, to)
    message.set_content(
        "With this link you set your password at the JupyterHealth Exchange, for the first time or anew:\n\n"
        f"{_unbroken(link, 'link')}\n\nIt works once, for {hours:g} hours. Where you did not expect it, do nothing.\n"
    )
    return message


def _addressed(subject: str, name: str, sender: str, to: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = Address(name, addr_spec=_address(sender, "sender"))
    message["To"] = Address(addr_spec=_address(to, "recipient"))
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=_address(sender, "sender").rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    return message


def _one_line(value: str) -> str:
    return _CONTROL.sub(" ", value).strip()


def _unbroken(value: str, name: str) -> str:
    if _CONTROL.search(value) or not value.strip():
        raise Invalid(f"The {name} of an invitation must be one line without control characters.")
    return value


def _address(value: str, name: str) -> str:
    """The address with its domain in ASCII; a local part beyond ASCII is refused, few servers could take it."""
    local, _, domain = value.partition("@")
    try:
        found = Address(addr_spec=f"{local}@{domain.encode('idna').decode()}") if _ADDRESS.fullmatch(value) else None
    except (ValueError, IndexError, MessageError):  # what the parser of addresses raises
        found = None
    if found is None:
        raise Invalid(f"The {name}'s address is not an e-mail address that mail can be sent to.")
    return found.addr_spec


_STEPS = (
    "Click this link on your mobile device: {link}",
    "Install the CommonHealth app (if not already installed)",
    "Follow the instructions to connect your health devices",
    "Review and provide consent for data sharing",
)


def _invited(words: dict[str, str]) -> str:
    what = f"our health study {words['study']}".rstrip()
    return f"You've been invited to participate in {what}. To get started:"


def _questions(words: dict[str, str]) -> str:
    """Without a contact the sentence says so little that it is better left out."""
    return f"If you have questions, contact us at {words['contact']}." if words["contact"] else ""


def _text(words: dict[str, str]) -> str:
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(_STEPS, 1)).replace("{link}", words["link"])
    paragraphs = (
        f"Dear {words['given_name']},",
        _invited(words),
        steps,
        f"The link works until {words['expires']}.",
        _questions(words),
        f"Thank you,\n{words['organization']}",
    )
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def _html(words: dict[str, str]) -> str:
    safe = {key: escape(value) for key, value in words.items()}
    anchor = f'<a href="{safe["link"]}">{safe["link"]}</a>'
    steps = "".join(f"<li>{escape(step)}</li>" for step in _STEPS).replace("{link}", anchor)
    paragraphs = (
        f"<p>Dear {safe['given_name']},</p>",
        f"<p>{_invited(safe)}</p>",
        f"<ol>{steps}</ol>",
        f"<p>The link works until {safe['expires']}.</p>",
        f"<p>{_questions(safe)}</p>" if safe["contact"] else "",
        f"<p>Thank you,<br>{safe['organization']}</p>",
    )
    return f"<!DOCTYPE html>\n<html><body>\n{chr(10).join(p for p in paragraphs if p)}\n</body></html>\n"
