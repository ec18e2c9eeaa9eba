"""The columns the notebook package promises are those the server's schemas have, in their order."""

from __future__ import annotations

from jhe_jupyter.columns import KEYS, LEAVES, value_columns
from jhe_server import omh

DTYPES = {"double": "float64", "int": "float64", "bool": "boolean", "string": "category"}


def test_every_code_has_the_leaves_of_its_schema() -> None:
    assert set(LEAVES) == omh.known_codes() | {"QuestionnaireResponse"}
    for code, leaves in LEAVES.items():
        ours = list(leaves.items())
        assert ours == [(name, DTYPES[kind]) for name, kind in omh.leaves(code).items()], code


def test_no_leaf_is_named_like_a_key() -> None:
    assert not KEYS.keys() & {leaf for leaves in LEAVES.values() for leaf in leaves}


def test_aggregates_can_be_told_from_readings_whatever_was_asked() -> None:
    for codes in ([], ["omh:physical-activity:1.2"], ["omh:heart-rate:2.0", "omh:physical-activity:1.2"]):
        assert "descriptive_statistic" in value_columns(codes)
    assert list(value_columns(["b", "omh:heart-rate:2.0"])) == list(value_columns(["omh:heart-rate:2.0", "b"]))
