"""The log, line by line: of every request its number, path and status; never a query, a token or anybody's data.

Plain, as Jupyter writes it, or JSON, one object a line, for programs that collect logs.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.log import app_log
from tornado.web import RequestHandler

from .routes import without_secrets

_ordinary = logging.DEBUG  # the level of a request that did not fail


def answered(log: logging.Logger, request: HTTPServerRequest, status: int, seconds: float, request_id: str) -> None:
    """A request's line: a warning where it failed, else said only with `--debug`, or where lines are collected."""
    path, took = without_secrets(request.path), round(1000 * seconds, 1)
    level = logging.WARNING if status >= 500 else _ordinary
    if not log.isEnabledFor(level):
        return
    fields = {"request": request_id, "method": request.method, "path": path, "status": status, "milliseconds": took}
    said = (status, request.method, path, took, request_id)
    log.log(level, "jhe: %d %s %s %.1f ms (request %s)", *said, extra={"fields": fields})


def of_others(handler: RequestHandler) -> None:
    """What Jupyter itself answers where we run alone; its own line would hold the query."""
    answered(app_log, handler.request, handler.get_status(), handler.request.request_time(), "-")


class JSONLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and the fields of a request.

    >>> record = logging.LogRecord("jhe", logging.INFO, "", 0, "%d rows", (3,), None)
    >>> json.loads(JSONLines().format(record))["message"]
    '3 rows'
    """

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said: dict[str, Any] = {"time": when, "level": record.levelname.lower(), "logger": record.name}
        said |= {"message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)


def as_json() -> None:
    """From now on every line of this process is a JSON object, Jupyter's own included, and every request has one."""
    global _ordinary
    _ordinary = logging.INFO
    known = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for log in known for handler in log.handlers}:
        handler.setFormatter(JSONLines())
