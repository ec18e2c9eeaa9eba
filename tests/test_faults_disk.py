"""The disk under the store fills in the middle of work: refused or put off, never half, and on again with room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from clusters import Cluster
from conftest import Exchange, _fresh, wait_for
from work import MOMENTS, begun, ended, gone_on, moments, reached, whole

MIB = 2**20
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts as on Linux")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with room for all that the moments add."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={160 + 8 * MOMENTS}m", "none", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this account may not mount")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def cluster(small: Path, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, small / "data", max_wal_size="32MB", min_wal_size="32MB")
    yield cluster
    cluster.close()


def fill(folder: Path) -> None:
    """To the last page."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        for size in (MIB, 4096):
            with suppress(OSError):
                while filler.write(b"\0" * size) == size:
                    pass


def filled(exchange: Exchange, folder: Path, cluster: Cluster | None = None) -> None:
    """Again and again; one service lives through all of it."""
    for life, chance in moments():
        works = begun(exchange, life * 1000, patient=True)
        reached(works, 1, chance.randrange(4, 40))
        fill(folder)
        wait_for(lambda works=works: all(work.put_off for work in works), 60)  # type: ignore[misc]
        (folder / "filler").unlink()
        if cluster is not None:
            wait_for(cluster.answers, 30)  # without room for its log it stops, and whoever looks after it starts it
        gone_on(works)
        ended(works)
        whole(exchange, works)
    assert "Traceback" not in exchange.log.read_text()


def test_a_full_disk_under_sqlite_loses_nothing_and_leaves_nothing_half(
    request: pytest.FixtureRequest, small: Path, tmp_path: Path
) -> None:
    with closing(Exchange(_fresh(request, "sqlite", small), tmp_path)) as exchange:
        filled(exchange, small)


def test_a_full_disk_under_postgresql_loses_nothing_and_leaves_nothing_half(
    cluster: Cluster, small: Path, tmp_path: Path
) -> None:
    with closing(Exchange(cluster.url, tmp_path)) as exchange:
        filled(exchange, small, cluster)
