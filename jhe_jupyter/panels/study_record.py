"""A study opened: how far enrolment and consent have come, and what it asks for, by which devices and apps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from . import blocks
from .blocks import Block
from .confirm import Confirm
from .dialog import Dialog, Said
from .panel import Panel
from .words import plural

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]
SHARES = (("granted", "consented", "granted"), ("declined", "declined", "declined"), ("pending", "pending", "pending"))


class Part(NamedTuple):
    """One list of a study that can be added to and taken from, and the methods that do it."""

    title: str
    add: str
    remove: str
    may_add: str
    may_remove: str
    goes: str


PARTS = {
    "code": Part(
        "Data types (scope requests)",
        "post_scope_request",
        "delete_scope_request",
        "studies.request_code",
        "studies.drop_code",
        "Patients are no longer asked for it, their answers to it are withdrawn, and this study no longer "
        "opens observations of it.",
    ),
    "source": Part(
        "Data sources",
        "post_study_data_source",
        "delete_study_data_source",
        "studies.add_data_source",
        "studies.remove_data_source",
        "The study no longer names this device; observations stay readable.",
    ),
    "client": Part(
        "Clients",
        "post_study_client",
        "delete_study_client",
        "studies.add_client",
        "studies.remove_client",
        "Patients of the study are no longer pointed to this app; those connected stay connected.",
    ),
}


class StudyRecord(Dialog):
    """Everything about one study."""

    wide = True

    def __init__(self, panel: Panel, study: Json) -> None:
        super().__init__(panel)
        self.study = study
        self.title = study["name"]
        self.consents: pd.DataFrame | None = None
        self.known: dict[str, list[Json]] = {}
        self.chosen: dict[str, list[Json]] = {}
        for kind in PARTS:
            self.actions[f"add-{kind}"] = self._adding(kind)
            self.actions[f"remove-{kind}"] = self._removing(kind)

    async def load(self) -> None:
        exchange, id, every = self.panel.exchange, self.study["id"], self.panel.all
        self.study, self.consents, codes, sources, clients, ours = await asyncio.gather(
            self.panel.call(exchange.get_study, id),
            self.panel.call(exchange.consents_df, study=id),
            every(exchange.list_codes),
            every(exchange.list_data_sources),
            every(exchange.list_clients),
            every(exchange.list_study_clients, id),
        )
        self.known = {"code": codes, "source": sources, "client": clients}
        chosen = [one["client"] for one in ours]
        self.chosen = {"code": self.study["scopeRequests"], "source": self.study["dataSources"], "client": chosen}
        self.draw()

    # -- what it shows -----------------------------------------------------------------------------------------------

    def body(self) -> list[Block]:
        study = self.study
        about = blocks.pairs(
            ("ID", str(study["id"])),
            ("Organization", study["organization"]["name"]),
            ("Contact", study["contact"] or "–"),
            ("Data after a withdrawal", "kept" if study["dataAfterWithdrawal"] == "keep" else "hidden"),
        )
        shown = [blocks.text(study["description"]), about]
        if self.consents is not None:
            shown.append(blocks.section("Progress", self._progress(self.consents)))
            shown += [self._part(kind, part) for kind, part in PARTS.items()]
        return shown

    def _progress(self, consents: pd.DataFrame) -> Block:
        enrolled = int(self.study["patientCount"])
        pending = consents.loc[consents["state"] == "pending", "patient_id"]
        done = consents["patient_id"].nunique() - pending.nunique()
        drawn = [blocks.bar("Enrolled", [(done, "answered", "enrolled"), (enrolled - done, "pending", "pending")])]
        for code in self.study["scopeRequests"]:
            states = consents.loc[consents["code"] == code["codingCode"], "state"].value_counts()
            parts = [(int(states.get(state, 0)), said, tone) for state, said, tone in SHARES]
            drawn.append(blocks.bar(code["text"], parts))
        return blocks.bars(drawn)

    def _part(self, kind: str, part: Part) -> Block:
        here = self.study["organization"]["id"]
        may_remove = self.panel.place.may(part.may_remove, here)
        rows = [self._chosen(kind, one, may_remove) for one in self.chosen[kind]]
        add = self._addition(kind) if self.panel.place.may(part.may_add, here) else None
        return blocks.section(part.title, *(rows or [blocks.text("None yet.", "soft")]), add)

    def _chosen(self, kind: str, one: Json, may_remove: bool) -> Block:
        name = named(one)
        take = blocks.button(f"remove-{kind}", "Remove", id=one["id"], hint=f"Remove {name}") if may_remove else None
        return blocks.row(blocks.text(name), take)

    def _addition(self, kind: str) -> Block | None:
        chosen = {one["id"] for one in self.chosen[kind]}
        left = [(one["id"], named(one)) for one in self.known[kind] if one["id"] not in chosen]
        if not left:
            return None
        choice = blocks.select(f"new-{kind}", f"Add to {PARTS[kind].title.lower()}", left, left[0][0])
        return blocks.row(choice, blocks.button(f"add-{kind}", "Add"))

    def buttons(self) -> list[Block]:
        return [blocks.button("cancel", "Close", "safe")]

    # -- what it does ------------------------------------------------------------------------------------------------

    def _adding(self, kind: str) -> Any:
        async def add(said: Said) -> None:
            id = int(said.word(f"new-{kind}"))
            name = named(next(one for one in self.known[kind] if one["id"] == id))
            await self.panel.write(f"{name} was added to {self.study['name']}.", PARTS[kind].add, self.study["id"], id)
            await self.load()
            await self.panel.screen.refresh()

        return add

    def _removing(self, kind: str) -> Any:
        async def remove(said: Said) -> None:
            one = next(one for one in self.chosen[kind] if one["id"] == said.id)
            told, part = f"{named(one)} was removed from {self.study['name']}.", PARTS[kind]

            async def lines() -> list[str]:
                return [part.goes, *self._answers(kind, one)]

            async def do() -> None:
                await self.panel.write(told, part.remove, self.study["id"], one["id"])

            await self.panel.ask(Confirm(self.panel, f"Remove {named(one)}?", lines, do, back=self))

        return remove

    def _answers(self, kind: str, one: Json) -> list[str]:
        """How many answers go with a code."""
        if kind != "code" or self.consents is None:
            return []
        about = self.consents["code"] == one["codingCode"]
        given = int((about & (self.consents["state"] != "pending")).sum())
        return [f"{plural(given, 'answer')} to it."]


def named(one: Json) -> str:
    """A code by its text, a data source or client by its name."""
    return str(one.get("text") or one["name"])
