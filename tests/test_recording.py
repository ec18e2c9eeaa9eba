"""Reads put on record together: one transaction for all who waited, each told what became of its own row."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Clinic, wait_for
from indoors import rows
from sqlalchemy import Engine, event, text

from jhe_server import audit
from jhe_server.audit import Entry
from jhe_server.errors import Unavailable
from jhe_server.recording import Recorder

MANY = 12


def entry(number: int) -> Entry:
    return Entry(verb="patients.get", actor_id=10002, request_id=str(number), patients={40001}, count=1)


class Held:
    """A recorder whose turn to write does not come before it is let go, and those who wait with it."""

    def __init__(self, clinic: Clinic) -> None:
        self.clinic = clinic
        self.recorder = Recorder(clinic.database)
        self.pool = ThreadPoolExecutor(MANY)

    def record(self, *entries: Entry) -> list[Future[None]]:
        with self.clinic.database.write() as session:
            session.execute(text("SELECT 1"))
            asked = [self.pool.submit(self.recorder.record, one) for one in entries]
            wait_for(lambda: len(self.recorder._waiting) == len(entries), 10)
        return asked


@pytest.fixture
def held(clinic: Clinic) -> Any:
    held = Held(clinic)
    yield held
    held.pool.shutdown()


def test_those_who_wait_share_one_transaction(held: Held) -> None:
    commits: list[Any] = []

    def count(connection: Any) -> None:
        commits.append(connection)

    asked = held.record(*(entry(number) for number in range(MANY)))
    event.listen(Engine, "commit", count)
    for one in asked:
        one.result(10)
    event.remove(Engine, "commit", count)
    written = rows(held.clinic.database, "SELECT request_id FROM audit WHERE verb = 'patients.get'")
    assert sorted(int(id) for [id] in written) == list(range(MANY))
    assert len(commits) <= 2, "the holder's own may still have been under way"
    with held.clinic.database.read() as session:
        assert audit.verify(session) is None


def test_a_row_that_cannot_be_written_is_its_own_requests_trouble(held: Held) -> None:
    bad = entry(0)
    bad.count = 2**70
    asked = held.record(bad, *(entry(number) for number in range(1, MANY)))
    assert [one.exception(10) is None for one in asked] == [False] + [True] * (MANY - 1)
    written = rows(held.clinic.database, "SELECT request_id FROM audit WHERE verb = 'patients.get'")
    assert sorted(int(id) for [id] in written) == list(range(1, MANY))
    with held.clinic.database.read() as session:
        assert audit.verify(session) is None


def test_where_nothing_can_be_written_everybody_hears_it_at_once(held: Held) -> None:
    tried: list[str] = []

    def refuse(*said: Any) -> None:
        if "INTO audit" in said[2]:
            tried.append(said[2])
            raise Unavailable()

    event.listen(Engine, "before_cursor_execute", refuse)
    asked = held.record(*(entry(number) for number in range(MANY)))
    assert [type(one.exception(10)) for one in asked] == [Unavailable] * MANY
    event.remove(Engine, "before_cursor_execute", refuse)
    assert len(tried) == 1


def test_nobody_takes_the_end_of_another_for_success(held: Held) -> None:
    """Whoever writes for all may be stopped by a signal: the others' rows are not on disk, and they have to hear it."""
    tried: list[str] = []

    def stop(*said: Any) -> None:
        if "INTO audit" in said[2] and not tried:
            tried.append(said[2])
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", stop)
    asked = held.record(*(entry(number) for number in range(MANY)))
    ended = [one.exception(10) for one in asked]
    event.remove(Engine, "before_cursor_execute", stop)
    written = rows(held.clinic.database, "SELECT request_id FROM audit WHERE verb = 'patients.get'")
    assert {number for number, error in enumerate(ended) if error is None} == {int(id) for [id] in written}
    assert [type(error) for error in ended].count(KeyboardInterrupt) == 1
