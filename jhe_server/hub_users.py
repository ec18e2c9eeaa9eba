"""Users of a JupyterHub as practitioners: whose account a name on the Hub is, and what the Hub decides about it.

A name is not a person: Hubs give names away again. So the account is found through a record of our own, which also
keeps when the Hub made the user; a name that comes back with another such time is refused until an administrator has
said whose it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ForeignKey, Index, String, delete, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, practitioner_clients
from .browser_sessions import BrowserSessionRow
from .db import Base, UTCTime, now
from .errors import Conflict, Forbidden
from .hub_policy import HubPolicy
from .organizations import OrganizationRow, assign, roles_of
from .people import PRACTITIONER, UserRow, add_practitioner, by_email
from .shapes import Email
from .tokens import FamilyRow, TokenRow

VIA = "hub"
SOMEBODY_NEW = (
    "The Hub has given this name to somebody new; an administrator of the Exchange has to say who it is"
    " (jupyter jhe hub link or unlink)."
)
NOT_A_PRACTITIONER = "The account with this Hub user's e-mail address is a patient's."


class HubUserRow(Base):
    """`made` is when the Hub says it made the user, as it says it; unknown where the Hub does not tell."""

    __tablename__ = "hub_user"
    __table_args__ = (Index("hub_user_user", "user_id"),)

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"))
    made: Mapped[str | None] = mapped_column(String(40))
    linked: Mapped[datetime] = mapped_column(UTCTime)


@dataclass(frozen=True)
class HubUser:
    """A user as the Hub describes them; `admin` and `made` are None where it does not say."""

    name: str
    groups: frozenset[str] = field(default_factory=frozenset)
    admin: bool | None = None
    made: str | None = None


# ------------------------------------------------------------------ who a Hub user is
def recognised(session: Session, policy: HubPolicy, user: HubUser) -> int | None:
    """The account of a Hub user, None where something has to be written first. Raises Forbidden for a stranger."""
    row = session.get(HubUserRow, user.name)
    if row is None or (row.made is None and user.made is not None):
        return None
    _check_same(row, user)
    account = session.get_one(UserRow, row.user_id)
    unchanged = _roles_to_set(session, policy, user, account) == {} and _superuser(policy, user, account) is None
    return account.id if unchanged else None


def admit(session: Session, policy: HubPolicy, user: HubUser) -> int:
    """The account of a Hub user, made or brought in line with what the Hub says; a new one has no organization."""
    row = session.get(HubUserRow, user.name) or _welcomed(session, policy, user)
    _check_same(row, user)
    row.made = row.made or user.made
    account = session.get_one(UserRow, row.user_id)
    for organization_id, role in _roles_to_set(session, policy, user, account).items():
        assign(session, account.id, organization_id, role)
        audit.note(session, organization=organization_id)
    superuser = _superuser(policy, user, account)
    if superuser is not None:
        account.is_superuser = superuser
    audit.note(session, count=1)
    session.flush()
    return account.id


def _check_same(row: HubUserRow, user: HubUser) -> None:
    if row.made is not None and user.made is not None and row.made != user.made:
        raise Forbidden(SOMEBODY_NEW)


def _welcomed(session: Session, policy: HubPolicy, user: HubUser) -> HubUserRow:
    """Somebody seen for the first time: the account whose address the Hub vouches for, else a new one."""
    vouched = _vouched(policy, user.name)
    account = by_email(session, vouched) if vouched else None
    if account is None:
        address = vouched or _free_address(session, user.name)
        account = session.get_one(UserRow, add_practitioner(session, address, "", user.name[:200]).user_id)
    if account.user_type != PRACTITIONER:
        raise Forbidden(NOT_A_PRACTITIONER)
    return _link(session, user.name, account.id)


def _vouched(policy: HubPolicy, name: str) -> str | None:
    """The address that the Hub vouches for, where it makes one."""
    try:
        return TypeAdapter[str](Email).validate_python(policy.email_of(name))
    except ValidationError:
        return None


def _link(session: Session, name: str, user_id: int) -> HubUserRow:
    row = HubUserRow(name=name, user_id=user_id, made=None, linked=now())
    session.add(row)
    session.flush()
    return row


def _free_address(session: Session, name: str) -> str:
    """An address that no mail reaches, for an account that has no other; a name's second account has a number."""
    base = placeholder(name)
    found = set(session.scalars(select(UserRow.email_key).where(UserRow.email_key.startswith(base, autoescape=True))))
    number = next(number for number in range(1, len(found) + 2) if _numbered(base, number) not in found)
    return _numbered(base, number)


