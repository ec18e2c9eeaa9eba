"""`jupyter jhe …`: parse, call a verb, print. Everything that needs no running server."""

from __future__ import annotations

import os
import secrets
import sys
from datetime import timedelta

from jupyter_core.application import JupyterApp
from traitlets import Bool, Enum, Float, Int, Unicode, default

from .cli_accounts import ClientCommand, LoginCommand, UserCommand
from .cli_backups import BackupCommand, RestoreCommand
from .cli_hub import HubCommand
from .commands import Command, Group
from .errors import ExchangeError
from .operator import recorded


class SeedCommand(Command):
    """Fill an empty database with the small clinic that documentation and tests share."""

    name = "jupyter-jhe-seed"
    description = __doc__

    def run(self, *arguments: str) -> None:
        from . import seed

        password = secrets.token_urlsafe(9)
        with self.store() as database, recorded(database, "seed.plant") as session:
            seed.plant(session, password)
        print(f"Seeded {self.database.partition(':')[0]} with 8 organizations, 6 practitioners, 5 patients, 5 studies.")
        print(f"password: {password}")


class TokenCommand(Command):
    """Print a bearer token for a user, practitioner or patient."""

    name = "jupyter-jhe-token"
    description = __doc__
    takes = ("EMAIL",)
    days = Float(1.0, help="Days until the token expires.").tag(config=True)
    aliases = {**Command.aliases, "days": "TokenCommand.days"}

    def run(self, *arguments: str) -> None:
        [email] = arguments
        from .people import by_email
        from .tokens import issue

        if not 0 < self.days <= 400:
            raise ExchangeError("--days is more than 0 and at most 400.")
        with self.store() as database, recorded(database, "tokens.issue", 1) as session:
            user = by_email(session, email)
            if user is None or user.disabled:
                raise ExchangeError("No user has this e-mail.")
            token, _ = issue(session, user, timedelta(days=self.days))
        print(token)


class ImportCommand(Command):
    """Import patients from a CSV file into an organization."""

    name = "jupyter-jhe-import"
    description = __doc__
    takes = ("FILE.csv",)
    organization = Int(0, help="The organization's id.").tag(config=True)
    study = Int(0, help="A study to enrol everybody in, by id.").tag(config=True)
    dry_run = Bool(False, help="Say what would be done and write nothing.").tag(config=True)
    aliases = {
        **Command.aliases,
        "organization": "ImportCommand.organization",
        "study": "ImportCommand.study",
    }
    flags = {"dry-run": ({"ImportCommand": {"dry_run": True}}, "Say what would be done and write nothing.")}

    def run(self, *arguments: str) -> None:
        [file] = arguments
        from .importing import import_file

        with self.store() as database:
            bad = import_file(database, file, self.organization, self.study or None, self.dry_run)
        if bad:
            self.exit(1)


class ExportCommand(Command):
    """Write a study's observations and consents into a folder, as files a statistics program reads."""

    name = "jupyter-jhe-export"
    description = __doc__
    takes = ("DIR",)
    study = Int(0, help="The study's id.").tag(config=True)
    format = Enum(("parquet", "csv", "ndjson"), "parquet", help="parquet, csv or ndjson.").tag(config=True)
    aliases = {**Command.aliases, "study": "ExportCommand.study", "format": "ExportCommand.format"}

    def run(self, *arguments: str) -> None:
        [folder] = arguments
        from .exporting import export_study

        with self.store() as database:
            written = export_study(database, self.study, self.format, folder)
        print(", ".join(f"{number} {name}" for name, number in written.items()))


class AuditVerifyCommand(Command):
    """Walk the audit's chain; exit 1 and name the first broken link where there is one."""

    name = "jupyter-jhe-audit-verify"
    description = __doc__

    def run(self, *arguments: str) -> None:
        from . import audit

        with self.store() as database, database.read() as session:
            broken, (seq, digest) = audit.verify(session), audit.head(session)
        if broken is not None:
            print(f"broken at seq {broken}")
            self.exit(1)
        print(f"{seq} rows, unbroken; head {seq}:{digest}")


class AuditHeadCommand(Command):
    """Print the audit's head, to keep elsewhere: it shows later whether the end was cut off or all was rewritten."""

    name = "jupyter-jhe-audit-head"
    description = __doc__

    def run(self, *arguments: str) -> None:
        from . import audit

        with self.store() as database, database.read() as session:
            seq, digest = audit.head(session)
        print(f"{seq}:{digest}")


