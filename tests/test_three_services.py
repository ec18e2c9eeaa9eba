"""Three services on one PostgreSQL, as behind a load balancer: one history, one set of limits, and no stale answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pyarrow as pa
import pytest
from browsers import Browser
from conftest import ADMIN, MARK, MARY, MEGAN, PASSWORD, PETER, VICTOR, Exchange, _fresh
from indoors import bundle, counted, rows
from sqlalchemy import select
from work import FHIR, OMH, Work, begun, ended, reached, reading

from jhe_server import audit
from jhe_server.calls import ARROW
from jhe_server.changes import ChangeRow

HEART_RATE = "omh:heart-rate:2.0"
LIMITS = '--ExchangeApp.limits={"invitation": 6, "account": 5, "sign_in": 100}'
Services = list[Exchange]


@pytest.fixture(scope="module")
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Started at the same moment, each in a folder of its own, with one signing key."""
    folders: list[Path] = [tmp_path_factory.mktemp(name) for name in ("one", "two", "three")]
    url = _fresh(request, "postgresql", folders[0])
    key = f"--ExchangeApp.key_file={folders[0] / 'keys' / 'signing-key.json'}"
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda folder: Exchange(url, folder, key, LIMITS), folders))
    yield found
    for one in found:
        one.close()


def turned(services: Services, turn: int) -> Services:
    """The same services, another one first."""
    return services[turn % 3 :] + services[: turn % 3]


def say(exchange: Exchange, consented: bool) -> None:
    """Peter's answer for his heart rate in the first study."""
    code = {"codingSystem": OMH, "codingCode": HEART_RATE, "consented": consented}
    body = {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [code]}]}
    assert exchange.as_(PETER).post("api/v1/patients/40001/consents", json=body).status_code == 201


def frame(exchange: Exchange, email: str, etag: str = "") -> httpx.Response:
    """Peter's heart rate as an Arrow stream, asked for conditionally."""
    headers = {"Accept": ARROW, **({"If-None-Match": etag} if etag else {})}
    query: dict[str, Any] = {"study_id": 30001, "patient_id": 40001, "code": HEART_RATE}
    return exchange.as_(email).get("api/v1/observations", params=query, headers=headers)


