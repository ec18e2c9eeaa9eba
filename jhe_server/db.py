"""Engines for SQLite and PostgreSQL, the declarative base, column types, and the two transactions: read and write."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Connection, Engine, Integer, Select, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator

from .complaints import said_plainly, undecided
from .errors import Invalid, NotFound
from .shapes import Listing

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite's AUTOINCREMENT wants the word INTEGER
APPLICATION = "jupyterhealth-exchange"  # what PostgreSQL lists our connections as
WRITER_LOCK = 5_402_026  # PostgreSQL advisory lock: one writer at a time, as on SQLite
CONNECT_WITHIN = 5  # seconds
# A process that hangs in a transaction would keep every other writer waiting: they are told so, and it is let go.
TURN = """SELECT set_config('lock_timeout', '30s', true),
set_config('idle_in_transaction_session_timeout', '300s', true), pg_advisory_xact_lock(:key)"""
# Tried on a million rows: a large WAL before a checkpoint halves the cost of an insert, and so does a cache that
# holds the index of random identifiers. Readers are several, and what they read in bulk they read once.
WRITER_CACHE, READER_CACHE = "PRAGMA cache_size=-131072", "PRAGMA cache_size=-16384"
PRAGMAS = (
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=16000",
    "PRAGMA recursive_triggers=ON",
)


class Base(DeclarativeBase):
    """Every table of the Exchange; whole numbers are 64 bits wide everywhere."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger}


