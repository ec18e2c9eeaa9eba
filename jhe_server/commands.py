"""What every command of `jupyter jhe` has: a store, its arguments, and one sentence when something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_core.application import JupyterApp
from jupyter_core.paths import jupyter_data_dir
from traitlets import Unicode, default

from .errors import ExchangeError


def default_database() -> str:
    return f"sqlite:///{Path(jupyter_data_dir()) / 'jhe' / 'exchange.sqlite'}"


class Command(JupyterApp):
    """A command on one store."""

    name = "jupyter-jhe"
    takes: tuple[str, ...] = ()
    database = Unicode(help="sqlite:///FILE or postgresql://…").tag(config=True)
    aliases = {"database": "Command.database"}

    @default("config_file_name")
    def _default_config_file(self) -> str:
        return "jupyter_jhe_config"  # the server's own: a command finds the same database

    @default("database")
    def _default_database(self) -> str:
        return str(self.config.ExchangeApp.get("database") or default_database())

    @contextmanager
    def store(self) -> Iterator[Any]:
        """The store, brought up to date, closed afterwards."""
        from .opened import open_store

        database = open_store(self.database)
        try:
            yield database
        finally:
            database.close()

    def start(self) -> None:
        super().start()
        try:
            if len(self.extra_args) != len(self.takes):
                raise ExchangeError(f"Usage: jupyter jhe {self.usage} {' '.join(self.takes)}".rstrip())
            self.run(*self.extra_args)
        except ExchangeError as error:
            self.fail(error.detail)

    @property
    def usage(self) -> str:
        return str(self.name).removeprefix("jupyter-jhe-").replace("-", " ")

    def fail(self, sentence: str) -> None:
        print(sentence, file=sys.stderr)
        self.exit(1)

    def run(self, *arguments: str) -> None:
        raise NotImplementedError


class Group(JupyterApp):
    """A command that only has others below it."""

    def start(self) -> None:
        super().start()
        self.print_help()
        self.exit(1)
