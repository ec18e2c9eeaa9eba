"""`jupyter jhe backup` and `restore`: parse, copy a whole store, say what was in it."""

from __future__ import annotations

import sys
from pathlib import Path

from traitlets import Bool

from .commands import Command


class BackupCommand(Command):
    """Write the whole store into one file, while the Exchange runs or not."""

    name = "jupyter-jhe-backup"
    description = __doc__
    takes = ("FILE",)
    replace = Bool(False, help="Replace the file where it exists.").tag(config=True)
    flags = {"replace": ({"BackupCommand": {"replace": True}}, "Replace the file where it exists.")}

    def run(self, *arguments: str) -> None:
        [file] = arguments
        from .backing_up import back_up

        found = back_up(self.database, Path(file), self.replace)
        print(found)
        if found.broken is not None:
            print(f"The audit is broken at seq {found.broken}, in the database and so in its backup.", file=sys.stderr)
            self.exit(1)


class RestoreCommand(Command):
    """Put what a backup holds into the database, whole or not at all; the Exchange has to be stopped."""

    name = "jupyter-jhe-restore"
    description = __doc__
    takes = ("FILE",)
    replace = Bool(False, help="Replace what the database holds.").tag(config=True)
    flags = {"replace": ({"RestoreCommand": {"replace": True}}, "Replace what the database holds.")}

    def run(self, *arguments: str) -> None:
        [file] = arguments
        from .restoring import restore

        print(restore(self.database, Path(file), self.replace))
