"""One page of a long list: where it is, how it is ordered, and who is ticked, by id, whatever page they are on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .blocks import Block
from .dialog import Action, Said

Row = dict[str, Any]
SIZES = (20, 100, 500, 1000)


@dataclass(frozen=True)
class Column:
    """A title, what stands in a cell, and the name the Exchange orders by (None: it does not)."""

    title: str
    cell: Callable[[Row], Any]
    order: str | None = None
    look: str | None = None


class Listing:
    """The rows on show and those that are ticked."""

    def __init__(
        self,
        name: str,
        label: str,
        columns: Sequence[Column],
        *,
        key: str = "id",
        called: Callable[[Row], str] = lambda row: str(row.get("name", "")),
        select: bool = False,
    ) -> None:
        self.name, self.label, self.columns, self.key, self.called, self.select = (
            name,
            label,
            columns,
            key,
            called,
            select,
        )
        self.page, self.per_page, self.order, self.total = 1, SIZES[0], "", 0
        self.rows: list[Row] = []
        self.selected: dict[int, Row] = {}
        self.empty = "Loading…"

    def query(self) -> dict[str, Any]:
        """What to ask for; by offset, so that a page that has meanwhile gone is empty and no error."""
        window = {"limit": self.per_page, "offset": (self.page - 1) * self.per_page}
        return {**window, "ordering": self.order or None}

    def take(self, page: dict[str, Any], empty: str) -> bool:
        """Keep an answer; False where its page is past the end by now and the last one is to be asked for."""
        self.total, self.rows, self.empty = page["count"], page["results"], empty
        for row in self.rows:
            if row[self.key] in self.selected:
                self.selected[row[self.key]] = row
        if self.rows or not self.total:
            return True
        self.page = -(-self.total // self.per_page)
        return False

    def row(self, id: int | None) -> Row | None:
        """The row of an id, if it is on this page or ticked."""
        on_show = next((row for row in self.rows if row[self.key] == id), None)
        return on_show or (self.selected.get(id) if id is not None else None)

    def block(self, actions: Sequence[tuple[str, str]] = (), opens: str | None = None) -> Block:
        """The table; `actions` are (name, label) of a row's buttons, `opens` the one a click on the row means."""
        return {
            "kind": "table",
            "name": self.name,
            "label": self.label,
            "columns": [{"title": one.title, "order": one.order, "look": one.look} for one in self.columns],
            "rows": [self._drawn(row, opens) for row in self.rows],
            "actions": [{"name": name, "label": label} for name, label in actions],
            "select": self.select,
            "selected": list(self.selected),
            "empty": self.empty,
            "order": self.order,
            "page": self.page,
            "per_page": self.per_page,
            "sizes": SIZES,
            "total": self.total,
        }

    def _drawn(self, row: Row, opens: str | None) -> Block:
        cells = [_cell(column.cell(row)) for column in self.columns]
        return {"id": row[self.key], "called": self.called(row), "cells": cells, "open": opens}

    def actions(
        self, refresh: Callable[[], Awaitable[None]], ticked: Callable[[Sequence[int]], None]
    ) -> dict[str, Action]:
        """What its head, foot and ticks do."""

        async def page(said: Said) -> None:
            self.page = int(said.value)
            await refresh()

        async def per_page(said: Said) -> None:
            self.page, self.per_page = 1, int(said.value)
            await refresh()

        async def sort(said: Said) -> None:
            self.page, self.order = 1, str(said.value)
            await refresh()

        async def tick(said: Said) -> None:
            self.tick(said.ids, said.on)
            ticked(said.ids)

        found: dict[str, Action] = {"page": page, "per_page": per_page, "sort": sort, "tick": tick}
        return {f"{self.name}.{what}": action for what, action in found.items()}

    def tick(self, ids: Sequence[int], on: bool) -> None:
        for id in ids:
            row = self.row(id)
            if on and row is not None:
                self.selected[id] = row
            elif not on:
                self.selected.pop(id, None)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
