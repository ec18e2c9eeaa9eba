"""PostgreSQL dies, restarts or has no connection left under load: 503 meanwhile, then on as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from clusters import Cluster
from conftest import MEGAN, Exchange, wait_for
from indoors import bundle
from sqlalchemy import text
from test_cut_connections import asked, noted, send
from test_cut_connections import ended as ended_early
from work import Work, begun, create, ended, gone_on, moments, reached, whole

from jhe_server.db import WRITER_LOCK, Database
from jhe_server.errors import Unavailable

CONNECTIONS = 40


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("runtime"), max_connections=CONNECTIONS)
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def served(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One service for all the faults: it is never started again."""
    folder: Path = tmp_path_factory.mktemp("served")
    exchange = Exchange(cluster.url, folder)
    yield exchange
    exchange.close()


def all_killed(cluster: Cluster, works: list[Work]) -> None:
    """Until somebody starts it again, everything is put off."""
    cluster.kill()
    put_off = [work.put_off for work in works]
    wait_for(lambda: all(work.put_off > before for work, before in zip(works, put_off, strict=True)), 20)
    cluster.start()


def one_killed(cluster: Cluster, _works: list[Work]) -> None:
    cluster.kill_one()


def restarted(cluster: Cluster, _works: list[Work]) -> None:
    cluster.stop()
    cluster.start()


FAULTS = (all_killed, one_killed, restarted)


def test_work_goes_on_by_itself_whenever_the_database_dies(cluster: Cluster, served: Exchange) -> None:
    for life, chance in moments():
        works = begun(served, life * 1000, patient=True)
        reached(works, 1, chance.randrange(4, 40))
        FAULTS[life % len(FAULTS)](cluster, works)
        gone_on(works)
        ended(works)
        whole(served, works)
    assert "Traceback" not in served.log.read_text()


@contextmanager
def taken(cluster: Cluster) -> Iterator[None]:
    """Every connection the database has to give is somebody else's."""
    with ExitStack() as held:
        cluster.end_all()
        with suppress(psycopg.OperationalError):
            while True:
                held.enter_context(closing(psycopg.connect(cluster.server.get_uri())))
        yield


def test_without_a_connection_left_calls_are_put_off_and_then_answered(cluster: Cluster, served: Exchange) -> None:
    megan = served.as_(MEGAN)
    assert megan.get("api/v1/patients").status_code == 200
    with taken(cluster):
        for answer in (megan.get("api/v1/patients"), create(megan, 999_999), megan.get("FHIR/R5/Patient")):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["issue"][0]["code"] == "transient"
        assert megan.get("health").status_code == 200
    assert megan.get("api/v1/patients").status_code == 200
    assert create(megan, 999_999).status_code == 201
    log = served.log.read_text()
    assert "too many clients" in log or "remaining connection slots" in log, "an operator reads why"
    assert "Traceback" not in log


def test_a_stream_whose_database_dies_is_cut_off_and_never_looks_whole(cluster: Cluster, served: Exchange) -> None:
    send(served, bundle(*(noted(number) for number in range(1000))))
    with asked(served, served.token(MEGAN)) as bare:
        cluster.end_all()
        assert ended_early(bare)
    assert "Traceback" not in served.log.read_text()


def cut_before_its_commit(database: Database, cluster: Cluster) -> None:
    with database.write() as session:
        session.scalar(text("SELECT 1"))
        cluster.end_all()


def test_who_loses_the_database_while_it_writes_is_told_to_look_before_sending_again(cluster: Cluster) -> None:
    """Nobody knows what became of a commit that nobody answered; any other call simply has to be sent again."""
    database = Database(cluster.url)
    with pytest.raises(Unavailable, match="see whether it is there before you send it again"):
        cut_before_its_commit(database, cluster)
    with database.write() as session:
        assert session.scalar(text("SELECT 1")) == 1
    database.close()


def impatient(database: Database) -> None:
    with database.read() as session:
        session.execute(text("SET LOCAL lock_timeout = '1ms'"))
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})


def test_a_writer_that_hangs_is_waited_for_no_longer_than_is_said(cluster: Cluster) -> None:
    """Half a minute for its turn; a process that sleeps in its transaction is let go after five."""
    database = Database(cluster.url)
    with database.write() as session:
        said = [
            session.scalar(text(f"SHOW {name}")) for name in ("lock_timeout", "idle_in_transaction_session_timeout")
        ]
        assert said == ["30s", "5min"]
        with pytest.raises(Unavailable):
            impatient(database)
    database.close()
