"""Names where ids are: an id, a name (or e-mail) or the object itself becomes what the Exchange knows it by."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from enum import Enum
from typing import Any

from .client import Client
from .connection import Json
from .errors import AmbiguousName, NotFound, UnknownName

SHOWN = 8  # how many candidates an error lists; it is read by a person


class Names(Client):
    """A client that also understands names; each lookup asks the Exchange, so that a renamed study is never stale."""

    def organization_id(self, organization: Any) -> int:
        """The id of an organization given by id, name or object; 0 is the ROOT."""
        return id_of(organization, "organization", self.list_organizations)

    def study_id(self, study: Any) -> int:
        """The id of a study given by id, name or object."""
        return id_of(study, "study", self.list_studies)

    def data_source_id(self, source: Any) -> int:
        """The id of a data source given by id, name or object."""
        return id_of(source, "data_source", self.list_data_sources)

    def client_id(self, client: Any) -> int:
        """The id of an app given by id, name or object."""
        return id_of(client, "client", self.list_clients)

    def user_id(self, user: Any) -> int:
        """The id of a person given by id, e-mail or object."""
        carried = carried_id(user, "user")
        if carried is not None:
            return carried
        try:
            return int(self.get_user_by_email(str(user))["id"])
        except NotFound:
            return int(choose(str(user), list(self.list_users()), "person", lambda one: [one["email"]])["id"])

    def patient_id(self, patient: Any) -> int:
        """The id of a patient given by id, e-mail, name (`Given Family` or `Family, Given`) or object."""
        carried = carried_id(patient, "patient")
        text = str(patient).strip()
        if carried is not None or text.isdigit():
            return int(text) if carried is None else carried
        start = text if "@" in text else text.split(",")[0] if "," in text else text.split(" ")[0]
        found = list(self.list_patients(search=start)) or list(self.list_api("patients", limit=SHOWN + 1))
        return int(choose(text, found, "patient", patient_names)["id"])

    def patient_ids(self, patients: Any) -> list[int]:
        """The ids of one patient or many: a list, a Series, or a DataFrame with a `patient_id` column."""
        if hasattr(patients, "columns"):
            patients = patients["patient_id"].tolist()
        elif isinstance(patients, str) or hasattr(patients, "keys") or not isinstance(patients, Iterable):
            patients = [patients]
        return [self.patient_id(one) for one in patients]

    def code(self, code: Any) -> Json:
        """The code of a short name (`blood-glucose`), `omh:blood-glucose`, a full code, a text, an id or the object."""
        return self.codes(code)[0]

    def codes(self, codes: Any) -> list[Json]:
        """One code or several, each as in `code`; none for None."""
        asked = several(codes)
        known = list(self.list_codes()) if asked else []
        return [choose(_code_text(one), known, "code", code_names) for one in asked]


def several(things: Any) -> list[Any]:
    """One thing or several: text, numbers and objects are one, other iterables many, None is none.

    >>> several("blood-glucose"), several(["a", "b"]), several(None), several({"id": 1})
    (['blood-glucose'], ['a', 'b'], [], [{'id': 1}])
    """
    if things is None:
        return []
    if isinstance(things, str | Enum) or hasattr(things, "keys") or not isinstance(things, Iterable):
        return [things]
    return list(things)


def _code_text(code: Any) -> str:
    if isinstance(code, Enum):
        code = code.value
    carried = carried_id(code, "code")
    if carried is not None:
        return str(carried)
    if hasattr(code, "keys"):
        code = code.get("codingCode") or code.get("code")
    return str(code).replace("_", "-")


def id_of(thing: Any, kind: str, candidates: Callable[[], Iterable[Json]]) -> int:
    """The id a thing carries, or that of the one candidate it names."""
    carried = carried_id(thing, kind)
    if carried is not None:
        return carried
    return int(choose(str(thing), list(candidates()), kind, lambda one: [one["name"]])["id"])


def carried_id(thing: Any, kind: str) -> int | None:
    """The id that a number, an object of the API or a row of a frame carries; None for a name.

    >>> carried_id(30001, "study"), carried_id({"id": 30001, "name": "Sleep"}, "study"), carried_id("Sleep", "study")
    (30001, 30001, None)

    Raises TypeError for what can be neither (None, NaN, True).
    """
    if isinstance(thing, str):
        return None
    if hasattr(thing, "keys"):
        held = [thing[key] for key in ("id", f"{kind}_id") if key in thing]
    else:
        held = [thing, *(getattr(thing, key) for key in (f"{kind}_id", "id") if hasattr(thing, key))]
    numbers = [number for number in map(_whole, held) if number is not None]
    if not numbers and not (kind == "code" and hasattr(thing, "keys")):
        raise TypeError(f"{_article(kind)} is an id, a name or the object itself, not {thing!r}")
    return numbers[0] if numbers else None


def _whole(number: Any) -> int | None:
    """An id as int: a frame with gaps holds 40001.0, JSON may hold "40001"."""
    if isinstance(number, bool):
        return None
    if isinstance(number, float) and number.is_integer():
        return int(number)
    if isinstance(number, str) and number.isdigit():
        return int(number)
    try:
        return operator.index(number)
    except TypeError:
        return None


def choose(text: str, candidates: Sequence[Json], kind: str, names: Callable[[Json], Sequence[str]]) -> Json:
    """The one candidate that a text names: as spelled, else in any case, else by its id in digits.

    >>> studies = [{"id": 30001, "name": "Sleep"}, {"id": 30002, "name": "Heart"}]
    >>> choose("sleep", studies, "study", lambda study: [study["name"]])["id"]
    30001
    >>> choose("Lungs", studies, "study", lambda study: [study["name"]])
    Traceback (most recent call last):
    jhe_jupyter.errors.UnknownName: No study is called 'Lungs'. There are: 30001 'Sleep', 30002 'Heart'.

    Raises UnknownName or AmbiguousName, both listing what there is, bounded.
    """
    wanted = " ".join(text.split())
    for same in (str.__str__, str.casefold):
        found = [one for one in candidates if same(wanted) in {same(name) for name in names(one)}]
        if len(found) > 1:
            listed = _listed(found, names)
            raise AmbiguousName(None, f"{len(found)} {_plural(kind)} are called {text!r}; give the id: {listed}.")
        if found:
            return found[0]
    by_id = [one for one in candidates if str(one["id"]) == wanted]
    if by_id:
        return by_id[0]
    there = _listed(_closest_first(wanted, candidates, names), names)
    said = f"There {'is' if len(candidates) == 1 else 'are'}: {there}" if candidates else "There is none you may see"
    raise UnknownName(None, f"No {kind.replace('_', ' ')} is called {text!r}. {said}.")


def patient_names(patient: Json) -> list[str]:
    """What a patient answers to: e-mail, `Given Family`, `Family, Given`.

    >>> patient_names({"telecomEmail": "jo@example.com", "nameFamily": "Smith", "nameGiven": "Jo"})
    ['Jo Smith', 'Smith, Jo', 'jo@example.com']
    """
    family, given = patient.get("nameFamily") or "", patient.get("nameGiven") or ""
    spelled = [f"{given} {family}", f"{family}, {given}", patient.get("telecomEmail") or ""]
    return [" ".join(name.split()) for name in spelled if name.strip(" ,")]


def code_names(code: Json) -> list[str]:
    """What a code answers to, from the full code to the short name.

    >>> code_names({"codingCode": "omh:blood-glucose:4.0", "codingSystem": "urn:x", "text": "Blood glucose"})
    ['omh:blood-glucose:4.0', 'omh:blood-glucose', 'blood-glucose', 'Blood glucose', 'urn:x|omh:blood-glucose:4.0']
    """
    full = code["codingCode"]
    parts = full.split(":")
    short = [":".join(parts[:2]), parts[1]] if len(parts) == 3 else []
    return [full, *short, *([code["text"]] if code.get("text") else []), f"{code['codingSystem']}|{full}"]


def _closest_first(text: str, candidates: Sequence[Json], names: Callable[[Json], Sequence[str]]) -> list[Json]:
    """The candidates, those with a similar name first: a typing slip finds its correction at the head of the list."""
    spelled = {name.casefold(): one for one in candidates for name in names(one)}
    close = [spelled[name] for name in get_close_matches(text.casefold(), spelled, n=3)]
    ids = dict.fromkeys(one["id"] for one in [*close, *candidates])
    by_id = {one["id"]: one for one in candidates}
    return [by_id[one] for one in ids]


def _listed(candidates: Sequence[Json], names: Callable[[Json], Sequence[str]]) -> str:
    shown = ", ".join(f"{one['id']} {names(one)[0]!r}" for one in candidates[:SHOWN])
    more = len(candidates) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _plural(kind: str) -> str:
    words = kind.replace("_", " ")
    return f"{words[:-1]}ies" if words.endswith("y") else "people" if words == "person" else f"{words}s"


def _article(kind: str) -> str:
    words = kind.replace("_", " ")
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
