"""The Follow-up screen: who has not come further, and the next thing to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..lists import FOLLOWUP
from . import blocks
from .blocks import Block
from .dialog import Said
from .inviting import InviteMany
from .listing import Column, Listing
from .panel import Panel
from .patient_record import PatientRecord
from .screen import ListScreen
from .words import called, day

Json = dict[str, Any]
NEXT = {
    "not invited": "invite",
    "invited": "wait: invited less than 48 hours ago",
    "not connected": "contact: not connected 48 hours after the invitation",
    "consent pending": "ask for the answers that are open",
    "declined": "nothing: has declined",
    "no data yet": "help to upload",
    "stopped uploading": "contact: nothing uploaded for a week",
    "active": "nothing: data comes in",
}
COLUMNS = (
    Column("Patient", called),
    Column("Study", lambda row: row["studyName"], None, "jhe-words"),
    Column("State", lambda row: row["state"], None, "jhe-nowrap"),
    Column("Next", lambda row: NEXT.get(row["state"], ""), None, "jhe-words"),
    Column("Invited", lambda row: day(row["invited"]), None, "jhe-nowrap"),
    Column("Connected", lambda row: day(row["connected"]), None, "jhe-nowrap"),
    Column("Consented", lambda row: day(row["consented"]), None, "jhe-nowrap"),
    Column("Pending", lambda row: row["pendingConsents"], None, "jhe-number"),
    Column("Last measured", lambda row: day(row["lastMeasured"]), None, "jhe-nowrap"),
    Column("Last uploaded", lambda row: day(row["lastUploaded"]), None, "jhe-nowrap"),
)


class FollowUpScreen(ListScreen):
    """Who needs a call, a link or an answer."""

    title = "Follow-up"
    concepts = frozenset({"patient", "enrolment", "consent", "invitation", "observations"})
    schema = FOLLOWUP

    def __init__(self, panel: Panel) -> None:
        listing = Listing("followup", "Follow-up", COLUMNS, called=called, select=True)
        super().__init__(panel, listing)
        self.state = ""
        self.rows: list[Json] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self.actions |= {"state": self.choose_state, "invite": self.invite, "followup.view": self.view}

    def bar(self) -> list[Block]:
        counts = Counter(row["state"] for row in self.rows)
        options = [("", f"Everybody ({len(self.rows)})"), *((one, f"{one} ({counts[one]})") for one in NEXT)]
        state = blocks.select("state", "State", options, self.state, live=True)
        may = self.place.may("invitations.link")
        invite = blocks.button("invite", "Invite…", "primary", disabled=not self.listing.selected) if may else None
        return [blocks.row(self.place.organization_field(), self.place.study_field(), state, invite)]

    def row_actions(self) -> Sequence[tuple[str, str]]:
        return [("view", "View")]

    @property
    def empty(self) -> str:  # type: ignore[override]
        return "Nobody is in this state." if self.state else "Nobody takes part in a study here yet."

    async def fetch(self) -> Json:
        """All of them: who is in a state is not known before each has been looked at."""
        studies = [self.place.study_id] if self.place.study_id else [one["id"] for one in self.place.studies]
        found: list[Json] = []
        for study in studies:
            found += await self.panel.all(self.panel.exchange.list_followup, study)
        names = {one["id"]: one["name"] for one in self.place.studies}
        self.rows = [{**row, "id": self._number(row), "studyName": names[row["studyId"]]} for row in found]
        return self._page()

    def _number(self, row: Json) -> int:
        """An enrolment has no id: it gets a number and keeps it, or ticks would wander when somebody joins."""
        return self._numbers.setdefault((row["studyId"], row["patientId"]), len(self._numbers))

    def _page(self) -> Json:
        rows = [row for row in self.rows if self.state in ("", row["state"])]
        begin = (self.listing.page - 1) * self.listing.per_page
        return {"count": len(rows), "results": rows[begin : begin + self.listing.per_page]}

    async def choose_state(self, said: Said) -> None:
        self.state, self.listing.page = said.value, 1
        self.listing.selected.clear()
        await self.refresh()

    async def invite(self, said: Said) -> None:
        patients = {row["patientId"]: {**row, "id": row["patientId"]} for row in self.listing.selected.values()}
        await self.panel.ask(InviteMany(self.panel, list(patients.values())))

    async def view(self, said: Said) -> None:
        row = self.listing.row(said.id)
        if row is None:
            raise LookupError("the row is no longer on this page")
        self.panel.patient = await self.panel.call(self.panel.exchange.get_patient, row["patientId"])
        await self.panel.ask(PatientRecord(self.panel, self.panel.patient))
