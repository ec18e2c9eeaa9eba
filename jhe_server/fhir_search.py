"""FHIR searches, read: a query's parameters as typed values, with page and order. Pure: no table, no request.

A comma means or, a parameter given twice means and. A value that cannot name anything here finds nothing; a date or a
number that is none is refused. What is no parameter of the type is left out and told apart, or refused where the
caller asked for that (`Prefer: handling=strict`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from .errors import Invalid, NotAcceptable
from .fhir import Resource, parse_reference
from .shapes import MAX_ID, Listing

Kind = Literal["id", "Patient", "Group", "Organization", "token", "string", "date", "uri"]
Comparator = Literal["eq", "ge", "gt", "le", "lt"]
AT_ONCE = 500  # values in one search; each is a condition the store has to weigh

_ALTERNATIVE = re.compile(r"(?:\\.|[^\\,])+", re.DOTALL)
_TOKEN = re.compile(r"((?:\\.|[^\\|])*)(\|?)(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\,|$])")
_DATE = re.compile(
    r"(eq|ge|gt|le|lt)?(\d{4}(?:-\d\d(?:-\d\d)?)?)"
    r"(?:(?<=-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(?:(?<=:\d\d:\d\d)\.(\d{1,9}))?(Z|[+ -]\d\d:\d\d)?)?"
)
_NAME = re.compile(r"[\w.:-]{1,100}")


@dataclass(frozen=True)
class Token:
    """`value`, `system|value`, `|value` (without any system: "") or `system|` (any value: "")."""

    system: str | None
    value: str


@dataclass(frozen=True)
class Span:
    """A date or time as long as it was written precisely: `2026-03` is from the first of March up to April."""

    comparator: Comparator
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Filter:
    """One parameter, of whose values one has to fit; without any, nothing does."""

    name: str
    values: tuple[Any, ...]


class FHIRSearch(Listing):
    """A FHIR search, read: every filter has to hold. `understood` is the query without what was left out of it."""

    filters: list[Filter] = []
    sort: list[tuple[str, bool]] = []
    count_only: bool = False
    understood: list[tuple[str, str]] = []

    def only(self, name: str) -> int | None:
        """The one id that a parameter names, for the audit."""
        named = [one.values for one in self.filters if one.name == name]
        return named[0][0] if len(named) == 1 and len(named[0]) == 1 else None


@dataclass(frozen=True)
class Resources:
    """The resources of one page and how many there are in all."""

    total: int
    resources: list[Resource]


def read(
    pairs: Sequence[tuple[str, str]], kinds: Mapping[str, Kind], sortable: Collection[str] = (), *, strict: bool = False
) -> FHIRSearch:
    """A query as a search; `kinds` are the parameters of the type, `sortable` what it can be ordered by.

    Raises Invalid for a value that is none, for a modifier, for more than 500 values, and if `strict` for what is
    unknown; NotAcceptable for a `_format` other than JSON.

    >>> search = read([("patient", "Patient/40001,40002"), ("_sort", "-date")], {"patient": "Patient"}, ["date"])
    >>> search.filters, search.sort
    ([Filter(name='patient', values=(40001, 40002))], [('date', True)])
    >>> read([("date", "1"), ("_count", "5")], {}).understood
    [('_count', '5')]
    """
    search, unknown = FHIRSearch(), []
    for name, value in pairs:
        if _taken(search, name, value, kinds, sortable):
            search.understood.append((name, value))
        else:
            unknown.append(name)
    if unknown and strict:
        raise _refused(unknown[0], "is not a search parameter here, or has a value that is not served")
    if sum(len(one.values) for one in search.filters) > AT_ONCE:
        raise Invalid(f"A search may name {AT_ONCE} values in all.")
    return search


def _taken(search: FHIRSearch, name: str, value: str, kinds: Mapping[str, Kind], sortable: Collection[str]) -> bool:
    if name in kinds:
        search.filters.append(Filter(name, values(kinds[name], value, name)))
        return True
    if name == "_sort":
        return _sort(search, value, sortable)
    if name in _RESULT:
        return _RESULT[name](search, value)
    if name.partition(":")[0] in kinds:
        raise _refused(name, "has a modifier that is not served")  # without it, the search would find too much
    return False


def _refused(name: str, why: str) -> Invalid:
    """A refusal that names the parameter, as far as its name is one."""
    name = name if _NAME.fullmatch(name) else "parameter"
    return Invalid(f"{name} {why}.", {name: [why]})


# ------------------------------------------------------------------ what is searched for
def values(kind: Kind, text: str, name: str = "parameter") -> tuple[Any, ...]:
    r"""The alternatives of one value, each as its kind: ids as int, tokens, dates as spans, strings and URIs as text.

    Raises Invalid for a date that is none.

    >>> values("token", r"urn:oid:1.2.3.4|E1234,|E\,5")
    (Token(system='urn:oid:1.2.3.4', value='E1234'), Token(system='', value='E,5'))
    >>> values("Patient", "https://example.org/FHIR/R5/Patient/40001,Group/30001,nobody")
    (40001,)
    """
    parts = [part.strip() for part in _ALTERNATIVE.findall(text)]
    found = [_READERS.get(kind, _reference_to(kind))(part, name) for part in parts if part]
    return tuple(one for one in found if one is not None)


def _reference_to(kind: str) -> Callable[[str, str], int | None]:
    def reader(text: str, _name: str) -> int | None:
        if "/" not in text:
            return _id(text, _name)
        try:
            return parse_reference(text, kind)
        except Invalid:
            return None

    return reader


def _id(text: str, _name: str) -> int | None:
    plain = text.isascii() and text.isdecimal() and len(text) < 20
    return int(text) if plain and int(text) <= MAX_ID else None


def _plain(text: str, _name: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _token(text: str, name: str) -> Token | None:
    found = _TOKEN.fullmatch(text)
    if found is None or not (found[1] or found[3]):
        return None
    before, after = _plain(found[1], name), _plain(found[3], name)
    return Token(before, after) if found[2] else Token(None, before)


def _span(text: str, name: str) -> Span:
    """A date or time, of which the end may be left away; without an offset it is UTC."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise _refused(name, "is like 2026, ge2026-01-31 or lt2026-01-31T08:00:00Z")
    comparator, day, minute, second, fraction, zone = found.groups(default="")
    written = f"{day}{'-01-01'[len(day) - 4 :]}T{minute or '00:00'}{second}{'.' if fraction else ''}{fraction}"
    try:
        start = datetime.fromisoformat(f"{written}{zone.replace(' ', '+') or 'Z'}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise _refused(name, "is not a day of the calendar or a time of the clock") from None
    return Span(comparator or "eq", start, _end(start, day, minute, second, fraction))  # type: ignore[arg-type]


def _end(start: datetime, day: str, minute: str, second: str, fraction: str) -> datetime:
    try:
        if len(day) == 4:
            return start.replace(year=start.year + 1)
        if len(day) == 7:
            return (start + timedelta(days=32)).replace(day=1)
        if fraction:
            return start + timedelta(microseconds=10 ** max(0, 6 - len(fraction)))
        return start + (timedelta(seconds=1) if second else timedelta(minutes=1) if minute else timedelta(days=1))
    except (ValueError, OverflowError):
        return datetime.max.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[str, str], Any]] = {
    "id": _id,
    "token": _token,
    "string": _plain,
    "uri": _plain,
    "date": _span,
}


