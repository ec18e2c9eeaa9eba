"""The forms of a patient: "Add Patient…" with its lookup first, and the pencil's "Update"."""

from __future__ import annotations

from typing import Any

from ..errors import NotFound
from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .panel import Panel
from .words import called

Json = dict[str, Any]
EXISTS = "This Patient already exists. Click the Update button below to add this Patient to the Organization."
REQUIRED = {"nameFamily": "A family name", "nameGiven": "A given name", "birthDate": "A date of birth"}


class PatientForm(Dialog):
    """What a patient's two forms have in common: the person's own fields."""

    def person(self, row: Json) -> list[Block]:
        return [
            self.field("nameFamily", "Family Name", row.get("nameFamily"), required=True),
            self.field("nameGiven", "Given Name", row.get("nameGiven"), required=True),
            self.field("birthDate", "DOB", row.get("birthDate"), required=True, placeholder="YYYY-MM-DD"),
            self.field("telecomPhone", "Cell", row.get("telecomPhone"), "tel"),
        ]


class AddPatient(PatientForm):
    """Look the e-mail up first: who is known is added to the organization, who is not gets a record."""

    title = "Create Patient"

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self.place = panel.place
        self.known: Json | None = None
        self.looked_up: str | None = None
        self.is_here = False
        self.actions |= {"lookup": self.lookup, "create": self.create, "update": self.update}

    def body(self) -> list[Block]:
        email = self.field(
            "telecomEmail", "Patient E-mail", type="email", required=True, placeholder="name@example.com"
        )
        if self.known is not None:
            return [email, *self._found(self.known)]
        if self.looked_up is None:
            return [blocks.text(f"For {self.place.organization_name}. Look the e-mail up first.", "soft"), email]
        nobody = blocks.text("Nobody has this e-mail yet. Fill in the form to create the patient.", "info", "status")
        return [email, nobody, *self._identifier(), *self.person({})]

    def _identifier(self) -> list[Block]:
        hint = "A medical record number or the like."
        system = "Whose number it is, as a web address or urn:. Empty: the organization's own."
        return [
            self.field("identifier", "External Identifier", hint=hint),
            self.field("system", "Identifier System", hint=system),
        ]

    def _found(self, patient: Json) -> list[Block]:
        words = EXISTS if self._addable() else f"This Patient already exists in {self.place.organization_name}."
        return [
            blocks.text(words, "info", "alert"),
            blocks.pairs(
                ("ID", str(patient["id"])),
                ("Name", called(patient)),
                ("DOB", patient["birthDate"]),
                ("E-mail", patient["telecomEmail"]),
            ),
        ]

    def _addable(self) -> bool:
        """Somebody who is here already has nothing to be updated."""
        return not self.is_here and self.place.may("patients.add_to_organization")

    def buttons(self) -> list[Block]:
        first = self.looked_up is None
        shown = [*super().buttons(), blocks.button("lookup", "Lookup", "primary" if first else "plain", submit=first)]
        if self.known is not None and self._addable():
            shown.append(blocks.button("update", "Update", "create", submit=True))
        elif self.known is None and not first:
            shown.append(blocks.button("create", "Create", "create", submit=True))
        return shown

    async def lookup(self, said: Said) -> None:
        if self.missing(said, telecomEmail="An e-mail address"):
            return
        self.problem, self.errors, email = None, {}, said.word("telecomEmail")
        try:
            self.known = await self.panel.call(self.panel.exchange.lookup_patient, email=email)
            self.is_here = await self._is_here(email)
        except NotFound:
            self.known = None
        self.looked_up = email
        self.title = "Create Patient" if self.known is None else "Add Patient to Organization"
        self.focus = "nameFamily" if self.known is None else None
        self.draw()

    async def _is_here(self, email: str) -> bool:
        """Whether who was found is a patient of this organization."""
        here = {"organization_id": self.place.organization_id, "search": email}
        page = await self.panel.call(self.panel.exchange.get_page, "patients", here)
        return any(one["id"] == (self.known or {}).get("id") for one in page["results"])

    async def create(self, said: Said) -> None:
        if self.missing(said, telecomEmail="An e-mail address", **REQUIRED):
            return
        word = said.word
        arguments = (word("telecomEmail"), word("nameFamily"), word("nameGiven"), word("birthDate"))
        more = {"phone": word("telecomPhone") or None, "identifiers": _identifiers(said)}
        given = {name: value for name, value in more.items() if value is not None}
        told = f"{word('nameFamily')}, {word('nameGiven')} was added to {self.place.organization_name}."
        made = await self.panel.write(told, "create_patient", *arguments, self.place.organization_id, **given)
        self.panel.patient = made
        self.close()
        await self.panel.screen.refresh()

    async def update(self, said: Said) -> None:
        known = self.known or {}
        told = f"{called(known)} was added to {self.place.organization_name}."
        await self.panel.write(told, "add_patient_to_organization", known["id"], self.place.organization_id)
        self.close()
        await self.panel.screen.refresh()


