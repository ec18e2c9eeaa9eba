"""The description of the API, served: as OpenAPI for programs, and as a page for people, without scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated

from . import pages
from .openapi import Json, document
from .public import PublicHandler


class DescriptionHandler(PublicHandler):
    """OpenAPI 3.1; any page may read it."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Access-Control-Allow-Origin", "*")

    @allow_unauthenticated
    async def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        await self.finish(await self.made(self._described))

    async def made(self, make: Callable[[], Any]) -> Any:
        """The first time it takes a moment, which is no notebook's to wait for."""
        return await asyncio.get_running_loop().run_in_executor(self.exchange.pool, make)

    def _described(self) -> str:
        return json.dumps({**document(), "servers": [{"url": self.exchange.site}]})


class ViewerHandler(DescriptionHandler):
    """The same to read."""

    @allow_unauthenticated
    async def get(self) -> None:
        self.set_header("Content-Type", pages.HTML)
        self.set_header("Content-Security-Policy", pages.policy())
        await self.finish(await self.made(self._page))

    def _page(self) -> bytes:
        said = document()
        about = {"version": said["info"]["version"], "site": self.exchange.site}
        return pages.rendered("api.html", self.exchange.root, tags=tags(said), shapes=[*shapes(said)], **about)


def tags(said: Json) -> list[tuple[str, list[Json]]]:
    """The calls of each concept, in the order of the description."""
    found: dict[str, list[Json]] = {}
    for path, operations in said["paths"].items():
        for method, operation in operations.items():
            found.setdefault(operation["tags"][0], []).append(_call(method, path, operation))
    return sorted(found.items())


def _call(method: str, path: str, operation: Json) -> Json:
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": operation["description"],
        "public": operation.get("security") == [],
        "parameters": [_parameter(one) for one in operation.get("parameters", ())],
        "body": ", ".join(f"{kind}: {kind_of(one['schema'])}" for kind, one in body.items()),
        "statuses": ", ".join(operation["responses"]),
    }


def _parameter(one: Json) -> str:
    return f"{one['name']} ({one['in']}{', required' if one.get('required') else ''}): {kind_of(one['schema'])}"


def shapes(said: Json) -> Iterator[tuple[str, list[str]]]:
    """Every shape with its fields."""
    for name, schema in said["components"]["schemas"].items():
        required = schema.get("required", ())
        fields = schema.get("properties", {}).items()
        yield name, [f"{field}{' *' if field in required else ''}: {kind_of(one)}" for field, one in fields]


def kind_of(schema: Json) -> str:
    """What a value is, in a few words.

    >>> kind_of({"anyOf": [{"type": "array", "items": {"$ref": "#/components/schemas/Code"}}, {"type": "null"}]})
    'list of Code or null'
    """
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(kind_of(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    return " ".join(str(one) for one in (schema.get("type"), schema.get("format"), schema.get("const")) if one) or "any"
