"""A question before something is taken away: what goes along in plain lines, the safe answer first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from . import blocks
from .blocks import Block
from .dialog import Dialog, Said

if TYPE_CHECKING:
    from .panel import Panel


class Confirm(Dialog):
    """`lines` says what would happen, `do` does it; afterwards the dialog `back`, if any, is open again."""

    def __init__(
        self,
        panel: Panel,
        title: str,
        lines: Callable[[], Awaitable[list[str]]],
        do: Callable[[], Awaitable[object]],
        *,
        label: str = "Remove",
        back: Dialog | None = None,
    ) -> None:
        super().__init__(panel)
        self.title, self.label, self.back = title, label, back
        self._lines, self._do = lines, do
        self._said: list[str] | None = None
        self.actions |= {"confirm": self.confirm}

    async def load(self) -> None:
        self._said = await self._lines()
        self.draw()

    def body(self) -> list[Block]:
        if self._said is None:
            return [blocks.text("Looking at what would go along …", "soft")]
        return [blocks.text(line) for line in self._said]

    def buttons(self) -> list[Block]:
        return [*super().buttons(), blocks.button("confirm", self.label, "danger", disabled=self._said is None)]

    async def confirm(self, said: Said) -> None:
        await self._do()
        await self.leave()
        await self.panel.screen.refresh()

    async def cancel(self, said: Said) -> None:
        await self.leave()

    async def leave(self) -> None:
        if self.back is None:
            self.close()
        elif self.panel.dialog is self:
            await self.panel.ask(self.back)
