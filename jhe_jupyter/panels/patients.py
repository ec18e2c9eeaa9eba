"""The Patients screen: who is in an organization and study, and all that is done to one of them or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..lists import PATIENTS
from . import blocks
from .blocks import Block
from .dialog import Said
from .enrolment import AddToStudy, RemoveFromStudy
from .inviting import InviteMany
from .listing import Column, Listing
from .panel import Panel
from .patient_forms import AddPatient, EditPatient
from .patient_record import PatientRecord
from .removal import RemovePatient
from .screen import ListScreen
from .words import called

COLUMNS = (
    Column("ID", lambda row: row["id"], "id", "jhe-number"),
    Column("External identifier", lambda row: row["identifier"], None, "jhe-nowrap"),
    Column("Family name", lambda row: row["nameFamily"], "nameFamily"),
    Column("Given name", lambda row: row["nameGiven"], "nameGiven"),
    Column("DOB", lambda row: row["birthDate"], "birthDate", "jhe-nowrap"),
    Column("E-mail", lambda row: row["telecomEmail"], "telecomEmail", "jhe-nowrap"),
    Column("Cell", lambda row: row["telecomPhone"], "telecomPhone", "jhe-nowrap"),
    Column("Studies pending", lambda row: row["studiesPending"], None, "jhe-number"),
    Column("Studies answered", lambda row: row["studiesAnswered"], None, "jhe-number"),
)


class PatientsScreen(ListScreen):
    """The guide's Patients tab."""

    title = "Patients"
    path = "patients"
    concepts = frozenset({"patient", "enrolment", "consent", "study"})
    schema = PATIENTS
    renamed = {"id": "patient_id"}

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel, Listing("patients", "Patients", COLUMNS, called=called, select=True))
        self.search = ""
        self.actions |= {
            "search": self.find,
            "add": self.add,
            "enroll": self.enroll,
            "unenroll": self.unenroll,
            "invite": self.invite,
            "clear": self.clear,
            "patients.view": self.view,
            "patients.edit": self.edit,
            "patients.remove": self.remove,
        }

    @property
    def empty(self) -> str:  # type: ignore[override]
        if self.search:
            return "Nobody's name or e-mail begins like this."
        return "Nobody is in this study yet." if self.place.study_id else "Nobody is in this organization yet."

    def params(self) -> dict[str, Any]:
        return {**super().params(), "search": self.search or None}

    # -- what is on show ---------------------------------------------------------------------------------------------

    def bar(self) -> list[Block]:
        search = blocks.field("search", "Search", self.search, "search", live=True, placeholder="Name or e-mail, Enter")
        return [blocks.row(self.place.organization_field(), self.place.study_field(), search), self._buttons()]

    def _buttons(self) -> Block:
        nobody, anywhere = not self.listing.selected, self.place.study_id is None
        first = "Choose a study and tick patients"
        offered = [
            ("patients.create", blocks.button("add", "Add Patient…", "create")),
            (
                "studies.enroll",
                blocks.button(
                    "enroll",
                    "Add Patient(s) to Study…",
                    "primary",
                    disabled=nobody,
                    hint="Tick patients first" if nobody else None,
                ),
            ),
            (
                "studies.unenroll",
                blocks.button(
                    "unenroll",
                    "Remove Patient(s) from Study",
                    "caution",
                    disabled=nobody or anywhere,
                    hint=first if nobody or anywhere else None,
                ),
            ),
            ("invitations.link", blocks.button("invite", "Invite…", disabled=nobody)),
        ]
        shown = [button for verb, button in offered if self.place.may(verb)]
        clear = blocks.button("clear", "Clear selection") if self.listing.selected else None
        return blocks.row(*shown, clear)

    def row_actions(self) -> Sequence[tuple[str, str]]:
        verbs = {"view": "patients.get", "edit": "patients.update", "remove": "departures.remove_patient"}
        labels = {"view": "View", "edit": "Edit", "remove": "Remove"}
        return [(name, labels[name]) for name, verb in verbs.items() if self.place.may(verb)]

    # -- what is done ------------------------------------------------------------------------------------------------

    async def find(self, said: Said) -> None:
        self.search, self.listing.page = said.value.strip(), 1
        await self.refresh()

    async def add(self, said: Said) -> None:
        await self.panel.ask(AddPatient(self.panel))

    async def enroll(self, said: Said) -> None:
        await self.panel.ask(AddToStudy(self.panel, self.chosen))

    async def unenroll(self, said: Said) -> None:
        await self.panel.ask(RemoveFromStudy(self.panel, self.chosen))

    async def invite(self, said: Said) -> None:
        await self.panel.ask(InviteMany(self.panel, self.chosen))

    async def clear(self, said: Said) -> None:
        self.listing.selected.clear()
        self.draw()

    async def view(self, said: Said) -> None:
        await self.panel.ask(PatientRecord(self.panel, self._row(said)))

    async def edit(self, said: Said) -> None:
        await self.panel.ask(EditPatient(self.panel, self._row(said)))

    async def remove(self, said: Said) -> None:
        await self.panel.ask(RemovePatient(self.panel, self._row(said)))

    @property
    def chosen(self) -> list[dict[str, Any]]:
        return list(self.listing.selected.values())

    def _row(self, said: Said) -> dict[str, Any]:
        row = self.listing.row(said.id)
        if row is None:
            raise LookupError("the row is no longer on this page")
        self.panel.patient = row
        return row
