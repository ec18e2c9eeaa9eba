"""Mail against a real SMTP server in this process, the outbox folder, and what a name must never become."""

from __future__ import annotations

import email
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

from jhe_server.errors import Invalid
from jhe_server.mail import MailSettings, invitation_message, send

LINK = "https://carex.ai/invitation/127.0.0.1:8888_aB3dE5"
EXPIRES = datetime(2026, 3, 15, 9, 30, tzinfo=UTC)


def invitation(**changed: Any) -> EmailMessage:
    given: dict[str, Any] = {
        "sender": "exchange@example.com",
        "to": "ll_patient_peter@example.com",
        "given_name": "Peter",
        "organization": "The Lab",
        "study": "BP 2026",
        "contact": "research@example.com",
        "link": LINK,
        "expires": EXPIRES,
    }
    return invitation_message(**given | changed)


class Mailbox:
    """What the server took, as a reader of mail sees it; recipients at example.net are refused."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.secure: list[bool] = []

    async def handle_RCPT(self, _server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if address.endswith("@example.net"):
            return f"550 no such user {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if b"REJECT" in envelope.content:
            return "554 message refused"
        self.received.append(email.message_from_bytes(envelope.content, policy=default))
        self.secure.append(session.ssl is not None)
        return "250 OK"


def signed_in(_server: Any, _session: Any, _envelope: Any, mechanism: str, data: Any) -> AuthResult:
    """`handled=False` lets the server itself answer the refusal."""
    return AuthResult(success=(data.login, data.password) == (b"lab", b"right horse"), handled=False)


@contextmanager
def serving(**options: Any) -> Iterator[tuple[Mailbox, int]]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield mailbox, controller.port
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command: list[str | Path] = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        made,
        *subject,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


@pytest.fixture(scope="session")
def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


def plain(port: int, **more: Any) -> MailSettings:
    return MailSettings(host="127.0.0.1", port=port, tls="none", **more)


# --- SMTP ------------------------------------------------------------------------------------------------------------


def test_a_server_takes_the_message() -> None:
    with serving() as (mailbox, port):
        assert send(plain(port), invitation()) == "sent"
    (message,) = mailbox.received
    assert message["To"] == "ll_patient_peter@example.com"
    assert message["From"] == "The Lab <exchange@example.com>"
    assert message["Subject"] == "Join BP 2026 - Connect Your Health Data"
    assert message["X-RcptTo"] is None


def test_starttls_verifies_the_certificate(certificate: tuple[Path, Path], server_side: ssl.SSLContext) -> None:
    with serving(tls_context=server_side, require_starttls=True) as (mailbox, port):
        trusting = MailSettings(host="127.0.0.1", port=port, certificates=certificate[0])
        assert send(trusting, invitation()) == "sent"
        assert mailbox.secure == [True]
        untrusting = MailSettings(host="127.0.0.1", port=port)
        assert send(untrusting, invitation()) == "failed: the mail server's certificate could not be verified"
        assert len(mailbox.received) == 1


def test_tls_from_the_first_byte(certificate: tuple[Path, Path], server_side: ssl.SSLContext) -> None:
    with serving(ssl_context=server_side) as (mailbox, port):
        settings = MailSettings(host="127.0.0.1", port=port, tls="tls", certificates=certificate[0])
        assert send(settings, invitation()) == "sent"
        assert len(mailbox.received) == 1


def test_a_server_without_starttls_gets_neither_message_nor_password() -> None:
    with serving() as (mailbox, port):
        settings = MailSettings(host="127.0.0.1", port=port, user="lab", password="right horse")
        assert send(settings, invitation()) == "failed: the mail server does not offer what the settings ask for"
        assert mailbox.received == []


def test_signing_in(certificate: tuple[Path, Path], server_side: ssl.SSLContext) -> None:
    with serving(tls_context=server_side, authenticator=signed_in, auth_required=True) as (mailbox, port):
        right = MailSettings(
            host="127.0.0.1", port=port, user="lab", password="right horse", certificates=certificate[0]
        )
        assert send(right, invitation()) == "sent"
        refused = send(replace(right, password="wrong horse"), invitation())
        assert refused == "failed: the mail server refused the user name or password"
        assert send(replace(right, user=""), invitation()).startswith("failed: the mail server ")
        assert len(mailbox.received) == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"to": "gone@example.net"}, "the mail server refused the recipient"),
        ({"study": "REJECT"}, "the mail server refused the message"),
    ],
)
def test_a_refusal_is_one_sentence_without_addresses(changed: dict[str, str], why: str) -> None:
    with serving() as (mailbox, port):
        assert send(plain(port), invitation(**changed)) == f"failed: {why}"
        assert mailbox.received == []


def test_nobody_listening_is_said_not_raised() -> None:
    assert send(plain(free_port()), invitation()) == "failed: no mail server is listening there"


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = plain(silent.getsockname()[1], timeout=0.2)
        assert send(settings, invitation()) == "failed: the mail server closed the connection or did not answer in time"


def test_something_else_listening_is_said_not_raised() -> None:
    with serving() as (_, port):
        settings = MailSettings(host="127.0.0.1", port=port, tls="tls", timeout=2)
        assert send(settings, invitation()).startswith("failed: ")


def test_the_password_is_never_shown() -> None:
    assert "right horse" not in repr(MailSettings(host="mail.example.com", password="right horse"))


# --- the outbox ------------------------------------------------------------------------------------------------------


def test_without_a_server_the_message_is_a_private_file(tmp_path: Path) -> None:
    outbox = tmp_path / "data" / "outbox"
    assert send(MailSettings(outbox=outbox), invitation()) == "outbox"
    (written,) = outbox.iterdir()
    assert written.suffix == ".eml"
    assert stat.S_IMODE(outbox.stat().st_mode) == 0o700
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    message = email.message_from_bytes(written.read_bytes(), policy=default)
    assert LINK in texts(message)[0]


def test_outbox_files_have_names_of_their_own_that_sort_by_time(tmp_path: Path) -> None:
    for number in range(20):
        assert send(MailSettings(outbox=tmp_path), invitation(study=f"Study {number:02}")) == "outbox"
    subjects = [
        email.message_from_bytes(path.read_bytes(), policy=default)["Subject"] for path in sorted(tmp_path.iterdir())
    ]
    assert subjects == [f"Join Study {number:02} - Connect Your Health Data" for number in range(20)]


def test_an_outbox_that_cannot_be_made_is_said_not_raised(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file where the folder should be")
    result = send(MailSettings(outbox=tmp_path / "outbox"), invitation())
    assert result == "failed: the message could not be written to the outbox folder"


# --- the message -----------------------------------------------------------------------------------------------------


def texts(message: EmailMessage) -> tuple[str, str]:
    plain_part, html_part = message.get_body(("plain",)), message.get_body(("html",))
    assert plain_part is not None
    assert html_part is not None
    return plain_part.get_content(), html_part.get_content()


def test_the_invitation_says_what_the_guide_says() -> None:
    plain_text, html_text = texts(invitation())
    for said in (
        "Dear Peter,",
        "You've been invited to participate in our health study BP 2026. To get started:",
        f"1. Click this link on your mobile device: {LINK}",
        "2. Install the CommonHealth app (if not already installed)",
        "4. Review and provide consent for data sharing",
        "The link works until 2026-03-15, 09:30 UTC.",
        "If you have questions, contact us at research@example.com.",
        "Thank you,\nThe Lab",
    ):
        assert said in plain_text
    assert f'<a href="{LINK}">{LINK}</a>' in html_text


def test_without_study_and_contact_the_sentences_still_stand() -> None:
    message = invitation(study=None, contact=None)
    plain_text, html_text = texts(message)
    assert message["Subject"] == "Join The Lab - Connect Your Health Data"
    assert "participate in our health study. To get started:" in plain_text
    assert "contact us" not in plain_text + html_text
    assert "None" not in plain_text + html_text


def test_names_of_every_alphabet_survive_the_wire() -> None:
    names = {"given_name": "Zoë 😀", "organization": "Институт, «Ä»", "study": "睡眠 2026 " + "x" * 200}
    with serving() as (mailbox, port):
        assert send(plain(port), invitation(**names)) == "sent"
    (message,) = mailbox.received
    assert message["Subject"] == f"Join {names['study']} - Connect Your Health Data"
    assert message["From"].addresses[0].display_name == names["organization"]
    assert "Dear Zoë 😀," in texts(message)[0]


def test_html_escapes_every_value() -> None:
    tag = "<script>\"&'"
    values = {
        "given_name": tag,
        "organization": tag,
        "study": f"{tag} study",
        "contact": tag,
        "link": f"https://example.com/{tag}",
    }
    _, html_text = texts(invitation(**values))
    assert "<script" not in html_text
    assert html_text.count("&lt;script&gt;&quot;&amp;&#x27;") == 6
    assert "{link}" not in html_text


@pytest.mark.parametrize("field", ["given_name", "organization", "study", "contact"])
@pytest.mark.parametrize(
    "separator", ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\n\n"]
)
def test_no_name_becomes_a_header(field: str, separator: str, tmp_path: Path) -> None:
    message = invitation(**{field: f"Lab{separator}Bcc: spy@example.org"})
    assert send(MailSettings(outbox=tmp_path), message) == "outbox"
    (written,) = tmp_path.iterdir()
    read = email.message_from_bytes(written.read_bytes(), policy=default)
    assert [key for key in read if key.lower() in ("bcc", "cc", "to", "from", "subject")] == ["Subject", "From", "To"]
    assert read["To"] == "ll_patient_peter@example.com"
    assert "Lab Bcc: spy@example.org" in texts(read)[0] + read["Subject"]


@pytest.mark.parametrize("field", ["sender", "to"])
@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "@example.com",
        "x@",
        "x@y@z",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com, b@example.com",
        "A <a@example.com>",
        " a@example.com",
        "a@example.com\n",
        "a..b@example.com",
        "a@b..com",
        "a@example.com\u2028",
        "jörg@example.com",
    ],
)
def test_what_is_no_single_address_is_refused(field: str, address: str) -> None:
    with pytest.raises(Invalid, match="not an e-mail address"):
        invitation(**{field: address})


def test_a_domain_beyond_ascii_is_written_as_servers_read_it() -> None:
    assert invitation(to="ada@exämple.com")["To"] == "ada@xn--exmple-cua.com"


@pytest.mark.parametrize("link", ["", " ", "https://example.com/\r\nBcc: x@example.com", "https://example.com/\u2028"])
def test_a_broken_link_is_refused(link: str) -> None:
    with pytest.raises(Invalid, match="link"):
        invitation(link=link)
