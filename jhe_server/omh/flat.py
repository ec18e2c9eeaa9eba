"""A body laid flat: the values of its code's columns in their order, and what the schema does not name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jhe_server.omh.schemas import TIME_FRAME, leaf_paths, leaves

Scalar = bool | int | float | str
_TAKES: dict[str, tuple[type, ...]] = {"double": (float, int), "int": (int, float), "bool": (bool,), "string": (str,)}
_AS: dict[str, type] = {"double": float, "int": int, "bool": bool, "string": str}


def laid_flat(body: Mapping[str, Any], code: str) -> tuple[list[Scalar | None], dict[str, Any]]:
    """The values of `leaves(code)` in their order, and the rest in its own nesting: lists, and unnamed keys.

    The time frame is in neither: it becomes columns of every observation. Numbers are float or int as the leaf is.

    >>> laid_flat({"heart_rate": {"value": 72, "unit": "beats/min", "quality": 3},
    ...            "effective_time_frame": {"date_time": "2026-03-01T08:00:00Z"}}, "omh:heart-rate:2.0")[0][:2]
    [72.0, 'beats/min']
    """
    values: list[Scalar | None] = [None] * len(leaves(code))
    rest = _take(body, _tree(code), values)
    rest.pop(TIME_FRAME, None)
    return values, rest


def _take(node: Mapping[str, Any], tree: Mapping[str, Any], values: list[Scalar | None]) -> dict[str, Any]:
    """Fill in the values that `tree` has a place for; what is left over."""
    rest: dict[str, Any] = {}
    for key, value in node.items():
        place = tree.get(key)
        if type(place) is tuple and type(value) in place[1] and _fits(value, place[2]):
            values[place[0]] = place[2](value)
        elif type(place) is dict and type(value) is dict:
            inner = _take(value, place, values)
            if inner:
                rest[key] = inner
        else:
            rest[key] = value
    return rest


def _fits(value: Scalar, kind: type) -> bool:
    """Whether a column of 64-bit integers can hold it; what it cannot hold is left over."""
    return kind is not int or -(2**63) <= float(value) < 2**63


@cache
def _tree(code: str) -> dict[str, Any]:
    """The leaves as nested keys: (place, types it takes, type it becomes) at the end of each path."""
    tree: dict[str, Any] = {}
    kinds = leaves(code)
    for place, (name, path) in enumerate(leaf_paths(code).items()):
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = (place, _TAKES[kinds[name]], _AS[kinds[name]])
    return tree