class UTCTime(TypeDecorator[datetime]):
    """A moment, kept as microseconds since 1970 UTC: the same integer on both stores, exact and ordered."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        return None if value is None else moment(value)


def microseconds(when: datetime) -> int:
    """A moment as microseconds since 1970 UTC.

    >>> microseconds(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (when - EPOCH) // timedelta(microseconds=1)


def moment(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def now() -> datetime:
    return datetime.now(UTC)


def _engine(url: URL, **more: Any) -> Engine:
    """Without the values of a statement in what its errors say: those are patients'."""
    if url.get_backend_name() == "postgresql":
        more.setdefault("connect_args", {"application_name": APPLICATION, **_patience(url)})
    return create_engine(url, hide_parameters=True, **more)


class Database:
    """One store: `read()` gives a snapshot that cannot write, `write()` one transaction at a time."""

    def __init__(self, url: str, readers: int = 8) -> None:
        self.url = _with_driver(make_url(url))
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._one_writer = threading.Lock()
        self.waited: Callable[[float], None] = lambda seconds: None  # told how long each writer waited for its turn
        if self.is_sqlite:
            _private_file(self.url)
        self._writer, self._readers = self._engines(readers)

    def _engines(self, readers: int) -> tuple[Engine, Engine]:
        if self.is_sqlite:
            share = {"check_same_thread": False, "timeout": 5.0}
            # One connection writes: what another one wrote would empty its cache, and the next upload begin cold.
            writer = _engine(self.url, connect_args=share, pool_size=1, max_overflow=0)
            reader = _engine(self.url, connect_args=share, pool_size=readers, max_overflow=readers)
            event.listen(writer, "connect", _sqlite_writer)
            event.listen(reader, "connect", _sqlite_reader)
            event.listen(writer, "begin", _begin_immediate)
            event.listen(reader, "begin", _begin)
            return writer, reader
        # A connection is tried before it is lent, so that a database that was restarted is a matter of milliseconds.
        writer = _engine(self.url, pool_pre_ping=True, pool_size=4, max_overflow=8)
        reader = _engine(
            self.url, pool_pre_ping=True, pool_size=readers, max_overflow=readers, isolation_level="REPEATABLE READ"
        )
        event.listen(writer, "begin", self._lock)
        event.listen(reader, "begin", _read_only)
        return writer, reader

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A serialised transaction: what was checked in it still holds when it commits."""
        with self._queue(), said_plainly(), Session(self._writer, expire_on_commit=False) as session:
            yield session
            session.flush()
            with undecided():
                session.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A snapshot: every statement sees the same moment, and none can write."""
        with said_plainly(), Session(self._readers, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def _queue(self) -> Iterator[None]:
        """On SQLite, writers of this process wait here in turn, which is fairer than the file's busy handler."""
        if not self.is_sqlite:
            yield
            return
        asked = time.perf_counter()
        with self._one_writer:
            self.waited(time.perf_counter() - asked)
            yield

    def _lock(self, connection: Connection) -> None:
        asked = time.perf_counter()
        _lock_writer(connection)
        self.waited(time.perf_counter() - asked)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A bare connection without pooling, to look at the schema."""
        with self._unpooled(_sqlite_migrator) as engine, engine.connect() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """One transaction beside which nobody writes, on a connection of its own: for changes of the schema."""
        with self._unpooled(_sqlite_alone) as engine:
            event.listen(engine, "begin", _begin_immediate if self.is_sqlite else _lock_patiently)
            with engine.begin() as connection:
                yield connection

    @contextmanager
    def _unpooled(self, sqlite_connect: Callable[[Any, Any], None]) -> Iterator[Engine]:
        engine = _engine(self.url, poolclass=NullPool)
        if self.is_sqlite:
            event.listen(engine, "connect", sqlite_connect)
        try:
            yield engine
        finally:
            engine.dispose()

    @staticmethod
    def file_of(url: str) -> Path | None:
        """The file of a SQLite store; None for a server's."""
        parsed = make_url(url)
        return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None

    def close(self) -> None:
        self._writer.dispose()
        self._readers.dispose()


def _with_driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _patience(url: URL) -> dict[str, int]:
    """How long to wait for a server that does not answer the door, unless the address says it."""
    return {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_WITHIN}


def _private_file(url: URL) -> None:
    """Make the database file and its folder before SQLite does, so that nobody else can ever read them."""
    path = Path(url.database or "")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)


def _settle(connection: Any, *pragmas: str) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver's own comes only at the first write
    # SQLite's own lower() knows A to Z only, and a search for özil has to find Özil.
    connection.create_function("lower", 1, _lower, deterministic=True)
    for pragma in pragmas:
        connection.execute(pragma)


def _lower(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else text


def _sqlite_writer(connection: Any, _record: Any) -> None:
    _settle(connection, "PRAGMA journal_mode=WAL", WRITER_CACHE, *PRAGMAS)


def _sqlite_reader(connection: Any, _record: Any) -> None:
    _settle(connection, READER_CACHE, *PRAGMAS, "PRAGMA query_only=ON")


def _sqlite_migrator(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")


def _sqlite_alone(connection: Any, _record: Any) -> None:
    """Whoever changes the schema waits for its turn; a table made anew must not take along what refers to it."""
    _settle(connection, "PRAGMA journal_mode=WAL", "PRAGMA busy_timeout=600000", "PRAGMA foreign_keys=OFF")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _lock_writer(connection: Connection) -> None:
    connection.execute(text(TURN), {"key": WRITER_LOCK})


def _lock_patiently(connection: Connection) -> None:
    """However long whoever is there needs: an upgrade of a large store takes its time."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})


def _read_only(connection: Connection) -> None:
    connection.execute(text("SET TRANSACTION READ ONLY"))


KNOWN: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
REMEMBERED = 1024


def recall(session: Session, question: Hashable) -> Any:
    """What `remember` was told of a question, while the session still sees the store as it was then; else None."""
    key = _key(session, question)
    return None if key is None else KNOWN.get(key)


def remember(session: Session, question: Hashable, answer: Any) -> None:
    """Keep an answer for as long as nothing is written.

    The door says in `session.info` which store and which change a session sees that only reads; others keep nothing.
    """
    key = _key(session, question)
    if key is not None:
        KNOWN[key] = answer
        if len(KNOWN) > REMEMBERED:
            KNOWN.popitem(last=False)


def _key(session: Session, question: Hashable) -> tuple[Any, ...] | None:
    state = session.info.get("state")
    return None if state is None else (*state, question)


def count(session: Session, rows: Select[Any], question: Hashable = None) -> int:
    """How many rows a select has, without fetching them.

    With a `question` (whatever tells one select from another) the answer is remembered for as long as nothing is
    written: turning the pages of a long list counts it once.
    """
    known = None if question is None else recall(session, ("count", question))
    if known is not None:
        return int(known)
    total = int(session.scalar(select(func.count()).select_from(rows.order_by(None).subquery())) or 0)
    if question is not None:
        remember(session, ("count", question), total)
    return total


def ordered(
    rows: Select[Any], listing: Listing, columns: dict[str, Any], tie: Any, default: tuple[Any, ...] = ()
) -> Select[Any]:
    """Order by the columns named in `ordering=` (`-` for descending), then by the tie-breaker: a total order."""
    chosen = list(default)
    if listing.ordering:
        chosen = []
        for name in listing.ordering.split(","):
            column = columns.get(name.strip().lstrip("-"))
            if column is None:
                raise Invalid(
                    f"ordering takes {', '.join(columns)}; `-` before a name for descending.",
                    {"ordering": ["is not a column of this list"]},
                )
            chosen.append(column.desc() if name.strip().startswith("-") else column.asc())
    return rows.order_by(*chosen, tie)


def newest(
    session: Session, rows: Select[Any], updated: Any, id: Any, offset: int, limit: int, total: int
) -> list[int]:
    """The ids of one page of `total` rows, last changed first, reached from the nearer end."""
    limit = min(limit, total - offset)
    if limit <= 0:
        return []
    rows, after = rows.with_only_columns(id), total - offset - limit
    if after < offset:
        return list(session.scalars(rows.order_by(updated.asc(), id.asc()).offset(after).limit(limit)))[::-1]
    return list(session.scalars(rows.order_by(updated.desc(), id.desc()).offset(offset).limit(limit)))


def within(total: int, listing: Listing) -> tuple[int, int]:
    """The window of a list of `total` rows; a page past the end does not exist, an offset past it is empty."""
    offset, limit = listing.window
    if not listing.by_offset and offset and offset >= total:
        raise NotFound("Invalid page.")
    return offset, limit
