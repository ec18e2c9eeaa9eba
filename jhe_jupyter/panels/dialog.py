"""A dialog of a panel: what it shows, what its buttons do, and where a refusal of the Exchange is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import blocks
from .blocks import Block

if TYPE_CHECKING:
    from ..errors import ExchangeError
    from .panel import Panel


@dataclass(frozen=True)
class Said:
    """What was done in the browser: the part's field values, and what belongs to the control that was used."""

    values: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    id: int | None = None
    ids: tuple[int, ...] = ()
    on: bool = False
    content: bytes = b""

    def word(self, name: str) -> str:
        """A field as text without the spaces around it."""
        return str(self.values.get(name) or "").strip()


Action = Callable[[Said], Awaitable[None]]


class Dialog:
    """One question to the person in front of the panel."""

    title = ""
    wide = False

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.problem: str | None = None
        self.errors: dict[str, str] = {}
        self.focus: str | None = None
        self.actions: dict[str, Action] = {"cancel": self.cancel}
        self._under_way: set[str] = set()

    def body(self) -> list[Block]:
        """What it asks or shows."""
        raise NotImplementedError

    def buttons(self) -> list[Block]:
        """The row at its end; the safe one first, so that it comes first for the keyboard too."""
        return [blocks.button("cancel", "Cancel", "safe")]

    async def load(self) -> None:
        """Fetch what it shows, once it is open."""

    def draw(self, *, fresh: bool = False) -> None:
        """Show it; `fresh` opens it, puts the focus in and forgets what was typed.

        Nothing where it was closed meanwhile: what comes late would open a dialog that nobody can close again.
        """
        if self.panel.dialog is not self:
            return
        said = [blocks.alert(self.problem)] if self.problem else []
        shown = [*said, *self.body(), blocks.row(*self.buttons())]
        self.panel.put("dialog", title=self.title, blocks=shown, wide=self.wide, fresh=fresh, focus=self.focus)
        self.focus = None

    def refuse(self, problem: str | None, errors: dict[str, str] | None = None) -> None:
        """Say what is wrong, at the field where there is one."""
        self.problem, self.errors = problem, errors or {}
        self.focus = next(iter(self.errors), None)
        self.draw()

    def refused(self, error: ExchangeError) -> None:
        """The Exchange said no, in its own words."""
        at_fields = {name: "; ".join(said) for name, said in error.errors.items()}
        self.refuse(str(error) if not at_fields else error.detail, at_fields)

    def field(self, name: str, label: str, value: Any = "", type: str = "text", **more: Any) -> Block:
        """A field with what is wrong in it."""
        return blocks.field(name, label, value, type, error=self.errors.get(name), **more)

    def missing(self, said: Said, **names: str) -> bool:
        """Whether a required field is empty; then it says so there."""
        empty = {name: f"{label} is needed." for name, label in names.items() if not said.word(name)}
        if empty:
            self.refuse(None, empty)
        return bool(empty)

    async def press(self, name: str, said: Said) -> None:
        """Do what a button says, once: the second half of a double click is no second wish."""
        if name not in self.actions or name in self._under_way:
            return
        self._under_way.add(name)
        try:
            await self.actions[name](said)
        finally:
            self._under_way.discard(name)

    def close(self) -> None:
        """Close it, and no other that was opened meanwhile."""
        if self.panel.dialog is self:
            self.panel.close_dialog()

    async def cancel(self, said: Said) -> None:
        self.close()
