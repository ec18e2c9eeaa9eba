"""What an operator can set and verbs need to know; `ExchangeApp` fills it, nothing else reads configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from sqlalchemy.orm import Session

from .errors import ExchangeError
from .hub_policy import HubPolicy
from .mail import MailSettings

# The address of the guide's invitation link, up to the host and the token.
GUIDE_PREFIX = (
    "https://play.google.com/store/apps/details?id=org.thecommonsproject.android.phr.dev&referrer=cloud_sharing="
)


@dataclass(frozen=True)
class Lifetimes:
    """How long what is handed out is good for."""

    access_minutes: float = 60
    refresh_idle_days: float = 30
    refresh_days: float = 90
    patient_refresh_days: float = 400
    code_seconds: float = 60
    session_hours: float = 12
    hub_seconds: float = 40
    password_link_hours: float = 48


# Tries in a window of one to two minutes: by account, and by address (refused ones).
LIMITS = {"account": 5, "sign_in": 30, "token": 60, "invitation": 20, "mail": 3}


@dataclass(frozen=True)
class Settings:
    site: str = "http://127.0.0.1:8888/jhe"  # where this Exchange is reached: never taken from a request's Host
    invitation_link_prefix: str = GUIDE_PREFIX
    invitation_days: float = 14
    default_client: str = "CommonHealth"
    lookups_per_minute: int = 120
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    limits: Mapping[str, int] = field(default_factory=lambda: LIMITS)
    key_file: Path = Path("signing-key.json")
    hub: HubPolicy | None = None  # as a JupyterHub's service: what the Hub decides
    mail: MailSettings = field(default_factory=lambda: MailSettings(outbox=Path("outbox")))


def of(session: Session) -> Settings:
    """The settings of the Exchange this session belongs to."""
    found = session.info.get("settings")
    return found if isinstance(found, Settings) else Settings()


def lifetimes(given: Mapping[str, float]) -> Lifetimes:
    """The usual lifetimes but for those that are set.

    >>> lifetimes({"access_minutes": 15}).access_minutes
    15
    """
    unknown = sorted(set(given) - {one.name for one in fields(Lifetimes)})
    if unknown or any(value <= 0 for value in given.values()):
        raise ExchangeError(f"lifetimes takes {', '.join(one.name for one in fields(Lifetimes))}, each more than 0.")
    return Lifetimes(**given)


def limits(given: Mapping[str, int]) -> Mapping[str, int]:
    """The usual limits but for those that are set.

    >>> limits({"account": 10})["account"]
    10
    """
    if set(given) - set(LIMITS) or any(value < 1 for value in given.values()):
        raise ExchangeError(f"limits takes {', '.join(LIMITS)}, each at least 1.")
    return {**LIMITS, **given}
