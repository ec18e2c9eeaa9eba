"""`connect("https://…")`: signed in once with a browser, on this machine or another, and from then on it stays so."""

from __future__ import annotations

import socket
import threading
import time
import webbrowser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsers import Browser
from conftest import MARY, MEGAN, Exchange
from sqlalchemy import func, select

import jhe_jupyter as jhe
from jhe_jupyter.browser_sign_in import exchange_at, sign_in
from jhe_jupyter.kept_tokens import SERVICE, InKeyring, InMemory, OnDisk, Tokens, keeper
from jhe_jupyter.oauth import SignedIn
from jhe_server.tokens import FamilyRow, RefreshRow


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No keyring, and no sign-in of whoever runs the tests."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("JHE_URL", "JHE_TOKEN", "JHE_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def reader(exchange: Exchange, email: str = MARY, answer: str = "yes") -> Callable[[str], bool]:
    """Somebody in front of a browser, which a thread of its own plays: it goes where it is sent, like any browser."""

    def play(address: str) -> None:
        browser = Browser(exchange)
        browser.sign_in(email)
        browser.open(address)
        gone = browser.submit("authorize", answer=answer)
        httpx.get(gone.headers["Location"], trust_env=False)

    def opened(address: str) -> bool:
        threading.Thread(target=play, args=(address,)).start()
        return True

    return opened