def _identifiers(said: Said) -> Any:
    """What `create_patient` takes: a value of the organization's own system, or one with its system."""
    value, system = said.word("identifier"), said.word("system")
    return {system: value} if value and system else value or None


class EditPatient(PatientForm):
    """Change a record; only what was changed is sent, and not over what somebody else has changed meanwhile."""

    title = "Update Patient"
    NAMES = {"nameFamily": "family_name", "nameGiven": "given_name", "birthDate": "birth_date", "telecomPhone": "phone"}

    def __init__(self, panel: Panel, row: Json) -> None:
        super().__init__(panel)
        self.row = row
        self.actions |= {"update": self.update}

    async def load(self) -> None:
        self.row = await self.panel.call(self.panel.exchange.get_patient, self.row["id"])
        self.draw(fresh=True)

    def body(self) -> list[Block]:
        email = self.field(
            "telecomEmail",
            "E-mail",
            self.row["telecomEmail"],
            "email",
            readonly=True,
            hint="Read-only here: a new address ends the patient's sign-ins. Use ex.update_patient.",
        )
        return [*self.person(self.row), email, *self._identifiers()]

    def _identifiers(self) -> list[Block]:
        known = [*self.row["identifiers"], {"system": "", "value": ""}]
        found: list[Block] = []
        for number, one in enumerate(known, 1):
            found.append(self.field(f"value{number}", f"External Identifier {number}", one["value"]))
            found.append(self.field(f"system{number}", f"Identifier System {number}", one["system"]))
        return [blocks.row(*found[at : at + 2]) for at in range(0, len(found), 2)]

    def buttons(self) -> list[Block]:
        return [*super().buttons(), blocks.button("update", "Update", "create", submit=True)]

    async def update(self, said: Said) -> None:
        if self.missing(said, **REQUIRED):
            return
        changed = {name: said.word(name) for name in self.NAMES if said.word(name) != (self.row[name] or "")}
        identifiers = self._given_identifiers(said)
        if await self._overtaken(set(changed)):
            return
        given: Json = {self.NAMES[name]: value or None for name, value in changed.items()}
        if identifiers != [(one["system"], one["value"]) for one in self.row["identifiers"]]:
            given["identifiers"] = [{"system": system, "value": value} for system, value in identifiers]
        if given:
            await self.panel.write(f"{called(self.row)} was updated.", "update_patient", self.row["id"], **given)
        self.close()
        await self.panel.screen.refresh()

    def _given_identifiers(self, said: Said) -> list[tuple[str, str]]:
        numbers = range(1, len(self.row["identifiers"]) + 2)
        pairs = [(said.word(f"system{number}"), said.word(f"value{number}")) for number in numbers]
        return [(system, value) for system, value in pairs if value]

    async def _overtaken(self, names: set[str]) -> bool:
        """Whether somebody else changed the same fields meanwhile; then both are said, and nothing is written."""
        now = await self.panel.call(self.panel.exchange.get_patient, self.row["id"])
        other = {name for name in names if now[name] != self.row[name]}
        if other:
            said = {name: f"Somebody else has just changed this to “{now[name] or ''}”." for name in sorted(other)}
            self.row = {**self.row, **{name: now[name] for name in other}}
            self.refuse("The record was changed meanwhile. Update again to write what stands here.", said)
        return bool(other)
