"""Invitation links: shown once, to copy, to print as a QR code, for one patient or for all that are ticked."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ExchangeError
from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .panel import Panel
from .words import called, plural

if TYPE_CHECKING:
    from ..invitation import Invitation

Json = dict[str, Any]
MAILED = {"sent": "The mail was sent.", "outbox": "There is no mail server: the mail lies in the outbox folder."}


def client_field(clients: Sequence[Json]) -> Block:
    """Which app a link opens; those that have no address for one are left out."""
    options = [("", "Default client"), *((one["id"], one["name"]) for one in clients if one["invitationUrl"])]
    return blocks.select("client_id", "Client", options, hint="The app that the link opens.")


def chosen(said: Said) -> Json:
    """What was chosen, as arguments of `invite`; what is usual is left out."""
    client = said.word("client_id")
    given: Json = {"client": int(client)} if client else {}
    return {**given, "send_email": True} if said.values.get("send_email") else given


def link_blocks(invitation: Invitation, name: str) -> list[Block]:
    """The link of an invitation, the only time it is shown, with all ways to hand it on."""
    said = [blocks.text(MAILED.get(invitation.email, f"Mail: {invitation.email}"), "info")] if invitation.email else []
    until = f"Good until {invitation.expires:%Y-%m-%d}." if invitation.expires else ""
    field = blocks.field(
        "link", "Invitation link", invitation.link, "textarea", readonly=True, hint=f"{until} It is not shown again."
    )
    source = qr_source(invitation)
    ways = [blocks.copy("Copy to Clipboard", invitation.link)]
    if source is None:
        return [*said, field, *ways, blocks.text("For a QR code install segno.", "soft")]
    lines = ("Scan this code with your phone's camera.", until)
    return [
        *said,
        field,
        blocks.row(*ways, blocks.printed("Print QR page", name, source, *lines)),
        blocks.image(source, f"QR code of the invitation link for {name}"),
    ]


def qr_source(invitation: Invitation) -> str | None:
    """The QR code as a `data:` address; None where segno is not installed."""
    try:
        svg = invitation.qr(scale=3).svg
    except ImportError:
        return None
    named = svg if "xmlns=" in svg else svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return "data:image/svg+xml;base64," + base64.b64encode(named.encode()).decode()


class InviteMany(Dialog):
    """A link each for the ticked patients; who cannot be invited stops nobody else."""

    title = "Invite patients"
    wide = True

    def __init__(self, panel: Panel, patients: Sequence[Json]) -> None:
        super().__init__(panel)
        self.patients = list(patients)
        self.clients: list[Json] = []
        self.rows: list[tuple[str, str, str, str]] = []
        self.at_work = self.stopped = False
        self.actions |= {"generate": self.generate, "stop": self.stop}

    async def load(self) -> None:
        self.clients = await self.panel.all(self.panel.exchange.list_clients)
        self.draw()

    def body(self) -> list[Block]:
        if self.at_work:
            return [blocks.progress(f"{len(self.rows)} of {len(self.patients)}", len(self.rows), len(self.patients))]
        if self.rows:
            return self._done()
        ask = f"A link for each of {plural(self.patients, 'patient')}. Earlier links to the same client stop working."
        return [blocks.text(ask), client_field(self.clients), blocks.checkbox("send_email", "Send link by email")]

    def _done(self) -> list[Block]:
        titles = ("ID", "Patient", "Link", "Mail")
        return [
            blocks.text("The links are not shown again.", "info"),
            blocks.grid("Invitation links", titles, self.rows),
            blocks.row(
                blocks.copy("Copy to Clipboard", "\n".join(link for _, _, link, _ in self.rows)),
                blocks.download("Download CSV", "invitations.csv", as_csv(titles, self.rows)),
            ),
        ]

    def buttons(self) -> list[Block]:
        if self.at_work:
            return [blocks.button("stop", "Stop", "safe")]
        if self.rows:
            return [blocks.button("cancel", "Close", "safe")]
        return [*super().buttons(), blocks.button("generate", "Generate Invitation Links", "create", submit=True)]

    async def generate(self, said: Said) -> None:
        given, self.at_work = chosen(said), True
        for patient in self.patients:
            self.draw()
            self.rows.append(await self._one(patient, given))
            if self.stopped or self.panel.dialog is not self:
                break
        self.at_work = False
        ids = [int(id) for id, _, link, _ in self.rows if link]
        how = "".join(f", {name}={value!r}" for name, value in given.items())
        self.panel.tell(f"{plural(ids, 'patient')} invited.", f"[ex.invite(patient{how}) for patient in {ids}]")
        self.draw()

    async def _one(self, patient: Json, given: Json) -> tuple[str, str, str, str]:
        try:
            made = await self.panel.call(self.panel.exchange.invite, patient["id"], **given)
        except ExchangeError as error:
            return str(patient["id"]), called(patient), "", str(error)
        return str(patient["id"]), called(patient), made.link, made.email or ""

    async def stop(self, said: Said) -> None:
        self.stopped = True


def as_csv(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a CSV file; a cell that a spreadsheet would take for a formula is made text.

    >>> as_csv(["name"], [["=1+1"]])
    "name\\r\\n'=1+1\\r\\n"
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(titles)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: Any) -> str:
    text = "" if cell is None else str(cell)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
