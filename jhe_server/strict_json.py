"""JSON from strangers: read quickly where nothing can be lost in it, else carefully, with one sentence why not."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from jhe_server.errors import Invalid

_DEEPEST = 64  # levels; the deepest Open mHealth schema has 8
_BROKEN_TEXT = re.compile("[\x00\ud800-\udfff]")  # what no database keeps and no UTF-8 can say


def parse_json(text: str, where: str = "valueAttachment.data") -> object:
    """JSON without duplicate keys, NaN, infinities, NUL, half characters or bottomless nesting; raises Invalid.

    >>> parse_json('{"resourceType": "Bundle"}')
    {'resourceType': 'Bundle'}
    """
    decoded = _read_quickly(text)
    if decoded is None:
        decoded = _read_carefully(text, where)
    if text.count("{") + text.count("[") > _DEEPEST and _depth(decoded) > _DEEPEST:
        raise _too_deep(where)
    if "\\u" in text and _has_broken_text(decoded):
        raise Invalid(f"The JSON in {where} must not contain NUL or half of a character.")
    return decoded


def _read_quickly(text: str) -> object:
    """What orjson reads, where nothing can have been lost in it; else None.

    Of two equal keys orjson keeps the last, and with the other goes its colon: written out again, what was read has
    as many colons as the text only if nothing went (unless a colon was written as an escape).
    """
    if "\\u003" in text:
        return None
    try:
        decoded: object = orjson.loads(text)
        written = orjson.dumps(decoded)
    except (ValueError, TypeError):
        return None
    return decoded if written.count(b":") == text.count(":") else None


def _read_carefully(text: str, where: str) -> object:
    try:
        decoded: object = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_finite_integer
        )
    except _Unfit as unfit:
        raise Invalid(f"The JSON in {where} {unfit}.") from None
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError:
        raise Invalid(f"The JSON in {where} is not valid.") from None
    return decoded


class _Unfit(ValueError):
    """JSON that is well-formed and still cannot be taken: the rest of a sentence that says why."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unfit("must not have a key twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Unfit(f"must not contain {name}")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Unfit("must not contain a number that large")
    return number


def _finite_integer(text: str) -> int | float:
    if len(text) > 300:  # a double ends at 308 digits, and Python refuses to read thousands of them
        raise _Unfit("must not contain a number that large")
    number = int(text)
    # Beyond 64 bits a number is a double, as it is to any other reader of JSON (RFC 8259 §6).
    return number if -(2**63) <= number < 2**64 else float(number)


def _too_deep(where: str) -> Invalid:
    return Invalid(f"The JSON in {where} must not be nested deeper than {_DEEPEST} levels.")


def _children(node: object) -> list[object]:
    return list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []


def _depth(node: object) -> int:
    """Levels of objects and arrays, counted without recursion: the point is that there may be too many."""
    level: list[Any] = [node] if isinstance(node, dict | list) else []
    depth = 0
    while level:
        inside = (child for part in level for child in (part.values() if type(part) is dict else part))
        level, depth = [child for child in inside if type(child) is dict or type(child) is list], depth + 1
    return depth


def _has_broken_text(decoded: object) -> bool:
    waiting = [decoded]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str) and _BROKEN_TEXT.search(node):
            return True
        waiting += [*node, *node.values()] if isinstance(node, dict) else _children(node)
    return False
