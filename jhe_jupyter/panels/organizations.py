"""The Organizations screen: the tree, and beside it one organization with its people, roles and studies."""

from __future__ import annotations

import asyncio
from typing import Any

from . import blocks
from .blocks import Block
from .confirm import Confirm
from .dialog import Said
from .organization_forms import OrganizationForm, RoleForm
from .panel import Panel
from .screen import Screen
from .words import plural

Json = dict[str, Any]


class OrganizationsScreen(Screen):
    """The guide's Organizations tab."""

    title = "Organizations"
    concepts = frozenset({"organization", "role", "study"})

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self.everything: list[Json] = []
        self.people: list[Json] = []
        self.studies: list[Json] = []
        self.actions |= {
            "choose": self.choose,
            "create": self.create,
            "edit": self.edit,
            "delete": self.delete,
            "role": self.role,
            "change-role": self.role,
            "remove-role": self.remove_role,
        }

    async def refresh(self) -> None:
        turn, exchange, here = self.next_turn(), self.panel.exchange, self.place.organization_id
        found = await asyncio.gather(
            self.panel.all(exchange.list_organizations),
            self._of(exchange.list_organization_users, here),
            self._of(exchange.list_studies, here, named=True),
        )
        if self.is_latest(turn):
            self.everything, self.people, self.studies = found
            self.draw()

    async def _of(self, method: Any, organization_id: int | None, *, named: bool = False) -> list[Json]:
        if organization_id is None:
            return []
        if named:
            return await self.panel.all(method, organization_id=organization_id)
        return await self.panel.all(method, organization_id)

    # -- what is on show ---------------------------------------------------------------------------------------------

    def bar(self) -> list[Block]:
        may, here = self.place.may, self.place.organization_id
        offered = [
            (may("organizations.create"), blocks.button("create", "Create Sub-organization…", "create", id=here)),
            (self.place.superuser, blocks.button("create", "Create top-level Organization…", id=0)),
            (may("organizations.update"), blocks.button("edit", "Edit…")),
            (may("departures.remove_organization"), blocks.button("delete", "Delete…")),
        ]
        return [blocks.row(*[button for allowed, button in offered if allowed and (here or button.get("id") == 0)])]

    def main(self) -> list[Block]:
        tree = blocks.tree(*self._below(0)) if self.everything else blocks.text("Nothing to see yet.", "soft")
        return [blocks.columns([blocks.heading("Organizations"), tree], self._detail())]

    def _below(self, parent: int) -> list[Block]:
        """The organizations of a parent, each with those below it; whose parent is not seen stands at the top."""
        seen = {one["id"] for one in self.everything}
        mine = {one["id"] for one in self.place.organizations}
        children = [one for one in self.everything if one["id"] and _parent(one, seen) == parent]
        return [
            blocks.node(
                one["id"],
                one["name"],
                self._below(one["id"]),
                name="choose" if one["id"] in mine else None,
                note=one["currentUserRole"],
                current=one["id"] == self.place.organization_id,
            )
            for one in children
        ]

    def _detail(self) -> list[Block]:
        here = next((one for one in self.everything if one["id"] == self.place.organization_id), None)
        if here is None:
            return [blocks.text("You have no role in any organization yet; a manager can give you one.", "info")]
        above = next((one["name"] for one in self.everything if one["id"] == here["partOf"]), "–")
        about = blocks.pairs(
            ("ID", str(here["id"])),
            ("Type", here["type"]),
            ("Part of", above),
            ("Your role", here["currentUserRole"] or ("superuser" if self.place.superuser else "–")),
        )
        return [blocks.heading(here["name"]), about, self._people(), self._studies()]

    def _people(self) -> Block:
        may = self.place.may("organizations.set_role")
        add = blocks.row(blocks.button("role", "Add Member…", "create")) if may else None
        rows = [self._person(one) if may else blocks.text(_said(one)) for one in self.people]
        return blocks.section("Members and roles", *rows, add)

    def _person(self, one: Json) -> Block:
        change = blocks.button("change-role", "Change role…", id=one["id"], hint=f"Change the role of {one['email']}")
        take = blocks.button("remove-role", "Remove", id=one["id"], hint=f"Remove {one['email']}")
        return blocks.row(blocks.text(_said(one)), change, take)

    def _studies(self) -> Block:
        lines = [f"{one['name']} ({one['id']}): {plural(one['patientCount'], 'patient')}" for one in self.studies]
        return blocks.section("Studies", blocks.items(*lines) if lines else blocks.text("None yet.", "soft"))

    # -- what is done ------------------------------------------------------------------------------------------------

    async def choose(self, said: Said) -> None:
        await self.place.choose_organization(str(said.id))
        await self.refresh()

    async def create(self, said: Said) -> None:
        await self.panel.ask(OrganizationForm(self.panel, part_of=said.id or 0))

    async def edit(self, said: Said) -> None:
        here = next(one for one in self.everything if one["id"] == self.place.organization_id)
        await self.panel.ask(OrganizationForm(self.panel, here))

    async def delete(self, said: Said) -> None:
        name, id = self.place.organization_name, self.place.organization_id

        async def lines() -> list[str]:
            members = f"{plural(self.people, 'member')} lose their role in it."
            return [members, "It can be deleted only when it has no patients, studies or sub-organizations any more."]

        async def do() -> None:
            await self.panel.write(f"{name} was deleted.", "delete_organization", id)
            await self.place.load()

        await self.panel.ask(Confirm(self.panel, f"Delete {name}?", lines, do, label="Delete"))

    async def role(self, said: Said) -> None:
        await self.panel.ask(RoleForm(self.panel, next((one for one in self.people if one["id"] == said.id), None)))

    async def remove_role(self, said: Said) -> None:
        one = next(one for one in self.people if one["id"] == said.id)
        here, name = self.place.organization_id, self.place.organization_name

        async def lines() -> list[str]:
            return [f"{one['email']} ({one['role']}) loses access to {name}, its patients and studies, at once."]

        async def do() -> None:
            await self.panel.write(f"{one['email']} left {name}.", "delete_organization_user", here, one["id"])

        await self.panel.ask(Confirm(self.panel, f"Remove {one['email']}?", lines, do))


def _parent(one: Json, seen: set[int]) -> int:
    return int(one["partOf"]) if one["partOf"] in seen else 0


def _said(one: Json) -> str:
    name = " ".join(filter(None, (one["firstName"], one["lastName"])))
    return f"{one['email']}{f' ({name})' if name else ''}: {one['role']}"
