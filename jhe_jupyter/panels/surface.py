"""The one widget of every panel: it sends what is to be seen and hears what was done, and holds nothing itself.

Contents travel as messages and never as widget state: a row of a patient cannot be saved into a notebook file, no
update overtakes a click, and a page that is loaded again asks for what is on show.
"""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anywidget

STATIC = Path(__file__).parent / "static"
# Set in a job that nobody here asked for: it shows only what differs.
UNASKED: ContextVar[bool] = ContextVar("unasked", default=False)
SCRIPTS = ("dom.js", "blocks.js", "fields.js", "table.js", "surface.js")


def script() -> str:
    """The browser's side: several files read as one module, because a widget brings its own and has no build."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS)


def style() -> str:
    """Colours come from the theme of JupyterLab, Notebook or Voilà."""
    return (STATIC / "surface.css").read_text(encoding="utf-8")


class Surface(anywidget.AnyWidget):
    """Parts of a screen (tabs, bar, notice, main, dialog), each shown by one message."""

    _esm = script()
    _css = style()

    def __init__(self) -> None:
        self._shown: dict[str, dict[str, Any]] = {}
        self._views: set[str] = set()
        super().__init__()
        self.on_msg(self._hear)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def seen(self) -> bool:
        """Whether somebody looks at it: a panel whose output was cleared need not keep up to date."""
        return bool(self._views)

    def put(self, part: str, **content: Any) -> None:
        """Show a part, here and in every view that opens later."""
        message = {"part": part, **content}
        if UNASKED.get() and self._shown.get(part) == message:
            return  # a click under way must not lose its button to the same button drawn anew
        self.keep(part, **content)
        self.send(message)

    def keep(self, part: str, **content: Any) -> None:
        """Remember what a part shows, for views that open later; those there know it already."""
        message = {"part": part, **content}
        self._shown[part] = {**message, "fresh": True} if part == "dialog" else message

    def heard(self, said: dict[str, Any], buffers: list[memoryview]) -> None:
        """Something was done in the browser; a panel says what that means."""
        raise NotImplementedError

    def _hear(self, _: Any, said: dict[str, Any], buffers: list[memoryview]) -> None:
        name = said.get("name")
        if name == "ready":
            self._views.add(said["view"])
            self.heard(said, buffers)
        elif name == "gone":
            self._views.discard(said["view"])
        else:
            self.heard(said, buffers)

    def show_again(self) -> None:
        """Everything that is on show, for a view that has just opened."""
        for message in self._shown.values():
            self.send(message)
