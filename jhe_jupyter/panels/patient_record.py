"""The eye icon: a patient's record, organizations, clients and invitations, and what they were asked and answered."""

from __future__ import annotations

import asyncio
from typing import Any

from . import blocks
from .blocks import Block
from .consenting import ConsentHistory, RecordConsents, WithdrawConsents
from .dialog import Dialog, Said
from .inviting import chosen, client_field, link_blocks
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
        self.apps: list[Json] = []
        self.invitation: Any = None
        self.actions |= {
            "generate": self.generate,
            "revoke": self.revoke,
            "answer": self.answer,
            "withdraw": self.withdraw,
            "history": self.history,
        }

    async def load(self) -> None:
        exchange, id = self.panel.exchange, self.row["id"]
        self.row, self.consents, self.clients, _ = await asyncio.gather(
            self.panel.call(exchange.get_patient, id),
            self.panel.call(exchange.get_patient_consents, id),
            self.panel.call(exchange.get_patient_clients, id),
            self._load_invitations(),
        )
        self.draw()

    async def _load_invitations(self) -> None:
        """Members and managers see those to every client, and choose one for the next."""
        if self.may_invite:
            exchange = self.panel.exchange
            self.invitations, self.apps = await asyncio.gather(
                self.panel.all(exchange.list_invitations, self.row["id"]), self.panel.all(exchange.list_clients)
            )

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
        withdraw = blocks.button("withdraw", "Withdraw all…", id=study["id"])
        may, here = self.panel.place.may, study["organization"]["id"]
        buttons = [
            record if may("consents.answer", here) else None,
            withdraw if may("consents.withdraw", here) else None,
        ]
        return [blocks.row(title, *buttons), blocks.answers(map(answer_line, codes))]

    def _clients(self) -> Block:
        rows = [
            (self._app(one), one["status"], moment(one["created"]), moment(one["expires"]), one["email"] or "–")
            for one in self.invitations or [one for client in self.clients for one in client["patientInvitations"]]
        ]
        names = blocks.items(*[one["name"] for one in self.clients] or ["None of the studies names a client."])
        titles = ("Client", "Status", "Issued", "Good until", "Mail")
        return blocks.section("Clients", names, blocks.grid("Invitation history", titles, rows) if rows else None)

    def _app(self, invitation: Json) -> str:
        known = {one["id"]: str(one["name"]) for one in (*self.clients, *self.apps)}
        return known.get(invitation["clientId"], "–")

    def _invite(self) -> Block:
        open_ones = [self._open(one) for one in self.invitations if one["status"] == "issued"]
        mail = blocks.checkbox("send_email", "Send link by email")
        generate = blocks.row(blocks.button("generate", "Generate Invitation Link", "create"))
        link = link_blocks(self.invitation, called(self.row)) if self.invitation else []
        field = client_field(self.apps)
        return blocks.section("Generate Invitation Link", *open_ones, field, mail, generate, *link)

    def _open(self, invitation: Json) -> Block:
        app, until = self._app(invitation), moment(invitation["expires"])
        revoke = blocks.button(
            "revoke", "Cancel the open invitation", id=invitation["id"], hint=f"Cancel the invitation to {app}"
        )
        said = f"An invitation to {app} is open until {until}; a new link to it retires it."
        return blocks.row(blocks.text(said, "soft"), revoke)

    def buttons(self) -> list[Block]:
        return [blocks.button("cancel", "Close", "safe")]

    # -- what it does ------------------------------------------------------------------------------------------------

    async def generate(self, said: Said) -> None:
        self.problem = None
        told = f"An invitation for {called(self.row)} was issued."
        self.invitation = await self.panel.write(told, "invite", self.row["id"], **chosen(said))
        self.focus = "link"
        await self.load()

    async def revoke(self, said: Said) -> None:
        await self.panel.write(f"The invitation of {called(self.row)} was cancelled.", "delete_invitation", said.id)
        self.invitation = None
        await self.load()

    async def answer(self, said: Said) -> None:
        await self.panel.ask(RecordConsents(self, *self._asked(said)))

    async def withdraw(self, said: Said) -> None:
        await self.panel.ask(WithdrawConsents(self, *self._asked(said)))

    def _asked(self, said: Said) -> tuple[Json, list[Json]]:
        """The study whose button was pressed, and its codes, pending or answered."""
        consents = self.consents or {}
        studies = [*consents["studiesPendingConsent"], *consents["studies"]]
        codes = [code for one in studies if one["id"] == said.id for code in scope_consents(one)]
        return next(one for one in studies if one["id"] == said.id), codes

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


def _flat(studies: list[list[Block]]) -> list[Block]:
    return [block for study in studies for block in study]
