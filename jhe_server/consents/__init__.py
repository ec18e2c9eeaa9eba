"""Consents: what each patient answered to each study's requests, and the gate that every read of observations passes.

rows        an answer, and the periods in which it was a yes
gate        who may read what was measured, who may upload it
reading     a patient's consents and a study's, today or as of a moment
answering   granting, declining, clearing, withdrawing
history     what was answered so far, from the ledger
shapes      how all of it looks on the wire
"""

from __future__ import annotations

from .answering import answer, change, clear, record, withdraw
from .gate import gate, pair_gate, uploadable
from .history import history
from .reading import counts, of_patient, of_study, table
from .rows import AnswerRow, ConsentPeriodRow
from .shapes import Answers, AsOf, ConsentListing, ToClear, Withdrawal

__all__ = [
    "AnswerRow",
    "Answers",
    "AsOf",
    "ConsentListing",
    "ConsentPeriodRow",
    "ToClear",
    "Withdrawal",
    "answer",
    "change",
    "clear",
    "counts",
    "gate",
    "history",
    "of_patient",
    "of_study",
    "pair_gate",
    "record",
    "table",
    "uploadable",
    "withdraw",
]
