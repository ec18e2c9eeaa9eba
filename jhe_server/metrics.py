"""What is counted and timed, for Prometheus: bounded labels (routes, statuses), and nothing of any patient.

Jupyter's own `/metrics` shows it beside what Jupyter counts. A request costs a few microseconds of it.
"""

from __future__ import annotations

import functools
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Info

from . import __version__
from .errors import NOT_CONSENTED
from .routes import Route

QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

INFO = Info("jhe", "The version of the Exchange.")
REQUESTS = Counter("jhe_requests", "Requests answered.", ["route", "status"])
SECONDS = Histogram("jhe_request_seconds", "From a request's arrival to the end of its answer.", ["route"],
                    buckets=REQUEST)  # fmt: skip
IN_FLIGHT = Gauge("jhe_requests_in_flight", "Requests being worked on.")
THREAD_WAIT = Histogram("jhe_thread_wait_seconds", "Waiting for one of the `threads`.", buckets=QUICK)
WRITER_WAIT = Histogram("jhe_writer_wait_seconds", "Waiting to be the one that writes.", buckets=QUICK)
ENTRIES = Counter("jhe_upload_entries", "Observations uploaded, by what became of each.", ["status"])
GATE = Counter("jhe_upload_gate_refusals", "Observations refused since the patient does not consent.")

INFO.info({"version": __version__})


def answered(route: Route | None, status: int, seconds: float) -> None:
    """A request's end. Whatever matches no route is one route: addresses are the caller's, and without end."""
    label = "none" if route is None else f"{route.method} {route.path}"
    REQUESTS.labels(label, str(status)).inc()
    SECONDS.labels(label).observe(seconds)


def timed(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """A call for a thread, which tells how long it waited for one."""
    return functools.partial(_begun, time.perf_counter(), function, *arguments)


def _begun(asked: float, function: Callable[..., Any], *arguments: Any) -> Any:
    THREAD_WAIT.observe(time.perf_counter() - asked)
    return function(*arguments)


def uploaded(route: Route, status: int, answer: Any, detail: str = "") -> None:
    """What became of each Observation of an upload: one alone, or the entries of a Bundle.

    Told in the thread that performed it: a Bundle has up to ten thousand entries, and the event loop waits for nobody.
    """
    if route.name not in ("uploads.create", "uploads.create_many"):
        return
    entries = answer.get("entry") if isinstance(answer, Mapping) else None
    if entries is None:
        _count({str(status): 1}, int(NOT_CONSENTED in detail))
        return
    responses = [entry["response"] for entry in entries]
    closed = sum(one["status"].startswith("403") and NOT_CONSENTED in _said(one) for one in responses)
    _count(Tally(one["status"][:3] for one in responses), closed)


def _count(statuses: Mapping[str, int], closed: int) -> None:
    for status, number in statuses.items():
        ENTRIES.labels(status).inc(number)
    GATE.inc(closed)


def _said(response: Mapping[str, Any]) -> str:
    return str(response.get("outcome", {}).get("issue", [{}])[0].get("diagnostics", ""))
