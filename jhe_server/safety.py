"""What an Exchange does not start with: settings that would give away what it keeps, each in one sentence."""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Name = Literal["no_authentication", "plain_http", "default_secret", "readable_files"]
ACCEPTABLE = ("plain_http", "readable_files")  # by who knows better: a trial, a disk that knows no modes
# What guides and images put where a secret belongs.
PLACEHOLDERS = frozenset({"", "…", "...", "admin", "changeme", "change-me", "example", "jhe", "jupyter", "password",
                          "postgres", "secret", "test", "token"})  # fmt: skip
SHORT = 16  # characters below which Jupyter's token can be guessed


@dataclass(frozen=True)
class Exposure:
    """How a server would be reached and what keeps others out.

    `ip` is where it listens, `encrypted` whether it speaks TLS itself, `behind_hub` whether a Hub's proxy is all that
    reaches it; `token` is Jupyter's as it was set, None where Jupyter makes its own; `secrets` are those of the
    settings by name; `files` hold what nobody else may read.
    """

    ip: str
    alone: bool = True
    behind_hub: bool = False
    encrypted: bool = False
    asks_who: bool = True
    token: str | None = None
    public_url: str = ""
    secrets: tuple[tuple[str, str], ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def listens_beyond(self) -> bool:
        return not is_loopback(self.ip)

    @property
    def public(self) -> bool:
        """Whether anybody but this machine is meant to reach it."""
        return self.listens_beyond or (bool(self.public_url) and not is_local(self.public_url))


@dataclass(frozen=True)
class Risk:
    """A reason not to start. In somebody's own notebook server some are theirs to take, and are only said."""

    name: Name
    sentence: str
    fatal: bool = True


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own; no address at all is every one.

    >>> is_loopback("127.0.0.2"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("")
    (True, True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_local(url: str) -> bool:
    """Whether an address can be followed on this machine only.

    >>> is_local("http://localhost:8900/jhe"), is_local("https://jhe.example.org/jhe")
    (True, False)
    """
    return is_loopback(urlsplit(url).hostname or "")


def risks(exposure: Exposure) -> list[Risk]:
    return [*_strangers(exposure), *_in_the_clear(exposure), *_placeholders(exposure), *_readable(exposure)]


def _strangers(exposure: Exposure) -> Iterator[Risk]:
    if not exposure.alone and exposure.listens_beyond and not exposure.asks_who:
        yield Risk(
            "no_authentication",
            f"Jupyter listens on {exposure.ip or 'every address'} and asks nobody who they are, and its kernels act as "
            "the owner: give it a token or a password, or let it listen on 127.0.0.1.",
        )


def _in_the_clear(exposure: Exposure) -> Iterator[Risk]:
    address = exposure.public_url
    if address.startswith("http:") and not is_local(address):
        yield Risk(
            "plain_http",
            f"public_url is {address}: tokens and health data would cross the network in the clear. Put TLS in front "
            "and say https.",
        )
    elif exposure.listens_beyond and not (exposure.encrypted or exposure.behind_hub or address.startswith("https:")):
        yield Risk(
            "plain_http",
            f"The server would listen on {exposure.ip or 'every address'} in plain HTTP: let it listen on 127.0.0.1 "
            "behind a proxy with TLS, or say in public_url at which https address a proxy elsewhere serves it.",
            fatal=exposure.alone,
        )


def _placeholders(exposure: Exposure) -> Iterator[Risk]:
    if not exposure.public:
        return
    for name, secret in exposure.secrets:
        if secret.lower() in PLACEHOLDERS:
            yield Risk("default_secret", f"The password in {name} is one that everybody knows: set one of your own.")
    if exposure.token is not None and not exposure.alone and 0 < len(exposure.token) < SHORT:
        yield Risk("default_secret", f"Jupyter's token is short enough to be guessed: use {SHORT} characters or more.")


def _readable(exposure: Exposure) -> Iterator[Risk]:
    for file in exposure.files:
        if readable_by_others(file):
            yield Risk(
                "readable_files",
                f"{file} can be read by other accounts of this machine, and may have been: chmod 600 {file}",
                fatal=exposure.alone,
            )


def readable_by_others(file: Path) -> bool:
    """Whether a file is there and somebody else may open it; Windows has no such modes."""
    if os.name != "posix":
        return False
    try:
        return bool(stat.S_IMODE(file.stat().st_mode) & 0o077)
    except FileNotFoundError:
        return False
