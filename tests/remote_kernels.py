"""Notebooks run by a kernel of somebody's Jupyter server elsewhere, over its API and its WebSocket, as Lab does."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import nbformat
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

Outputs = list[dict[str, Any]]


async def run_notebook(server: str, token: str, notebook: Path) -> dict[str, Outputs]:
    """What each code cell of a notebook puts out, by cell id; an error fails."""
    cells = nbformat.read(notebook, as_version=4).cells
    return await run_cells(server, token, {cell.id: cell.source for cell in cells if cell.cell_type == "code"})


async def run_cells(server: str, token: str, cells: dict[str, str]) -> dict[str, Outputs]:
    """The same for pieces of code; `server` is the server's address, ending in a slash."""
    headers = {"Authorization": f"token {token}"}
    async with httpx.AsyncClient(base_url=server, headers=headers, timeout=60, trust_env=False) as http:
        id = (await http.post("api/kernels")).raise_for_status().json()["id"]
        address = f"ws{server.removeprefix('http')}api/kernels/{id}/channels"
        socket = await websocket_connect(HTTPRequest(address, headers=headers), max_message_size=64 * 2**20)
        try:
            return {name: await _executed(socket, source) for name, source in cells.items()}
        finally:
            socket.close()
            await http.delete(f"api/kernels/{id}")


async def _executed(socket: WebSocketClientConnection, source: str) -> Outputs:
    """The outputs of one cell: all that its kernel says until it has nothing to do and has answered."""
    id, found, waiting = uuid.uuid4().hex, Outputs(), {"idle", "reply"}
    await socket.write_message(json.dumps(_request(id, source)))
    while waiting:
        message = json.loads(await asyncio.wait_for(_next(socket), 120))
        if message["parent_header"].get("msg_id") != id:
            continue
        kind, content = message["msg_type"], message["content"]
        assert kind != "error", "\n".join(content["traceback"])
        if kind in ("execute_result", "display_data", "stream"):
            found.append({"output_type": kind, **content})
        if kind == "status" and content["execution_state"] == "idle":
            waiting.discard("idle")
        if kind == "execute_reply":
            waiting.discard("reply")
    return found


async def _next(socket: WebSocketClientConnection) -> Any:
    message = await socket.read_message()
    assert message is not None, "the kernel's connection was closed"
    return message


def _request(id: str, source: str) -> dict[str, Any]:
    content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    header = {"msg_id": id, "msg_type": "execute_request", "username": "", "session": id, "version": "5.3", "date": ""}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
