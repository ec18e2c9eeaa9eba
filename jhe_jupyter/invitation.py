"""An invitation in the hand of whoever issued it: the link to pass on, as text or as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Invitation:
    """A link that lets one patient connect an app; the only time its secret is shown.

    `email` says what became of the mail (`sent`, `outbox`, `failed: …`, None where none was asked for), `expires`
    until when the link is good, `status` where the invitation stands.
    """

    patient_id: int
    link: str = field(repr=False)
    email: str | None
    expires: datetime | None
    status: str
    id: int | None = None

    @classmethod
    def from_answer(cls, patient_id: int, answer: Mapping[str, Any]) -> Invitation:
        """The invitation in an answer of the Exchange."""
        expires = answer.get("expires")
        return cls(
            patient_id=patient_id,
            link=answer["invitationLink"],
            email=answer.get("email") or ("sent" if answer.get("emailSent") else None),
            expires=datetime.fromisoformat(expires) if expires else None,
            status=answer.get("status") or "issued",
            id=answer.get("id"),
        )

    def qr(self, scale: int = 4) -> QRCode:
        """The link as a QR code to hold a phone to, `scale` pixels per module; raises ImportError without segno."""
        try:
            segno = import_module("segno")
        except ImportError:
            raise ImportError("a QR code needs the package segno: pip install segno") from None
        svg = segno.make(self.link, error="m").svg_inline(scale=scale, light="white", dark="black")
        return QRCode(svg)

    def _repr_html_(self) -> str:
        until = f"until {self.expires:%Y-%m-%d %H:%M} UTC" if self.expires else ""
        mail = f", mail: {escape(self.email)}" if self.email else ""
        return f"<p>Invitation for patient {self.patient_id} {until}{mail}<br><code>{escape(self.link)}</code></p>"


@dataclass(frozen=True)
class QRCode:
    """A QR code that a notebook shows; `svg` is its source."""

    svg: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.svg
