"""Adding the ticked patients to a study, and taking them out again."""

from __future__ import annotations

from typing import Any

from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .panel import Panel
from .words import called, listed, plural

Json = dict[str, Any]


class AddToStudy(Dialog):
    """ "Add Patient(s) to Study…": which study, of the organization on show."""

    title = "Add Patient(s) to Study"

    def __init__(self, panel: Panel, patients: list[Json]) -> None:
        super().__init__(panel)
        self.patients = patients
        self.actions |= {"enroll": self.enroll}

    def body(self) -> list[Block]:
        place = self.panel.place
        who = f"{plural(self.patients, 'patient')}: {listed(map(called, self.patients))}."
        if not place.studies:
            return [blocks.text(who), blocks.text(f"{place.organization_name} has no study yet.", "info")]
        options = [(one["id"], one["name"]) for one in place.studies]
        first = place.study_id or (options[0][0] if len(options) == 1 else "")
        choice = options if first else [("", "Choose a study …"), *options]
        field = blocks.select("study_id", "Study", choice, first, required=True, error=self.errors.get("study_id"))
        asked = "They will be asked for the study's data types; nothing is shared before they consent."
        return [blocks.text(who), field, blocks.text(asked, "soft")]

    def buttons(self) -> list[Block]:
        add = blocks.button("enroll", "Add", "primary", submit=True, disabled=not self.panel.place.studies)
        return [*super().buttons(), add]

    async def enroll(self, said: Said) -> None:
        if self.missing(said, study_id="A study"):
            return
        study, ids = int(said.word("study_id")), [one["id"] for one in self.patients]
        told = f"{plural(ids, 'patient')} added to {self.panel.place.study_name(study)}."
        await self.panel.write(told, "enroll", study, ids)
        self.panel.screen.forget(*ids)
        self.close()
        await self.panel.screen.refresh()


class RemoveFromStudy(Dialog):
    """ "Remove Patient(s) from Study": their answers to this study go along, their data stays."""

    title = "Remove Patient(s) from Study"

    def __init__(self, panel: Panel, patients: list[Json]) -> None:
        super().__init__(panel)
        self.patients = patients
        self.study_id = panel.place.study_id
        self.answers: int | None = None
        self.actions |= {"unenroll": self.unenroll}

    async def load(self) -> None:
        frame = await self.panel.call(self.panel.exchange.consents_df, study=self.study_id)
        given = frame[frame["state"] != "pending"]
        self.answers = int(given["patient_id"].isin([one["id"] for one in self.patients]).sum())
        self.draw()

    def body(self) -> list[Block]:
        study = self.panel.place.study_name(self.study_id)
        ask = f"Remove {plural(self.patients, 'patient')} from {study}?"
        answers = "…" if self.answers is None else plural(self.answers, "answer")
        goes = (
            f"{answers} to this study are withdrawn with it. Observations stay where they are, but the study no longer"
        )
        return [
            blocks.text(ask),
            blocks.text(f"{listed(map(called, self.patients))}."),
            blocks.text(f"{goes} opens them.", "soft"),
        ]

    def buttons(self) -> list[Block]:
        return [*super().buttons(), blocks.button("unenroll", "Remove", "caution", disabled=self.answers is None)]

    async def unenroll(self, said: Said) -> None:
        ids = [one["id"] for one in self.patients]
        told = f"{plural(ids, 'patient')} removed from {self.panel.place.study_name(self.study_id)}."
        await self.panel.write(told, "unenroll", self.study_id, ids)
        self.panel.screen.forget(*ids)
        self.close()
        await self.panel.screen.refresh()
