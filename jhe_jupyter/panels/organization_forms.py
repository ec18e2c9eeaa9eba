"""The forms of an organization: what it is called and where it belongs, and who has which role in it."""

from __future__ import annotations

from typing import Any

from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .panel import Panel

Json = dict[str, Any]
ROLES = (
    ("viewer", "viewer: reads"),
    ("member", "member: reads and writes"),
    ("manager", "manager: also roles and audit"),
)


class OrganizationForm(Dialog):
    """Create an organization below another, or change one."""

    def __init__(self, panel: Panel, known: Json | None = None, part_of: int = 0) -> None:
        super().__init__(panel)
        self.known, self.part_of = known, part_of
        self.types: dict[str, str] = {}
        self.title = "Update Organization" if known else "Create Organization"
        self.actions |= {"save": self.save}

    async def load(self) -> None:
        self.types = await self.panel.call(self.panel.exchange.get_organization_types)
        self.draw(fresh=True)

    def body(self) -> list[Block]:
        known = self.known or {"name": "", "type": "laboratory"}
        below = f"Part of {self.panel.place.named(self.part_of)}." if self.part_of else "At the top of the tree."
        choice = blocks.select("type", "Type", list(self.types.items()), known["type"], error=self.errors.get("type"))
        said = [] if self.known else [blocks.text(below, "soft")]
        return [*said, self.field("name", "Name", known["name"], required=True), choice]

    def buttons(self) -> list[Block]:
        label = "Update" if self.known else "Create"
        return [*super().buttons(), blocks.button("save", label, "create", submit=True, disabled=not self.types)]

    async def save(self, said: Said) -> None:
        if self.missing(said, name="A name"):
            return
        name, type = said.word("name"), said.word("type")
        if self.known is None:
            await self.panel.write(f"{name} was created.", "create_organization", name, type, self.part_of)
        else:
            given = {"name": name, "type": type}
            changed = {field: value for field, value in given.items() if value != self.known[field]}
            if changed:
                await self.panel.write(f"{name} was updated.", "patch_organization", self.known["id"], changed)
        await self.panel.place.load()
        self.close()
        await self.panel.screen.refresh()


class RoleForm(Dialog):
    """Give somebody who has an account a role, or another one."""

    def __init__(self, panel: Panel, person: Json | None = None) -> None:
        super().__init__(panel)
        self.person = person
        self.title = "Change role" if person else "Add Member"
        self.actions |= {"save": self.save}

    def body(self) -> list[Block]:
        known = self.person or {"email": "", "role": "viewer"}
        email = self.field(
            "email",
            "E-mail",
            known["email"],
            "email",
            required=True,
            readonly=self.person is not None,
            hint=None if self.person else "Of somebody with an account on this Exchange.",
        )
        role = blocks.select("role", "Role", ROLES, known["role"])
        return [blocks.text(f"In {self.panel.place.organization_name}.", "soft"), email, role]

    def buttons(self) -> list[Block]:
        return [*super().buttons(), blocks.button("save", "Update" if self.person else "Add", "create", submit=True)]

    async def save(self, said: Said) -> None:
        if self.missing(said, email="An e-mail address"):
            return
        email, role = said.word("email"), said.word("role")
        told = f"{email} is now {role} of {self.panel.place.organization_name}."
        who = self.person["id"] if self.person else email
        await self.panel.write(told, "add_practitioner", self.panel.place.organization_id, who, role)
        self.close()
        await self.panel.screen.refresh()
