"""What a panel shows, as plain dictionaries that the browser draws as text: fields, buttons, lists, bars, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Block = dict[str, Any]
Option = tuple[Any, str]


def text(said: str, tone: str | None = None, role: str | None = None) -> Block:
    """A paragraph; `tone` is bad, good, info or soft."""
    return {"kind": "text", "text": said, "tone": tone, "role": role}


def alert(said: str) -> Block:
    """What went wrong, read out at once."""
    return text(said, "bad", "alert")


def heading(said: str) -> Block:
    return {"kind": "heading", "text": said}


def code(said: str) -> Block:
    return {"kind": "code", "text": said}


def row(*blocks: Block | None) -> Block:
    """Blocks beside each other; None is left out."""
    return {"kind": "row", "blocks": [one for one in blocks if one is not None]}


def columns(left: Sequence[Block], right: Sequence[Block]) -> Block:
    """A narrow and a wide column; below each other in a narrow cell."""
    return {"kind": "columns", "left": list(left), "right": list(right)}


def section(title: str, *blocks: Block | None) -> Block:
    """Blocks under a heading."""
    return {"kind": "section", "title": title, "blocks": [one for one in blocks if one is not None]}


def pairs(*said: tuple[str, str]) -> Block:
    """Terms, each with what is said about it."""
    return {"kind": "pairs", "pairs": [list(one) for one in said]}


def items(*said: str) -> Block:
    """A list of lines."""
    return {"kind": "list", "items": list(said)}


def answers(given: Iterable[Mapping[str, Any]]) -> Block:
    """Consents with their marks: `{consented: True | False | None, text, note}`."""
    return {"kind": "answers", "answers": list(given)}


def bar(label: str, parts: Iterable[tuple[int, str, str]]) -> Block:
    """One bar of a block of bars: `(count, label, tone)` for each share."""
    return {"label": label, "parts": [{"count": n, "label": said, "tone": tone} for n, said, tone in parts]}


def bars(drawn: Iterable[Block]) -> Block:
    return {"kind": "bars", "bars": list(drawn)}


def grid(label: str, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Block:
    """A small table that is only read."""
    return {"kind": "grid", "label": label, "columns": list(titles), "rows": [list(one) for one in rows]}


def node(id: int, label: str, children: Sequence[Block] = (), **more: Any) -> Block:
    """One organization of a tree; `name` makes it a button, `note` stands beside it, `current` marks it."""
    return {"id": id, "label": label, "children": list(children), "name": None, "note": None, "current": False, **more}


def tree(*nodes: Block) -> Block:
    return {"kind": "tree", "nodes": list(nodes)}


def image(source: str, alt: str) -> Block:
    """A picture from a `data:` address."""
    return {"kind": "image", "source": source, "alt": alt}


def progress(label: str, value: int, most: int) -> Block:
    return {"kind": "progress", "label": label, "value": value, "max": max(most, 1)}


def button(name: str, label: str, look: str = "plain", *, submit: bool = False, **more: Any) -> Block:
    """A button; `look` is plain, safe, create, primary, caution or danger, `submit` makes it the one of Enter."""
    return {"kind": "button", "name": name, "label": label, "look": look, "submit": submit, "disabled": False, **more}


def copy(label: str, said: str) -> Block:
    """A button that copies, in the browser's own click."""
    return {"kind": "copy", "label": label, "text": said}


def download(label: str, file: str, content: str, media_type: str = "text/csv;charset=utf-8") -> Block:
    return {"kind": "download", "label": label, "file": file, "text": content, "type": media_type}


def printed(label: str, title: str, source: str, *lines: str) -> Block:
    """A button that prints a page of its own: a title, a picture, lines beneath."""
    return {"kind": "print", "label": label, "title": title, "source": source, "lines": list(lines)}


def file(name: str, label: str, accept: str, most: int, too_large: str) -> Block:
    """A file to choose, at most `most` bytes; a larger one is answered with `too_large` and not sent."""
    return {"kind": "file", "name": name, "label": label, "accept": accept, "most": most, "toolarge": too_large}


def field(name: str, label: str, value: Any = "", type: str = "text", **more: Any) -> Block:
    """A field; `more` may hold required, readonly, disabled, placeholder, hint, error, and live (tell each change)."""
    return {
        "kind": "field",
        "name": name,
        "label": label,
        "type": type,
        "value": "" if value is None else value,
        **more,
    }


def select(name: str, label: str, options: Sequence[Option], value: Any = "", **more: Any) -> Block:
    """A choice of one; values are compared as text."""
    listed = [[str(one), said] for one, said in options]
    return field(name, label, "" if value is None else str(value), "select", options=listed, **more)


def checkbox(name: str, label: str, value: bool = False, **more: Any) -> Block:
    return field(name, label, value, "checkbox", **more)
