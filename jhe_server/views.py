"""What a page verb answers: which page, what stands on it, where to go next; how it looks is in `templates/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class View:
    """`page` is a template, `location` an address to go to instead; `session` a new secret for the cookie.

    `form_to` is where a form's answer may lead besides ourselves; `download` the name of a file made of `stream`.
    """

    page: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    location: str | None = None
    session: str | None = None
    form_to: str = ""
    download: str = ""
    stream: Iterator[bytes] | None = None


def message(title: str, text: str, status: int = 200) -> View:
    """A page that says one thing."""
    return View("message.html", {"title": title, "text": text}, status)


def go(root: str, below: str, session: str | None = None) -> View:
    """To another of our own pages."""
    return View(status=303, location=f"{root}/{below}", session=session)
