"""The Access review screen: who read or changed what, when, by patient and by person; for managers."""

from __future__ import annotations

from typing import Any

from ..errors import ExchangeError
from ..lists import AUDIT
from . import blocks
from .blocks import Block
from .dialog import Said
from .inviting import as_csv
from .listing import Column, Listing, Row
from .panel import Panel
from .screen import ListScreen
from .words import moment

Json = dict[str, Any]
OUTCOMES = {"ok": "done", "denied": "refused", "invalid": "not accepted", "error": "failed"}


class ReviewScreen(ListScreen):
    """The audit of the organizations one manages, in words."""

    title = "Access review"
    path = "audit"
    schema = AUDIT
    empty = "Nothing was recorded that fits."

    def __init__(self, panel: Panel) -> None:
        columns = (
            Column("When", lambda row: moment(row["time"]), "time", "jhe-nowrap"),
            Column("Who", self._who, "actorId"),
            Column("Did", lambda row: row["verb"], "verb", "jhe-nowrap"),
            Column("Outcome", lambda row: OUTCOMES.get(row["outcome"], row["outcome"])),
            Column("Patients", patients_of),
            Column("Study", lambda row: row["studyId"]),
            Column("Records", lambda row: row["count"], None, "jhe-number"),
            Column("By way of", lambda row: row["via"]),
        )
        super().__init__(
            panel, Listing("audit", "Access review", columns, key="seq", called=lambda row: str(row["seq"]))
        )
        self.people: dict[int, str] = {}
        self.asked = {"patient": "", "actor": "", "since": "", "until": ""}
        self.patient_id: int | None = None
        self.actions |= {name: self._filter(name) for name in self.asked}

    @property
    def offered(self) -> bool:
        own = [one["id"] for one in self.place.organizations]
        return not self.place.me or any(self.place.may("audit.search", id) for id in own) or self.place.superuser

    def _who(self, row: Row) -> str:
        return self.people.get(row["actorId"], f"user {row['actorId']}" if row["actorId"] else "a stranger")

    def bar(self) -> list[Block]:
        people = [("", "Everybody"), *sorted(self.people.items(), key=lambda one: one[1])]
        asked = self.asked
        return [
            blocks.row(
                blocks.field(
                    "patient", "Patient", asked["patient"], live=True, placeholder="ID, e-mail or name, Enter"
                ),
                blocks.select("actor", "Person", people, asked["actor"], live=True),
                blocks.field("since", "From", asked["since"], "date", live=True),
                blocks.field("until", "Before", asked["until"], "date", live=True),
                blocks.download("Download this page", "access-review.csv", self._csv()),
            )
        ]

    def _csv(self) -> str:
        columns = self.listing.columns
        rows = [[column.cell(row) for column in columns] for row in self.listing.rows]
        return as_csv([column.title for column in columns], rows)

    def params(self) -> Json:
        ends = {name: f"{self.asked[name]}T00:00:00Z" for name in ("since", "until") if self.asked[name]}
        return {"patient_id": self.patient_id, "actor_id": self.asked["actor"] or None, **ends}

    async def fetch(self) -> Json:
        if not self.people:
            found = await self.panel.all(self.panel.exchange.list_users)
            self.people = {one["id"]: one["email"] for one in found} | {self.place.me["id"]: self.place.me["email"]}
        return await super().fetch()

    def _filter(self, name: str) -> Any:
        async def narrow(said: Said) -> None:
            self.asked[name], self.listing.page = str(said.value).strip(), 1
            if name == "patient":
                self.patient_id = await self._patient(self.asked[name])
            self.panel.quiet()
            await self.refresh()

        return narrow

    async def _patient(self, words: str) -> int | None:
        """Who is meant; somebody who was removed is still known by id."""
        if not words:
            return None
        try:
            return await self.panel.call(self.panel.exchange.patient_id, words)
        except ExchangeError:
            self.asked["patient"] = ""
            raise


def patients_of(row: Row) -> str:
    """The patients a row concerned: one, or the runs of ids of a list, cut where they get too many."""
    said = str(row["patientId"] or row.get("patients") or "")
    return said if len(said) <= 60 else said[:60].rsplit(",", 1)[0] + ", …"
