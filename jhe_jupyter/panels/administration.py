"""The Registers screen, for superusers: accounts of practitioners, data sources and clients of the whole Exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import blocks
from .blocks import Block
from .confirm import Confirm
from .dialog import Dialog, Said
from .listing import Listing
from .panel import Panel
from .registers import REGISTERS, Register
from .screen import ListScreen

Json = dict[str, Any]


class RegistersScreen(ListScreen):
    """One register at a time."""

    title = "Registers"
    concepts = frozenset({"practitioner", "data_source", "client"})

    def __init__(self, panel: Panel) -> None:
        self.register = REGISTERS[0]
        super().__init__(panel, _listing(self.register))
        self.actions |= {"register": self.choose_register, "create": self.create}
        self._listen()

    def _listen(self) -> None:
        name = self.listing.name
        self.actions |= self.listing.actions(self.refresh, self.ticked)
        self.actions |= {f"{name}.edit": self.edit, f"{name}.remove": self.remove}

    @property
    def offered(self) -> bool:
        return self.place.superuser

    def bar(self) -> list[Block]:
        options = [(one.method, one.title) for one in REGISTERS]
        choice = blocks.select("register", "Register", options, self.register.method, live=True)
        return [blocks.row(choice, blocks.button("create", f"Create {self.register.noun}…", "create"))]

    def row_actions(self) -> Sequence[tuple[str, str]]:
        return (("edit", "Edit"), ("remove", "Delete"))

    async def fetch(self) -> Json:
        """All of it: registers are short."""
        rows = await self.panel.all(getattr(self.panel.exchange, f"list_{self.register.method}s"))
        begin = (self.listing.page - 1) * self.listing.per_page
        return {"count": len(rows), "results": rows[begin : begin + self.listing.per_page]}

    async def choose_register(self, said: Said) -> None:
        self.register = next(one for one in REGISTERS if one.method == said.value)
        self.listing = _listing(self.register)
        self._listen()
        await self.refresh()

    async def create(self, said: Said) -> None:
        await self.panel.ask(RegisterForm(self.panel, self.register))

    async def edit(self, said: Said) -> None:
        await self.panel.ask(RegisterForm(self.panel, self.register, self.listing.row(said.id)))

    async def remove(self, said: Said) -> None:
        row, register = self.listing.row(said.id) or {}, self.register
        called = register.called(row)

        async def lines() -> list[str]:
            return [register.goes]

        async def do() -> None:
            await self.panel.write(f"{called} was deleted.", f"delete_{register.method}", row["id"])

        await self.panel.ask(Confirm(self.panel, f"Delete {called}?", lines, do, label="Delete"))


class RegisterForm(Dialog):
    """The form of one register; only what was changed is sent."""

    def __init__(self, panel: Panel, register: Register, known: Json | None = None) -> None:
        super().__init__(panel)
        self.register, self.known = register, known
        self.secret: str | None = None
        self.title = f"{'Update' if known else 'Create'} {register.noun}"
        self.actions |= {"save": self.save}

    def body(self) -> list[Block]:
        if self.secret is not None:
            told = "This is the client's secret. Copy it now: it is not shown again."
            return [blocks.text(told, "info", "status"), blocks.code(self.secret), blocks.copy("Copy", self.secret)]
        return [one.block(self.known or {}, self.errors.get(one.name)) for one in self._entries()]

    def _entries(self) -> list[Any]:
        entries = self.register.entries
        if self.known is None:  # nobody is locked out before they were let in
            return [one for one in entries if one.name != "disabled"]
        return [one for one in entries if not one.created_only]

    def buttons(self) -> list[Block]:
        if self.secret is not None:
            return [blocks.button("cancel", "Close", "safe")]
        label = "Update" if self.known else "Create"
        return [*super().buttons(), blocks.button("save", label, "create", submit=True)]

    async def save(self, said: Said) -> None:
        entries = self._entries()
        if self.missing(said, **{one.name: one.label for one in entries if one.required}):
            return
        given = {one.name: one.sent(said) for one in entries}
        if self.known is None:
            await self._create({name: value for name, value in given.items() if value not in (None, [])})
        else:
            changed = {name: value for name, value in given.items() if value != self.known[name]}
            if changed:
                told, method = f"{self.register.called(self.known)} was updated.", f"patch_{self.register.method}"
                await self.panel.write(told, method, self.known["id"], changed)
        if self.secret is None:
            self.close()
        await self.panel.screen.refresh()

    async def _create(self, given: Json) -> None:
        told = f"{self.register.called(given)} was created."
        made = await self.panel.write(told, f"post_{self.register.method}", given)
        self.secret = made.get("clientSecret")
        if self.secret is not None:
            self.problem, self.errors = None, {}
            self.draw()


def _listing(register: Register) -> Listing:
    return Listing(register.method, register.title, register.columns, called=register.called)
