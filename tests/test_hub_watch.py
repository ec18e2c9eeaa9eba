"""A Hub that fails to answer about one user shields nobody after them: who is gone is out all the same."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import Clinic
from test_hub_users import ADA, OnHub

from jhe_server.hub_users import HubUser

pytest.importorskip("jupyterhub")
from jhe_server.hub import Hub, ServiceAuth
from jhe_server.hub_watch import look


class Ailing(BaseHTTPRequestHandler):
    """A Hub's API that knows this service, breaks down over ada, and has never heard of anybody else."""

    def do_GET(self) -> None:
        own = json.dumps({"kind": "service", "name": "jhe", "scopes": ["read:users"]}).encode()
        status = {"/hub/api/user": 200, "/hub/api/users/ada": 500}.get(self.path, 404)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(own if status == 200 else b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def ailing_hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ailing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hub/api"
    server.shutdown()
    server.server_close()


def test_what_goes_wrong_with_one_name_shields_none_after_it(clinic: Clinic) -> None:
    on_hub = OnHub(clinic)
    ada, eve = (on_hub.token(on_hub.comes(user)) for user in (ADA, HubUser("eve", made=ADA.made)))

    async def once(api: str) -> None:
        await look(Hub(auth=ServiceAuth(api_url=api, api_token="service")), on_hub.door, asyncio.to_thread)

    with ailing_hub() as api:
        asyncio.run(once(api))
    assert on_hub.is_in(ada), "a Hub that does not answer puts nobody out"
    assert not on_hub.is_in(eve)
