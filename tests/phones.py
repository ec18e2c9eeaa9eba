"""A patient's app as the tests play it: over HTTP, with nothing but what the documentation says."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from typing import Any

import httpx
from conftest import MEGAN, Exchange

LINK = re.compile(r"[|_]([A-Za-z0-9]{32})$")


def invited(exchange: Exchange, patient: int = 40001, by: str = MEGAN, **body: Any) -> str:
    """The secret of a new invitation, as it stands at the end of the link."""
    answer = exchange.as_(by).post("api/v1/invitation", json={"patientId": patient, "clientId": 1, **body})
    assert answer.status_code == 201, answer.text
    found = LINK.search(answer.json()["invitationLink"])
    assert found is not None
    return found[1]


def redeem(phone: httpx.Client, secret: str) -> httpx.Response:
    return phone.post(f"api/v1/invitation/{secret}")


def verifier(secret: str) -> str:
    return urlsafe_b64encode(secret.encode()).decode().rstrip("=")


def exchange_code(phone: httpx.Client, grant: dict[str, Any], secret: str, **instead: Any) -> httpx.Response:
    """The grant as it was answered, with the verifier; a None instead leaves a field out."""
    form = {**grant, "code_verifier": verifier(secret), **instead}
    return phone.post("o/token/", data={name: value for name, value in form.items() if value is not None})


def connected(exchange: Exchange, patient: int = 40001, by: str = MEGAN, **body: Any) -> dict[str, Any]:
    """The tokens of a patient's app that has just been let in."""
    secret, phone = invited(exchange, patient, by, **body), exchange.as_(None)
    grant = redeem(phone, secret).json()["grant"]
    answer = exchange_code(phone, grant, secret)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return {**tokens, "client_id": grant["client_id"]}


def bearer(exchange: Exchange, token: str) -> httpx.Client:
    """A client with a token, whatever it is."""
    client = exchange.as_(None)
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def refresh(phone: httpx.Client, tokens: dict[str, Any], **instead: Any) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": tokens["client_id"]}
    return phone.post("o/token/", data={k: v for k, v in {**form, **instead}.items() if v is not None})
