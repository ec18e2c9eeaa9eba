"""`jupyter jhe login`, `user …` and `client …`: a laptop signed in; accounts and apps, at the machine itself."""

from __future__ import annotations

import os
import sys
from typing import Any

from traitlets import Bool, List, Unicode

from .commands import Command, Group
from .errors import ExchangeError, Invalid
from .operator import recorded


class LoginCommand(Command):
    """Sign this machine in to an Exchange, so that `jhe.connect(URL)` finds it done."""

    name = "jupyter-jhe-login"
    description = __doc__
    takes = ("[URL]", "[--again]", "[--no-browser]", "[--out]")

    def initialize(self, argv: list[str] | None = None) -> None:
        """A notebook's sign-in is the client's affair: it takes this process over, with its terminal and status."""
        sys.stdout.flush()
        given = sys.argv[2:] if argv is None else argv
        os.execv(sys.executable, [sys.executable, "-m", "jhe_jupyter.login", *given])  # noqa: S606


class UserAddCommand(Command):
    """Create a practitioner's account, without any role yet."""

    name = "jupyter-jhe-user-add"
    description = __doc__
    takes = ("EMAIL",)
    superuser = Bool(False, help="May do everything.").tag(config=True)
    first_name = Unicode("", help="Given name.").tag(config=True)
    last_name = Unicode("", help="Family name.").tag(config=True)
    flags = {"superuser": ({"UserAddCommand": {"superuser": True}}, "May do everything.")}
    aliases = {
        **Command.aliases,
        "first-name": "UserAddCommand.first_name",
        "last-name": "UserAddCommand.last_name",
    }

    def run(self, *arguments: str) -> None:
        [email] = arguments
        from pydantic import TypeAdapter, ValidationError

        from .people import add_practitioner
        from .shapes import Email

        try:
            address = TypeAdapter[str](Email).validate_python(email)
        except ValidationError:
            raise ExchangeError("This is not a valid e-mail address.") from None
        with self.store() as database, recorded(database, "people.create_practitioner", 1) as session:
            row = add_practitioner(session, address, self.first_name, self.last_name, is_superuser=self.superuser)
            print(f"user {row.user_id} (practitioner {row.id})")


class UserDisableCommand(Command):
    """Lock an account: what it is signed in with and its keys end at that moment and for good."""

    name = "jupyter-jhe-user-disable"
    description = __doc__
    takes = ("EMAIL",)
    undo = Bool(False, help="Unlock it again.").tag(config=True)
    flags = {"undo": ({"UserDisableCommand": {"undo": True}}, "Unlock it again.")}

    def run(self, *arguments: str) -> None:
        [email] = arguments
        from .colleagues import disable

        with self.store() as database, recorded(database, "colleagues.update_practitioner", 1) as session:
            user = _user(session, email)
            disable(session, user, not self.undo)
        print(f"user {user.id} {'enabled' if self.undo else 'disabled'}")


class UserLinkCommand(Command):
    """Print a one-time link with which a user sets a password."""

    name = "jupyter-jhe-user-link"
    description = __doc__
    takes = ("EMAIL",)
    site = Unicode(help="Where the Exchange is reached, …/jhe.").tag(config=True)
    aliases = {**Command.aliases, "site": "UserLinkCommand.site"}

    def run(self, *arguments: str) -> None:
        [email] = arguments
        from .password_links import issue

        site = (self.site or str(self.config.ExchangeApp.get("public_url") or "http://127.0.0.1:8888/jhe")).rstrip("/")
        with self.store() as database, recorded(database, "passwords.send_link", 1) as session:
            secret, expires = issue(session, _user(session, email).id)
        print(f"{site}/o/password/{secret}")
        print(f"good once, until {expires:%Y-%m-%d %H:%M} UTC")


def _user(session: Any, email: str) -> Any:
    from .people import by_email

    user = by_email(session, email)
    if user is None:
        raise ExchangeError("No user has this e-mail.")
    return user


class UserCommand(Group):
    """Accounts."""

    name = "jupyter-jhe-user"
    subcommands = {
        "add": (UserAddCommand, "Create a practitioner's account."),
        "disable": (UserDisableCommand, "Lock an account, or unlock it again."),
        "link": (UserLinkCommand, "Print a one-time link to set a password."),
    }


class ClientAddCommand(Command):
    """Register an app; the secret of a confidential one is printed now and never again."""

    name = "jupyter-jhe-client-add"
    description = __doc__
    takes = ("NAME",)
    redirect_uris = List(Unicode(), help="Where codes are sent; may be given more than once.").tag(config=True)
    invitation_url = Unicode(help="The address of its invitations, with CODE in it.").tag(config=True)
    confidential = Bool(False, help="It has a secret.").tag(config=True)
    flags = {"confidential": ({"ClientAddCommand": {"confidential": True}}, "It has a secret.")}
    aliases = {
        **Command.aliases,
        "redirect-uri": "ClientAddCommand.redirect_uris",
        "invitation-url": "ClientAddCommand.invitation_url",
    }

    def run(self, *arguments: str) -> None:
        [name] = arguments
        from pydantic import ValidationError

        from .calls import invalid
        from .oauth_clients import NewClient, register

        given = {"name": name, "redirect_uris": list(self.redirect_uris), "confidential": self.confidential}
        try:
            body = NewClient(**given, invitation_url=self.invitation_url or None)
        except ValidationError as error:
            raise Invalid(invalid(error).detail) from None
        with self.store() as database, recorded(database, "oauth_clients.create", 1) as session:
            row, secret = register(session, body)
        print(f"client_id: {row.client_id}")
        if secret:
            print(f"client_secret: {secret}")


class ClientCommand(Group):
    """Apps."""

    name = "jupyter-jhe-client"
    subcommands = {"add": (ClientAddCommand, "Register an app.")}
