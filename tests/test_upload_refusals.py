"""Everything an upload can be refused for: one table of what is sent, the status and the sentence that come back."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from conftest import MEGAN, TOM, Exchange
from indoors import bundle
from refusals import assert_silent, refused, written
from wrong_uploads import NO_BATCH, NO_UPLOAD, WRONG, observation

MIB = 2**20


@pytest.fixture(scope="module")
def megan(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(MEGAN)


@pytest.fixture(scope="module")
def tom(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(TOM)


@pytest.fixture(autouse=True)
def nothing_written(shared_exchange: Exchange, megan: httpx.Client, tom: httpx.Client) -> Iterator[None]:
    before = written(shared_exchange)
    yield
    assert written(shared_exchange) == before
    assert_silent(shared_exchange)


def send(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    return client.post(path, content=json.dumps(body).encode(), headers={"Content-Type": "application/fhir+json"})


def sentence(answer: httpx.Response, status: int) -> str:
    said: str = refused(answer, status)["issue"][0]["diagnostics"]
    return said


@pytest.mark.parametrize("why", WRONG)
def test_an_upload_is_refused_in_one_exact_sentence(megan: httpx.Client, why: str) -> None:
    body, status, said = WRONG[why]
    assert sentence(send(megan, "FHIR/R5/Observation", body), status) == said


def test_in_a_batch_each_entry_hears_what_it_would_hear_alone(megan: httpx.Client) -> None:
    answer = send(megan, "FHIR/R5", bundle(*(body for body, _, _ in WRONG.values()))).json()
    heard = [
        (int(one["response"]["status"][:3]), one["response"]["outcome"]["issue"][0]["diagnostics"])
        for one in answer["entry"]
    ]
    assert heard == [(status, said) for _, status, said in WRONG.values()]


def test_in_a_transaction_the_first_refusal_is_everybodys(megan: httpx.Client) -> None:
    for body, status, said in (WRONG["an unknown code"], WRONG["a unit that is none"]):
        answer = send(megan, "FHIR/R5", bundle(observation(), body, {}, kind="transaction"))
        assert sentence(answer, status) == f"Nothing was stored, since entry 1 was refused: {said}"


def test_a_patient_who_can_be_seen_is_not_everybodys_to_write_for(tom: httpx.Client) -> None:
    answer = send(tom, "FHIR/R5/Observation", observation())
    assert sentence(answer, 403) == "You may not upload for this patient."


@pytest.mark.parametrize("why", NO_BATCH)
def test_what_is_no_batch_or_transaction_is_refused_as_a_whole(megan: httpx.Client, why: str) -> None:
    body, status, said = NO_BATCH[why]
    assert sentence(send(megan, "FHIR/R5", body), status) == said


def test_an_entry_that_posts_no_observation_is_refused_alone(megan: httpx.Client) -> None:
    body = {"resourceType": "Bundle", "type": "batch", "entry": [entry for entry, _ in NO_UPLOAD.values()]}
    answers = [one["response"] for one in send(megan, "FHIR/R5", body).json()["entry"]]
    assert {one["status"] for one in answers} == {"400 Bad Request"}
    assert [one["outcome"]["issue"][0]["diagnostics"] for one in answers] == [said for _, said in NO_UPLOAD.values()]


def test_an_observation_beyond_the_limit_is_refused(megan: httpx.Client) -> None:
    answer = send(megan, "FHIR/R5/Observation", observation() | {"note": [{"text": "x" * MIB}]})
    assert sentence(answer, 413) == "The body is larger than 1 MiB."


def test_a_bundle_that_says_it_is_beyond_the_limit_is_refused_unread(megan: httpx.Client) -> None:
    with closing(http.client.HTTPConnection(megan.base_url.host, megan.base_url.port, timeout=30)) as connection:
        connection.putrequest("POST", "/jhe/FHIR/R5")
        connection.putheader("Authorization", megan.headers["Authorization"])
        connection.putheader("Content-Length", str(32 * MIB + 1))
        connection.endheaders()
        with connection.getresponse() as answer:
            said = json.load(answer)["issue"][0]["diagnostics"]
    assert (answer.status, said) == (413, "The body is larger than 32 MiB.")
