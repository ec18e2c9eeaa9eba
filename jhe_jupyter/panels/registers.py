"""The registers of an Exchange as the Registers screen keeps them: practitioners, data sources and clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .blocks import Block, checkbox
from .dialog import Said
from .listing import Column

Json = dict[str, Any]
SOURCE_TYPES = (
    ("personal_device", "personal device"),
    ("patient_app", "patient app"),
    ("device", "device"),
    ("other", "other"),
)


@dataclass(frozen=True)
class Entry:
    """One field of a register's form: how it is asked, and what is sent for what was typed."""

    name: str
    label: str
    type: str = "text"
    required: bool = False
    options: Sequence[tuple[str, str]] = ()
    hint: str | None = None
    created_only: bool = False

    def block(self, known: Json, error: str | None) -> Block:
        value = known.get(self.name)
        if self.type == "checkbox":
            return checkbox(self.name, self.label, bool(value), hint=self.hint)
        shown = "\n".join(value) if isinstance(value, list) else value
        if not shown and self.options:
            shown = self.options[0][0]
        more = {"options": [list(one) for one in self.options]} if self.options else {}
        return {"kind": "field", "name": self.name, "label": self.label, "value": shown or "", "type": self.type,
                "required": self.required, "hint": self.hint, "error": error, **more}  # fmt: skip

    def sent(self, said: Said) -> Any:
        if self.type == "checkbox":
            return bool(said.values.get(self.name))
        return said.word(self.name).split() if self.type == "textarea" else said.word(self.name) or None


@dataclass(frozen=True)
class Register:
    """One kind of thing: what it is called, the methods that keep it (`post_…`, `patch_…`), columns and form."""

    title: str
    noun: str
    method: str
    called: Callable[[Json], str]
    columns: Sequence[Column]
    entries: Sequence[Entry]
    goes: str


def _name(row: Json) -> str:
    return str(row["name"])


REGISTERS = (
    Register(
        "Practitioners",
        "practitioner",
        "practitioner",
        lambda row: str(row["email"]),
        (
            Column("ID", lambda row: row["id"], None, "jhe-number"),
            Column("E-mail", lambda row: row["email"]),
            Column("First name", lambda row: row["firstName"]),
            Column("Last name", lambda row: row["lastName"]),
            Column("Superuser", lambda row: "yes" if row["isSuperuser"] else ""),
            Column("Locked", lambda row: "yes" if row["disabled"] else ""),
        ),
        (
            Entry("email", "E-mail", "email", required=True),
            Entry("firstName", "First name", required=True),
            Entry("lastName", "Last name", required=True),
            Entry("disabled", "Locked: cannot sign in, tokens are no longer good", "checkbox"),
        ),
        "The account is deleted with its roles; what it did stays in the audit.",
    ),
    Register(
        "Data sources",
        "data source",
        "data_source",
        _name,
        (
            Column("ID", lambda row: row["id"], None, "jhe-number"),
            Column("Name", _name),
            Column("Type", lambda row: dict(SOURCE_TYPES).get(row["type"], row["type"])),
            Column("Can send", lambda row: ", ".join(code["text"] for code in row["supportedScopes"])),
        ),
        (Entry("name", "Name", required=True), Entry("type", "Type", "select", options=SOURCE_TYPES)),
        "It can be deleted only while nothing came from it.",
    ),
    Register(
        "Clients",
        "client",
        "client",
        _name,
        (
            Column("ID", lambda row: row["id"], None, "jhe-number"),
            Column("Name", _name),
            Column("Client ID", lambda row: row["clientId"]),
            Column("Invitation URL", lambda row: row["invitationUrl"]),
            Column("Confidential", lambda row: "yes" if row["confidential"] else ""),
        ),
        (
            Entry("name", "Name", required=True),
            Entry("invitationUrl", "Invitation URL", "url", hint="Contains CODE where the invitation's code goes."),
            Entry("redirectUris", "Redirect URIs", "textarea", hint="One a line."),
            Entry("confidential", "Confidential: has a secret, shown once", "checkbox", created_only=True),
        ),
        "Who came by it is signed out; open invitations to it end.",
    ),
)
