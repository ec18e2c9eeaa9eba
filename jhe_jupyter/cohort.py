"""A cohort from a file to the Exchange: first a plan that says what would happen to each row, then the doing.

The plan is the server's own dry run, so it says what the real run does. Both are idempotent: a run that stopped half
way is finished by running it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from .chunks import chunks
from .client import Client
from .errors import ConnectionLost, ExchangeError, ImportInterrupted, Unavailable
from .progress import bar
from .roster import SPELLINGS, Record, Roster, read_csv, read_roster

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ACTIONS", "Plan", "plan_import", "read_csv", "read_roster"]

Json = dict[str, Any]
ACTIONS = ("create", "link", "enrol", "unchanged", "error")
PLANNED_AT_ONCE = 5000  # rows of one dry run
APPLIED_AT_ONCE = 250  # rows of one real run: what a lost connection leaves unanswered
INVITED_AT_ONCE = 25  # the same where each row is a mail to send before the answer comes
MOST_BYTES = 8 << 20  # of one request; the server takes 10 MiB

FIXES = {
    "email": "Write one address, as in jo@example.com.",
    "dob": "Write the date as YYYY-MM-DD, in the past.",
    "last_name": "Write the family name.",
    "first_name": "Write the given name.",
    "identifier": "Give each patient an identifier of their own, or leave it out.",
    "study_id": "Give the number of a study of this organization, or leave it out.",
    "line": "Check the separators and quotes on this line.",
}

REPORT = {"row": "Int64", "line": "Int64", "field": "text", "severity": "category", "message": "text", "fix": "text"}
RESULT = {
    "row": "int64",
    "action": "category",
    "status": "category",
    "patient_id": "Int64",
    "message": "text",
    "invitation_link": "text",
}


class Plan:
    """What an import would do, row by row; nothing has been written yet.

    `report` lists what is wrong and how to mend it, `summary()` counts the actions, `rows` shows every row with its
    action, `apply()` does it.
    """

    def __init__(
        self, client: Client, roster: Roster, organization_id: int, study_id: int | None, planned: Mapping[int, Json]
    ) -> None:
        self._client = client
        self._roster = roster
        self._organization_id = organization_id
        self._study_id = study_id
        self._planned = planned
        self._applied: set[int] = set()

    @property
    def report(self) -> pd.DataFrame:
        """What to mend: `row` (1 = first data row), `line` (of the file), `field` (as its header says), `severity`
        (`error` keeps the row out, `warning` does not), `message`, `fix`."""
        from .dtypes import typed

        return typed([*self._warnings(), *self._errors()], REPORT)

    @property
    def rows(self) -> pd.DataFrame:
        """Every row as it was written, with `line`, `action` and the `patient_id` where the person is known."""
        from .dtypes import typed

        columns = {"row": "int64", "line": "Int64", "action": "category", "patient_id": "Int64"}
        written = dict.fromkeys(self._roster.columns, "text")
        lines = [
            {"row": one.row, "line": one.line, "action": self._action(one), **self._patient(one), **one.values}
            for one in self._roster
        ]
        return typed(lines, columns | written)

    def summary(self) -> pd.Series[int]:
        """Rows per action: create, link (known elsewhere), enrol (known here), unchanged, error."""
        import pandas as pd

        counts = Counter(map(self._action, self._roster))
        index = pd.Index(ACTIONS, name="action")
        return pd.Series([counts[action] for action in ACTIONS], index=index, name="rows", dtype="int64")

    def apply(self, invite: bool = False, progress: bool | Callable[[int, int], bool] = True) -> pd.DataFrame:
        """Do it, and say per row what was done: `row, action, status, patient_id, message, invitation_link`.

        `status` is `done`, `error`, or `changed` where the Exchange had moved on since the plan and something else
        was right to do; `message` says what. Rows with errors stop nobody else. Running it again does no harm and
        finishes a run that was cut off. `progress` shows a bar, or is called with rows done and rows in all after each
        request, and stops there by answering False. Raises ImportInterrupted, with `.done`, when the server
        goes away half way.
        """
        rows = [self._sent(one) for one in self._roster if one.problem is None]
        answered: dict[int, Json] = {}
        with bar(len(rows), "Importing", shown=progress is True) as shown:
            for chunk in chunks(rows, INVITED_AT_ONCE if invite else APPLIED_AT_ONCE, MOST_BYTES):
                try:
                    answered |= self._apply(chunk, invite)
                except ExchangeError as error:
                    if not answered and not isinstance(error, ConnectionLost | Unavailable):
                        raise
                    raise self._interrupted(error, answered, len(rows)) from None
                shown.update(len(chunk))
                if callable(progress) and not progress(len(answered), len(rows)):
                    break
        return self._result(answered)

    def __repr__(self) -> str:
        counts = ", ".join(f"{rows} {action}" for action, rows in self.summary().items() if rows)
        return f"<Plan for {self._roster.source}: {counts or 'no rows'}>"

    def _repr_html_(self) -> str:
        report = self.report
        shown = report.head(20).astype(object)
        wrong = "" if report.empty else shown.where(shown.notna(), "").to_html(index=False)
        more = f"<p>… and {len(report) - 20} more in <code>plan.report</code></p>" if len(report) > 20 else ""
        return f"<p>{escape(repr(self)[1:-1])}</p>{wrong}{more}"

    def _apply(self, chunk: Sequence[Json], invite: bool) -> dict[int, Json]:
        answer = self._client.post_import(self._organization_id, self._study_id, chunk, dry_run=False, invite=invite)
        return {result["row"]: result for result in answer["results"]}

    def _interrupted(self, error: ExchangeError, answered: Mapping[int, Json], total: int) -> ImportInterrupted:
        sentence = (
            f"{error} {len(answered)} of {total} rows are known to be done; run plan.apply() again to finish:"
            " what is done stays as it is."
        )
        return ImportInterrupted(error.status, sentence, self._result(answered))

    def _result(self, answered: Mapping[int, Json]) -> pd.DataFrame:
        from .dtypes import typed

        records = [one for one in self._roster if one.problem is not None or one.row in answered]
        frame = typed([self._outcome(one, answered.get(one.row)) for one in records], RESULT)
        self._applied |= {row for row, result in answered.items() if result["action"] != "error"}
        return frame

    def _outcome(self, record: Record, result: Json | None) -> Json:
        if result is None:
            return {"row": record.row, "action": "error", "status": "error", "message": record.problem}
        action = result["action"]
        planned = self._action(record)
        if action == "error":
            status, message = "error", "; ".join(self._said(one) for one in result["errors"])
        elif action == planned or record.row in self._applied:
            status, message = "done", ""
        else:
            status, message = "changed", f"planned as {planned}, but meanwhile it is {action}"
        return {
            "row": record.row,
            "action": action,
            "status": status,
            "patient_id": result.get("patientId"),
            "message": message,
            "invitation_link": result.get("invitationLink"),
        }

    def _sent(self, record: Record) -> Json:
        return {"row": record.row, **record.values}

    def _action(self, record: Record) -> str:
        return "error" if record.problem is not None else str(self._planned[record.row]["action"])

    def _patient(self, record: Record) -> Json:
        return {"patient_id": self._planned.get(record.row, {}).get("patientId")}

    def _said(self, error: Json) -> str:
        field = self._field(error)
        return f"{field}: {error['message']}" if field else str(error["message"])

    def _field(self, error: Json) -> str:
        """The column as the file's header says it."""
        ours = our_name(error.get("field") or "")
        return self._roster.columns.get(ours, ours)

    def _errors(self) -> Iterator[Json]:
        for record in self._roster:
            here = {"row": record.row, "line": record.line, "severity": "error"}
            if record.problem is not None:
                yield {**here, "message": record.problem, "fix": FIXES["line"]}
                continue
            for error in self._planned[record.row].get("errors") or ():
                fix = FIXES.get(our_name(error.get("field") or ""), "")
                yield {**here, "field": self._field(error), "message": error["message"], "fix": fix}

    def _warnings(self) -> Iterator[Json]:
        for header in self._roster.ignored:
            yield {
                "line": 1 if any(one.line for one in self._roster) else None,
                "field": header,
                "severity": "warning",
                "message": "This column is not imported.",
                "fix": "Rename it if it should be one of: " + ", ".join(SPELLINGS) + ".",
            }