class AuditCommand(Group):
    """The record of who did what."""

    name = "jupyter-jhe-audit"
    subcommands = {
        "verify": (AuditVerifyCommand, "Check that no row was changed, removed or slipped in."),
        "head": (AuditHeadCommand, "Print the head of the chain, to keep elsewhere."),
    }


class UpgradeCommand(Command):
    """Bring the database to this version's schema."""

    name = "jupyter-jhe-upgrade"
    description = __doc__
    grant = Unicode("", help="PostgreSQL: the service's role, given what it needs and no more.").tag(config=True)
    aliases = {**Command.aliases, "grant": "UpgradeCommand.grant"}

    def run(self, *arguments: str) -> None:
        from .upgrading import upgrade

        for said in upgrade(self.database, self.grant):
            print(said)


class DemoCommand(Command):
    """Make a demo study once and open JupyterLab on the tour."""

    name = "jupyter-jhe-demo"
    description = __doc__
    folder = Unicode("jhe-demo", help="The folder for the demo's database and notebooks.").tag(config=True)
    aliases = {"database": "Command.database", "dir": "DemoCommand.folder"}

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """Ours are taken out, whatever is left is JupyterLab's."""
        ours, self.theirs = _parted(sys.argv[2:] if argv is None else argv)
        super().parse_command_line(ours)

    @default("database")
    def _default_database(self) -> str:
        return ""

    def run(self, *arguments: str) -> None:
        from .demonstration import prepare

        database, notebooks = prepare(self.folder, self.database or None)
        # JupyterLab takes this process over, so that Ctrl-C, the terminal and the exit status are its own.
        command = [sys.executable, "-m", "jupyterlab", f"--ExchangeApp.database={database}",
                   f"--ServerApp.root_dir={notebooks.parent}", "--LabApp.default_url=/lab/tree/notebooks/00_tour.ipynb",
                   *_as_root(), *self.theirs]  # fmt: skip
        sys.stdout.flush()
        os.execv(sys.executable, command)  # noqa: S606


def _as_root() -> list[str]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return []
    print("Running as root: fine in a container, unwise elsewhere.", file=sys.stderr)
    return ["--allow-root"]


def _parted(argv: list[str]) -> tuple[list[str], list[str]]:
    """(our options, JupyterLab's options)."""
    rest = list(argv)
    ours: list[str] = []
    theirs: list[str] = []
    while rest:
        one = rest.pop(0)
        name, joined, _ = one.partition("=")
        mine = name in ("--dir", "--database", "--debug", "-h", "--help", "--help-all")
        (ours if mine else theirs).append(one)
        if name in ("--dir", "--database") and not joined and rest:
            ours.append(rest.pop(0))
    return ours, theirs


# The doctor looks at the server's own settings, so its command is found by name, when it is asked for.
SUBCOMMANDS: dict[str, tuple[type[JupyterApp] | str, str]] = {
    "demo": (DemoCommand, "Make a demo study once and open JupyterLab on the tour."),
    "seed": (SeedCommand, "Fill an empty database with a small clinic."),
    "login": (LoginCommand, "Sign this machine in to an Exchange."),
    "token": (TokenCommand, "Print a bearer token for a user."),
    "user": (UserCommand, "Create and lock accounts."),
    "client": (ClientCommand, "Register apps."),
    "hub": (HubCommand, "A JupyterHub's users."),
    "import": (ImportCommand, "Import patients from a CSV file."),
    "export": (ExportCommand, "Write a study's observations and consents as files."),
    "audit": (AuditCommand, "Verify the audit, print its head."),
    "doctor": ("jhe_server.doctor.DoctorCommand", "Say what is wrong around the Exchange, and what to do."),
    "backup": (BackupCommand, "Write the whole store into one file."),
    "restore": (RestoreCommand, "Put what a backup holds into the database."),
    "upgrade": (UpgradeCommand, "Bring the database to this version's schema."),
}


class CommandLine(JupyterApp):
    """The commands of `jupyter jhe` that need no server."""

    name = "jupyter-jhe"
    description = __doc__
    subcommands = SUBCOMMANDS
