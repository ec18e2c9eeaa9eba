"""The Studies screen: what an organization studies, who takes part, what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..lists import STUDIES, studies_frame
from . import blocks
from .blocks import Block
from .confirm import Confirm
from .dialog import Said
from .listing import Column, Listing
from .panel import Panel
from .screen import ListScreen
from .study_forms import StudyForm
from .study_record import StudyRecord
from .words import listed, plural

Json = dict[str, Any]
COLUMNS = (
    Column("ID", lambda row: row["id"], "id", "jhe-number"),
    Column("Name", lambda row: row["name"], "name"),
    Column("Description", lambda row: row["description"], None, "jhe-words"),
    Column("Data types", lambda row: listed([code["text"] for code in row["scopeRequests"]], 4)),
    Column("Data sources", lambda row: listed([source["name"] for source in row["dataSources"]], 4)),
    Column("Patients", lambda row: row["patientCount"], None, "jhe-number"),
    Column("After withdrawal", lambda row: "kept" if row["dataAfterWithdrawal"] == "keep" else "hidden"),
)


class StudiesScreen(ListScreen):
    """The guide's Studies tab."""

    title = "Studies"
    path = "studies"
    concepts = frozenset({"study", "enrolment", "consent"})
    schema = STUDIES
    empty = "This organization has no study yet."

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel, Listing("studies", "Studies", COLUMNS, select=True))
        self.actions |= {
            "create": self.create,
            "studies.view": self.view,
            "studies.edit": self.edit,
            "studies.remove": self.remove,
        }

    def params(self) -> Json:
        return {"organization_id": self.place.organization_id}

    def bar(self) -> list[Block]:
        add = blocks.button("create", "Create Study…", "create") if self.place.may("studies.create") else None
        return [blocks.row(self.place.organization_field(), add)]

    def row_actions(self) -> Sequence[tuple[str, str]]:
        verbs = {"view": "studies.get", "edit": "studies.update", "remove": "departures.remove_study"}
        labels = {"view": "View", "edit": "Edit", "remove": "Delete"}
        return [(name, labels[name]) for name, verb in verbs.items() if self.place.may(verb)]

    @property
    def selected_df(self) -> Any:
        return studies_frame(self.listing.selected.values())

    async def create(self, said: Said) -> None:
        await self.panel.ask(StudyForm(self.panel))

    async def view(self, said: Said) -> None:
        await self.panel.ask(StudyRecord(self.panel, self._row(said)))

    async def edit(self, said: Said) -> None:
        await self.panel.ask(StudyForm(self.panel, self._row(said)))

    async def remove(self, said: Said) -> None:
        row = self._row(said)

        async def lines() -> list[str]:
            return await self._goes(row)

        async def delete() -> None:
            await self.panel.write(f"{row['name']} was deleted.", "delete_study", row["id"])
            await self.place.follow(frozenset({"study"}))

        await self.panel.ask(Confirm(self.panel, f"Delete {row['name']}?", lines, delete, label="Delete"))

    async def _goes(self, row: Json) -> list[str]:
        """What a study takes along."""
        frame = await self.panel.call(self.panel.exchange.consents_df, study=row["id"])
        study = await self.panel.call(self.panel.exchange.get_study, row["id"])
        answers = int((frame["state"] != "pending").sum())
        return [
            f"{plural(study['patientCount'], 'enrolment')} and {plural(answers, 'answer')} end with it.",
            "Their observations stay, but this study no longer opens them to anybody.",
            "The record of who answered what is kept.",
        ]

    def _row(self, said: Said) -> Json:
        row = self.listing.row(said.id)
        if row is None:
            raise LookupError("the row is no longer on this page")
        return row