def plan_import(client: Client, source: Any, organization_id: int, study_id: int | None = None) -> Plan:
    """Read a file, frame or dictionaries and ask the Exchange what importing them would do; writes nothing."""
    roster = read_roster(source)
    rows = same_person_together([{"row": one.row, **one.values} for one in roster if one.problem is None])
    planned: dict[int, Json] = {}
    for chunk in chunks(rows, PLANNED_AT_ONCE, MOST_BYTES):
        answer = client.post_import(organization_id, study_id, chunk, dry_run=True)
        planned |= {result["row"]: result for result in answer["results"]}
    return Plan(client, roster, organization_id, study_id, planned)


def same_person_together(rows: Sequence[Json]) -> list[Json]:
    """Rows in order, but a repeated e-mail right after its first: a dry run can only know what it sees in one request.

    >>> rows = [{"row": 1, "email": "A@x"}, {"row": 2, "email": "b@x"}, {"row": 3, "email": "a@x"}]
    >>> [row["row"] for row in same_person_together(rows)]
    [1, 3, 2]
    """
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(_person(row), row["row"])
    return sorted(rows, key=lambda row: (first[_person(row)], row["row"]))


def our_name(field: str) -> str:
    """Our column for whatever the server calls a field.

    >>> our_name("telecomEmail"), our_name("birthDate"), our_name("organizationId")
    ('email', 'dob', 'organizationId')
    """
    loose = "".join(filter(str.isalnum, field)).casefold()
    return next((ours for ours, spellings in SPELLINGS.items() if loose in spellings), field)


def _person(row: Json) -> str:
    return str(row.get("email") or row["row"]).strip().casefold()
