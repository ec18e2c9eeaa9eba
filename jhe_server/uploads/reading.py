"""What an upload says by itself, read before anybody waits for the store: envelope, attachment, data point.

An entry that cannot be taken carries its refusal along. A data point that breaks its schema is refused only after the
store's own rules: nobody learns by a broken one whether a patient exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from .. import fhir, omh
from ..errors import ExchangeError, Invalid, TooLarge

AT_ONCE = 10_000
STATUSES = ("registered", "specimen-in-process", "preliminary", "final", "amended", "corrected", "appended",
            "cancelled", "entered-in-error", "unknown", "cannot-be-obtained")  # fmt: skip
Resource = dict[str, Any]
Identifier = tuple[str, str]


@dataclass(slots=True)
class Candidate:
    """An entry on its way in; `refusal` is why it goes no further, `unfit` why its data point will not."""

    refusal: ExchangeError | None = None
    patient_id: int = 0
    device_id: int = 0
    concept: tuple[str, str] = ("", "")
    code_id: int = 0
    status: str = ""
    payload: Any = None
    text: bytes = b""
    identifiers: list[Identifier] = field(default_factory=list)
    point: omh.DataPoint | None = None
    unfit: ExchangeError | None = None
    id: int = 0


@dataclass(frozen=True)
class Upload:
    """A Bundle as it was read: its type, and its entries in order."""

    kind: Literal["batch", "transaction"]
    candidates: list[Candidate]


def read_one(resource: Resource) -> Candidate:
    """An Observation as it was sent."""
    return _Reader().read(resource)


def read_bundle(body: Resource) -> Upload:
    """A batch or transaction Bundle; raises Invalid where it is none, TooLarge."""
    if body.get("resourceType") != "Bundle":
        raise Invalid("Expected a Bundle.", {"resourceType": ["is not Bundle"]})
    kind = body.get("type")
    if kind not in ("batch", "transaction"):
        raise Invalid("Expected a Bundle of type batch or transaction.", {"type": ["is not batch or transaction"]})
    entries = body.get("entry")
    if not isinstance(entries, list) or not entries:
        raise Invalid("The Bundle has no entry.", {"entry": ["is missing or empty"]})
    if len(entries) > AT_ONCE:
        raise TooLarge(f"A Bundle may have {AT_ONCE} entries; this one has {len(entries)}.")
    reader = _Reader()
    return Upload(kind, [reader.read(_of_entry(entry)) for entry in entries])


def _of_entry(entry: Any) -> Any:
    """The resource of an entry, or the refusal it has earned already."""
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return Invalid("The entry has no resource.")
    request = entry.get("request") or {}
    method = request.get("method", "POST") if isinstance(request, dict) else None
    url = str(request.get("url", "Observation")) if isinstance(request, dict) else ""
    if method != "POST" or url.strip("/").rpartition("/")[2] != "Observation":
        return Invalid("Only POST Observation is accepted in a Bundle.")
    return entry["resource"]


class _Reader:
    """Reads the entries of one upload."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._subject = _Alike("Observation.subject", lambda value: fhir.parse_reference(value, "Patient"))
        self._device = _Alike("Observation.device", lambda value: fhir.parse_reference(value, "Device"))
        self._code = _Alike("Observation.code", fhir.parse_concept)

    def read(self, resource: Any) -> Candidate:
        """What the entry says by itself."""
        candidate = Candidate()
        try:
            if isinstance(resource, ExchangeError):
                raise resource
            if not isinstance(resource, dict) or resource.get("resourceType") != "Observation":
                raise Invalid("Expected an Observation.")
            if resource.get("status") not in STATUSES:
                raise Invalid("Observation.status is not one of FHIR's observation statuses.")
            candidate.status = resource["status"]
            candidate.patient_id = self._subject(resource.get("subject"))
            candidate.device_id = self._device(resource.get("device"))
            candidate.concept = self._code(resource.get("code"))
            candidate.identifiers = _identifiers(resource.get("identifier"))
            candidate.payload, candidate.text = _attached(resource.get("valueAttachment"))
        except ExchangeError as refusal:
            candidate.refusal = refusal
            return candidate
        try:
            candidate.point = omh.check(candidate.payload, candidate.concept[1], now=self._now)
        except ExchangeError as unfit:
            candidate.unfit = unfit
        return candidate


class _Alike:
    """Parses a part that is mostly the same from one entry to the next: what was parsed last is known."""

    def __init__(self, where: str, parse: Callable[[Any], Any]) -> None:
        self._where, self._parse = where, parse
        self._last: Any = None
        self._found: Any = None

    def __call__(self, value: Any) -> Any:
        if value is None or value != self._last:
            self._found, self._last = _named(self._where, self._parse, value), value
        return self._found


def _attached(value: Any) -> tuple[Any, bytes]:
    read: tuple[Any, bytes] = _named("Observation.valueAttachment", fhir.read_attachment, value)
    return read


def _named(where: str, parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except ExchangeError as error:
        error.detail = f"{where}: {error.detail}"
        raise


def _identifiers(sent: Any) -> list[Identifier]:
    if sent is None:
        return []
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        raise Invalid("Observation.identifier is not a list of identifiers.")
    found = [(one.get("system", ""), one.get("value")) for one in sent]
    for system, value in found:
        fits = isinstance(system, str) and isinstance(value, str) and 0 < len(value) <= 1000 and len(system) <= 1000
        # Together they are a key, and a key of PostgreSQL's ends at 2,704 bytes.
        if not fits or not (system + value).isprintable() or len((system + value).encode()) > 2000:
            raise Invalid("Observation.identifier needs a value, and both of system and value as plain text.")
    return list(dict.fromkeys(found)) if len(found) > 1 else found
