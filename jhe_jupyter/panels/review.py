"""The Access review screen: who read or changed what, when, by patient and by person; for managers."""

from __future__ import annotations

from typing import Any

from ..lists import AUDIT
from . import blocks
from .blocks import Block
from .filters import FilteredScreen
from .inviting import as_csv
from .listing import Column, Listing, Row
from .panel import Panel
from .words import moment

Json = dict[str, Any]
OUTCOMES = {"ok": "done", "denied": "refused", "invalid": "not accepted", "error": "failed"}


class ReviewScreen(FilteredScreen):
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
        listing = Listing("audit", "Access review", columns, key="seq", called=lambda row: str(row["seq"]))
        super().__init__(panel, listing, "actor")
        self.people: dict[int, str] = {}

    @property
    def offered(self) -> bool:
        own = [one["id"] for one in self.place.organizations]
        return not self.place.me or any(self.place.may("audit.search", id) for id in own) or self.place.superuser

    def _who(self, row: Row) -> str:
        return self.people.get(row["actorId"], f"user {row['actorId']}" if row["actorId"] else "a stranger")

    def bar(self) -> list[Block]:
        people = [("", "Everybody"), *sorted(self.people.items(), key=lambda one: one[1])]
        return [
            blocks.row(
                self.patient_field(),
                blocks.select("actor", "Person", people, self.asked["actor"], live=True),
                *self.span_fields(),
                blocks.download("Download this page", "access-review.csv", self._csv()),
            )
        ]

    def _csv(self) -> str:
        columns = self.listing.columns
        rows = [[column.cell(row) for column in columns] for row in self.listing.rows]
        return as_csv([column.title for column in columns], rows)

    def params(self) -> Json:
        return {"patient_id": self.patient_id, "actor_id": self.asked["actor"] or None, **self.span()}

    async def fetch(self) -> Json:
        if not self.people:
            found = await self.panel.all(self.panel.exchange.list_users)
            self.people = {one["id"]: one["email"] for one in found} | {self.place.me["id"]: self.place.me["email"]}
        return await super().fetch()


def patients_of(row: Row) -> str:
    """The patients a row concerned: one, or the runs of ids of a list, cut where they get too many."""
    said = str(row["patientId"] or row.get("patients") or "")
    return said if len(said) <= 60 else said[:60].rsplit(",", 1)[0] + ", …"
