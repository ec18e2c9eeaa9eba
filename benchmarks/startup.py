"""What the extension adds to the start of `jupyter server`, taken in turn with and without it.

    python benchmarks/startup.py [--runs 7]

The start ends when the server answers its first request. The database exists already: making it is once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx


def start(folder: Path, with_exchange: bool) -> float:
    """Seconds from the command to the first answer."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    (folder / "jupyter_server_config.json").write_text(
        json.dumps({"ServerApp": {"jpserver_extensions": {"jhe_server": with_exchange}}})
    )
    env = {**os.environ, "JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_DATA_DIR": str(folder / "data")}
    env["JUPYTER_RUNTIME_DIR"] = str(folder / "runtime")
    command = [sys.executable, "-m", "jupyter_server", f"--port={port}", "--no-browser", "--allow-root"]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/api", trust_env=False)
                took = time.perf_counter() - began
                health = httpx.get(f"http://127.0.0.1:{port}/jhe/health", trust_env=False, follow_redirects=False)
                assert (health.status_code == 200) is with_exchange
                return took
            time.sleep(0.01)
    finally:
        process.terminate()
        process.wait(20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    took: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        start(Path(folder), True)  # makes the database, warms the disk
        for _ in range(runs):
            for with_exchange, times in took.items():
                times.append(start(Path(folder), with_exchange))
    plain, ours = median(took[False]), median(took[True])
    added = median(b - a for a, b in zip(took[False], took[True], strict=True))
    holds = added <= 0.5
    said = f"{plain:.2f} s without, {ours:.2f} s with; {added:.2f} s added (<= 0.5)"
    print(f"{'holds      ' if holds else 'falls short'}  start of jupyter server: {said}", flush=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
