"""What a kernel of a plain Jupyter server finds without configuration: its Exchange, for us and the public client."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import environment, free_port, wait_for
from jupyter_client.blocking.client import BlockingKernelClient

CONFIGURATION = {"ServerApp": {"jpserver_extensions": {"jhe_server": True}}}


class PlainServer:
    """`jupyter server` with the extension enabled, as after `pip install`."""

    def __init__(self, database: str, folder: Path) -> None:
        self.log, self.port = folder / "server.log", free_port()
        env = environment(folder)
        self.runtime, config = Path(env["JUPYTER_RUNTIME_DIR"]), Path(env["JUPYTER_CONFIG_DIR"])
        config.mkdir()
        (config / "jupyter_server_config.json").write_text(json.dumps(CONFIGURATION))
        command = [sys.executable, "-m", "jupyter_server", f"--port={self.port}", "--no-browser", "--allow-root",
                   "--IdentityProvider.token=ours", f"--ExchangeApp.database={database}"]  # fmt: skip
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        address, headers = f"http://127.0.0.1:{self.port}/", {"Authorization": "token ours"}
        self.http = httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=60)

    def up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            return self.http.get("jhe/health").status_code == 200
        except httpx.TransportError:
            return False

    def run(self, code: str) -> str:
        """What a fresh kernel prints."""
        kernel = self.http.post("api/kernels", json={}).raise_for_status().json()["id"]
        client = BlockingKernelClient(connection_file=str(self.runtime / f"kernel-{kernel}.json"))
        client.load_connection_file()
        client.start_channels()
        said: list[str] = []
        try:
            client.wait_for_ready(timeout=60)
            client.execute_interactive(
                code, timeout=60, output_hook=lambda message: said.append(str(message["content"]))
            )
        finally:
            client.stop_channels()
            self.http.delete(f"api/kernels/{kernel}")
        return "\n".join(said)

    def close(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def plain_server(sqlite_store: str, tmp_path: Path) -> Iterator[PlainServer]:
    server = PlainServer(sqlite_store, tmp_path)
    try:
        wait_for(server.up, 60, lambda: server.log.read_text()[-2000:])
        yield server
    finally:
        server.close()


def test_a_kernel_needs_no_configuration_for_either_client(plain_server: PlainServer) -> None:
    said = plain_server.run(
        "import jhe_jupyter as jhe; from jupyterhealth_client import JupyterHealthClient\n"
        "print(jhe.connect()); print(JupyterHealthClient().get_user()['email'])"
    )
    assert f"<Exchange http://localhost:{plain_server.port}/jhe as owner@localhost>" in said, said
    assert r"owner@localhost\n" in said, said
