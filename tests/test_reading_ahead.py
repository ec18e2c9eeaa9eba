"""An upload is read before the store is held for it: who writes meanwhile does not wait, and no right is skipped."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import MEGAN, Clinic, wait_for
from indoors import counted

from jhe_server import fhir_api, uploads
from jhe_server.door import Credential, Request
from jhe_server.errors import ExchangeError
from jhe_server.routes import MIB, Route

[BUNDLE] = (route for route in fhir_api.ROUTES if route.kind == "bundle")


class SlowlyRead:
    """Reads a body for as long as it is not told to end."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Event(), threading.Event()
        self.reading: list[bytes] = []
        self.most = 0

    def __call__(self, sent: bytes) -> Any:
        self.reading.append(sent)
        self.most = max(self.most, len(self.reading))
        self.begun.set()
        assert self.end.wait(20)
        self.reading.pop()
        return uploads.read_bundle(fhir_api.read_json(sent))


def request(clinic: Clinic, route: Route, body: bytes, token: str | None) -> Request:
    return Request(route, Credential(token=token), body=body, url="https://jhe.example.org/jhe/FHIR/R5", request_id="r")


def test_a_write_goes_on_while_an_upload_is_read(clinic: Clinic) -> None:
    slowly = SlowlyRead()
    route = Route("POST", "", uploads.create_many, body=slowly, kind="bundle", ahead=True, present=fhir_api.resource)
    sent = request(clinic, route, b'{"resourceType": "Bundle", "type": "batch", "entry": [{}]}', clinic.token(MEGAN))
    answers: list[Any] = []
    uploading = threading.Thread(target=lambda: answers.append(clinic.door.perform(sent)))
    uploading.start()
    assert slowly.begun.wait(20)
    clinic.token(MEGAN)  # a write: it would wait for ever if the upload held the store
    slowly.end.set()
    uploading.join(20)
    assert answers[0].status == 200


def test_of_large_uploads_two_are_in_memory_at_once_and_a_small_one_does_not_wait(clinic: Clinic) -> None:
    slowly, token = SlowlyRead(), clinic.token(MEGAN)
    route = Route("POST", "", uploads.create_many, body=slowly, kind="bundle", ahead=True, present=fhir_api.resource)
    small = b'{"resourceType": "Bundle", "type": "batch", "entry": [{}]}'
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(clinic.door.perform, request(clinic, route, small + b" " * MIB, token)) for _ in range(5)]
        wait_for(lambda: len(slowly.reading) >= 2, 20)
        assert clinic.door.perform(request(clinic, BUNDLE, small, token)).status == 200
        slowly.end.set()
        assert {one.result(20).status for one in asked} == {200}
    assert slowly.most == 2


@pytest.mark.parametrize("token", ["jhe_junk", None])
def test_nothing_of_a_stranger_is_read(clinic: Clinic, token: str | None) -> None:
    slowly = SlowlyRead()
    route = Route("POST", "", uploads.create_many, body=slowly, kind="bundle", ahead=True)
    with pytest.raises(ExchangeError) as refused:
        clinic.door.perform(request(clinic, route, b"{}", token))
    assert refused.value.status == 401
    assert not slowly.begun.is_set()


def test_what_cannot_be_read_is_refused_on_record(clinic: Clinic) -> None:
    with pytest.raises(ExchangeError) as refused:
        clinic.door.perform(request(clinic, BUNDLE, b"{", clinic.token(MEGAN)))
    assert refused.value.status == 400
    assert counted(clinic.database, "audit", "verb = 'uploads.create_many' AND outcome = 'invalid'") == 1
