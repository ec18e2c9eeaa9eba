"""`jupyter jhe login` as one types it on a laptop: signed in once, and `connect()` in every notebook finds it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from apps import works
from browsers import Browser
from conftest import MARY, MEGAN, Exchange, environment, wait_for

KEEPS_ADDRESSES = """#!{python}
import sys
open({file!r}, "a").write(sys.argv[1] + "\\n")
"""


class Laptop:
    """A folder of its own, a browser that notes what it is asked to open, and no keyring."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.opened = folder, folder / "opened.txt"
        browser = folder / "browser.py"
        browser.write_text(KEEPS_ADDRESSES.format(python=sys.executable, file=str(self.opened)))
        browser.chmod(0o700)
        self.env = environment(folder) | {"BROWSER": f"{browser} %s", "DISPLAY": ":0"}
        self.env |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "PYTHONUNBUFFERED": "1"}
        for remote in ("SSH_CONNECTION", "SSH_TTY"):
            self.env.pop(remote, None)

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "jhe_server", *words], cwd=self.folder, env=self.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, *words: str, typed: str = "") -> tuple[int, str]:
        """(exit status, all that was said)."""
        with self.running(*words) as process:
            out, err = process.communicate(typed, timeout=60)
        assert "Traceback" not in err
        return process.returncode, out + err

    def address(self) -> str:
        """The address the browser was asked to open."""
        wait_for(self.opened.exists, 60)
        wait_for(lambda: self.opened.read_text().endswith("\n"), 5)
        return self.opened.read_text().split()[-1]

    def python(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def yes(exchange: Exchange, address: str, email: str = MARY, answer: str = "yes") -> httpx.URL:
    """Somebody signs in at an address and answers; where the browser is taken then."""
    browser = Browser(exchange)
    browser.sign_in(email)
    browser.open(address)
    return httpx.URL(browser.submit("authorize", answer=answer).headers["Location"])


def test_a_laptop_is_signed_in_once_and_every_notebook_finds_it(shared_exchange: Exchange, laptop: Laptop) -> None:
    host = f"http://127.0.0.1:{shared_exchange.port}"
    with laptop.running("login", host) as process:
        httpx.get(yes(shared_exchange, laptop.address()), trust_env=False)
        said, complained = process.communicate(timeout=60)
    assert (process.returncode, complained) == (0, "")
    assert f"Signed in to {shared_exchange.address} as {MARY}." in said
    assert "jhe_" not in said
    connects = f"import jhe_jupyter as jhe; print(jhe.connect({host!r}).get_user()['email'])"
    assert laptop.python(connects) == MARY
    [kept] = (laptop.folder / "home" / "data" / "jhe" / "sign-ins").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    laptop.opened.unlink()
    status, said = laptop.run("login", host)
    assert (status, laptop.opened.exists()) == (0, False), "it was signed in already"
    assert f"as {MARY}" in said
    with laptop.running("login", host, "--again") as process:
        httpx.get(yes(shared_exchange, laptop.address(), MEGAN), trust_env=False)
        assert f"as {MEGAN}" in process.communicate(timeout=60)[0]
    assert laptop.python(connects) == MEGAN
    access = json.loads(kept.read_text())["access"]
    assert works(shared_exchange, access)
    assert laptop.run("login", host, "--out") == (0, f"Signed out of {shared_exchange.address}.\n")
    assert not works(shared_exchange, access), "ended at the Exchange, not only forgotten here"
    assert not kept.exists()
    assert laptop.run("login", host, "--out") == (0, f"Nobody is signed in to {shared_exchange.address} here.\n")


def test_over_ssh_the_address_is_printed_and_the_code_typed(shared_exchange: Exchange, laptop: Laptop) -> None:
    laptop.env |= {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "JHE_URL": shared_exchange.address}
    with laptop.running("login") as process:
        assert process.stdout is not None
        printed = next(found[0] for line in process.stdout if (found := re.search(r"http\S+authorize\S+", line)))
        code = yes(shared_exchange, printed).params["code"]
        said, _ = process.communicate(f"{code}\n", timeout=60)
    assert f"as {MARY}" in said
    assert process.returncode == 0
    assert not laptop.opened.exists()


def test_what_goes_wrong_is_one_sentence(shared_exchange: Exchange, laptop: Laptop) -> None:
    for typed, complaint in (
        ("no such code\n", "This code opens nothing, or no longer does; sign in again for another."),
        ("", "No code was typed, so nobody was signed in."),
    ):
        status, said = laptop.run("login", shared_exchange.address, "--no-browser", typed=typed)
        assert (status, said.splitlines()[-1]) == (1, f"Code shown there: {complaint}")
    status, said = laptop.run("login", "http://127.0.0.1:9")
    assert status == 1
    assert re.fullmatch(r"No Exchange answers at 127\.0\.0\.1 \(.*\)\.\n", said)
    status, said = laptop.run("login")
    assert (status, said) == (1, "Say which Exchange: jupyter jhe login https://jhe.example.org (or set JHE_URL).\n")
    assert list((laptop.folder / "home").rglob("sign-ins/*.json")) == []
