"""`jupyter jhe login`: this machine signed in from a terminal, so that `connect()` in every notebook finds it done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .browser_sign_in import exchange_at
from .connect import signed_in
from .errors import ExchangeError
from .kept_tokens import keeper
from .oauth import give_back

PROGRAM = "jupyter jhe login"
WHERE = f"Say which Exchange: {PROGRAM} https://jhe.example.org (or set JHE_URL)."
SIGNED_IN = """Signed in to {url} as {who}.
In a notebook: jhe.connect("{url}"). Another account: {program} {url} --again; out: --out"""
NO_CODE = "No code was typed, so nobody was signed in."
STOPPED = "Stopped; nobody was signed in."


def main(arguments: Sequence[str] | None = None) -> int:
    """Sign in and keep the tokens where `connect(URL)` finds them; the exit status, 1 with one sentence on stderr."""
    asked = _parser().parse_args(arguments)
    url = asked.url or os.environ.get("JHE_URL")
    if not url:
        return _failed(WHERE)
    try:
        print(_out(url) if asked.out else _in(url, asked.browser, asked.again))
    except (ExchangeError, ValueError) as error:
        return _failed(str(error))
    except EOFError:
        return _failed(NO_CODE)
    except KeyboardInterrupt:
        return _failed(STOPPED)
    return 0


def _in(url: str, browser: bool | None, again: bool) -> str:
    exchange = signed_in(url, browser, anew=again)
    return SIGNED_IN.format(url=exchange.url, who=exchange.get_user()["email"], program=PROGRAM)


def _out(url: str) -> str:
    """Ended at the Exchange first: what cannot be ended there is kept, to be ended later."""
    address = exchange_at(url)
    kept = keeper(address)
    if (known := kept.load()) is None:
        return f"Nobody is signed in to {address} here."
    give_back(address, known)
    kept.forget()
    return f"Signed out of {address}."


def _failed(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROGRAM, description="Sign this machine in to an Exchange, and keep it so.")
    parser.add_argument("url", nargs="?", metavar="URL", help="the Exchange's address; JHE_URL where none is given")
    parser.add_argument("--again", action="store_true", help="sign in anew, perhaps with another account")
    parser.add_argument("--out", action="store_true", help="sign out: end it at the Exchange and forget it here")
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        help="open a browser here, or print the address and ask for the code (found out unless said)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
