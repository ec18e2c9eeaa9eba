"""The consent map: who has agreed to share what with one study."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ..chart import Chart, sheet
from .colours import STATES

if TYPE_CHECKING:
    import pandas as pd

MOST = 100


@overload
def consent_map(consents: pd.DataFrame, *, ax: None = None) -> Chart: ...


@overload
def consent_map(consents: pd.DataFrame, *, ax: Axes) -> Axes: ...


def consent_map(consents: pd.DataFrame, *, ax: Axes | None = None) -> Chart | Axes:
    """Who has consented to what in one study: patients down, codes across, one mark for each answer.

    `consents` is a frame of `Exchange.consents_df(study=…)`: patient_id, study_id, code and state (granted, declined,
    pending), one row per answer. Raises ValueError without rows, with more than one study or more than 100 patients.

    >>> import pandas as pd
    >>> answers = pd.DataFrame({"patient_id": [1, 2], "study_id": 30001, "code": "omh:heart-rate:2.0",
    ...     "state": ["granted", "declined"]})
    >>> [text.get_text() for text in consent_map(answers).axes[0].texts]
    ['✓', '✕']
    """
    _refuse(consents)
    answers = consents.assign(code=consents["code"].astype("object"))
    table = answers.pivot(index="patient_id", columns="code", values="state")
    page = sheet(max(4.6, 1.6 + 1.1 * len(table.columns)), 1.75 + 0.25 * len(table), ax=ax)
    _draw(page.axes, table)
    page.legend([Patch(color=colour, alpha=0.5, label=state) for state, (colour, _) in STATES.items()])
    page.title("Consents", " · ".join(f"{n} {state}" for state, n in _answers(consents).items()))
    return page.picture


def _refuse(consents: pd.DataFrame) -> None:
    missing = [name for name in ("patient_id", "study_id", "code", "state") if name not in consents]
    if missing:
        raise ValueError(f"This frame has no {', '.join(missing)}; draw it from ex.consents_df(study=…).")
    if consents.empty:
        raise ValueError("There are no consents in this frame: nobody is enrolled, or the study requests no code.")
    studies, patients = consents["study_id"].nunique(), consents["patient_id"].nunique()
    if studies > 1:
        raise ValueError(f"A consent map shows one study, and this frame holds {studies}; choose one with study=….")
    if patients > MOST:
        raise ValueError(f"{patients:,} patients are too many to read; choose up to {MOST} of them.")


def _answers(consents: pd.DataFrame) -> dict[str, int]:
    counts = consents["state"].astype("object").value_counts()
    return {state: int(counts.get(state, 0)) for state in STATES}


def _draw(axes: Axes, table: pd.DataFrame) -> None:
    for row, answers in enumerate(table.itertuples(index=False)):
        for column, state in enumerate(answers):
            if state in STATES:  # no answer at all: a code this patient was never asked for
                _draw_answer(axes, column, row, *STATES[state])
    axes.set_yticks(range(len(table)), [f"patient {patient}" for patient in table.index])
    axes.set_xticks(range(len(table.columns)), [_name(code) for code in table.columns])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.xaxis.tick_top()
    axes.grid(visible=False)


def _name(code: str) -> str:
    """A code as a column's heading: its name, on two lines where it has two words."""
    return [*code.split(":"), code][1].replace("-", "\n", 1)


def _draw_answer(axes: Axes, column: int, row: int, colour: str, mark: str) -> None:
    axes.barh(row, 0.94, left=column - 0.47, height=0.86, color=colour, alpha=0.28, lw=0)
    axes.text(column, row, mark, color=colour, fontsize=10, ha="center", va="center", weight="bold")
