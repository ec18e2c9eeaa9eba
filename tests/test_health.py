"""Alive and ready are two questions: the first needs the process, the second its database at the right schema."""

from __future__ import annotations

from pathlib import Path

from conftest import Exchange, free_port
from jupyters import TOKEN, Jupyter
from sqlalchemy import text

from jhe_server import migrations


def at_schema(exchange: Exchange, revision: str) -> None:
    with exchange.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_ready_while_the_database_answers_at_this_versions_schema(exchange: Exchange) -> None:
    nobody = exchange.as_(None)
    for path in ("health/ready", "health/ready/"):
        assert (nobody.get(path).status_code, nobody.get(path).json()) == (200, {"status": "ready"})
    at_schema(exchange, "0003")
    answer = nobody.get("health/ready")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["detail"].endswith("run jupyter jhe upgrade.")
    assert nobody.get("health").json()["status"] == "ok"
    at_schema(exchange, migrations.HEAD)
    assert nobody.get("health/ready").status_code == 200


def test_a_process_without_its_database_is_alive_and_not_ready(tmp_path: Path) -> None:
    server = Jupyter(f"postgresql://jhe@127.0.0.1:{free_port()}/jhe", tmp_path)
    try:
        nobody, owner = server.client(), server.client(Authorization=f"token {TOKEN}")
        assert (nobody.get("jhe/health").status_code, nobody.get("jhe/health").json()["status"]) == (200, "ok")
        assert nobody.get("jhe/health/ready").status_code == 503
        assert owner.get("jhe/api/v1/patients").status_code == 503
    finally:
        server.close()