def copier(exchange: Exchange, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Somebody who opens the printed address elsewhere and copies the code that is shown there."""

    def asked(_prompt: str) -> str:
        address = capsys.readouterr().out.split()[-1]
        browser = Browser(exchange)
        browser.sign_in(MEGAN)
        browser.open(address)
        gone = browser.submit("authorize", answer="yes")
        return str(httpx.URL(gone.headers["Location"]).params["code"])

    return asked


def families(exchange: Exchange) -> int:
    with exchange.database.read() as session:
        return session.scalar(select(func.count()).select_from(FamilyRow)) or 0


def test_an_address_is_signed_in_to_once_and_stays_so(
    shared_exchange: Exchange, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = f"http://127.0.0.1:{shared_exchange.port}"
    opened = reader(shared_exchange)
    monkeypatch.setattr(webbrowser, "open", opened)
    assert jhe.connect(host, browser=True).get_user()["email"] == MARY
    [file] = (tmp_path / "data" / "jhe" / "sign-ins").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("it was signed in already"))
    for address in (host, f"{host}/jhe", f"{host}/jhe/"):
        again = jhe.connect(address, browser=True)
        assert again.get_user()["email"] == MARY
        assert "jhe_" not in repr(again)


def test_from_a_kernel_no_browser_reaches_the_code_is_copied(
    shared_exchange: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = sign_in(exchange_at(shared_exchange.address), browser=False, ask=copier(shared_exchange, capsys))
    auth = SignedIn(shared_exchange.address, InMemory(), tokens)
    assert jhe.Client(shared_exchange.address, "", auth=auth).get_user()["email"] == MEGAN


def test_a_no_lets_nobody_in(shared_exchange: Exchange) -> None:
    with pytest.raises(jhe.Unauthenticated, match="Nobody was let in"):
        sign_in(shared_exchange.address, browser=True, show=reader(shared_exchange, answer="no"))


def test_an_answer_nobody_asked_for_is_not_listened_to(shared_exchange: Exchange) -> None:
    """Another page of the same browser may knock at the port: without our state it is not heard."""

    def show(address: str) -> None:
        callback = httpx.URL(httpx.URL(address).params["redirect_uri"])

        def play() -> None:
            for query in ({"code": "planted"}, {"code": "planted", "state": "wrong"}):
                httpx.get(callback.copy_merge_params(query), trust_env=False)
            assert httpx.get(callback.copy_with(path="/"), trust_env=False).status_code == 404
            reader(shared_exchange)(address)

        threading.Thread(target=play).start()

    assert sign_in(shared_exchange.address, browser=True, show=show).access.startswith("jhe_")


def test_a_connection_nobody_speaks_on_does_not_keep_the_answer_waiting(shared_exchange: Exchange) -> None:
    """Browsers open connections in advance: while one is silent the next has to be heard."""
    silent = []

    def show(address: str) -> None:
        callback = httpx.URL(httpx.URL(address).params["redirect_uri"])
        silent.append(socket.create_connection(("127.0.0.1", callback.port or 0)))
        reader(shared_exchange)(address)

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(sign_in, shared_exchange.address, browser=True, show=show)
        try:
            assert found.result(30).access.startswith("jhe_")
        finally:
            silent[0].close()


def _signed_in(exchange: Exchange) -> Tokens:
    return sign_in(exchange.address, browser=True, show=reader(exchange))


def test_a_token_is_renewed_once_however_many_need_it(shared_exchange: Exchange, tmp_path: Path) -> None:
    """Eight threads of each of two kernels that share a file: one refreshing, and nobody notices."""
    url = shared_exchange.address
    old = replace(_signed_in(shared_exchange), expires=time.time())
    kernels = [jhe.Client(url, "", auth=SignedIn(url, OnDisk(url, tmp_path), old)) for _ in range(2)]
    with shared_exchange.database.read() as session:
        before = session.scalar(select(func.count()).select_from(RefreshRow)) or 0
    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(lambda n: kernels[n % 2].get_user()["email"], range(16)))
    assert said == [MARY] * 16
    with shared_exchange.database.read() as session:
        assert (session.scalar(select(func.count()).select_from(RefreshRow)) or 0) - before == 1


def test_a_token_the_server_no_longer_takes_is_renewed_in_the_middle_of_the_work(shared_exchange: Exchange) -> None:
    url, kept = shared_exchange.address, InMemory()
    signed_in = replace(_signed_in(shared_exchange), access="jhe_no_longer_good")
    client = jhe.Client(url, "", auth=SignedIn(url, kept, signed_in))
    assert client.get_user()["email"] == MARY


def test_tokens_that_were_read_before_another_kernel_renewed_them_are_not_written_back(tmp_path: Path) -> None:
    kept = OnDisk("http://127.0.0.1:8888/jhe", tmp_path)
    stale = Tokens(access="jhe_old", refresh="jhr_old", expires=time.time(), client_id="jhe-jupyter")
    newer = replace(stale, access="jhe_new", refresh="jhr_new")
    kept.save(newer)
    SignedIn(kept.url, kept, stale)
    assert kept.load() == newer


def test_a_sign_in_that_was_ended_is_forgotten_and_said_so(shared_exchange: Exchange) -> None:
    url, kept = shared_exchange.address, InMemory()
    tokens = _signed_in(shared_exchange)
    client = jhe.Client(url, "", auth=SignedIn(url, kept, tokens))
    browser = Browser(shared_exchange)
    browser.sign_in(MARY)
    browser.open("o/account")
    browser.submit("account" if any(form[0] for form in browser.forms[:-1]) else "", everything="yes")
    with pytest.raises(jhe.Unauthenticated, match="connect"):
        client.get_user()
    assert kept.load() is None


def test_what_is_no_exchange_is_said_to_be_none(shared_exchange: Exchange) -> None:
    with pytest.raises(jhe.ConnectionLost, match="no Exchange at"):
        exchange_at(f"{shared_exchange.address}/api")
    with pytest.raises(jhe.ConnectionLost):
        exchange_at("http://127.0.0.1:9")


class _Keyring:
    """A keyring with the three calls that we make of one."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        self.kept[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


def test_where_there_is_a_keyring_nothing_is_in_a_file(tmp_path: Path) -> None:
    assert isinstance(keeper("http://a/jhe"), OnDisk)
    keyring, tokens = _Keyring(), Tokens("jhe_a", "jhr_b", 1.0, "jhe-jupyter")
    kept: Any = InKeyring("http://a/jhe", keyring, tmp_path)
    assert kept.load() is None
    kept.save(tokens)
    with kept.alone():
        assert kept.load() == tokens
    assert list(keyring.kept) == [(SERVICE, "http://a/jhe")]
    assert all("jhe_a" not in file.read_text() for file in tmp_path.iterdir())
    kept.forget()
    kept.forget()
    assert kept.load() is None
    assert "jhe_a" not in repr(tokens)
    assert "jhr_b" not in repr(tokens)
