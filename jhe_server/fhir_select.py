"""What a FHIR search finds in the store: a type's parameters as conditions, its order, and one page of ids.

Every type is searched by `_id`, `_lastUpdated` and `_source`; a concept says what else it can be searched by. What a
caller may see is the concept's to say: the select that comes in here is narrowed already.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, true
from sqlalchemy.orm import Session

from .access import Actor
from .db import count, newest, within
from .fhir import SOURCE
from .fhir_search import FHIRSearch, Kind, Span, Token, read

Condition = ColumnElement[bool]
PLAIN = ("token", "string", "date", "uri")


@dataclass(frozen=True)
class By:
    """One parameter: how its values are read, and the rows that any of them finds for an actor."""

    kind: Kind
    finds: Callable[[Actor, Sequence[Any]], Condition]

    @property
    def type(self) -> str:
        """The kind as a CapabilityStatement calls it."""
        return "token" if self.kind == "id" else self.kind if self.kind in PLAIN else "reference"


@dataclass(frozen=True)
class Searchable:
    """How one type is searched: `id` and `updated` are columns, `order` is what `_sort` may name beside them."""

    kind: str
    id: Any
    updated: Any
    by: Mapping[str, By] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, By]:
        return {
            "_id": By("id", lambda _, ids: self.id.in_(ids)),
            "_lastUpdated": By("date", lambda _, spans: during(spans, self.updated)),
            "_source": By("uri", lambda _, uris: _certain(SOURCE in uris)),
            "_source:below": By("uri", lambda _, uris: _certain(any(_below(SOURCE, uri) for uri in uris))),
            **self.by,
        }

    @property
    def sortable(self) -> dict[str, Any]:
        return {"_id": self.id, "_lastUpdated": self.updated, **self.order}

    def read(self, pairs: Sequence[tuple[str, str]], strict: bool = False) -> FHIRSearch:
        """A query as a search of this type."""
        kinds = {name: by.kind for name, by in self.parameters.items()}
        return read(pairs, kinds, self.sortable, strict=strict)

    def narrowed(self, actor: Actor, rows: Select[Any], query: FHIRSearch) -> Select[Any]:
        """The rows of which every filter holds."""
        return rows.where(*self.conditions(actor, query))

    def conditions(self, actor: Actor, query: FHIRSearch) -> list[Condition]:
        parameters = self.parameters
        return [parameters[one.name].finds(actor, one.values) if one.values else false() for one in query.filters]

    def page(
        self,
        session: Session,
        actor: Actor,
        rows: Select[Any],
        query: FHIRSearch,
        total: int | None = None,
        narrowed_to: Hashable = None,
    ) -> tuple[int, list[int]]:
        """How many rows there are and, unless only that was asked for, the ids of one page, newest first.

        `rows` select the id of what the actor may see, narrowed already to what `narrowed_to` says; `total` is how many
        there are, where that is known. Raises NotFound past the last page.
        """
        rows = self.narrowed(actor, rows, query)
        if total is None:
            total = count(session, rows, (self._question(actor, query), narrowed_to))
        if query.count_only:
            return total, []
        offset, limit = within(total, query)
        if not query.sort:
            return total, newest(session, rows, self.updated, self.id, offset, limit, total)
        return total, list(session.scalars(rows.order_by(*self._ordered(query)).offset(offset).limit(limit)))

    def _question(self, actor: Actor, query: FHIRSearch) -> Hashable:
        """Whatever tells one count from another."""
        return "fhir", self.kind, actor.scope, tuple(query.filters)

    def _ordered(self, query: FHIRSearch) -> Iterator[Any]:
        """A total order: as the query says, ties by id."""
        keys = [(self.sortable[name], down) for name, down in query.sort]
        for column, down in (*keys, (self.id, keys[-1][1])):
            yield column.desc() if down else column.asc()


def _certain(holds: bool) -> Condition:
    return true() if holds else false()


def _below(uri: str, root: str) -> bool:
    """Whether a URI is another or lies below it, segment by segment."""
    return uri == root or uri.startswith(root.rstrip("/") + "/")


# ------------------------------------------------------------------ conditions
def during(
    spans: Iterable[Span], start: Any, end: Any = None, clock: Callable[[datetime], Any] = lambda t: t
) -> Condition:
    """What lies, from `start` to `end`, as one of the spans asks: `eq` within it, `ge` into it or later, and so on.

    `clock` says a moment as the columns keep it.
    """
    end = start if end is None else end
    asked = {
        "eq": lambda first, after: (start >= first) & (end < after),
        "ge": lambda first, after: end >= first,
        "gt": lambda first, after: end >= after,
        "le": lambda first, after: start < after,
        "lt": lambda first, after: start < first,
    }
    return or_(*(asked[span.comparator](clock(span.start), clock(span.end)) for span in spans))


def on_days(spans: Iterable[Span], day: Any) -> Condition:
    """The same of a column of dates; a span that ends within a day includes it."""
    asked = {
        "eq": lambda first, last: (day >= first) & (day <= last),
        "ge": lambda first, last: day >= first,
        "gt": lambda first, last: day > last,
        "le": lambda first, last: day <= last,
        "lt": lambda first, last: day < first,
    }
    last = timedelta(microseconds=1)
    return or_(*(asked[span.comparator](span.start.date(), (span.end - last).date()) for span in spans))


def starts(texts: Iterable[str], *columns: Any) -> Condition:
    """A name that starts with one of the texts, in upper or lower case."""
    # As it was typed too: SQLite folds the case of ASCII only.
    return or_(
        *(
            found
            for text in texts
            for column in columns
            for found in (
                func.lower(column).startswith(text.lower(), autoescape=True),
                column.startswith(text, autoescape=True),
            )
        )
    )


def identified(tokens: Iterable[Token], system: Any, value: Any) -> Condition:
    """A system and a value that one of the tokens names."""
    return or_(*(and_(*_named(token, system, value)) for token in tokens))


def _named(token: Token, system: Any, value: Any) -> Iterator[Condition]:
    if token.system is not None:
        yield system == token.system
    if token.value or not token.system:
        yield value == token.value
