"""A plain Jupyter server with the extension in it, as on a laptop: what the tests of identity stand on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
from conftest import environment, free_port, wait_for

TOKEN = "the-owner's-own-token"
# The extension alone: the others of this environment only take time to load.
EXTENSIONS = {"jhe_server": True} | dict.fromkeys(
    ("jupyterlab", "notebook", "jupyter_lsp", "jupyter_server_terminals", "notebook_shim"), False
)


class Jupyter:
    """One server on a port of its own; `base` is its address, below which lies `jhe/`."""

    def __init__(self, url: str, folder: Path, *options: str, token: str = TOKEN, **variables: str) -> None:
        self.folder, self.port = folder, free_port()
        self.base = f"http://127.0.0.1:{self.port}/"
        self.log = folder / "jupyter.log"
        self.clients: list[httpx.Client] = []
        env = environment(folder) | variables
        self.runtime = Path(env["JUPYTER_RUNTIME_DIR"])
        enabled = Path(env["JUPYTER_CONFIG_DIR"]) / "jupyter_server_config.d" / "jhe_server.json"
        enabled.parent.mkdir(parents=True, exist_ok=True)
        enabled.write_text(json.dumps({"ServerApp": {"jpserver_extensions": EXTENSIONS}}))
        command = [sys.executable, "-m", "jupyter_server", f"--port={self.port}", "--ServerApp.port_retries=0",
                   "--no-browser", "--allow-root", f"--IdentityProvider.token={token}",
                   f"--ServerApp.root_dir={folder}", f"--ExchangeApp.database={url}", *options]  # fmt: skip
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            wait_for(self.answers, 60, lambda: self.log.read_text()[-2000:])
        except AssertionError:
            self.stop()
            raise

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            return httpx.get(f"{self.base}api", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def client(self, **headers: str) -> httpx.Client:
        """A client of the whole server; a header's `_` stands for `-`."""
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        client = httpx.Client(base_url=self.base, headers=spelled, timeout=30, trust_env=False)
        self.clients.append(client)
        return client

    def browser(self) -> httpx.Client:
        """Signed in with a cookie, as a browser is after the first page."""
        client = self.client()
        assert client.get("login").status_code == 200
        form = {"password": TOKEN, "_xsrf": client.cookies["_xsrf"]}
        assert client.post("login", data=form).status_code == 302
        return client

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.stop()
