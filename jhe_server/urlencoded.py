"""Queries and forms as sent (`application/x-www-form-urlencoded`), in order; what is not UTF-8 is refused, not guessed.

Pure; tornado's own reading groups by name, and the order between names is lost.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from .errors import Invalid

FORM = "application/x-www-form-urlencoded"


def pairs(query: str) -> list[tuple[str, str]]:
    """The (name, value) pairs of a query; `Invalid` where one is not UTF-8 or contains NUL.

    >>> pairs("family_name=O%27Neil&code=a+b&code=&_summary")
    [('family_name', "O'Neil"), ('code', 'a b'), ('code', ''), ('_summary', '')]
    """
    return [_pair(part) for part in query.split("&") if part]


def _pair(part: str) -> tuple[str, str]:
    sent = part.partition("=")
    try:
        name, value = (unquote_to_bytes(one.replace("+", " ")).decode() for one in sent[::2])
    except UnicodeDecodeError:
        raise Invalid("The query is not valid UTF-8.") from None
    if "\0" in name + value:
        raise Invalid("The query contains a NUL character.", {name.strip("\0")[:100]: ["contains NUL"]})
    return name, value


def form(body: bytes) -> list[tuple[str, str]]:
    """A form's fields, which are written as a query's are.

    >>> form(b"email=mary%40example.org&password=")
    [('email', 'mary@example.org'), ('password', '')]
    """
    try:
        return pairs(body.decode())
    except UnicodeDecodeError:
        raise Invalid("The form is not valid UTF-8.") from None
