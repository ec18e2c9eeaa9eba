"""How many observations an actor may read, told by pairs of patient and code: what is sealed counts itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, select, true
from sqlalchemy.orm import Session
from sqlalchemy.sql.visitors import replacement_traverse

from .. import consents
from ..access import Actor
from .rows import LooseRow, ObservationRow, SegmentRow

Condition = ColumnElement[bool]


def pair_total(
    session: Session,
    actor: Actor,
    verb: str,
    conditions: Sequence[Condition],
    study_id: int | None = None,
    organization_id: int | None = None,
) -> int | None:
    """The number of readable observations of which conditions on patient and code hold, without a look at any of them.

    None where a pair is open in part: there, each observation has to be asked about.
    """
    only: Any = {"study_id": study_id, "organization_id": organization_id, "verb": verb}
    total = 0
    for row, rows in ((SegmentRow, SegmentRow.rows.expression), (LooseRow, literal(1))):
        patient, code = row.patient_id.expression, row.code_id.expression
        whole = consents.pair_gate(actor, patient, code, whole=True, **only)
        some = consents.pair_gate(actor, patient, code, whole=False, **only)
        here = and_(true(), *(moved(one, row) for one in conditions))
        counted = select(func.sum(rows), func.sum(case((whole, 0), else_=1))).select_from(row).where(some, here)
        number, in_part = session.execute(counted).one()
        if in_part:
            return None
        total += int(number or 0)
    return total


def moved(condition: Condition, row: type[SegmentRow] | type[LooseRow]) -> Condition:
    """A condition on observations' patient and code, said of another table that has both."""
    columns = ObservationRow.__table__.c
    places = {columns.patient_id: row.__table__.c.patient_id, columns.code_id: row.__table__.c.code_id}
    return replacement_traverse(condition, {}, lambda element, **_: places.get(element))
