"""An acknowledged write is on disk: the log of the store is synced before the answer leaves (run by `tests.soak`).

strace sees both in the order in which they happen: the request comes in, the store writes to its log, has it synced,
and only then is the answer handed to the socket. On PostgreSQL it follows the database's processes as well.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from clusters import Cluster
from conftest import MEGAN, Exchange, _fresh, wait_for
from work import KINDS

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
WATCHED = "trace=recvfrom,sendto,pwrite64,fsync,fdatasync"
LOGS = {"sqlite": r"clinic\.sqlite-wal", "postgresql": r"/pg_wal/[0-9A-F]{24}"}


@dataclass
class Traced:
    """A service, the processes that write for it, and what its log is called."""

    exchange: Exchange
    processes: list[int]
    log: str


@pytest.fixture(params=["sqlite", "postgresql"])
def traced(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Traced]:
    cluster = Cluster(tmp_path) if request.param == "postgresql" else None
    exchange = Exchange(cluster.url if cluster else _fresh(request, "sqlite", tmp_path), tmp_path)
    exchange.as_(MEGAN).get("api/v1/patients")  # from now on the connections of the pools are there
    assert exchange.process is not None
    processes = [exchange.process.pid]
    if cluster is not None:
        postmaster = psutil.Process(cluster.server.get_pid())
        processes += [postmaster.pid, *(child.pid for child in postmaster.children())]
    yield Traced(exchange, processes, LOGS[request.param])
    exchange.close()
    if cluster is not None:
        cluster.close()


@contextmanager
def strace(traced: Traced, folder: Path) -> Iterator[Path]:
    """What these processes and those they start ask of the kernel, as a file that is complete in the end."""
    out, said = folder / "calls.txt", folder / "strace.txt"
    command = ["strace", "-f", "-y", "-s", "40", "-e", WATCHED, "-o", str(out)]
    for process in traced.processes:
        command += ["-p", str(process)]
    with said.open("wb") as errors:
        tracer = subprocess.Popen(command, stderr=errors)
    try:
        wait_for(lambda: said.read_text().count("attached") >= len(traced.processes), 20, said.read_text)
        yield out
    finally:
        tracer.terminate()
        tracer.wait(20)


def test_no_answer_leaves_before_what_it_acknowledges_is_synced(traced: Traced, tmp_path: Path) -> None:
    megan = traced.exchange.as_(MEGAN)
    with strace(traced, tmp_path) as out:
        for step in KINDS:
            assert step(megan, 1).status_code < 300
    requests = re.split(r'recvfrom\(\S+, "POST ', out.read_text())[1:]
    assert len(requests) == len(KINDS)
    for calls in requests:
        synced_before_answered(calls.splitlines(), traced.log)


def synced_before_answered(calls: list[str], log: str) -> None:
    """The last write to the log, its sync (by when it has ended), the first byte of the answer: in this order."""
    answered = next(i for i, call in enumerate(calls) if re.search(r'sendto\(\S+, "HTTP/1\.1 20', call))
    written = [i for i, call in enumerate(calls[:answered]) if re.search(rf"pwrite64\(\d+<[^>]*{log}>", call)]
    synced = [i for i, call in enumerate(calls[:answered]) if ends_sync(calls, i, log)]
    assert written, calls[:answered]
    assert synced, calls[:answered]
    assert written[-1] < synced[-1] < answered


def ends_sync(calls: list[str], at: int, log: str) -> bool:
    """Whether a sync of the log has ended well with this line; another thread's call may stand in between."""
    if re.search(rf"f(?:data)?sync\(\d+<[^>]*{log}>\)\s+= 0", calls[at]):
        return True
    resumed = re.match(r"(\d+)\s+<\.\.\. f(?:data)?sync resumed>\)\s+= 0", calls[at])
    begun = rf"{resumed[1]}\s+f(?:data)?sync\(\d+<[^>]*{log}>\s+<unfinished" if resumed else r"(?!)"
    return any(re.match(begun, call) for call in calls[:at])
