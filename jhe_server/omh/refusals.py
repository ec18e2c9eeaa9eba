"""How a data point is refused: one sentence that names the rule and the place, never what the patient's device said."""

from __future__ import annotations

from jhe_server.errors import Unprocessable

Path = tuple[str | int, ...]

_LONGEST_POINTER = 200  # keys are the sender's: a refusal must not grow with them


def pointer(path: Path) -> str:
    """The JSON pointer (RFC 6901) of a path into the data point.

    >>> pointer(("body", "a/b", 0))
    '/body/a~1b/0'
    """
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "".join(f"/{step}" for step in steps)[:_LONGEST_POINTER]


def refusal(path: Path, rule: str) -> Unprocessable:
    """The 422 to raise where `rule` (a verb phrase) is broken at `path`.

    >>> refusal(("body",), "must be an object").detail
    '/body must be an object.'
    """
    where = pointer(path) or "The data point"
    return Unprocessable(f"{where} {rule}.", errors={pointer(path) or "/": [f"{rule}."]})
