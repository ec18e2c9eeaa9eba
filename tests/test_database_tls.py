"""The way to PostgreSQL encrypted: the options of the address reach the driver, and what they ask for is enforced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import _fresh
from sqlalchemy.engine import make_url
from tls import Authority, listening

from jhe_server import migrations
from jhe_server.errors import Unavailable
from jhe_server.opened import open_store


@pytest.fixture
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The address of a clinic by its socket."""
    return make_url(_fresh(request, "postgresql", tmp_path))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "our-ca")


def over_tls(local: Any, port: int, host: str = "127.0.0.1", **options: str) -> str:
    url = local.set(drivername="postgresql", host=host, port=port, query=options)
    return str(url.render_as_string(hide_password=False))


def folder(local: Any) -> str:
    return str(local.query["host"])


def test_a_verified_connection_is_encrypted(local: Any, authority: Authority) -> None:
    with listening(folder(local), authority.context("127.0.0.1")) as listener:
        url = over_tls(local, listener.port, sslmode="verify-full", sslrootcert=str(authority.file))
        database = open_store(url)
        assert migrations.revision(database) == migrations.HEAD
        database.close()
        assert listener.encrypted > 0


def test_a_certificate_of_somebody_else_is_refused(local: Any, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another-ca")
    with listening(folder(local), other.context("127.0.0.1")) as listener:
        url = over_tls(local, listener.port, sslmode="verify-full", sslrootcert=str(authority.file))
        with pytest.raises(Unavailable, match="certificate verify failed"):
            open_store(url)
        assert listener.encrypted == 0


def test_a_certificate_for_another_host_is_refused(local: Any, authority: Authority) -> None:
    with listening(folder(local), authority.context("127.0.0.2")) as listener:
        url = over_tls(local, listener.port, sslmode="verify-full", sslrootcert=str(authority.file))
        with pytest.raises(Unavailable, match="does not match host name"):
            open_store(url)


def test_nothing_is_sent_in_the_clear_where_tls_is_required(local: Any) -> None:
    with listening(folder(local), None) as listener:
        url = over_tls(local, listener.port, sslmode="require")
        with pytest.raises(Unavailable, match="does not support SSL, but SSL was required"):
            open_store(url)
