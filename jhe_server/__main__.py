"""`jupyter jhe`, also as `python -m jhe_server`: a command, or (without one) the Exchange alone.

A command needs no web server, whose import takes longer than most commands do.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    from .cli import SUBCOMMANDS, CommandLine

    if sys.argv[1:2] and sys.argv[1] in SUBCOMMANDS:
        CommandLine.launch_instance()
        return
    from . import hub_server
    from .app import ExchangeApp

    if hub_server.is_service(os.environ):
        ExchangeApp.serverapp_class = hub_server.HubServerApp
    ExchangeApp.subcommands = SUBCOMMANDS
    ExchangeApp.launch_instance()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
