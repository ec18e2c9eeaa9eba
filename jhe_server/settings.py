"""What an operator can set and verbs need to know; `ExchangeApp` fills it, nothing else reads configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from .mail import MailSettings

# The address of the guide's invitation link, up to the host and the token.
GUIDE_PREFIX = (
    "https://play.google.com/store/apps/details?id=org.thecommonsproject.android.phr.dev&referrer=cloud_sharing="
)


@dataclass(frozen=True)
class Settings:
    site: str = "http://127.0.0.1:8888/jhe"  # where this Exchange is reached: never taken from a request's Host
    invitation_link_prefix: str = GUIDE_PREFIX
    invitation_days: float = 14
    default_client: str = "CommonHealth"
    lookups_per_minute: int = 120
    mail: MailSettings = field(default_factory=lambda: MailSettings(outbox=Path("outbox")))


def of(session: Session) -> Settings:
    """The settings of the Exchange this session belongs to."""
    found = session.info.get("settings")
    return found if isinstance(found, Settings) else Settings()