def _numbered(base: str, number: int) -> str:
    return f"{base}@hub.invalid" if number == 1 else f"{base}+{number}@hub.invalid"


def placeholder(name: str) -> str:
    """The part of such an address before the @, another one for every name.

    >>> placeholder("ada"), placeholder("Ada Lovelace")
    ('ada', '=41da=20=4Covelace')
    """
    spelled = re.sub(r"[^a-z0-9._-]", lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), name)
    return spelled if len(spelled) <= 100 else hashlib.sha256(name.encode()).hexdigest()


# ------------------------------------------------------------------ what the Hub decides
def _roles_to_set(session: Session, policy: HubPolicy, user: HubUser, account: UserRow) -> Mapping[int, str | None]:
    """Roles that differ from what the Hub's groups say, in the organizations they decide about; None takes one away."""
    if not policy.groups:
        return {}
    held, said = roles_of(session, account.id), policy.roles_of(user.groups)
    there = session.scalars(select(OrganizationRow.id).where(OrganizationRow.id.in_(policy.organizations)))
    return {one: said.get(one) for one in there if held.get(one) != said.get(one)}


def _superuser(policy: HubPolicy, user: HubUser, account: UserRow) -> bool | None:
    """What has to change about the account's being a superuser; None for nothing."""
    if not policy.admins or user.admin is None or user.admin == account.is_superuser:
        return None
    return user.admin


# ------------------------------------------------------------------ who is gone
def watched(session: Session) -> list[str]:
    """The Hub's names of those who hold what outlasts a minute: a Hub token's own ends before anybody has to look."""
    time = now()
    alive = (
        select(TokenRow.user_id).where(TokenRow.via != VIA, TokenRow.revoked.is_(None), TokenRow.expires > time),
        select(FamilyRow.user_id).where(FamilyRow.ended.is_(None), FamilyRow.expires > time),
        select(BrowserSessionRow.user_id).where(BrowserSessionRow.expires > time),
    )
    rows = select(HubUserRow.name).where(or_(*(HubUserRow.user_id.in_(one) for one in alive)))
    return list(session.scalars(rows.order_by(HubUserRow.name)))


def gone(session: Session, name: str) -> None:
    """The Hub knows nobody of this name any more: all that let them in ends; the account and its work stay."""
    row = session.get(HubUserRow, name)
    if row is not None:
        practitioner_clients.end_everything(session, row.user_id)
        audit.note(session, count=1)


# ------------------------------------------------------------------ what an administrator says
def link(session: Session, name: str, email: str) -> int:
    """From now on this name on the Hub is that account; what the name let somebody else do ends."""
    account = by_email(session, email)
    if account is None or account.user_type != PRACTITIONER:
        raise Conflict("No practitioner has this e-mail; add one with jupyter jhe user add.")
    unlink(session, name)
    return _link(session, name, account.id).user_id


def unlink(session: Session, name: str) -> bool:
    """Forget whose a name is; True where it was somebody's. Whoever comes with it next is new here."""
    row = session.get(HubUserRow, name)
    if row is None:
        return False
    practitioner_clients.end_everything(session, row.user_id)
    session.execute(delete(HubUserRow).where(HubUserRow.name == name))
    session.expunge(row)
    return True


def known(session: Session) -> list[tuple[str, str, bool]]:
    """Every name with the e-mail of its account, and whether that is a superuser."""
    rows = select(HubUserRow.name, UserRow.email, UserRow.is_superuser).join(UserRow, UserRow.id == HubUserRow.user_id)
    return [(name, email, superuser) for name, email, superuser in session.execute(rows.order_by(HubUserRow.name))]
