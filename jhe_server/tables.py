"""Every concept's rows, imported, so that `Base.metadata` is whole: for migrations and for nothing else."""

from __future__ import annotations

from . import (  # noqa: F401  (imported for their tables)
    attempts,
    audit,
    authorization_codes,
    browser_sessions,
    changes,
    consents,
    devices,
    hub_users,
    invitations,
    ledger,
    oauth_clients,
    observations,
    organizations,
    password_links,
    patient_rows,
    people,
    practitioner_clients,
    studies,
    tokens,
)
from .db import Base

__all__ = ["Base"]
