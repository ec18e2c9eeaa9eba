"""`jupyter jhe user …` and `client …`: accounts locked, links to set a password, apps registered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import select
from test_cli import CommandLine

from jhe_server import tokens
from jhe_server.db import Database
from jhe_server.errors import Unauthenticated
from jhe_server.oauth_clients import OAuthClientRow
from jhe_server.password_links import user_of


@pytest.fixture
def commands(sqlite_store: str, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, sqlite_store)


def _works(url: str, token: str) -> bool:
    database = Database(url)
    try:
        with database.read() as session:
            tokens.actor(session, token)
        return True
    except Unauthenticated:
        return False
    finally:
        database.close()


def test_a_locked_account_is_out_at_once_and_stays_out_until_it_is_unlocked(commands: CommandLine) -> None:
    token = commands.run("token", "member_megan@example.com").strip()
    assert _works(commands.url, token)
    assert commands.run("user", "disable", "Member_Megan@example.com") == "user 10003 disabled\n"
    assert not _works(commands.url, token)
    assert "No user" in commands.run("token", "member_megan@example.com", expect=1)
    assert commands.run("user", "disable", "member_megan@example.com", "--undo") == "user 10003 enabled\n"
    assert not _works(commands.url, token), "what was ended stays ended"
    assert _works(commands.url, commands.run("token", "member_megan@example.com").strip())
    assert "No user" in commands.run("user", "disable", "nobody@example.com", expect=1)


def test_a_link_to_set_a_password_is_printed(commands: CommandLine) -> None:
    said = commands.run("user", "link", "admin@example.com", "--site=https://jhe.example.org/jhe/")
    found = re.match(r"https://jhe\.example\.org/jhe/o/password/(\S+)\ngood once, until ", said)
    assert found is not None
    database = Database(commands.url)
    with database.read() as session:
        assert user_of(session, found[1]) == 10001
    database.close()
    assert "No user" in commands.run("user", "link", "nobody@example.com", expect=1)


def test_an_app_is_registered_and_its_secret_printed_once(commands: CommandLine) -> None:
    said = commands.run("client", "add", "My app", "--redirect-uri=https://a.example/cb", "--confidential")
    found = re.fullmatch(r"client_id: (\S+)\nclient_secret: (\S+)\n", said)
    assert found is not None
    public = commands.run("client", "add", "A page", "--invitation-url=https://a.example/me/invitation/CODE")
    assert "secret" not in public
    database = Database(commands.url)
    with database.read() as session:
        row = session.scalar(select(OAuthClientRow).where(OAuthClientRow.client_id == found[1]))
        assert row is not None
        assert (row.redirect_uris, row.confidential) == ("https://a.example/cb", True)
        assert row.secret_hash is not None
        assert found[2] not in row.secret_hash
    database.close()
    assert "already exists" in commands.run("client", "add", "my APP", expect=1)
    refused = commands.run("client", "add", "Odd", "--redirect-uri=http://a.example/cb", expect=1)
    assert "https://" in refused


def test_a_name_on_the_hub_is_given_to_an_account_and_taken_from_it(commands: CommandLine) -> None:
    token = commands.run("token", "member_megan@example.com").strip()
    assert commands.run("hub", "users") == ""
    assert commands.run("hub", "link", "megan", "member_megan@example.com") == "megan is user 10003\n"
    assert commands.run("hub", "users") == "megan\tmember_megan@example.com\n"
    assert "megan is nobody's" in commands.run("hub", "unlink", "megan")
    assert not _works(commands.url, token), "what the name opened is closed"
    assert "under this name" in commands.run("hub", "unlink", "megan", expect=1)
    assert "No practitioner" in commands.run("hub", "link", "megan", "ll_patient_peter@example.com", expect=1)
