"""Taking a patient out of an organization: first what goes along, then the question, the safe answer first."""

from __future__ import annotations

from typing import Any

from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .panel import Panel
from .words import called, plural


class RemovePatient(Dialog):
    """The trash icon."""

    def __init__(self, panel: Panel, row: dict[str, Any]) -> None:
        super().__init__(panel)
        self.row = row
        self.title = f"Remove {called(row)}?"
        self.preview: dict[str, Any] | None = None
        self.actions |= {"delete": self.delete}

    async def load(self) -> None:
        ask = self.panel.exchange.get_removal_preview
        self.preview = await self.panel.call(ask, self.row["id"], self.panel.place.organization_id)
        self.draw()

    def body(self) -> list[Block]:
        if self.preview is None:
            return [blocks.text("Looking at what would go along …", "soft")]
        here = self.panel.place.organization_name
        if self.preview["wholeRecord"]:
            ask = f"Are you sure you want to delete this entire record? {here} is the patient's only organization."
        else:
            ask = f"The patient leaves {here} and stays in other organizations."
        return [blocks.text(ask), *self._taken(self.preview)]

    def _taken(self, preview: dict[str, Any]) -> list[Block]:
        lines = [f"{one['name']}: {plural(one['answers'], 'answer')}" for one in preview["studies"]]
        studies = blocks.section("Leaves these studies", blocks.items(*lines)) if lines else None
        gone = [
            plural(preview["observations"], "observation") + " you can see",
            plural(preview["openInvitations"], "open invitation"),
        ]
        whole = blocks.section("Deleted for good", blocks.items(*gone)) if preview["wholeRecord"] else None
        kept = blocks.text("The record of who answered what, and of who did this, is kept.", "soft")
        return [one for one in (studies, whole, kept) if one is not None]

    def buttons(self) -> list[Block]:
        delete = blocks.button("delete", "Delete", "danger", disabled=self.preview is None)
        return [*super().buttons(), delete]

    async def delete(self, said: Said) -> None:
        told = f"{called(self.row)} was removed from {self.panel.place.organization_name}."
        await self.panel.write(told, "remove_patient", self.row["id"], self.panel.place.organization_id)
        self.panel.screen.forget(self.row["id"])
        self.close()
        await self.panel.screen.refresh()
