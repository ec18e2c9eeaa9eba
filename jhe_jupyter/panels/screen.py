"""What every screen of a panel shares: a toolbar, a list, and refreshing so that the newest answer stands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..dtypes import typed
from ..lists import list_frame
from . import blocks
from .blocks import Block
from .dialog import Action, Said
from .listing import Listing

if TYPE_CHECKING:
    from .panel import Panel


class Screen:
    """One tab: `concepts` names what of the change feed concerns it."""

    title: ClassVar[str]
    concepts: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.place = panel.place
        self.actions: dict[str, Action] = {"organization": self.choose_organization, "study": self.choose_study}
        self._turn = 0

    @property
    def offered(self) -> bool:
        """Whether its user may use it at all."""
        return True

    def bar(self) -> list[Block]:
        """The toolbar."""
        return [blocks.row(self.place.organization_field(), self.place.study_field())]

    def main(self) -> list[Block]:
        """What is below it."""
        raise NotImplementedError

    async def refresh(self) -> None:
        """Ask the Exchange for what is on show, and show it."""
        self.draw()

    @property
    def on_show(self) -> bool:
        """Whether its tab is the one in front: what comes late must not cover another."""
        return self.panel.screen is self

    def draw(self) -> None:
        """Show what is known, where it is on show."""
        self.draw_bar()
        if self.on_show:
            self.panel.put("main", blocks=self.main())

    def draw_bar(self) -> None:
        if self.on_show:
            self.panel.put("bar", blocks=self.bar())

    async def choose_organization(self, said: Said) -> None:
        await self.place.choose_organization(said.value)
        await self.moved()

    async def choose_study(self, said: Said) -> None:
        self.place.choose_study(said.value)
        await self.moved()

    async def moved(self) -> None:
        """Another place was chosen."""
        self.panel.quiet()
        await self.refresh()

    @property
    def selected_df(self) -> Any:
        raise AttributeError(f"nothing can be ticked in {self.title}")

    def forget(self, *ids: int) -> None:
        """Take ticks away from rows that were dealt with."""

    def next_turn(self) -> int:
        """A number for a question: an answer counts only while no newer question was asked."""
        self._turn += 1
        return self._turn

    def is_latest(self, turn: int) -> bool:
        return turn == self._turn and self.on_show


class ListScreen(Screen):
    """A screen whose main part is a list of the Exchange."""

    path: ClassVar[str]
    schema: ClassVar[dict[str, str]] = {}
    renamed: ClassVar[dict[str, str]] = {}
    empty: ClassVar[str] = "Nothing here yet."

    def __init__(self, panel: Panel, listing: Listing) -> None:
        super().__init__(panel)
        self.listing = listing
        self._newest = asyncio.Event()
        self.actions |= listing.actions(self.refresh, self.ticked)

    def params(self) -> dict[str, Any]:
        """What narrows the list."""
        return {"organization_id": self.place.organization_id, "study_id": self.place.study_id}

    def row_actions(self) -> Sequence[tuple[str, str]]:
        """The buttons of a row that its user may use: (name, label)."""
        return ()

    def main(self) -> list[Block]:
        return [self.listing.block(self.row_actions())]

    async def refresh(self) -> None:
        if self.place.organization_id is None and not self.place.superuser:
            self.listing.empty = "You have no role in any organization yet; a manager can give you one."
            self.draw()
            return
        turn, done = self.next_turn(), asyncio.Event()
        self._newest = done
        self.panel.busy(True)
        try:
            await self._show_page(turn)
        finally:
            done.set()
            if turn == self._turn:
                self.panel.busy(False)
        await self._newest.wait()  # overtaken: what was asked for is there when the newer answer is

    async def _show_page(self, turn: int) -> None:
        page = await self.fetch()
        if self.is_latest(turn) and not self.listing.take(page, self.empty):
            page = await self.fetch()
            self.listing.take(page, self.empty)
        if self.is_latest(turn):
            self.draw()

    def ticked(self, ids: Sequence[int]) -> None:
        """Ticks came in: the table's own boxes are right already, what was heard is confirmed."""
        self.draw_bar()
        self.panel.keep("main", blocks=self.main())
        selected = list(self.listing.selected)
        self.panel.send({"part": "marks", "table": self.listing.name, "selected": selected, "heard": list(ids)})

    async def fetch(self) -> dict[str, Any]:
        """One page of the list."""
        return await self.panel.call(self.panel.exchange.get_page, self.path, {**self.params(), **self.listing.query()})

    def forget(self, *ids: int) -> None:
        self.listing.tick(ids, False)

    async def moved(self) -> None:
        self.listing.page = 1
        self.listing.selected.clear()
        await super().moved()

    @property
    def selected_df(self) -> Any:
        rows = self.listing.selected.values()
        return list_frame(rows, self.schema, self.renamed) if rows else typed([], self.schema)
