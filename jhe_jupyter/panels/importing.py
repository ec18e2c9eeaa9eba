"""The Import screen: a CSV becomes patients, planned row by row, applied with progress, what failed to take home."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImportInterrupted
from . import blocks
from .blocks import Block
from .dialog import Said
from .inviting import as_csv
from .panel import Panel
from .screen import Screen
from .words import plural

if TYPE_CHECKING:
    import pandas as pd

    from ..cohort import Plan
    from ..exchange import Exchange

MOST = 4 << 20  # bytes of a file: below what one message between browser and kernel may hold
SHOWN = 200  # rows of a plan; the rest is in `plan.rows`
WORDS = {
    "create": "New patients",
    "link": "Known elsewhere, added to this organization",
    "enrol": "Known here, enrolled",
    "unchanged": "Nothing to do",
    "error": "With errors, left out",
}
COLUMNS = "email, last_name, first_name, dob; optional: phone, identifier, study_id"


class ImportScreen(Screen):
    """Choose a file, see the plan, apply it; `given` is a path, DataFrame or dictionaries to begin with."""

    title = "Import"

    def __init__(self, panel: Panel, given: Any = None) -> None:
        super().__init__(panel)
        self.given = given
        self.source: str | None = None
        self.where: tuple[int | None, int | None] = (None, None)
        self.content: Any = None
        self.plan: Plan | None = None
        self.result: pd.DataFrame | None = None
        self.done = self.total = 0
        self.at_work = self.stopped = False
        self.actions |= {"file": self.choose_file, "apply": self.apply, "stop": self.stop, "again": self.again}

    @property
    def offered(self) -> bool:
        return (
            not self.place.me
            or self.place.may("imports.run")
            or any(self.place.may("imports.run", one["id"]) for one in self.place.organizations)
        )

    async def refresh(self) -> None:
        """A source given at the start is planned once the panel knows where it is; a plan on show stays as it is."""
        if self.given is not None:
            given, self.given = self.given, None
            await self._take(given, str(given) if isinstance(given, str | Path) else "the frame")
        else:
            self.draw()

    # -- what is on show ---------------------------------------------------------------------------------------------

    def main(self) -> list[Block]:
        if not self.place.may("imports.run"):
            return [blocks.text(f"You may not import patients into {self.place.organization_name}.", "info")]
        too_large = f"The file is larger than {MOST >> 20} MiB; import it with ex.plan_import(path, …)."
        if self.at_work:
            return [
                blocks.progress(f"{self.done:,} of {self.total:,} rows", self.done, self.total),
                blocks.row(blocks.button("stop", "Cancel", "safe")),
            ]
        choose = blocks.file("file", "CSV file", ".csv,text/csv", MOST, too_large)
        return [choose, blocks.text(f"Columns: {COLUMNS}.", "soft"), *self._state()]

    def _state(self) -> list[Block]:
        if self.result is not None:
            return self._outcome(self.result)
        return self._planned(self.plan) if self.plan is not None else []

    def _planned(self, plan: Plan) -> list[Block]:
        counts = plan.summary()
        lines = [f"{words}: {counts[action]:,}" for action, words in WORDS.items() if counts[action]]
        writes = int(counts.drop("error").sum())
        apply = blocks.button("apply", "Apply", "create", disabled=not writes)
        invite = blocks.checkbox("invite", "Invite them, and send the link by email")
        again = blocks.button("again", "Plan again")
        return [
            blocks.heading(f"Plan for {self.source}"),
            blocks.items(*lines or ["No rows."]),
            *self._problems(plan),
            invite,
            blocks.row(apply, again),
            *self._rows(plan.rows),
        ]

    def _problems(self, plan: Plan) -> list[Block]:
        report = plan.report
        if report.empty:
            return []
        titles = ("Row", "Line", "Field", "What is wrong", "How to mend it")
        shown = as_text(report.head(SHOWN)[["row", "line", "field", "message", "fix"]])
        errors = int((report["severity"] == "error").sum())
        hint = "Mend the file and choose it again; rows that are right can be applied now."
        said = blocks.alert(f"{plural(errors, 'error')}. {hint}")
        if not errors:
            said = blocks.text(f"No errors, {plural(len(report), 'warning')}.", "info", "status")
        return [said, blocks.grid("What to mend", titles, shown)]

    def _rows(self, rows: pd.DataFrame) -> list[Block]:
        more = f" The first {SHOWN} of {len(rows):,} rows." if len(rows) > SHOWN else ""
        titles = [str(name).replace("_", " ") for name in rows.columns]
        said = [blocks.text(more, "soft")] if more else []
        return [blocks.heading("Row by row"), *said, blocks.grid("Row by row", titles, as_text(rows.head(SHOWN)))]

    def _outcome(self, result: pd.DataFrame) -> list[Block]:
        counts = result["status"].value_counts()
        lines = [f"{count:,} {status}" for status, count in counts.items() if count]
        return [
            blocks.heading(f"Imported from {self.source}"),
            blocks.items(*lines or ["Nothing was done."]),
            blocks.row(*self._downloads(result), blocks.button("again", "Load again")),
            blocks.grid(
                "Result", [str(name).replace("_", " ") for name in result.columns], as_text(result.head(SHOWN))
            ),
        ]

    def _downloads(self, result: pd.DataFrame) -> list[Block]:
        """The rows that failed, as they were written, with the reason; and the links, which are not shown again."""
        found = []
        failed = result[result["status"] == "error"]
        if len(failed) and self.plan is not None:
            rows = self.plan.rows.merge(failed[["row", "message"]], on="row")
            columns = [name for name in rows.columns if name not in ("row", "line", "action", "patient_id")]
            text = as_csv([str(name) for name in columns], as_text(rows[columns]))
            found.append(blocks.download("Download what failed", "not-imported.csv", text))
        links = result[result["invitation_link"].notna()]
        if len(links):
            text = as_csv(["patient_id", "invitation_link"], as_text(links[["patient_id", "invitation_link"]]))
            found.append(blocks.download("Download invitation links", "invitations.csv", text))
        return found

    # -- what is done ------------------------------------------------------------------------------------------------

    async def choose_file(self, said: Said) -> None:
        await self._take(said.content, str(said.value))

    async def again(self, said: Said) -> None:
        """Plan the same rows anew: the Exchange may have moved on."""
        await self._take(self.content, self.source or "")

    async def _take(self, content: Any, source: str) -> None:
        """Plan it for where the panel is; of several plans under way only that of the newest wish counts."""
        if self.at_work:
            return
        turn, self.content, self.source = self.next_turn(), content, source
        self.where = where = (self.place.organization_id, self.place.study_id)
        self.plan = self.result = None
        self.panel.quiet()
        self.panel.busy(True)
        try:
            plan = await self.panel.call(self.panel.exchange.plan_import, _named(content, source), *where)
            if turn == self._turn:
                self.plan = plan
        finally:
            if turn == self._turn:
                self.panel.busy(False)
                self.draw()

    async def apply(self, said: Said) -> None:
        plan, invite = self.plan, bool(said.values.get("invite"))
        if plan is None or self.at_work:
            return
        self.at_work, self.stopped, self.done, self.total = True, False, 0, len(plan.rows)
        self.draw()
        try:
            self.result = await self.panel.call(plan.apply, invite=invite, progress=self._came)
        except ImportInterrupted as error:
            self.result = error.done
            raise
        finally:
            self.at_work = False
            self.draw()
        done = int((self.result["status"] == "done").sum())
        cut = " It was cancelled there; load the file again to finish: what is done stays." if self.stopped else ""
        self.panel.tell(f"{plural(done, 'row')} imported.{cut}", self._line(invite))

    def _line(self, invite: bool) -> str:
        organization, study_id = self.where
        study = f", study={study_id}" if study_id else ""
        how = "invite=True" if invite else ""
        source = repr(self.source) if isinstance(self.content, bytes | str | Path) else "df"
        return f"ex.plan_import({source}, {organization}{study}).apply({how})"

    def _came(self, done: int, total: int) -> bool:
        """Called by the plan in its own thread after every chunk; False stops it there."""
        self.panel.go(self._show_progress(done, total))
        return not self.stopped

    async def _show_progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self.at_work:
            self.draw()

    async def stop(self, said: Said) -> None:
        self.stopped = True

    async def moved(self) -> None:
        """The plan was for another place."""
        self.panel.quiet()
        if self.content is not None and not self.at_work:
            await self._take(self.content, self.source or "")
        else:
            self.draw()


def _named(content: Any, name: str) -> Any:
    """What came from the browser as a file with a name; whatever else was handed over as it is."""
    if not isinstance(content, bytes):
        return content
    file = io.BytesIO(content)
    file.name = name
    return file


def as_text(frame: pd.DataFrame) -> list[list[str]]:
    """The cells of a frame as people read them; a gap is empty."""
    shown = frame.astype(object).where(frame.notna(), "")
    return [[str(cell) for cell in row] for row in shown.itertuples(index=False)]


def import_panel(exchange: Exchange, organization: Any = None, study: Any = None, source: Any = None) -> Panel:
    """A panel with this one screen, planning `source` at once if there is one."""
    return Panel(exchange, (partial(ImportScreen, given=source),), organization, study)
