"""What `jupyter jhe demo` opens: a folder with a database of its own and copies of the notebooks, made once."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from sqlalchemy import select

from . import demo, organizations, seed
from .db import Database
from .opened import open_store
from .operator import recorded


def prepare(folder: str, database: str | None = None) -> tuple[str, Path]:
    """(address of the demo's database, folder of its notebooks); what is there already is left as it is."""
    home = Path(folder).expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    url = database or f"sqlite:///{home / 'data' / 'exchange.sqlite'}"
    store = open_store(url)
    try:
        _fill(store)
    finally:
        store.close()
    return url, _notebooks(home / "notebooks")


def _fill(store: Database) -> None:
    """Two transactions: one cut short leaves nothing, and the next start does it again."""
    with store.read() as session:
        rows = select(organizations.OrganizationRow.id).where(organizations.OrganizationRow.id != organizations.ROOT)
        empty = session.scalar(rows.limit(1)) is None
    if empty:
        print("Making the demo clinic and two weeks of synthetic readings; this happens once …", flush=True)
        password = secrets.token_urlsafe(9)
        with recorded(store, "seed.plant") as session:
            seed.plant(session, password)
        print(f"password: {password}", flush=True)
    with recorded(store, "demo.load") as session:
        demo.load(session)


def _notebooks(target: Path) -> Path:
    """Copies to play with: a notebook that has been changed is not overwritten."""
    target.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(_shipped().glob("*.ipynb")):
        if not (target / notebook.name).exists():
            shutil.copy(notebook, target / notebook.name)
    return target


def _shipped() -> Path:
    """Beside the package when installed, beside the repository's folder when developed."""
    installed = Path(__file__).parent / "notebooks"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "notebooks"
