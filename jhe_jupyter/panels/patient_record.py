"""The eye icon: a patient's record, organizations, clients and invitations, and what they were asked and answered."""

from __future__ import annotations

import asyncio
from typing import Any

from . import blocks
from .blocks import Block
from .consenting import ConsentHistory, RecordConsents
from .dialog import Dialog, Said
from .inviting import link_blocks
from .panel import Panel
from .words import called, moment

Json = dict[str, Any]


class PatientRecord(Dialog):
    """Everything about one patient that the caller may see."""

    wide = True

    def __init__(self, panel: Panel, row: Json) -> None:
        super().__init__(panel)
        self.row = row
        self.title = called(row)
        self.consents: Json | None = None
        self.clients: list[Json] = []
        self.invitations: list[Json] = []
        self.invitation: Any = None
        self.actions |= {
            "generate": self.generate,
            "revoke": self.revoke,
            "answer": self.answer,
            "history": self.history,
        }

    async def load(self) -> None:
        exchange, id = self.panel.exchange, self.row["id"]
        self.row, self.consents, self.clients, self.invitations = await asyncio.gather(
            self.panel.call(exchange.get_patient, id),
            self.panel.call(exchange.get_patient_consents, id),
            self.panel.call(exchange.get_patient_clients, id),
            self._load_invitations(),
        )
        self.draw()

    async def _load_invitations(self) -> list[Json]:
        """Members and managers see them."""
        if not self.may_invite:
            return []
        return await self.panel.all(self.panel.exchange.list_invitations, self.row["id"])

    @property
    def may_invite(self) -> bool:
        return self.panel.place.may("invitations.link")

    # -- what it shows -----------------------------------------------------------------------------------------------

    def body(self) -> list[Block]:
        shown = [self._person(), self._organizations()]
        if self.consents is not None:
            shown += [self._pending(self.consents), self._answered(self.consents), self._clients()]
        if self.may_invite:
            shown.append(self._invite())
        return shown

    def _person(self) -> Block:
        row = self.row
        identifiers = [("External Identifier", f"{one['value']} ({one['system']})") for one in row["identifiers"]]
        return blocks.pairs(
            ("ID", str(row["id"])),
            ("Family Name", row["nameFamily"]),
            ("Given Name", row["nameGiven"]),
            ("DOB", row["birthDate"]),
            ("E-mail", row["telecomEmail"]),
            ("Cell", row["telecomPhone"] or "–"),
            *identifiers,
        )

    def _organizations(self) -> Block:
        names = [f"{one['name']} ({one['id']})" for one in self.row["organizations"]]
        return blocks.section("Organizations", blocks.items(*names))

    def _pending(self, consents: Json) -> Block:
        studies = [self._study(one, one["pendingScopeConsents"]) for one in consents["studiesPendingConsent"]]
        return blocks.section("Studies Pending Response", *_flat(studies) or [blocks.text("None.", "soft")])

    def _answered(self, consents: Json) -> Block:
        studies = [self._study(one, one["scopeConsents"]) for one in consents["studies"]]
        history = blocks.button("history", "History of answers…") if studies else None
        return blocks.section(
            "Studies Responded To", *_flat(studies) or [blocks.text("None.", "soft")], blocks.row(history)
        )

    def _study(self, study: Json, codes: list[Json]) -> list[Block]:
        record = blocks.button("answer", "Record answers…", id=study["id"])
        title = blocks.text(f"{study['name']} ({study['organization']['name']})")
        may = self.panel.place.may("consents.answer", study["organization"]["id"])
        return [blocks.row(title, record if may else None), blocks.answers(map(answer_line, codes))]

    def _clients(self) -> Block:
        rows = [
            (client["name"], one["status"], moment(one["created"]), moment(one["expires"]), one["email"] or "–")
            for client in self.clients
            for one in client["patientInvitations"]
        ]
        names = blocks.items(*[one["name"] for one in self.clients] or ["None of the studies names a client."])
        titles = ("Client", "Status", "Issued", "Good until", "Mail")
        return blocks.section("Clients", names, blocks.grid("Invitation history", titles, rows) if rows else None)

    def _invite(self) -> Block:
        open_one = next((one for one in self.invitations if one["status"] == "issued"), None)
        said = [blocks.text(_open_until(open_one), "soft")] if open_one else []
        revoke = blocks.button("revoke", "Cancel the open invitation", id=open_one["id"]) if open_one else None
        choice = blocks.checkbox("send_email", "Send link by email")
        generate = blocks.row(blocks.button("generate", "Generate Invitation Link", "create"), revoke)
        link = link_blocks(self.invitation, called(self.row)) if self.invitation else []
        return blocks.section("Generate Invitation Link", *said, choice, generate, *link)

    def buttons(self) -> list[Block]:
        return [blocks.button("cancel", "Close", "safe")]

    # -- what it does ------------------------------------------------------------------------------------------------

    async def generate(self, said: Said) -> None:
        mail = bool(said.values.get("send_email"))
        self.problem = None
        named = {"send_email": True} if mail else {}
        told = f"An invitation for {called(self.row)} was issued."
        self.invitation = await self.panel.write(told, "invite", self.row["id"], **named)
        self.focus = "link"
        await self.load()

    async def revoke(self, said: Said) -> None:
        await self.panel.write(f"The invitation of {called(self.row)} was cancelled.", "delete_invitation", said.id)
        self.invitation = None
        await self.load()

    async def answer(self, said: Said) -> None:
        consents = self.consents or {}
        studies = [*consents["studiesPendingConsent"], *consents["studies"]]
        codes = [code for one in studies if one["id"] == said.id for code in scope_consents(one)]
        study = next(one for one in studies if one["id"] == said.id)
        await self.panel.ask(RecordConsents(self, study, codes))

    async def history(self, said: Said) -> None:
        await self.panel.ask(ConsentHistory(self))


def scope_consents(study: Json) -> list[Json]:
    """The codes of a study in a patient's consents, pending or answered."""
    return [*study.get("scopeConsents", ()), *study.get("pendingScopeConsents", ())]


def answer_line(one: Json) -> Json:
    """One code's answer: its mark, its name, when and why."""
    when = moment(one["consentedTime"]) if one.get("consentedTime") else ""
    why = f"({one['reason']})" if one.get("reason") else ""
    return {"consented": one["consented"], "text": one["code"]["text"], "note": " ".join(filter(None, [when, why]))}


def _open_until(invitation: Json) -> str:
    return f"An invitation is open until {moment(invitation['expires'])}; a new link retires it."


def _flat(studies: list[list[Block]]) -> list[Block]:
    return [block for study in studies for block in study]
