"""Files that appear under their names only once all of them are whole, for their owner's eyes alone."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from .errors import Invalid

Fresh = Callable[[str], IO[bytes]]


@contextmanager
def staged(folder: Path) -> Iterator[Fresh]:
    """A function that opens a file by name, below a temporary one until the block has ended well.

    Then all are renamed, replacing what had their names; otherwise none is left. Raises Invalid where the folder, which
    is made if need be, cannot be written.

    >>> with tempfile.TemporaryDirectory() as somewhere:
    ...     with staged(Path(somewhere)) as fresh:
    ...         _ = fresh("a.txt").write(b"whole")
    ...     Path(somewhere, "a.txt").read_bytes()
    b'whole'
    """
    named: dict[Path, IO[bytes]] = {}
    with ExitStack() as stack:

        def fresh(name: str) -> IO[bytes]:
            if (folder / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            file = tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", delete=False)  # noqa: SIM115  (mode 0600)
            stack.callback(Path(file.name).unlink, missing_ok=True)
            stack.enter_context(file)
            named[folder / name] = file
            return file

        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield fresh
            _settle(named)
        except OSError as error:
            raise Invalid(f"{folder} cannot be written: {error.strerror or 'the disk takes no more'}.") from error


def _settle(named: dict[Path, IO[bytes]]) -> None:
    for file in named.values():
        file.flush()
        os.fsync(file.fileno())
        file.close()
    for path, file in named.items():
        Path(file.name).replace(path)
    for folder in {path.parent for path in named}:
        _sync_names(folder)


def _sync_names(folder: Path) -> None:
    """A name is on disk when its folder is; where folders cannot be opened (Windows), the system sees to it."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
