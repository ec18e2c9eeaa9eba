"""The Observations screen: what was measured, as far as patients agreed, with payloads and the fitting plot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .drawing import drawn
from .filters import FilteredScreen
from .listing import Column, Listing, Row
from .panel import Panel
from .words import moment, python

Json = dict[str, Any]


def measured(row: Row) -> str:
    """When it was measured; of a period, its beginning and end."""
    if row.get("effectiveDateTime"):
        return moment(row["effectiveDateTime"])
    period = row.get("effectivePeriod") or {}
    return f"{moment(period.get('start'))} – {moment(period.get('end'))}" if period else "–"


def values(row: Row) -> str:
    """The values with their units, wherever the data point has them.

    >>> values({"omhData": {"body": {"blood_glucose": {"value": 98, "unit": "mg/dL"}}}})
    '98 mg/dL'
    """
    point = row.get("omhData") or {}
    return ", ".join(_found(point.get("body", point)))


def _found(tree: Any) -> list[str]:
    if not isinstance(tree, dict):
        return []
    if "value" in tree and "unit" in tree:
        return [f"{tree['value']} {tree['unit']}"]
    kept = [one for name, one in tree.items() if name != "effective_time_frame"]
    return [said for one in kept for said in _found(one)]


COLUMNS = (
    Column("ID", lambda row: row["id"], "id", "jhe-number"),
    Column("Patient", lambda row: row["patientNameDisplay"]),
    Column("Data type", lambda row: row["codingText"]),
    Column("Value", values, None, "jhe-nowrap"),
    Column("Data source", lambda row: row["dataSourceName"]),
    Column("Measured", measured, "effective", "jhe-nowrap"),
    Column("Status", lambda row: row["status"]),
    Column("Created", lambda row: moment(row["created"]), "created", "jhe-nowrap"),
)


class ObservationsScreen(FilteredScreen):
    """The guide's Observations tab."""

    title = "Observations"
    path = "observations"
    concepts = frozenset({"observations", "consent", "enrolment", "study"})
    empty = "Nothing here that patients have agreed to share."

    def __init__(self, panel: Panel) -> None:
        listing = Listing("observations", "Observations", COLUMNS, called=lambda row: str(row["id"]))
        super().__init__(panel, listing, "code", "source")
        self.codes: list[Json] = []
        self.sources: list[Json] = []
        self.df: Any = None
        self.actions |= {"observations.view": self.view, "plot": self.show_plot, "frame": self.frame}

    # -- what is on show ---------------------------------------------------------------------------------------------

    def bar(self) -> list[Block]:
        asked = self.asked
        codes = [("", "All data types"), *((one["codingCode"], one["text"]) for one in self.codes)]
        sources = [("", "All data sources"), *((one["id"], one["name"]) for one in self.sources)]
        return [
            blocks.row(self.place.organization_field(), self.place.study_field(), self.patient_field()),
            blocks.row(
                blocks.select("code", "Data type", codes, asked["code"], live=True),
                blocks.select("source", "Data source", sources, asked["source"], live=True),
                *self.span_fields(),
                blocks.button(
                    "plot",
                    "Plot",
                    "primary",
                    disabled=not asked["code"],
                    hint=None if asked["code"] else "Choose a data type",
                ),
                blocks.button("frame", "To DataFrame"),
            ),
        ]

    def row_actions(self) -> Sequence[tuple[str, str]]:
        return [("view", "View")]

    def main(self) -> list[Block]:
        return [self.listing.block(self.row_actions(), opens="view")]

    def _figure(self, *plot: Block) -> None:
        """The plot has a part of its own: turning a page does not send it again."""
        if self.on_show:
            self.panel.put("figure", blocks=list(plot))

    def params(self) -> Json:
        asked = self.asked
        return {
            **super().params(),
            "patient_id": self.patient_id,
            "code": asked["code"] or None,
            "data_source_id": asked["source"] or None,
            **self.span(),
        }

    async def fetch(self) -> Json:
        if not self.codes:
            exchange = self.panel.exchange
            self.codes, self.sources = await asyncio.gather(
                self.panel.all(exchange.list_codes), self.panel.all(exchange.list_data_sources)
            )
        return await super().fetch()

    # -- what is done ------------------------------------------------------------------------------------------------

    def narrowed(self) -> None:
        self._figure()

    async def moved(self) -> None:
        self._figure()
        await super().moved()

    async def view(self, said: Said) -> None:
        row = self.listing.row(said.id)
        if row is not None:
            await self.panel.ask(ObservationRecord(self.panel, row))

    def query(self) -> Json:
        """What is on show, as arguments of `observations_df`."""
        asked, place = self.asked, self.place
        given = {
            "code": asked["code"],
            "study": place.study_id,
            "patient": self.patient_id,
            "organization": None if place.study_id else place.organization_id,
            "since": asked["since"],
            "until": asked["until"],
        }
        return {name: value for name, value in given.items() if value}

    def source(self) -> str | None:
        """The data source asked for; `observations_df` cannot be asked for one, so that is left to pandas."""
        return next((one["name"] for one in self.sources if str(one["id"]) == self.asked["source"]), None)

    async def _load(self) -> Any:
        """Everything that fits, page or not."""
        self.panel.busy(True)
        try:
            await self.look_up()
            source = self.source()
            df = await self.panel.call(self.panel.exchange.observations_df, **self.query())
        finally:
            self.panel.busy(False)
        return df if source is None else df[df["data_source"] == source]

    async def show_plot(self, said: Said) -> None:
        asked, code = self._asked_for(), self.asked["code"]
        self.df = await self._load()
        if self.df.empty:
            self.panel.complain("There is nothing to plot: no observation fits.")
            return
        figure = await self.panel.call(drawn, self.df, code)
        if asked == self._asked_for():  # else it is of what is no longer asked for
            self._figure(figure)

    def _asked_for(self) -> tuple[Any, ...]:
        return self.place.organization_id, self.place.study_id, *self.asked.values()

    async def frame(self, said: Said) -> None:
        self.df = await self._load()
        line = f"df = {python('observations_df', **self.query())}"
        if (source := self.source()) is not None:
            line += f"; df = df[df['data_source'] == {source!r}]"
        said_so = f"{len(self.df):,} observations are in panel.screen.df; this line gives them too."
        self.panel.tell(said_so, line)


class ObservationRecord(Dialog):
    """One observation with the Open mHealth data point that was sent."""

    wide = True

    def __init__(self, panel: Panel, row: Row) -> None:
        super().__init__(panel)
        self.row = row
        self.title = f"Observation {row['id']}"

    def body(self) -> list[Block]:
        row = self.row
        about = blocks.pairs(
            ("Patient", f"{row['patientNameDisplay']} ({row['subjectPatientId']})"),
            ("Data type", f"{row['codingText']} ({row['codingCode']})"),
            ("Data source", row["dataSourceName"] or "–"),
            ("Measured", measured(row)),
            ("Status", row["status"]),
            ("Created", moment(row["created"])),
        )
        payload = json.dumps(row["omhData"], indent=2, ensure_ascii=False)
        return [about, blocks.section("Payload", blocks.code(payload), blocks.copy("Copy JSON", payload))]

    def buttons(self) -> list[Block]:
        return [blocks.button("cancel", "Close", "safe")]
