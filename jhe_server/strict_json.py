"""JSON from strangers: read quickly where nothing can be lost in it, else carefully, with one sentence why not."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, NoReturn

import orjson

from jhe_server.errors import Invalid

_DEEPEST = 64  # levels; the deepest Open mHealth schema has 8
_BROKEN_TEXT = re.compile("[\x00\ud800-\udfff]")  # what no database keeps and no UTF-8 can say


def parse_json(sent: bytes, where: str = "valueAttachment.data") -> object:
    """JSON without duplicate keys, NaN, infinities, NUL, half characters or bottomless nesting.

    Raises Invalid, and UnicodeDecodeError for what is not UTF-8.

    >>> parse_json(b'{"resourceType": "Bundle"}')
    {'resourceType': 'Bundle'}
    """
    return parse_and_write(sent, where)[0]


def parse_and_write(sent: bytes, where: str = "valueAttachment.data") -> tuple[object, bytes]:
    """What `parse_json` reads, and the same as JSON without the spaces it came with.

    >>> parse_and_write(b'{ "value" : 1.50 }')
    ({'value': 1.5}, b'{"value":1.5}')
    """
    read = _read_quickly(sent)
    if read is None:
        decoded = _read_carefully(sent.decode("utf-8"), where)
        if _depth(decoded) > _DEEPEST:
            raise _too_deep(where)
    else:
        decoded = read[0]
    if b"\\" in sent and b"\\u" in sent and _has_broken_text(decoded):
        raise Invalid(f"The JSON in {where} must not contain NUL or half of a character.")
    return read or (decoded, orjson.dumps(decoded))


def _read_quickly(sent: bytes) -> tuple[object, bytes] | None:
    """What orjson reads, and writes, where nothing can have been lost in it; else None.

    Of two equal keys orjson keeps the last, and with the other goes its colon: written out again, what was read has
    as many colons as the text only if nothing went (unless a colon was written as an escape).
    """
    try:
        decoded: object = orjson.loads(sent)
        written = orjson.dumps(decoded)
        if sent.count(b"{") + sent.count(b"[") > _DEEPEST:
            orjson.dumps(_wrapped(decoded, _wrappings()))
    except (ValueError, TypeError):
        return None
    whole = written.count(b":") == sent.count(b":") and not (b"\\" in sent and b"\\u003" in sent)
    return (decoded, written) if whole else None


def _wrapped(value: object, times: int) -> object:
    for _ in range(times):
        value = [value]
    return value


@cache
def _wrappings() -> int:
    """How many lists around what is nested as deeply as may be are as much as orjson writes.

    A value inside so many is written only if it is not nested too deeply: asking orjson costs a tenth of looking.
    """
    deepest = _wrapped(0, _DEEPEST)
    for times in range(1000):
        try:
            orjson.dumps(_wrapped(deepest, times))
        except TypeError:
            return times - 1
    raise RuntimeError("orjson writes JSON of any depth, and no longer says what is nested too deeply.")


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
