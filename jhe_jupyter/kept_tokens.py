"""Where a sign-in is kept: in the system's keyring where there is one, else in a file only its owner reads."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from jupyter_core.paths import jupyter_data_dir

SERVICE = "jupyterhealth-exchange"


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gave; `expires` is the access token's end, in seconds since 1970. Its repr shows no secret."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires: float
    client_id: str

    @classmethod
    def from_answer(cls, said: dict[str, Any], client_id: str) -> Tokens:
        """The tokens in an answer of the token endpoint."""
        return cls(said["access_token"], said["refresh_token"], time.time() + float(said["expires_in"]), client_id)


class Keeper(Protocol):
    """Keeps one Exchange's tokens; `alone` is held while they are renewed, so that it is done once."""

    def load(self) -> Tokens | None: ...
    def save(self, tokens: Tokens) -> None: ...
    def forget(self) -> None: ...
    def alone(self) -> Any: ...


class InMemory:
    """For as long as this process lives: an app that is only played."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None

    def load(self) -> Tokens | None:
        return self._tokens

    def save(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def forget(self) -> None:
        self._tokens = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        yield


class OnDisk:
    """A file of mode 0600 for each Exchange, replaced as a whole.

    >>> OnDisk("http://127.0.0.1:8888/jhe", Path("/nowhere")).load() is None
    True
    """

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self.url = url
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.file = (folder or Path(jupyter_data_dir()) / "jhe" / "sign-ins") / f"{name}.json"

    def load(self) -> Tokens | None:
        try:
            return _read(self.file.read_text(encoding="utf-8"))
        except OSError:
            return None

    def save(self, tokens: Tokens) -> None:
        self._folder()
        fresh = self.file.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(_written(tokens), encoding="utf-8")
        fresh.replace(self.file)

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)

    def _folder(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Kernels that share a sign-in take turns; where the system has no such lock, the server's grace has to do."""
        self._folder()
        with self.file.with_suffix(".lock").open("a") as held:
            with suppress(ImportError, OSError):
                fcntl = import_module("fcntl")
                fcntl.flock(held, fcntl.LOCK_EX)
            yield


class InKeyring(OnDisk):
    """The same in the system's keyring; only the lock is a file."""

    def __init__(self, url: str, keyring: Any, folder: Path | None = None) -> None:
        super().__init__(url, folder)
        self._keyring = keyring

    def load(self) -> Tokens | None:
        return _read(self._keyring.get_password(SERVICE, self.url) or "")

    def save(self, tokens: Tokens) -> None:
        self._keyring.set_password(SERVICE, self.url, _written(tokens))

    def forget(self) -> None:
        with suppress(Exception):  # a keyring complains in its own way of what is not there
            self._keyring.delete_password(SERVICE, self.url)


def keeper(url: str) -> Keeper:
    """The best place this machine has."""
    try:
        keyring = import_module("keyring")
        usable = keyring.get_keyring().priority >= 1
    except Exception:  # none installed, or none that works: each backend fails in its own way
        usable = False
    return InKeyring(url, keyring) if usable else OnDisk(url)


def _written(tokens: Tokens) -> str:
    return json.dumps(asdict(tokens))


def _read(text: str) -> Tokens | None:
    try:
        return Tokens(**json.loads(text))
    except (ValueError, TypeError):
        return None
