"""The pydantic base of all that enters or leaves: camelCase outside, snake_case inside, both accepted coming in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    PlainSerializer,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

MAX_ID = 2**63 - 1
PAGE_SIZE, MAX_PAGE_SIZE = 20, 1000
OLDEST_BIRTH = date(1850, 1, 1)  # nobody alive was born earlier; a year like 0198 is a slip of the keyboard


class Shape(BaseModel):
    """Leaves the Exchange: serialised by alias, so `name_family` is `nameFamily` on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=False)


class Body(Shape):
    """Arrives as a JSON body: validated strictly, unknown fields refused."""


class Query(Shape):
    """Arrives as a query string: validated laxly (everything is text), parameters it does not know are left alone."""

    model_config = ConfigDict(extra="ignore")


def _plain(text: str) -> str:
    """Refuse what no name holds: control characters, line separators and unpaired surrogates."""
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text):
        raise ValueError("must not contain control characters")
    return text


def _prose(text: str) -> str:
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t" for c in text):
        raise ValueError("must not contain control characters")
    return text


def _born(day: date) -> date:
    # It is already tomorrow somewhere: UTC+14 is the first clock to turn.
    if day > (datetime.now(UTC) + timedelta(hours=14)).date():
        raise ValueError("must not be in the future")
    if day < OLDEST_BIRTH:
        raise ValueError(f"must not be before {OLDEST_BIRTH.isoformat()}")
    return day


def _plus(value: Any) -> Any:
    """An unescaped `+02:00` in a query string arrives as ` 02:00`."""
    return re.sub(r" (\d\d:?\d\d)$", r"+\1", value) if isinstance(value, str) else value


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _web(address: str) -> str:
    if not re.match(r"https?://[^\s/]+", address, re.I):
        raise ValueError("must be an http or https address")
    return address


Id = Annotated[int, Field(ge=0, le=MAX_ID)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_plain)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(_plain)]
Prose = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_prose)]
Email = Annotated[EmailStr, Field(max_length=254), AfterValidator(_plain)]
BirthDate = Annotated[date, AfterValidator(_born)]
Moment = Annotated[datetime, BeforeValidator(_plus), AfterValidator(_utc)]
WebAddress = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=2000), AfterValidator(_plain), AfterValidator(_web)
]
Time = Annotated[
    datetime, PlainSerializer(lambda t: t.isoformat().replace("+00:00", "Z"), return_type=str, when_used="json")
]


class Listing(Query):
    """`page`+`pageSize` or `limit`+`offset`, and an order; every list takes them.

    >>> Listing(page=3, page_size=50).window
    (100, 50)
    >>> Listing(limit=5000, offset=7).window
    (7, 1000)
    """

    page: Annotated[int | None, Field(ge=1, le=2**53)] = None
    page_size: Annotated[int | None, Field(ge=1)] = None
    limit: Annotated[int | None, Field(ge=1)] = None
    offset: Annotated[int | None, Field(ge=0, le=2**53)] = None
    ordering: str | None = None

    @property
    def by_offset(self) -> bool:
        return self.page is None and self.page_size is None and (self.limit is not None or self.offset is not None)

    @property
    def window(self) -> tuple[int, int]:
        """(offset, limit) of the rows asked for."""
        if self.by_offset:
            return self.offset or 0, min(self.limit or PAGE_SIZE, MAX_PAGE_SIZE)
        size = min(self.page_size or PAGE_SIZE, MAX_PAGE_SIZE)
        return ((self.page or 1) - 1) * size, size


T = TypeVar("T")


class Page(Shape, Generic[T]):
    """One window of a list; the door fills in the two links."""

    count: int
    next: str | None = None
    previous: str | None = None
    results: list[T]


class Code(Shape):
    """What was measured: FHIR `system|code`."""

    id: int
    coding_system: str
    coding_code: str
    text: str


class OrganizationName(Shape):
    """An organization as others embed it."""

    id: int
    name: str
    type: str


Link = Callable[[int], str]
