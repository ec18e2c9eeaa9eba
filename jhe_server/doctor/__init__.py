"""`jupyter jhe doctor`: whether all around an Exchange is as it should be; it sends nothing."""

from __future__ import annotations

from collections.abc import Iterator

from traitlets import TraitError

from ..app import ExchangeApp
from ..commands import Command
from . import machine, settings, store, surroundings
from .findings import Finding, wrong


class DoctorCommand(Command):
    """Look at settings, database, files, clock, mail and certificates, and say what to do."""

    name = "jupyter-jhe-doctor"
    description = __doc__

    def run(self, *arguments: str) -> None:
        found = list(self.findings())
        for one in found:
            print(one)
        if any(one.level == "wrong" for one in found):
            self.exit(1)

    def findings(self) -> Iterator[Finding]:
        """Permissions first: opening a database mends its own."""
        try:
            app = ExchangeApp(config=self.config)
        except TraitError as error:
            said, *_ = str(error).partition(", not the")  # what follows is the value, which may be a password
            yield wrong("settings", f"{said.splitlines()[0]}.")
            return
        app.database = self.database
        yield from settings.findings(app, self.config, self.loaded_config_files)
        if not store.has_address(app.database):
            yield wrong("database", "It is named by sqlite:///FILE or postgresql://USER@HOST/NAME.")
            return
        yield from machine.findings(app)
        yield from store.findings(app.database)
        yield from surroundings.findings(app, self.config)
