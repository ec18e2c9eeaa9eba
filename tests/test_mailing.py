"""Invitations by mail through a real SMTP server: taken, refused, unreachable; the outbox where no server is set."""

from __future__ import annotations

import asyncio
import email
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from conftest import MEGAN, PETER, Exchange, _fresh, free_port, wait_for

LINK = "api/v1/patients/{}/invitation_link"
PREFIX = "https://play.google.com/store/apps/details?id=org.thecommonsproject.android.phr.dev&referrer=cloud_sharing="


class Postbox:
    """A mail server's inside: it keeps what it takes and refuses whom it is told to refuse."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refuses: set[str] = set()
        self.asked, self.takes = Event(), Event()
        self.takes.set()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuses:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.asked.set()
        await asyncio.to_thread(self.takes.wait, 20)
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.recipients += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture(scope="module")
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture(scope="module")
def smtp(postbox: Postbox) -> Iterator[Controller]:
    controller = Controller(postbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller
    if controller.server is not None:
        controller.stop()


@pytest.fixture(scope="module")
def mailing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, smtp: Controller
) -> Iterator[Exchange]:
    """An Exchange with a mail server."""
    folder: Path = tmp_path_factory.mktemp("mailing")
    options = (
        f"--ExchangeApp.smtp_port={smtp.port}",
        "--ExchangeApp.smtp_host=127.0.0.1",
        "--ExchangeApp.smtp_tls=none",
    )
    exchange = Exchange(_fresh(request, "sqlite", folder), folder, *options)
    yield exchange
    exchange.close()


@pytest.fixture(scope="module")
def megan(mailing: Exchange) -> httpx.Client:
    return mailing.as_(MEGAN)


def invited(client: httpx.Client, patient: int = 40001) -> dict[str, Any]:
    answer = client.get(LINK.format(patient), params={"send_email": "true"})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def newest(client: httpx.Client, patient: int = 40001) -> dict[str, Any]:
    listed = client.get("api/v1/invitation", params={"patient_id": patient}).json()["results"]
    found: dict[str, Any] = listed[0]
    return found


def test_a_message_a_server_took_is_sent(megan: httpx.Client, postbox: Postbox) -> None:
    said = invited(megan)
    assert (said["emailSent"], said["email"]) == (True, "sent")
    message = postbox.messages[-1]
    assert postbox.recipients[-1] == PETER
    assert message["To"] == PETER
    body = message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert said["invitationLink"] in text
    assert said["invitationLink"].startswith(PREFIX)
    assert text.startswith("Dear Peter,")
    one = newest(megan)
    assert (one["email"], one["status"]) == ("sent", "issued")


def test_without_being_asked_nothing_is_mailed(megan: httpx.Client, postbox: Postbox) -> None:
    before = len(postbox.messages)
    said = megan.post(LINK.format(40001)).json()
    assert (said["emailSent"], said["email"]) == (False, None)
    assert len(postbox.messages) == before


def test_the_clients_own_link_is_mailed_too(megan: httpx.Client, postbox: Postbox) -> None:
    body = {"patientId": 40001, "clientId": 1, "sendEmail": True}
    said = megan.post("api/v1/invitation", json=body).json()
    assert (said["emailSent"], said["email"], said["status"]) == (True, "sent", "issued")
    assert said["invitationLink"].startswith("https://carex.ai/invitation/")
    text = postbox.messages[-1].get_body(("plain",))
    assert text is not None
    assert said["invitationLink"] in text.get_content()


def test_a_refused_recipient_loses_neither_the_invitation_nor_the_reason(megan: httpx.Client, postbox: Postbox) -> None:
    postbox.refuses.add(PETER)
    said = invited(megan)
    postbox.refuses.clear()
    assert said["emailSent"] is False
    assert said["email"].startswith("failed: ")
    assert PETER not in said["email"]
    assert said["invitationLink"].startswith(PREFIX)
    one = newest(megan)
    assert (one["email"], one["status"]) == (said["email"], "issued")
    assert invited(megan)["emailSent"] is True


def test_no_transaction_waits_for_the_mail_server(megan: httpx.Client, mailing: Exchange, postbox: Postbox) -> None:
    """The invitation is committed, then sent, then its outcome recorded: meanwhile others write."""
    postbox.takes.clear()
    postbox.asked.clear()
    with ThreadPoolExecutor(1) as pool:
        inviting = pool.submit(invited, mailing.as_(MEGAN))
        try:
            wait_for(postbox.asked.is_set, 20)
            assert (newest(megan)["email"], newest(megan)["status"]) == (None, "issued")
            assert megan.patch("api/v1/patients/40002", json={"telecomPhone": "+1 555 0100"}).status_code == 200
        finally:
            postbox.takes.set()
        assert inviting.result(20)["email"] == "sent"
    assert newest(megan)["email"] == "sent"


def test_the_secret_is_in_no_list_and_no_log(megan: httpx.Client, mailing: Exchange) -> None:
    secret = invited(megan)["invitationLink"].rpartition("|")[2]
    assert len(secret) == 32
    assert secret.isalnum()
    assert secret not in megan.get("api/v1/invitation", params={"patient_id": 40001}).text
    assert secret not in megan.get("api/v1/patients/40001/consolidated_clients").text
    assert secret not in mailing.log.read_text()
    mailing.database.close()
    assert secret.encode() not in b"".join(file.read_bytes() for file in mailing.folder.glob("clinic.sqlite*"))


def test_a_server_that_is_gone_loses_neither_the_invitation_nor_the_reason(
    megan: httpx.Client, postbox: Postbox, smtp: Controller, mailing: Exchange
) -> None:
    smtp.stop()
    said = invited(megan, 40002)
    assert said["emailSent"] is False
    assert said["email"].startswith("failed: ")
    assert newest(megan, 40002)["status"] == "issued"
    assert "Traceback" not in mailing.log.read_text()
    again = Controller(postbox, hostname="127.0.0.1", port=smtp.port)
    again.start()
    assert invited(megan, 40002)["email"] == "sent"
    again.stop()


def test_without_a_server_messages_are_private_files_in_the_outbox(shared_exchange: Exchange) -> None:
    said = invited(shared_exchange.as_(MEGAN))
    assert (said["emailSent"], said["email"]) == (False, "outbox")
    wait_for(lambda: bool(list(shared_exchange.outbox.glob("*.eml"))), 5)
    [file] = shared_exchange.outbox.glob("*.eml")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    message = email.message_from_bytes(file.read_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    assert message["To"] == PETER
    body = message.get_body(("plain",))
    assert body is not None
    assert said["invitationLink"] in body.get_content()
    assert newest(shared_exchange.as_(MEGAN))["email"] == "outbox"