# ------------------------------------------------------------------ how the answer is dealt out
def _sort(search: FHIRSearch, value: str, sortable: Collection[str]) -> bool:
    asked = [(name.strip().removeprefix("-"), name.strip().startswith("-")) for name in value.split(",")]
    if not all(name in sortable for name, _ in asked):
        return False
    search.sort = asked
    return True


def _count(search: FHIRSearch, value: str) -> bool:
    number = _whole("_count", value)
    search.count_only = search.count_only or number == 0
    search.page_size = number or None
    return True


def _page(search: FHIRSearch, value: str) -> bool:
    search.page = max(1, _whole("_page", value))
    return True


def _whole(name: str, value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 15:
        raise _refused(name, "is not a whole number")
    return int(value)


def _summary(search: FHIRSearch, value: str) -> bool:
    search.count_only = search.count_only or value == "count"
    return value in ("count", "false")


def _format(_search: FHIRSearch, value: str) -> bool:
    if value.partition(";")[0].strip() not in ("json", "application/json", "application/fhir+json"):
        raise NotAcceptable("Only application/fhir+json can be produced here.")
    return True


def _total(_search: FHIRSearch, value: str) -> bool:
    """The total is always there and always exact."""
    return value in ("accurate", "estimate", "none")


_RESULT: dict[str, Callable[[FHIRSearch, str], bool]] = {
    "_count": _count,
    "_page": _page,
    "_summary": _summary,
    "_format": _format,
    "_total": _total,
}