def ids(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return list(pa.ipc.open_stream(answer.content).read_all()["observation_id"].to_pylist())


# ------------------------------------------------------------------ one history
class Follower:
    """Somebody who follows the change feed at one service."""

    def __init__(self, exchange: Exchange) -> None:
        self.client = exchange.as_(ADMIN)
        self.seen: list[dict[str, Any]] = []
        self.next = 0

    def until(self, enough: Event) -> None:
        while not enough.is_set():
            self.ask(wait=1)
        self.ask()

    def ask(self, wait: float = 0) -> None:
        said = self.client.get("api/v1/changes", params={"since": self.next, "wait": wait}).json()
        self.seen += said["changes"]
        self.next = said["next"]


@contextmanager
def following(services: Services) -> Iterator[list[Follower]]:
    """One follower at each, from the first change to the last that is written meanwhile."""
    followers, enough = [Follower(one) for one in services], Event()
    with ThreadPoolExecutor(3) as pool:
        under_way = [pool.submit(follower.until, enough) for follower in followers]
        try:
            yield followers
        finally:
            enough.set()
        for one in under_way:
            one.result(30)


def worked(services: Services) -> list[Work]:
    """All kinds of work through all of the services, a hundred turns at least; a failure lets all rest."""
    works = [work for turn, one in enumerate(services) for work in begun(one, before=1000 * (turn + 1))]
    try:
        reached(works, 4, together=100)
    finally:
        for work in works:
            work.enough.set()
    ended(works)
    return works


def test_three_who_write_at_once_write_one_history(services: Services) -> None:
    """People, imports, answers and Bundles through all three: nothing twice, nothing lost, one unbroken chain."""
    say(services[0], True)
    with following(services) as followers:
        works = worked(services)
    created, bulked, answered, uploaded = (sum(len(work.acknowledged) for work in works[kind::4]) for kind in range(4))
    store = services[0].database
    assert counted(store, "jhe_user", "email_key LIKE 'kill%'") == created
    assert counted(store, "jhe_user", "email_key LIKE 'bulk%'") == 20 * bulked
    assert counted(store, "observation_identifier", "system = 'urn:kill'") == 20 * uploaded
    assert counted(store, "audit", "verb = 'consents.answer' AND patient_id = 40002") == answered
    segments = "(SELECT coalesce(sum(rows), 0) FROM observation_segment)"
    assert rows(store, f"SELECT {segments} + (SELECT count(*) FROM observation_loose) = count(*) FROM observation") == [
        (True,)
    ]
    with store.read() as session:
        assert audit.verify(session) is None
        written = list(session.scalars(select(ChangeRow).order_by(ChangeRow.seq)))
    assert [row.seq for row in written] == list(range(1, len(written) + 1)), "the feed has no hole"
    for follower in followers:
        _heard_everything(follower, written)


def _heard_everything(follower: Follower, written: list[ChangeRow]) -> None:
    """In order, and of each thing that was written at or after the writing; what repeats in one answer is said once."""
    numbers = [one["seq"] for one in follower.seen]
    assert numbers == sorted(set(numbers))
    last = {(one["concept"], one["id"]): one["seq"] for one in follower.seen}
    missed = [row.seq for row in written if last.get((row.concept, row.id), 0) < row.seq]
    assert missed == []


def test_each_answers_the_same(services: Services) -> None:
    frames = [frame(one, MARY) for one in services]
    assert len(ids(frames[0])) > 0
    assert ids(frames[0]) == ids(frames[1]) == ids(frames[2])
    pages = [one.as_(MARY).get("api/v1/patients", params={"limit": 50, "offset": 20}).json() for one in services]
    assert [[row["id"] for row in page["results"]] for page in pages] == [[r["id"] for r in pages[0]["results"]]] * 3


def test_of_one_bundle_sent_to_all_three_each_entry_is_made_once(services: Services) -> None:
    body = bundle(*(reading(900_000, i) for i in range(50)))
    with ThreadPoolExecutor(3) as pool:
        clients = [one.as_(MEGAN) for one in services]
        answers = list(pool.map(lambda client: client.post("FHIR/R5", json=body, headers=FHIR), clients))
    told = [[entry["response"]["status"][:3] for entry in answer.json()["entry"]] for answer in answers]
    assert [sorted(entry) for entry in zip(*told, strict=True)] == [["201", "409", "409"]] * 50


# ------------------------------------------------------------------ no stale answer
def test_a_withdrawal_at_one_is_gone_at_the_others_in_the_very_next_read(services: Services) -> None:
    """With what each of them remembers: totals, answers by ETag."""
    etags: dict[int, str] = {}
    for turn in range(6):
        consented, (first, *others) = turn % 2 == 1, turned(services, turn)
        say(first, consented)
        for other in others:
            answer = frame(other, MARY, etags.get(other.port, ""))
            assert bool(ids(answer)) == consented, "never a 304: the answer has changed"
            etags[other.port] = answer.headers["ETag"]
            assert frame(other, MARY, etags[other.port]).status_code == 304
            query: dict[str, Any] = {"study_id": 30001, "patient_id": 40001, "code": HEART_RATE, "limit": 1}
            page = other.as_(MARY).get("api/v1/observations", params=query)
            assert (page.json()["count"] > 0) == consented


def test_an_etag_of_one_is_no_excuse_at_another(services: Services) -> None:
    """Behind a balancer the next request lands elsewhere: told again, or 304 and on record with whom it concerned."""
    say(services[0], True)
    told = frame(services[0], MARY)
    for other in services[1:]:
        assert ids(frame(other, MARY, told.headers["ETag"])) == ids(told)
        assert frame(other, MARY, told.headers["ETag"]).status_code == 304
        assert frame(other, VICTOR, told.headers["ETag"]).status_code == 200, "an answer is somebody's"
    say(services[1], False)
    assert ids(frame(services[0], MARY, told.headers["ETag"])) == []


def test_whoever_is_let_go_at_one_is_refused_by_all(services: Services) -> None:
    admin, marks = services[0].as_(ADMIN), [one.as_(MARK) for one in services]
    assert [mark.get("api/v1/users/profile").status_code for mark in marks] == [200] * 3
    [account] = admin.get("api/v1/practitioners", params={"search": MARK}).json()["results"]
    assert admin.patch(f"api/v1/practitioners/{account['id']}", json={"disabled": True}).status_code == 200
    assert [mark.get("api/v1/users/profile").status_code for mark in marks] == [401] * 3


# ------------------------------------------------------------------ one set of limits
def redeemed(stranger: httpx.Client) -> int:
    return stranger.post("api/v1/invitation/redeem", json={"token": "wrong"}).status_code


def test_tries_are_counted_across(services: Services) -> None:
    strangers = [one.as_(None) for one in services]
    assert 429 not in [redeemed(strangers[turn % 3]) for turn in range(6)]
    assert [redeemed(stranger) for stranger in strangers] == [429] * 3


def test_a_password_is_guessed_at_no_service_more_often_than_at_one(services: Services) -> None:
    for turn in range(5):
        assert Browser(services[turn % 3]).sign_in(MEGAN, "wrong").status_code in (200, 400, 401)
    for one in services:
        assert Browser(one).sign_in(MEGAN, PASSWORD).status_code == 429


def test_a_browser_session_of_one_is_a_session_of_all(services: Services) -> None:
    first = Browser(services[0])
    first.sign_in(MARY)
    second = Browser(services[1])
    second.http.cookies.update(first.http.cookies)
    assert second.open("o/account").url.path == "/jhe/o/account"
    first.open("o/account")
    first.submit("sign_out")
    assert second.open("o/account").url.path == "/jhe/o/sign_in"


def test_all_three_sign_with_one_key(services: Services) -> None:
    with ThreadPoolExecutor(3) as pool:
        clients = [one.as_(None) for one in services]
        keys = list(pool.map(lambda client: client.get("o/.well-known/jwks.json").json(), clients))
    assert keys[0]["keys"]
    assert keys[0] == keys[1] == keys[2]
