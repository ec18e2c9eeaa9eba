"""How often somebody has tried: the counts behind every rate limit, in the store, so that all processes share them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Network, ip_address

from sqlalchemy import String, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from .db import Base
from .errors import TooMany

KEPT = 60  # minutes


class AttemptRow(Base):
    """A count of one minute; `whose` is a hash, so that no address and no e-mail is kept."""

    __tablename__ = "attempt"

    whose: Mapped[str] = mapped_column(String(64), primary_key=True)
    minute: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int]


def network_of(address: str) -> str:
    """Whose tries are counted together: an address, in IPv6 the /64 that one customer is given.

    >>> network_of("192.0.2.7"), network_of("2001:db8::1:2:3:4"), network_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7')
    """
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if isinstance(known, IPv4Address):
        return address
    return str(known.ipv4_mapped or IPv6Network((int(known) >> 64 << 64, 64)))


def _whose(kind: str, who: str) -> str:
    return hashlib.sha256(f"{kind}|{who}".encode()).hexdigest()


def _minute() -> int:
    return int(time.time() // 60)


def count(session: Session, kind: str, who: str) -> None:
    """One more try; counts older than an hour are cleared away."""
    key, minute = _whose(kind, who), _minute()
    same = (AttemptRow.whose == key, AttemptRow.minute == minute)
    if session.execute(update(AttemptRow).where(*same).values(count=AttemptRow.count + 1)).rowcount == 0:  # type: ignore[attr-defined]
        session.execute(delete(AttemptRow).where(AttemptRow.minute < minute - KEPT))
        session.execute(insert(AttemptRow).values(whose=key, minute=minute, count=1))


def recent(session: Session, kind: str, who: str) -> int:
    """The tries of this minute and the one before it, and of the one in which another process may be already.

    What is later still is left from a clock that has been set back since.
    """
    minute = _minute()
    lately = AttemptRow.minute.between(minute - 1, minute + 1)
    rows = select(func.sum(AttemptRow.count)).where(AttemptRow.whose == _whose(kind, who), lately)
    return int(session.scalar(rows) or 0)


def allowed(session: Session, limits: Mapping[str, int], kind: str, who: str) -> None:
    """Raise TooMany once the limit of a kind is reached; the same words whoever it is."""
    if recent(session, kind, who) >= limits[kind]:
        raise TooMany("Too many attempts; wait two minutes and try again.", headers={"Retry-After": "120"})


def forgive(session: Session, kind: str, who: str) -> None:
    """Whoever got in has not been guessing."""
    session.execute(delete(AttemptRow).where(AttemptRow.whose == _whose(kind, who)))
