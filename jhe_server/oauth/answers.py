"""What leaves an endpoint of `/o`: JSON in OAuth2's own spelling, with its status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An answer of the token endpoint and its like; `body` is None where there is nothing to say."""

    status: int
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
