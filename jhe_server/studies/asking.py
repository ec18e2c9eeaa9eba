"""What a study asks for: codes to be measured, data sources to measure with, clients to connect through."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from .. import ledger
from ..access import Actor
from ..devices import OneCode, code_of, data_source_of
from ..errors import NotFound
from ..oauth_clients import OAuthClientRow, known
from ..oauth_clients import shape as client_shape
from .reading import codes_by_study, data_sources_by_study, reach, row_of
from .rows import StudyClientRow, StudyCodeRow, StudyDataSourceRow
from .shapes import OneClient, OneDataSource, StudyClient, StudyDataSource, StudyScopeRequest
from .writing import touched


def codes(session: Session, actor: Actor, study_id: int) -> list[StudyScopeRequest]:
    """The codes a study requests."""
    row = row_of(session, actor, study_id)
    return [
        StudyScopeRequest(study=row.id, scope_code=code) for code in codes_by_study(session, [row.id]).get(row.id, [])
    ]


def request_code(session: Session, actor: Actor, study_id: int, body: OneCode) -> list[StudyScopeRequest]:
    """Request a code: pending for everyone enrolled until they answer."""
    row = reach(session, actor, "studies.request_code", study_id)
    code = code_of(session, body.scope_code_id)
    if session.get(StudyCodeRow, (row.id, code.id)) is None:
        session.add(StudyCodeRow(study_id=row.id, code_id=code.id))
        ledger.append(session, actor, ledger.REQUESTED, row.id, code_id=code.id)
    touched(session, row)
    return codes(session, actor, row.id)


def drop_code(session: Session, actor: Actor, study_id: int, body: OneCode) -> None:
    """Stop requesting a code: the answers to it go too (by foreign key), the ledger keeps them."""
    row = reach(session, actor, "studies.drop_code", study_id)
    link = session.get(StudyCodeRow, (row.id, body.scope_code_id))
    if link is None:
        raise NotFound("The study does not request this code.")
    session.delete(link)
    ledger.append(session, actor, ledger.DROPPED, row.id, code_id=body.scope_code_id)
    touched(session, row)


def data_sources(session: Session, actor: Actor, study_id: int) -> list[StudyDataSource]:
    """The data sources a study expects."""
    row = row_of(session, actor, study_id)
    found = data_sources_by_study(session, [row.id]).get(row.id, [])
    return [StudyDataSource(study=row.id, data_source=source) for source in found]


def add_data_source(session: Session, actor: Actor, study_id: int, body: OneDataSource) -> list[StudyDataSource]:
    """Add a data source to a study."""
    row = reach(session, actor, "studies.add_data_source", study_id)
    source = data_source_of(session, body.data_source_id)
    if session.get(StudyDataSourceRow, (row.id, source.id)) is None:
        session.add(StudyDataSourceRow(study_id=row.id, data_source_id=source.id))
    touched(session, row)
    return data_sources(session, actor, row.id)


def remove_data_source(session: Session, actor: Actor, study_id: int, body: OneDataSource) -> None:
    """Remove a data source from a study."""
    row = reach(session, actor, "studies.remove_data_source", study_id)
    link = session.get(StudyDataSourceRow, (row.id, body.data_source_id))
    if link is None:
        raise NotFound("The study does not have this data source.")
    session.delete(link)
    touched(session, row)


def clients(session: Session, actor: Actor, study_id: int) -> list[StudyClient]:
    """The clients through which a study's patients connect."""
    row = row_of(session, actor, study_id)
    linked = select(StudyClientRow.oauth_client_id).where(StudyClientRow.study_id == row.id)
    found = session.scalars(select(OAuthClientRow).where(OAuthClientRow.id.in_(linked)).order_by(OAuthClientRow.id))
    return [StudyClient(study=row.id, client=client_shape(client)) for client in found]


def add_client(session: Session, actor: Actor, study_id: int, body: OneClient) -> list[StudyClient]:
    """Add a client to a study."""
    row, client = reach(session, actor, "studies.add_client", study_id), known(session, body.client_id)
    if session.get(StudyClientRow, (row.id, client.id)) is None:
        session.add(StudyClientRow(study_id=row.id, oauth_client_id=client.id))
    touched(session, row)
    return clients(session, actor, row.id)


def remove_client(session: Session, actor: Actor, study_id: int, body: OneClient) -> None:
    """Remove a client from a study."""
    row, client = reach(session, actor, "studies.remove_client", study_id), known(session, body.client_id)
    link = session.get(StudyClientRow, (row.id, client.id))
    if link is None:
        raise NotFound("The study does not have this client.")
    session.delete(link)
    touched(session, row)
