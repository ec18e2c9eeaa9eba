"""JupyterHealth in a notebook: `connect()` gives an Exchange with patients, studies, consents and observations.

Heavy things (pandas, matplotlib) are loaded when they are first used, not when this package is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .connect import NotConfigured, connect  # not lazy: the function must win over its module of the same name

if TYPE_CHECKING:
    from .client import Client
    from .cohort import Plan
    from .errors import (
        AmbiguousName,
        Conflict,
        ConnectionLost,
        ExchangeError,
        Forbidden,
        Gone,
        ImportInterrupted,
        Invalid,
        NotFound,
        TooLarge,
        TooMany,
        Unauthenticated,
        Unavailable,
        UnknownName,
        Unprocessable,
        Unreadable,
        UploadInterrupted,
    )
    from .exchange import Exchange
    from .invitation import Invitation
    from .patient_app import PatientApp, as_patient
    from .roster import read_csv

_HOME = {
    "Client": "client",
    "Exchange": "exchange",
    "Invitation": "invitation",
    "PatientApp": "patient_app",
    "Plan": "cohort",
    "as_patient": "patient_app",
    "read_csv": "roster",
}

__all__ = [
    "AmbiguousName",
    "Client",
    "Conflict",
    "ConnectionLost",
    "Exchange",
    "ExchangeError",
    "Forbidden",
    "Gone",
    "ImportInterrupted",
    "Invalid",
    "Invitation",
    "NotConfigured",
    "NotFound",
    "PatientApp",
    "Plan",
    "TooLarge",
    "TooMany",
    "Unauthenticated",
    "Unavailable",
    "UnknownName",
    "Unprocessable",
    "Unreadable",
    "UploadInterrupted",
    "as_patient",
    "connect",
    "read_csv",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
