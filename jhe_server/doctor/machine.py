"""The machine: room on the disk, what kind of disk it is, and who else can open the files."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ..app import ExchangeApp
from ..db import Database
from ..opened import beside
from ..safety import is_local, readable_by_others
from .findings import Finding, ok, warn, wrong

MIB = 2**20
LITTLE, TOO_LITTLE = 1024 * MIB, 100 * MIB
MOUNTS = Path("/proc/mounts")
SHARED = ("nfs", "cifs", "smb", "fuse.sshfs", "9p")  # where SQLite's locks cannot be relied upon


def findings(app: ExchangeApp) -> Iterator[Finding]:
    file = Database.file_of(app.database)
    if file is not None:
        yield from _folder(file.absolute())
        yield from _room(file.absolute())
    yield from _key(app)
    yield from _outbox(Path(app.outbox) if app.outbox else beside(app.database, "outbox"))


def _folder(file: Path) -> Iterator[Finding]:
    if not file.parent.is_dir():
        return
    mode = stat.S_IMODE(file.parent.stat().st_mode)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        yield wrong("permissions", f"Others can replace files in {file.parent}: chmod 700 {file.parent}")
    elif file.exists() and not readable_by_others(file):
        yield ok("permissions", f"{file} is its owner's alone.")
    kind = _file_system(file.parent)
    if kind.startswith(SHARED):
        yield wrong("disk", f"{file.parent} is on {kind}, where SQLite can lose data: use a local disk or PostgreSQL.")


def _file_system(folder: Path) -> str:
    """The kind of file system a folder is on, as Linux names it; empty elsewhere."""
    if not MOUNTS.exists():
        return ""
    mounts = [line.split()[1:3] for line in MOUNTS.read_text().splitlines()]
    inside = [(point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(inside, key=lambda one: len(one[0]), default=("", ""))[1]


def _room(file: Path) -> Iterator[Finding]:
    folder = next(one for one in file.parents if one.exists())
    free, size = shutil.disk_usage(folder).free, file.stat().st_size if file.exists() else 0
    said = f"{free // MIB:,} MiB are free beside a database of {size // MIB:,} MiB."
    if free < TOO_LITTLE:
        yield wrong("disk", f"{said} Writes will soon be refused: make room.")
    elif free < max(LITTLE, size):
        yield warn("disk", f"{said} A restore needs room for the database once more.")
    else:
        yield ok("disk", said)


def _key(app: ExchangeApp) -> Iterator[Finding]:
    file = Path(app.key_file) if app.key_file else beside(app.database, "signing-key.json")
    if readable_by_others(file) and not app.key_file:  # one that is set is among what `safety` looks at
        yield wrong("signing key", f"{file} can be read by others, so it proves nothing: remove it, a new one is made.")
    elif not app.key_file and app.public_url and not is_local(app.public_url):
        yield warn("signing key", f"{file} is beside the database and in every copy of its folder: set key_file.")
    else:
        yield ok("signing key", f"{file}{'' if file.exists() else ', made when first needed'}.")


def _outbox(folder: Path) -> Iterator[Finding]:
    """Messages that were not sent hold links that let their holder in."""
    if not folder.is_dir():
        return
    waiting = len(list(folder.glob("*.eml")))
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield wrong("mail", f"{folder} can be read by others, and its messages let their reader in: chmod 700 {folder}")
    if waiting:
        yield warn("mail", f"{waiting} messages wait in {folder}: send them by hand, and empty it.")
