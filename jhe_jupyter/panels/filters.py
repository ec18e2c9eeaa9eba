"""What narrows a list beyond organization and study: a patient by id, e-mail or name, choices, a span of days."""

from __future__ import annotations

from typing import Any

from ..errors import AmbiguousName, UnknownName
from . import blocks
from .blocks import Block
from .dialog import Action, Said
from .listing import Listing
from .panel import Panel
from .screen import ListScreen

Json = dict[str, Any]


class FilteredScreen(ListScreen):
    """A list with filters: `asked` is what stands in them, by name; the fields of `names` are the screen's own."""

    def __init__(self, panel: Panel, listing: Listing, *names: str) -> None:
        super().__init__(panel, listing)
        self.asked = dict.fromkeys(("patient", *names, "since", "until"), "")
        self._ids: dict[str, int] = {}
        self._unknown: dict[str, str] = {}
        self.actions |= {name: self._filter(name) for name in self.asked}

    @property
    def patient_id(self) -> int | None:
        """Who is asked for, once it is known."""
        return self._ids.get(self.asked["patient"])

    def patient_field(self) -> Block:
        words = self.asked["patient"]
        hint, error = "ID, e-mail or name, Enter", self._unknown.get(words)
        return blocks.field("patient", "Patient", words, live=True, placeholder=hint, error=error)

    def span_fields(self) -> tuple[Block, Block]:
        since = blocks.field("since", "From", self.asked["since"], "date", live=True)
        return since, blocks.field("until", "Before", self.asked["until"], "date", live=True)

    def span(self) -> Json:
        """The days as the times an endpoint takes."""
        return {name: f"{self.asked[name]}T00:00:00Z" for name in ("since", "until") if self.asked[name]}

    async def look_up(self) -> None:
        """Learn the id of who is asked for; raises UnknownName or AmbiguousName."""
        words = self.asked["patient"]
        if words and words not in self._ids:
            self._ids[words] = await self.panel.call(self.panel.exchange.patient_id, words)

    async def fetch(self) -> Json:
        """Nothing, and why, for somebody who is not known: everybody would be an answer to another question."""
        words = self.asked["patient"]
        try:
            await self.look_up()
        except (UnknownName, AmbiguousName) as error:
            self._unknown[words] = str(error)
            return {"count": 0, "results": []}
        self._unknown.pop(words, None)
        return await super().fetch()

    def _filter(self, name: str) -> Action:
        async def narrow(said: Said) -> None:
            self.asked[name], self.listing.page = str(said.value).strip(), 1
            self.narrowed()
            self.panel.quiet()
            await self.refresh()

        return narrow

    def narrowed(self) -> None:
        """What was drawn for other filters is no longer shown."""
