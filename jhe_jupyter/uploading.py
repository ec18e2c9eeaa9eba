"""Observations on their way to the Exchange: made from what was given, sent as Bundles, answered row by row.

Each carries an identifier that what was measured decides, so a Bundle that may have arrived can be sent again: what was
stored the first time is answered as existing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from . import resources
from .chunks import chunks
from .columns import LEAVES
from .connection import Json
from .dtypes import typed
from .errors import ExchangeError, UploadInterrupted
from .names import Names
from .progress import bar
from .resources import Coding

AT_ONCE = 1000  # observations of one Bundle
MOST_BYTES = 16 << 20  # of one Bundle; the server takes 32 MiB
LOOKED_UP = 100  # identifiers of one search
RESULT = {"row": "int64", "status": "category", "observation_id": "Int64", "message": "text"}
CREATED, EXISTS, ERROR = "created", "exists", "error"


class Made(NamedTuple):
    """One row of what was given: the Observation made of it, or why there is none."""

    row: int
    resource: Json | None
    message: str = ""


def upload(client: Names, data: Any, patient: Any, device: Any, code: Any, *, progress: bool = True) -> pd.DataFrame:
    """Upload what was given and say per row what became of it (`RESULT`); see `Exchange.upload_observations`."""
    made = list(_made(Maker(client, patient, device, code), data))
    answered = [_outcome(one.row, ERROR, message=one.message) for one in made if one.resource is None]
    ready = [one for one in made if one.resource is not None]
    with bar(len(ready), "Uploading", shown=progress) as shown:
        for chunk in bundles(ready):
            try:
                answered += _sent(client, chunk)
            except ExchangeError as error:
                raise _interrupted(error, answered, len(made)) from None
            shown.update(len(chunk))
    return _result(answered)


class Maker:
    """Observations from rows and dictionaries; every name in them is looked up once."""

    def __init__(self, client: Names, patient: Any, device: Any, code: Any) -> None:
        self._patient: Callable[[Any], int] = cache(client.patient_id)
        self._device: Callable[[Any], int] = cache(client.data_source_id)
        self._coding: Callable[[Any], Coding] = cache(lambda code: _coding(client, code))
        self._given = {
            "patient_id": None if patient is None else client.patient_id(patient),
            "data_source": None if device is None else client.data_source_id(device),
            "code": None if code is None else _coding(client, code),
        }

    def from_row(self, row: Json) -> Json:
        """The Observation that a row of a frame stands for; ValueError where it does not say enough."""
        coding = self._code(row.get("code"))
        if coding.code not in LEAVES:
            raise ValueError(f"rows of {coding.code} have no columns; upload data points instead")
        body = resources.row_body(row, coding.code)
        return self._carried(resources.data_point(body, coding.code, row.get("modality")), coding, row)

    def from_dictionary(self, given: Any) -> Json:
        """The Observation that a data point or Observation is or becomes; ValueError for anything else."""
        if isinstance(given, dict) and given.get("resourceType") == "Observation":
            return self._completed(given)
        if not isinstance(given, dict) or not isinstance(given.get("body"), dict):
            raise ValueError("this is neither a FHIR Observation nor a data point with a header and a body")
        return self._carried(given, self._code(resources.code_of(given)), {})

    def _code(self, said: Any) -> Coding:
        code = self._said("code", said)
        return code if isinstance(code, Coding) else self._coding(code)

    def _carried(self, point: Json, coding: Coding, row: Json) -> Json:
        patient = self._patient(self._said("patient_id", row.get("patient_id")))
        device = self._device(self._said("data_source", row.get("data_source")))
        return resources.observation(point, coding, patient, device)

    def _completed(self, resource: Json) -> Json:
        """An Observation with what it lacks, as far as it was given: subject, device, an identifier."""
        complete = dict(resource)
        if "subject" not in resource:
            complete["subject"] = {"reference": f"Patient/{self._said('patient_id', None)}"}
        if "device" not in resource:
            complete["device"] = {"reference": f"Device/{self._said('data_source', None)}"}
        if not resource.get("identifier"):
            measured = [complete.get(name) for name in ("subject", "device", "code", "valueAttachment")]
            complete["identifier"] = [resources.identifier(*measured)]
        return complete

    def _said(self, column: str, said: Any) -> Any:
        """What was said for all, else what a row says; ValueError where neither says anything."""
        if self._given[column] is not None:
            return self._given[column]
        if said is None or pd.isna(said):
            argument = {"patient_id": "patient", "data_source": "device"}.get(column, column)
            raise ValueError(f"there is no {column} here, and no {argument}= was given")
        return said


def _coding(client: Names, code: Any) -> Coding:
    found = client.code(code)
    return Coding(found["codingSystem"], found["codingCode"])


def _made(maker: Maker, data: Any) -> Iterator[Made]:
    make: Callable[[Any], Json] = maker.from_row if isinstance(data, pd.DataFrame) else maker.from_dictionary
    for row, given in enumerate(_given(data), start=1):
        try:
            yield Made(row, make(given))
        except ValueError as error:
            yield Made(row, None, str(error))


def _given(data: Any) -> Iterable[Any]:
    if isinstance(data, pd.DataFrame):
        return resources.rows_of(data)
    return [data] if isinstance(data, dict) else data


def bundles(made: Sequence[Made]) -> Iterator[list[Made]]:
    """Rows in Bundles of at most `AT_ONCE` entries and `MOST_BYTES`."""
    return chunks(made, AT_ONCE, MOST_BYTES, said=lambda one: one.resource)


def _sent(client: Names, chunk: Sequence[Made]) -> list[Json]:
    entries = [{"resource": one.resource, "request": {"method": "POST", "url": "Observation"}} for one in chunk]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answers = client.post_bundle(bundle, repeatable=True)["entry"]
    outcomes = [_answered(one.row, answer["response"]) for one, answer in zip(chunk, answers, strict=True)]
    there = [one for one, outcome in zip(chunk, outcomes, strict=True) if outcome["status"] == EXISTS]
    ids = _known(client, there)
    return [{**one, "observation_id": one["observation_id"] or ids.get(one["row"])} for one in outcomes]


def _answered(row: int, response: Json) -> Json:
    """What the entry of a response Bundle says of a row."""
    said = str(response.get("status", ""))
    if said.startswith("201"):
        parts = str(response.get("location", "")).split("/_history")[0].rstrip("/").split("/")
        return _outcome(row, CREATED, observation_id=int(parts[-1]) if parts[-1].isdigit() else None)
    issues = (response.get("outcome") or {}).get("issue") or [{}]
    message = str(issues[0].get("diagnostics") or (issues[0].get("details") or {}).get("text") or said)
    return _outcome(row, EXISTS if said.startswith("409") else ERROR, message=message)


def _known(client: Names, there: Sequence[Made]) -> dict[int, int]:
    """By row, the ids of observations that exist already, as far as the caller may read them."""
    found: dict[int, int] = {}
    rows = {key: one.row for one in there for key in _keys(one.resource or {})}
    keys = list(rows)
    for first in range(0, len(keys), LOOKED_UP):
        asked = ",".join("|".join(map(_escaped, key)) for key in keys[first : first + LOOKED_UP])
        for resource in client.post_search("Observation", {"identifier": asked, "_count": 1000}):
            found |= {rows[key]: int(resource["id"]) for key in _keys(resource) if key in rows}
    return found


def _keys(resource: Json) -> list[tuple[str, str]]:
    identifiers = resource.get("identifier") or []
    return [(one.get("system", ""), one.get("value", "")) for one in identifiers if isinstance(one, dict)]


def _escaped(text: str) -> str:
    """A text in which FHIR's search finds no separator (R5 §3.2.1.5.7)."""
    return re.sub(r"[\\,|$]", r"\\\g<0>", text)


def _outcome(row: int, status: str, *, observation_id: int | None = None, message: str = "") -> Json:
    return {"row": row, "status": status, "observation_id": observation_id, "message": message}


def _result(answered: Sequence[Json]) -> pd.DataFrame:
    frame = typed(sorted(answered, key=lambda one: one["row"]), RESULT)
    frame["status"] = frame["status"].cat.set_categories([CREATED, EXISTS, ERROR])
    return frame


def _interrupted(error: ExchangeError, answered: Sequence[Json], total: int) -> UploadInterrupted:
    sentence = (
        f"{error} {len(answered)} of {total} rows are known to be done; upload the same again to finish:"
        " what is stored is not stored twice."
    )
    return UploadInterrupted(error.status, sentence, _result(answered))
