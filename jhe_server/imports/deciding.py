"""What becomes of a row: somebody new, somebody to link or enrol, nothing to do, or an error."""

from __future__ import annotations

from ..people import EXISTS, email_key
from .known import Known
from .reading import Person, Row


def decide(row: Row, known: Known) -> None:
    if row.study_id is not None and row.study_id not in known.studies:
        row.wrong("study_id", "is not a study of this organization")
    if row.errors:
        return
    key = email_key(row.values["email"])
    person, owner = known.people.get(key), known.identifiers.get(row.values.get("identifier", ""))
    if key in known.practitioners:
        row.wrong("email", EXISTS)
    elif owner is not None and owner is not person:
        row.wrong("identifier", "already belongs to another patient")
    elif person is not None:
        _same(row, person, owner)
    if not row.errors:
        _settle(row, known, person or _new(row, known, key))


def _new(row: Row, known: Known, key: str) -> Person:
    person = Person(row.values)
    known.people[key] = person
    known.created.append(person)
    return person


def _same(row: Row, person: Person, owner: Person | None) -> None:
    """Somebody the Exchange knows: the row must be about them.

    The store's own values are never said. Of a patient of other organizations not even which value differs, or a
    birth date could be guessed a row at a time.
    """
    differing = [name for name in ("last_name", "first_name", "dob", "phone") if _differs(row, person, name)]
    foreign = person.id is not None and not person.member
    if foreign and set(differing) - {"phone"}:
        row.wrong("email", EXISTS)
    for name in () if foreign else differing:
        row.wrong(name, "differs from the record of the patient with this e-mail")
    if person.member and "identifier" in row.values and owner is None:
        row.wrong("identifier", "is not on the patient's record; update the patient to add it")


def _differs(row: Row, person: Person, name: str) -> bool:
    said, stored = row.values.get(name), person.values.get(name)
    return said is not None and said != stored and not (name == "phone" and stored is None)


def _settle(row: Row, known: Known, person: Person) -> None:
    """What is left to do for this person, and therefore what the row's action is called."""
    row.person = person
    enrols = row.study_id is not None and row.study_id not in person.studies
    if not person.member:
        row.action = "create" if person.id is None else "link"
        person.member = True
        known.joining.append(person)
        named = row.values.get("identifier")
        if named is not None and named not in known.identifiers:  # one who comes back has kept theirs
            person.values = {**person.values, "identifier": named}
            known.identifiers[named] = person
    else:
        row.action = "enrol" if enrols else "unchanged"
    if enrols and row.study_id is not None:
        person.studies.add(row.study_id)
        known.enrolling.setdefault(row.study_id, []).append(person)
