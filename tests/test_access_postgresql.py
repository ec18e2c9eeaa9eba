"""The role matrix on PostgreSQL, by a service whose role may do its work and no more: all it needs, it needs here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Exchange
from contract_table import CALLERS
from doorsteps import Doorstep, check, opened
from example_calls import EXAMPLES
from example_things import Example
from roles import Roles

WHOLE = os.environ.get("JHE_MATRIX") == "whole"


def _met() -> list[Any]:
    """Every call by whoever may do all, and by a quarter of the callers, each of whom meets a quarter of the calls."""
    return [
        pytest.param(example, kind, id=f"{example.name}-{kind}")
        for row, example in enumerate(EXAMPLES)
        for column, kind in enumerate(CALLERS)
        if WHOLE or kind == "superuser" or (row + column) % 4 == 0
    ]


@pytest.fixture(scope="module")
def doorstep(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorstep]:
    exchange = Exchange(Roles.made(postgresql).seeded(), tmp_path_factory.mktemp("doorstep"))
    yield opened(exchange)
    exchange.close()


@pytest.mark.parametrize(("example", "kind"), _met())
def test_a_call_answers_a_caller_as_on_sqlite(doorstep: Doorstep, example: Example, kind: str) -> None:
    check(doorstep, example, kind)
