"""The demo study in the seeded clinic: its stories as the lab's manager would find them, all of them in the past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jhe_server import consents, demo, invitations, ledger, migrations, observations, patients, seed, studies
from jhe_server.access import Actor
from jhe_server.db import Database
from jhe_server.observations import ObservationRow
from jhe_server.organizations import roles_of

MOMENT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
DAYS = 10
LAB = 20003


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The clinic with the demo study, made once: only reading is done to it here."""
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('demo') / 'demo.sqlite'}")
    migrations.upgrade(made)
    with made.write() as session:
        seed.plant(session, "a development password")
    with made.write() as session:
        demo.load(session, moment=MOMENT, days=DAYS)
    yield made
    made.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.read() as opened:
        yield opened


@pytest.fixture
def mary(session: Session) -> Actor:
    return Actor(10002, roles=roles_of(session, 10002))


def study_id(session: Session, mary: Actor) -> int:
    found = studies.search(session, mary, studies.StudySearch(search=demo.STUDY))
    assert found.count == 1
    return found.results[0].id


def id_of(session: Session, mary: Actor, given: str) -> int:
    [found] = patients.search(session, mary, patients.PatientSearch(search=given, organization_id=LAB)).results
    return found.id


def states(session: Session, mary: Actor, as_of: datetime | None = None) -> dict[int, Counter[str]]:
    query = consents.ConsentListing(page_size=1000, as_of=as_of)
    found: dict[int, Counter[str]] = {}
    for one in consents.of_study(session, mary, study_id(session, mary), query).results:
        found.setdefault(one.patient_id, Counter())[one.state] += 1
    return found


def readings(session: Session, mary: Actor, given: str | None = None, code: str | None = None) -> int:
    patient_id = None if given is None else id_of(session, mary, given)
    query = observations.ObservationSearch(study_id=study_id(session, mary), patient_id=patient_id, code=code, limit=1)
    return observations.search(session, mary, query).count


def test_loading_it_again_does_nothing(database: Database) -> None:
    with database.write() as session:
        before = session.scalar(select(func.count()).select_from(ObservationRow))
        assert demo.load(session, moment=MOMENT + timedelta(days=1)) == 30006
        assert session.scalar(select(func.count()).select_from(ObservationRow)) == before
        assert session.scalar(select(func.count()).where(studies.StudyRow.name == demo.STUDY)) == 1


def test_the_study_asks_for_what_its_people_send(session: Session, mary: Actor) -> None:
    study = studies.get(session, mary, study_id(session, mary))
    assert study.patient_count == 20
    assert {code.coding_code for code in study.scope_requests} == set(demo.people.CODES)
    assert {source.id for source in study.data_sources} == set(demo.people.SOURCES.values())
    for code in demo.people.CODES:
        assert readings(session, mary, "Amara", code) > 10, code


def test_answers(session: Session, mary: Actor) -> None:
    today = states(session, mary)
    assert len(today) == 20
    assert today[id_of(session, mary, "Quiana")] == {"pending": 4}
    assert today[id_of(session, mary, "Hana")] == {"granted": 2, "declined": 2}
    assert today[id_of(session, mary, "Luís")] == {"declined": 4}
    assert sum((each for each in today.values()), Counter())["granted"] == 17 * 4 + 2


def test_the_ledger_still_knows_that_luis_once_consented(session: Session, mary: Actor) -> None:
    luis = id_of(session, mary, "Luís")
    assert states(session, mary, as_of=MOMENT - timedelta(days=3))[luis] == {"granted": 4}
    events = select(ledger.LedgerRow).where(ledger.LedgerRow.patient_id == luis).order_by(ledger.LedgerRow.seq)
    said = [(event.decision, event.on_behalf_of, event.reason) for event in session.scalars(events)]
    assert said[0] == ("enrolled", luis, None)
    assert said[1:5] == [("granted", None, None)] * 4  # by himself
    assert said[5:] == [("declined", luis, "withdrew by telephone")] * 4  # by Mary, for him


def test_readings_of_who_withdrew_are_kept_and_shown_to_nobody(session: Session, mary: Actor) -> None:
    luis = id_of(session, mary, "Luís")
    stored = select(func.count()).select_from(ObservationRow).where(ObservationRow.patient_id == luis)
    assert (session.scalar(stored) or 0) > 1000
    assert readings(session, mary, "Luís") == 0


def test_goran_fell_silent_and_nothing_lies_in_the_future(session: Session, mary: Actor) -> None:
    enrolled = select(studies.StudyPatientRow.patient_id).where(
        studies.StudyPatientRow.study_id == study_id(session, mary)
    )
    latest = select(func.max(ObservationRow.created), func.max(ObservationRow.last_updated)).where(
        ObservationRow.patient_id.in_(enrolled)
    )
    assert max(session.execute(latest).one()) <= MOMENT
    silent = latest.where(ObservationRow.patient_id == id_of(session, mary, "Goran"))
    assert session.execute(silent).one()[0] < MOMENT - timedelta(days=1)
    decided = session.scalars(select(ledger.LedgerRow.time).where(ledger.LedgerRow.patient_id.is_not(None)))
    assert max(decided) < MOMENT


@pytest.mark.parametrize(("given", "status"), [("Amara", invitations.REDEEMED), ("Quiana", invitations.ISSUED)])
def test_everybody_was_invited_before_the_first_reading_and_quiana_never_came(
    session: Session, mary: Actor, given: str, status: str
) -> None:
    row = invitations.InvitationRow
    found = session.scalars(select(row).where(row.patient_id == id_of(session, mary, given))).one()
    assert found.status == status
    assert found.created < MOMENT - timedelta(days=DAYS + 2)
    assert found.expires - found.created == timedelta(days=14)
