"""What an operator lets a JupyterHub decide: e-mail addresses, roles by group, superusers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .access import ROLES
from .errors import ExchangeError

WRONG_GROUPS = (
    "hub_groups maps a Hub group to roles by organization id, as in {'cardio': {20003: 'member'}};"
    f" roles are {', '.join(ROLES)}."
)
WRONG_ADDRESS = (
    "hub_email is the address of a Hub user called {name}, as in '{name}@example.org': without {name} in it, or with"
    " other braces, all of them would be one account."
)


@dataclass(frozen=True)
class HubPolicy:
    """`email` is the address of a user called {name}, which the Hub then vouches for; `groups` gives roles by group.

    >>> HubPolicy(email="{name}@example.org").email_of("ada")
    'ada@example.org'
    >>> HubPolicy(groups={"lab": {20003: "viewer"}, "leads": {20003: "manager"}}).roles_of(["lab", "leads"])
    {20003: 'manager'}
    """

    email: str = ""
    groups: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    admins: bool = False

    def __post_init__(self) -> None:
        """Another address for every name, or nobody would be told from anybody."""
        if self.email and ("{name}" not in self.email or set("{}") & set(self.email.replace("{name}", ""))):
            raise ExchangeError(WRONG_ADDRESS)

    def email_of(self, name: str) -> str:
        """The address a user of this name has, or an empty text."""
        return self.email.replace("{name}", name)

    @property
    def organizations(self) -> set[int]:
        """The organizations in which the Hub's groups decide who works there."""
        return {organization_id for roles in self.groups.values() for organization_id in roles}

    def roles_of(self, groups: Iterable[str]) -> dict[int, str]:
        """The roles of somebody in these groups, of several in one organization the one that may most."""
        found: dict[int, str] = {}
        for group in groups:
            for organization_id, role in self.groups.get(group, {}).items():
                found[organization_id] = max(role, found.get(organization_id, role), key=ROLES.index)
        return found


def groups(given: Mapping[str, Any]) -> Mapping[str, Mapping[int, str]]:
    """The mapping as an operator writes it; on a command line and in JSON ids are text.

    >>> groups({"lab": {"20003": "viewer"}})
    {'lab': {20003: 'viewer'}}
    """
    try:
        found = {group: {int(one): str(role) for one, role in roles.items()} for group, roles in given.items()}
    except (AttributeError, TypeError, ValueError):
        raise ExchangeError(WRONG_GROUPS) from None
    if {role for roles in found.values() for role in roles.values()} - set(ROLES):
        raise ExchangeError(WRONG_GROUPS)
    return found
