"""The settings: names that mean something, files that others cannot read, and nothing a server would not start with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..app import ExchangeApp
from ..errors import ExchangeError
from ..hub_policy import HubPolicy, groups
from ..safety import Exposure, readable_by_others, risks
from ..settings import lifetimes, limits
from ..starting import passwords, private_files
from .findings import Finding, ok, warn, wrong


def findings(app: ExchangeApp, config: Any, files: Iterable[str]) -> Iterator[Finding]:
    read = [Path(file) for file in files]
    yield ok("settings", f"Read from {', '.join(map(str, read))}.") if read else ok("settings", "All are the usual.")
    yield from _unknown(config)
    yield from _values(app)
    for file in read:
        if readable_by_others(file) and passwords(app):
            yield wrong("settings", f"{file} holds a password and can be read by others: chmod 600 {file}")
    yield from _unsafe(app, config)


def _unknown(config: Any) -> Iterator[Finding]:
    """A name with a mistake in it is a setting that is not made."""
    known = set(ExchangeApp.class_traits(config=True))
    for name in sorted(set(config.get("ExchangeApp", {})) - known):
        yield wrong("settings", f"ExchangeApp has no setting {name}; docs/operate.md lists those there are.")


def _values(app: ExchangeApp) -> Iterator[Finding]:
    checked: tuple[tuple[Callable[[Any], Any], Any], ...] = (
        (lifetimes, app.lifetimes), (limits, app.limits), (groups, app.hub_groups), (HubPolicy, app.hub_email),
    )  # fmt: skip
    for read, given in checked:
        try:
            read(given)
        except ExchangeError as error:
            yield wrong("settings", error.detail)


def exposure(app: ExchangeApp, config: Any) -> Exposure:
    """How `jupyter jhe` would be reached with these settings."""
    server = config.get("ServerApp", {})
    return Exposure(
        ip=str(server.get("ip") or "localhost"),
        encrypted=bool(server.get("certfile")),
        public_url=app.public_root,
        secrets=passwords(app),
        files=private_files(app),
    )


def _unsafe(app: ExchangeApp, config: Any) -> Iterator[Finding]:
    exposed = exposure(app, config)
    found = risks(exposed)
    for risk in found:
        accepted = risk.name in app.accepted_risks
        yield warn("safety", f"Accepted: {risk.sentence}") if accepted else wrong("safety", risk.sentence)
    if not found:
        yield ok("safety", "Nothing that would keep `jupyter jhe` from starting.")
    if exposed.public and not app.public_url:
        yield warn("safety", "public_url is not set: links are made from each request's own Host header.")
