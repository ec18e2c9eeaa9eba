"""The contract's role table, written down once more by hand, and who comes to the door: what `test_access.py` expects.

Nothing here is read from `jhe_server.access`: a mistake made there must not be made here by copying it.
"""

from __future__ import annotations

from dataclasses import dataclass

from conftest import ADMIN, MARK, MARY, MEGAN, PAMELA, PETER, TOM, VICTOR

# ● anywhere in the column: may. A patient's ● is for themselves only. `none` is a practitioner without any role.
TABLE = """
                        none viewer member manager superuser patient
see the own profile        ●      ●      ●       ●         ●       ●
see data sources           ●      ●      ●       ●         ●       ●
redeem an invitation       ●      ●      ●       ●         ●       ●
keep own keys              ●      ●      ●       ●         ●       –
see clients                ●      ●      ●       ●         ●       –
see own organizations      ●      ●      ●       ●         ●       –
search organizations       ●      ●      ●       ●         ●       ●
see the own record         –      –      –       –         –       ●
read a patient             –      ●      ●       ●         ●       ●
read where one is          –      ●      ●       ●         ●       ●
read an organization       –      ●      ●       ●         ●       –
read observations          –      ●      ●       ●         ●       ●
write patients             –      –      ●       ●         ●       –
write studies              –      –      ●       ●         ●       –
set consent                –      –      ●       ●         ●       ●
upload                     –      –      ●       ●         ●       ●
manage the organization    –      –      –       ●         ●       –
run the exchange           –      –      –       –         ●       –
"""


def _parsed(table: str) -> dict[str, set[str]]:
    head, *rows = table.strip("\n").splitlines()
    columns = head.split()
    marks = {row[:24].strip(): row[24:].split() for row in rows}
    return {
        capability: {column for column, mark in zip(columns, row, strict=True) if mark == "●"}
        for capability, row in marks.items()
    }


MAY = _parsed(TABLE)
ROLELESS, DISABLED = "roleless_rosa@example.com", "disabled_dora@example.com"


@dataclass(frozen=True)
class Caller:
    """Somebody at the door: their role in the lab (organization 20003), and the best they hold anywhere else."""

    email: str | None
    here: str | None = None
    elsewhere: str | None = None


CALLERS = {
    "stranger": Caller(None),
    "expired-token": Caller(MARY),
    "revoked-token": Caller(MARY),
    "disabled-manager": Caller(DISABLED),
    "patient-themselves": Caller(PETER, here="patient"),
    "another-patient": Caller(PAMELA, elsewhere="patient"),
    "roleless-practitioner": Caller(ROLELESS, elsewhere="none"),
    "viewer": Caller(VICTOR, here="viewer"),
    "viewer-here-manager-elsewhere": Caller(TOM, here="viewer", elsewhere="manager"),
    "member": Caller(MEGAN, here="member"),
    "manager": Caller(MARY, here="manager"),
    "manager-elsewhere": Caller(MARK, elsewhere="manager"),
    "superuser": Caller(ADMIN, here="superuser"),
}

# What a call is about, which decides how it answers somebody from elsewhere.
THING = "a thing named by its id: hidden from them like one that does not exist"
INTO = "an organization to write into: refused, whether it exists or not"
LIST = "a list, narrowed to what they may see"
ALL = "the whole Exchange: a role in any organization will do"
ANYBODY = "what nobody has to be known for: a secret that was sent says who it is"
SHARED = "a thing named by its id that every patient of the lab may see: hidden from everybody else"


def expected(may: str, about: str, caller: Caller, answer: int, hidden: int = 404) -> int:
    """The status the contract gives this caller; `answer` is what somebody who may do it is answered."""
    marks = MAY[may]
    if about == ANYBODY:
        return answer
    if caller.here is None and caller.elsewhere is None:
        return 401
    if caller.here in marks or (about in (ALL, LIST) and caller.elsewhere in marks):
        return answer
    if about == SHARED and caller.elsewhere == "patient" and "patient" in marks:
        return answer
    if caller.elsewhere not in marks or caller.here is not None:
        return 403
    return 403 if about == INTO else hidden
