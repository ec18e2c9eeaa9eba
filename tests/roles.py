"""Roles in PostgreSQL, as the page for administrators says: an owner who upgrades, a service, an analyst who reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from conftest import PASSWORD, _named, _new_database
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from jhe_server import changes, seed, upgrading
from jhe_server.opened import open_store

PAGE = Path(__file__).parent.parent / "docs" / "postgresql.md"


@dataclass
class Roles:
    """An empty database of its own and who may do what in it."""

    admin: str
    database: str
    owner: str
    service: str
    analyst: str

    @classmethod
    def made(cls, admin: str) -> Roles:
        """Roles outlive a database, so their names are new every time; one of them has to be quoted."""
        suffix = uuid4().hex[:8]
        roles = cls(admin, _new_database(admin), f"owner_{suffix}", f"service {suffix}", f"analyst_{suffix}")
        roles.run(make_url(admin).username or "", *roles.said(), f"CREATE ROLE {roles.analyst} LOGIN")
        roles.run(make_url(admin).username or "", f'GRANT CONNECT ON DATABASE "{roles.database}" TO {roles.analyst}')
        return roles

    def said(self) -> list[str]:
        """The page's own statements, with these names for its own; the database is there already."""
        [block] = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        names = {"jhe_owner": self.owner, "jhe": self.service, "exchange": self.database}
        found = re.sub(r"\b(jhe_owner|jhe|exchange)\b", lambda name: f'"{names[name[0]]}"', block)
        return found.replace("CREATE DATABASE", "ALTER DATABASE").replace("OWNER", "OWNER TO").strip("; \n").split(";")

    def url(self, role: str) -> str:
        url = make_url(_named(self.admin, self.database)).set(username=role, password=None)
        return url.render_as_string(hide_password=False)

    def upgrade(self, grant: str = "") -> list[str]:
        return list(upgrading.upgrade(self.url(self.owner), grant))

    def run(self, role: str, *statements: str) -> None:
        engine = create_engine(self.url(role), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                for statement in statements:
                    connection.execute(text(statement))
        finally:
            engine.dispose()

    def seeded(self) -> str:
        """The address by which the service, which has seeded the clinic itself, reaches its database."""
        self.upgrade(self.service)
        database = open_store(self.url(self.service))
        with database.write() as session:
            seed.plant(session, PASSWORD)
            changes.append(session)
        database.close()
        return self.url(self.service)
