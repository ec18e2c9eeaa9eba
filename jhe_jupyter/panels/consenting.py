"""Recording on a patient's behalf what they answered, and the history of their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .words import called, moment

if TYPE_CHECKING:
    from .patient_record import PatientRecord

Json = dict[str, Any]
CHOICES = (("", "Leave as it is"), ("yes", "✓ Consents"), ("no", "✗ Declines"))
ANSWERED = {"yes": True, "no": False}
NOW = {True: "consents", False: "declines", None: "pending"}


class RecordConsents(Dialog):
    """What a patient has said, on paper or by voice, for one study."""

    def __init__(self, record: PatientRecord, study: Json, codes: list[Json]) -> None:
        super().__init__(record.panel)
        self.record, self.study, self.codes = record, study, codes
        self.title = f"Record answers of {called(record.row)}"
        self.actions |= {"save": self.save}

    def body(self) -> list[Block]:
        choices = [self._choice(one) for one in self.codes]
        why = self.field(
            "reason", "Reason", required=True, hint="How the patient told you, as in: signed form of 3 May."
        )
        kept = "It is kept in the record who recorded this, when and why."
        return [blocks.text(f"{self.study['name']}."), *choices, why, blocks.text(kept, "soft")]

    def _choice(self, one: Json) -> Block:
        code = one["code"]["codingCode"]
        return blocks.select(code, one["code"]["text"], CHOICES, hint=f"Now: {NOW[one['consented']]}.")

    def buttons(self) -> list[Block]:
        return [*super().buttons(), blocks.button("save", "Record", "create", submit=True)]

    async def save(self, said: Said) -> None:
        codes = [one["code"]["codingCode"] for one in self.codes]
        answers = {code: ANSWERED[said.word(code)] for code in codes if said.word(code)}
        if not answers:
            self.refuse("Choose an answer for at least one data type.")
            return
        if self.missing(said, reason="A reason"):
            return
        told = f"The answers of {called(self.record.row)} to {self.study['name']} were recorded."
        await self.panel.write(
            told, "set_consents", self.record.row["id"], self.study["id"], answers, reason=said.word("reason")
        )
        await self.panel.ask(self.record)
        await self.panel.screen.refresh()

    async def cancel(self, said: Said) -> None:
        await self.panel.ask(self.record)


class WithdrawConsents(Dialog):
    """A no to everything a study asks for, what is still pending too."""

    def __init__(self, record: PatientRecord, study: Json, codes: list[Json]) -> None:
        super().__init__(record.panel)
        self.record, self.study, self.codes = record, study, codes
        self.title = f"Withdraw {called(record.row)} from {study['name']}?"
        self.actions |= {"withdraw": self.withdraw}

    def body(self) -> list[Block]:
        given = [f"{one['code']['text']}: {NOW[one['consented']]}, will decline" for one in self.codes]
        hint = "How the patient told you, as in: by telephone on 3 May."
        return [
            blocks.text("Nothing more of these data types is shared with the study, at once:"),
            blocks.items(*given),
            blocks.text("The patient stays enrolled and may answer anew. Nothing is deleted.", "soft"),
            self.field("reason", "Reason", required=True, hint=hint),
        ]

    def buttons(self) -> list[Block]:
        return [*super().buttons(), blocks.button("withdraw", "Withdraw all", "danger")]

    async def withdraw(self, said: Said) -> None:
        if self.missing(said, reason="A reason"):
            return
        told = f"{called(self.record.row)} withdrew from everything {self.study['name']} asks for."
        named = {"reason": said.word("reason")}
        await self.panel.write(told, "withdraw_consents", self.record.row["id"], self.study["id"], **named)
        await self.panel.ask(self.record)
        await self.panel.screen.refresh()

    async def cancel(self, said: Said) -> None:
        await self.panel.ask(self.record)


class ConsentHistory(Dialog):
    """Every answer of a patient, the newest first."""

    wide = True

    def __init__(self, record: PatientRecord) -> None:
        super().__init__(record.panel)
        self.record = record
        self.title = f"History of answers: {called(record.row)}"
        self.rows: list[tuple[str, ...]] | None = None

    async def load(self) -> None:
        found = await self.panel.all(self.panel.exchange.list_consent_history, self.record.row["id"])
        self.rows = [
            (
                moment(one["time"]),
                one["studyName"] or str(one["studyId"]),
                one["code"],
                one["decision"],
                one["actor"] or "–",
                one["reason"] or "",
            )
            for one in found
        ]
        self.draw()

    def body(self) -> list[Block]:
        if self.rows is None:
            return [blocks.text("Loading …", "soft")]
        titles = ("When", "Study", "Data type", "Answer", "Recorded by", "Reason")
        return [blocks.grid("History of answers", titles, self.rows)]

    def buttons(self) -> list[Block]:
        return [blocks.button("cancel", "Back", "safe")]

    async def cancel(self, said: Said) -> None:
        await self.panel.ask(self.record)
