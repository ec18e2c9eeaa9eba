"""`jupyter jhe hub …`: whose account a name on the JupyterHub is, at the machine itself."""

from __future__ import annotations

from .commands import Command, Group
from .errors import ExchangeError
from .operator import recorded


class HubUsersCommand(Command):
    """List the Hub's users that are known here, with the accounts they have."""

    name = "jupyter-jhe-hub-users"
    description = __doc__

    def run(self, *arguments: str) -> None:
        from . import hub_users

        with self.store() as database, database.read() as session:
            for name, email, is_superuser in hub_users.known(session):
                print(f"{name}\t{email}{'  (superuser)' if is_superuser else ''}")


class HubLinkCommand(Command):
    """Say that a name on the Hub is the practitioner with this e-mail."""

    name = "jupyter-jhe-hub-link"
    description = __doc__
    takes = ("NAME", "EMAIL")

    def run(self, *arguments: str) -> None:
        name, email = arguments
        from . import hub_users

        with self.store() as database, recorded(database, "hub_users.link", 1) as session:
            user_id = hub_users.link(session, name, email)
        print(f"{name} is user {user_id}")


class HubUnlinkCommand(Command):
    """Forget whose a name on the Hub is, and end what its account is signed in with; the account stays."""

    name = "jupyter-jhe-hub-unlink"
    description = __doc__
    takes = ("NAME",)

    def run(self, *arguments: str) -> None:
        [name] = arguments
        from . import hub_users

        with self.store() as database, recorded(database, "hub_users.unlink", 1) as session:
            if not hub_users.unlink(session, name):
                raise ExchangeError("No user of the Hub has come here under this name.")
        print(f"{name} is nobody's; whoever comes with this name next is new here")


class HubCommand(Group):
    """The JupyterHub's users."""

    name = "jupyter-jhe-hub"
    subcommands = {
        "users": (HubUsersCommand, "List the Hub's users known here."),
        "link": (HubLinkCommand, "Say whose account a name on the Hub is."),
        "unlink": (HubUnlinkCommand, "Forget whose a name on the Hub is."),
    }
