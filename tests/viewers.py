"""A panel without a browser: what it sends is kept as a page would, and clicks go the way a browser's do, by label."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm
from conftest import Exchange as Server

from jhe_jupyter import Exchange
from jhe_jupyter.panels.panel import Panel

Block = dict[str, Any]


class Wire(BaseComm):  # type: ignore[misc]
    """What goes from the kernel to the browser, in order, with its size."""

    sent: list[dict[str, Any]]

    def publish_msg(self, msg_type: str, data: Any = None, **more: Any) -> None:
        self.__dict__.setdefault("sent", []).append({"type": msg_type, **(data or {})})


class Viewer:
    """One browser that looks at one panel; it knows only what was sent."""

    def __init__(self, panel: Panel, name: str = "view-1") -> None:
        self.panel, self.name = panel, name
        self.send({"name": "ready"})

    def send(self, said: dict[str, Any], content: bytes | None = None) -> None:
        message = {"data": {"method": "custom", "content": {**said, "view": self.name}}}
        buffers = [] if content is None else [memoryview(content)]
        self.panel.comm.handle_msg({"content": message, "buffers": buffers})
        self.panel.settle()

    # -- what is on show ---------------------------------------------------------------------------------------------

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [one["content"] for one in self.panel.comm.sent if one.get("method") == "custom"]

    def part(self, name: str) -> dict[str, Any]:
        """The newest message about a part."""
        return next((one for one in reversed(self.messages) if one["part"] == name), {"blocks": []})

    def blocks(self, part: str) -> list[Block]:
        return list(_every(self.part(part).get("blocks", [])))

    @property
    def asked(self) -> bool:
        """Whether a dialog is open."""
        return self.part("dialog").get("title") is not None

    @property
    def title(self) -> str | None:
        return self.part("dialog").get("title")

    def words(self, part: str) -> str:
        """Everything a part says."""
        return "\n".join(_texts(self.part(part).get("blocks", [])))

    def labels(self, part: str) -> list[str]:
        return [one["label"] for one in self.blocks(part) if one["kind"] in ("button", "copy", "download", "print")]

    def button(self, label: str, part: str) -> Block:
        return next(one for one in self.blocks(part) if one["kind"] == "button" and one["label"] == label)

    def field(self, label: str, part: str = "dialog") -> Block:
        return next(one for one in self.blocks(part) if one["kind"] == "field" and one["label"] == label)

    @property
    def table(self) -> Block:
        return next(one for one in self.blocks("main") if one["kind"] == "table")

    @property
    def rows(self) -> list[list[str]]:
        return [row["cells"] for row in self.table["rows"]]

    def column(self, title: str) -> list[str]:
        at = [column["title"] for column in self.table["columns"]].index(title)
        return [row[at] for row in self.rows]

    # -- what is done ------------------------------------------------------------------------------------------------

    def press(self, label: str, part: str = "dialog", id: int | None = None, **values: Any) -> None:
        """Click a button that is there and enabled; `values` are typed into the part's fields before."""
        there = [one for one in self.blocks(part) if one["kind"] == "button" and one["label"] == label]
        button = next(one for one in there if id in (None, one.get("id")))
        assert not button["disabled"], f"{label} is disabled"
        known = {one["name"]: one["value"] for one in self.blocks(part) if one["kind"] == "field"}
        assert set(values) <= set(known), f"no field {set(values) - set(known)}"
        self.send({"part": part, "name": button["name"], "id": button.get("id"), "values": {**known, **values}})

    def choose(self, label: str, value: Any, part: str = "bar") -> None:
        """Change a field that tells each change."""
        field = self.field(label, part)
        assert field["live"]
        self.send({"part": part, "name": field["name"], "value": value, "values": {field["name"]: value}})

    def act(self, label: str, words: str) -> None:
        """Use a row's button."""
        action = next(one for one in self.table["actions"] if one["label"] == label)
        row = next(row for row in self.table["rows"] if any(words in cell for cell in row["cells"]))
        self.send({"part": "main", "name": f"{self.table['name']}.{action['name']}", "id": row["id"], "values": {}})

    def tick(self, *words: str, on: bool = True) -> None:
        ids = [row["id"] for row in self.table["rows"] for one in words if any(one in cell for cell in row["cells"])]
        assert len(ids) == len(words)
        self.send({"part": "main", "name": f"{self.table['name']}.tick", "ids": ids, "on": on, "values": {}})

    def turn(self, what: str, value: Any) -> None:
        """Turn a page, change its size, or sort."""
        self.send({"part": "main", "name": f"{self.table['name']}.{what}", "value": value, "values": {}})

    def turn_to(self, screen: str) -> None:
        assert screen in self.part("tabs")["tabs"]
        self.send({"part": "tabs", "name": "tab", "value": screen})

    def upload(self, name: str, content: bytes) -> None:
        field = next(one for one in self.blocks("main") if one["kind"] == "file")
        self.send({"part": "main", "name": field["name"], "value": name, "values": {}}, content)


def _every(blocks: list[Block]) -> Iterator[Block]:
    """Blocks with those inside of them."""
    for block in blocks:
        yield block
        for inner in ("blocks", "left", "right"):
            yield from _every(block.get(inner, []))


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for name, one in tree.items():
            if name not in ("kind", "name", "tone", "role", "look", "type"):
                yield from _texts(one)
    elif isinstance(tree, list | tuple):
        for one in tree:
            yield from _texts(one)


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Widgets made inside have a wire of ours instead of a kernel's."""
    with monkeypatch.context() as patch:
        patch.setattr(comm, "create_comm", lambda **named: Wire(**named))
        yield


class Ward:
    """Panels of a server, as different people, closed at the end."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self._patch = server, monkeypatch
        self._panels: list[Panel] = []

    def exchange(self, email: str) -> Exchange:
        return Exchange(self.server.address, self.server.token(email)).sign_in()

    def open(self, email: str, method: str = "console", **where: Any) -> Viewer:
        """A panel of somebody's, looked at."""
        with watching(self._patch):
            panel: Panel = getattr(self.exchange(email), method)(**where)
        self._panels.append(panel)
        panel.settle()
        return Viewer(panel)

    def close(self) -> None:
        for panel in self._panels:
            panel.settle()
            assert panel.failure is None, repr(panel.failure)
            panel.close()
