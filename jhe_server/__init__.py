"""The JupyterHealth Exchange as a Jupyter server extension; nothing heavy is imported until Jupyter loads it."""

from __future__ import annotations

__version__ = "0.1.0"


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    from .app import ExchangeApp

    return [{"module": "jhe_server", "app": ExchangeApp}]
