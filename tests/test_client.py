"""The client on the wire: what is repeated, what is said when something fails, and where the token never goes."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jupyterhealth_client import JupyterHealthClient

import jhe_jupyter as jhe
from jhe_jupyter.connect import find
from jhe_jupyter.transport import pause

SECRET = "jhe_a-secret-nobody-should-read"


class Cut(bytes):
    """A body of which half arrives."""


class Script(ThreadingHTTPServer):
    """A server that gives prepared answers in turn, the last one for ever, and remembers what it was asked.

    An answer is (status, headers, body); None breaks the connection without one.
    """

    daemon_threads = True

    def __init__(self, *answers: tuple[int, dict[str, str], Any] | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/jhe"

    def next_answer(self) -> tuple[int, dict[str, str], Any] | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    server: Script
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
        answer = self.server.next_answer()
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        status, headers, body = answer
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if isinstance(body, Cut) else content)
        self.close_connection = isinstance(body, Cut)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer

    def log_message(self, *args: Any) -> None:
        """Say nothing: the tests read `asked`."""


@contextmanager
def scripted(*answers: tuple[int, dict[str, str], Any] | None) -> Iterator[Script]:
    with Script(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def client_of(server: Script, **how: Any) -> Iterator[jhe.Client]:
    client = jhe.Client(server.url, SECRET, **how)
    try:
        yield client
    finally:
        client.close()


OK = (200, {}, {"id": 1})
BUSY = (503, {"Retry-After": "0"}, {"detail": "The Exchange is busy or stopping; try again shortly."})


@pytest.mark.parametrize("trouble", [BUSY, (502, {}, b"<html>"), (504, {}, b""), (429, {"Retry-After": "0"}, {}), None])
def test_reading_is_repeated_until_it_works(trouble: Any) -> None:
    with scripted(trouble, trouble, OK) as server, client_of(server) as client:
        assert client.get_patient(1) == {"id": 1}
        assert len(server.asked) == 3


@pytest.mark.parametrize("trouble", [BUSY, None])
def test_writing_is_never_repeated_once_it_may_have_arrived(trouble: Any) -> None:
    with scripted(trouble, OK) as server, client_of(server) as client:
        with pytest.raises(jhe.ExchangeError):
            client.post_patient({"nameFamily": "Smith"})
        assert [method for method, *_ in server.asked] == ["POST"]


def test_enrolling_is_repeated_because_twice_is_once() -> None:
    with scripted(None, (201, {}, {"studyPatients": []})) as server, client_of(server) as client:
        assert client.post_study_patients(30001, [40001]) == {"studyPatients": []}
        assert len(server.asked) == 2


def test_repeating_ends() -> None:
    with scripted(BUSY) as server, client_of(server) as client:
        with pytest.raises(jhe.Unavailable, match="busy or stopping"):
            client.get_user()
        assert len(server.asked) == 4


def test_a_server_that_asks_for_an_hour_is_not_waited_for() -> None:
    late = (429, {"Retry-After": "3600"}, {"detail": "Too many requests; try again later."})
    with scripted(late) as server, client_of(server) as client:
        with pytest.raises(jhe.TooMany, match="Too many requests"):
            client.get_user()
        assert len(server.asked) == 1


def test_waiting_grows_and_stays_bounded() -> None:
    assert all(0 <= (pause(attempt) or 0) <= min(0.25 * 2**attempt, 4) for attempt in range(12))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, jhe.Invalid),
        (401, jhe.Unauthenticated),
        (403, jhe.Forbidden),
        (404, jhe.NotFound),
        (409, jhe.Conflict),
        (410, jhe.Gone),
        (413, jhe.TooLarge),
        (422, jhe.Unprocessable),
        (500, jhe.Unavailable),
        (418, jhe.ExchangeError),
    ],
)
def test_a_refusal_is_the_servers_sentence_and_its_kind(status: int, kind: type[jhe.ExchangeError]) -> None:
    said = {"detail": "Check the fields.", "errors": {"birthDate": ["must not be in the future"]}}
    with scripted((status, {}, said)) as server, client_of(server) as client:
        with pytest.raises(kind) as caught:
            client.patch_patient(1, {})
        assert str(caught.value).startswith("Check the fields. birthDate: must not be in the future")
        assert caught.value.status == status
        assert caught.value.errors == {"birthDate": ["must not be in the future"]}
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_a_missing_record_is_a_key_error_as_in_the_public_client() -> None:
    with scripted((404, {}, {"detail": "Not found."})) as server, client_of(server) as client:
        with pytest.raises(KeyError) as caught:
            client.get_patient(9)
        assert str(caught.value) == "Not found."


def test_an_outcome_says_its_diagnostics_and_where() -> None:
    issues = [
        {"severity": "error", "code": "required", "diagnostics": "A subject is needed.", "expression": ["subject"]},
        {"severity": "error", "code": "value", "details": {"text": "Unknown code."}, "expression": ["code"]},
    ]
    outcome = {"resourceType": "OperationOutcome", "issue": issues}
    with scripted((400, {"Content-Type": "application/fhir+json"}, outcome)) as server, client_of(server) as client:
        with pytest.raises(jhe.Invalid) as caught:
            client.post_observation({})
        assert caught.value.detail == "A subject is needed."
        assert caught.value.errors == {"subject": ["A subject is needed."], "code": ["Unknown code."]}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((404, {"Content-Type": "text/html"}, b"<h1>404</h1>"), "usually ends in /jhe"),
        ((302, {"Location": "/login"}, b""), "answered 302 Found, and it is not an Exchange"),
        ((403, {"Content-Type": "text/html"}, b"\xff\xfe"), "answered 403 Forbidden without saying why"),
        ((500, {}, ["a", "list"]), "without saying why"),
    ],
)
def test_whoever_else_answers_is_described_in_one_sentence(answer: Any, sentence: str) -> None:
    with scripted(answer) as server, client_of(server) as client:
        with pytest.raises(jhe.ExchangeError, match=sentence) as caught:
            client.get_user()
        assert "\n" not in str(caught.value)


def test_nobody_at_home_is_one_sentence_with_the_address_and_without_the_token() -> None:
    with scripted(OK) as server:
        url = server.url
    with pytest.raises(jhe.ConnectionLost) as caught:
        jhe.Client(url, SECRET).get_patient(1)
    assert isinstance(caught.value, ConnectionError)
    assert url.removesuffix("/jhe") in str(caught.value)
    assert "/patients" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_server_that_never_answers_is_given_up() -> None:
    with scripted(OK) as server, client_of(server, timeout=0.2) as client:
        server.next_answer = threading.Event().wait  # type: ignore[method-assign, assignment]
        with pytest.raises(jhe.ConnectionLost, match="did not answer in time"):
            client.get_user()
        server.next_answer = lambda: None  # type: ignore[method-assign]


def test_a_notebook_shows_one_line() -> None:
    error = jhe.Conflict(409, "User with this email already exists")
    assert error._render_traceback_() == ["Conflict: User with this email already exists"]


def test_a_cell_that_fails_prints_the_sentence_and_no_stack() -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        with capture_output() as printed:
            shell.run_cell("import jhe_jupyter\nraise jhe_jupyter.Forbidden(403, 'You may not.')")
    finally:
        InteractiveShell.clear_instance()
    assert printed.stdout.strip().splitlines() == ["Forbidden: You may not."]


def test_pages_are_followed_with_their_filters_and_never_to_another_host() -> None:
    pages = [
        (
            200,
            {},
            {"results": [{"id": 1}], "next": "http://elsewhere.example/jhe/api/v1/patients?page=2&study_id=30001"},
        ),
        (200, {}, {"results": [{"id": 2}], "next": None}),
    ]
    with scripted(*pages) as server, client_of(server) as client:
        assert [one["id"] for one in client.list_patients(study_id=30001)] == [1, 2]
        assert server.asked[1][1] == "/jhe/api/v1/patients?page=2&study_id=30001"


def test_bundles_are_followed_and_each_id_comes_once() -> None:
    def bundle(*ids: int, **next: str) -> tuple[int, dict[str, str], Any]:
        link = [{"relation": relation, "url": url} for relation, url in next.items()]
        return 200, {}, {"entry": [{"resource": {"id": str(id)}} for id in ids], "link": link}

    pages = [bundle(3, 2, next="http://x/jhe/FHIR/R5/Observation?_page=2"), bundle(2, 1, self="http://x/")]
    with scripted(*pages) as server, client_of(server) as client:
        assert [one["id"] for one in client.list_observations(40001)] == ["3", "2", "1"]
        assert server.asked[0][1].startswith("/jhe/FHIR/R5/Observation?_count=1000&patient=40001")


def test_a_limit_asks_for_no_more_than_it_needs() -> None:
    many = (200, {}, {"results": [{"id": number} for number in range(3)], "next": "http://x/?page=2"})
    with scripted(many) as server, client_of(server) as client:
        assert len(list(client.list_observation_rows(limit=3))) == 3
        assert "pageSize=3" in server.asked[0][1]
        assert len(server.asked) == 1
        with pytest.raises(ValueError, match="negative"):
            list(client.list_observation_rows(limit=-1))


def test_the_token_goes_nowhere_else() -> None:
    client = jhe.Client("http://127.0.0.1:8888/jhe", SECRET)
    with pytest.raises(ValueError, match="the token goes nowhere else"):
        client.api_request("https://example.org/jhe/api/v1/patients")


@pytest.mark.parametrize("kind", ["Client", "Exchange"])
def test_the_token_is_in_no_repr(kind: str) -> None:
    client = getattr(jhe, kind)("http://127.0.0.1:8888/jhe", SECRET)
    assert SECRET not in repr(client) + str(client) + repr(vars(client)) + getattr(client, "_repr_html_", str)()


def test_a_renewed_token_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("jhe_newer\n")
    stale = (401, {}, {"detail": "Authentication credentials were not provided."})
    with scripted(stale, (201, {}, {"id": 1})) as server, client_of(server, token_file=file) as client:
        assert client.post_patient({}) == {"id": 1}
        assert [said for *_, said in server.asked] == [f"Bearer {SECRET}", "Bearer jhe_newer"]


def test_a_token_that_stays_wrong_is_asked_about_once_more_and_no_further(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("jhe_also_wrong")
    stale = (401, {}, {"detail": "Authentication credentials were not provided."})
    with scripted(stale) as server, client_of(server, token_file=file) as client:
        with pytest.raises(jhe.Unauthenticated):
            client.get_user()
        assert len(server.asked) == 2
        with pytest.raises(jhe.Unauthenticated):
            client.get_user()
        assert len(server.asked) == 3, "the file says nothing new, so nothing is tried again"


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with scripted(OK) as server, client_of(server) as client:
        assert client.get_user() == {"id": 1}


def test_arguments_come_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    kernel = {"JHE_URL": "http://a/jhe", "JHE_TOKEN": "from-env", "JHE_TOKEN_FILE": str(file)}
    assert find("http://b/jhe", "mine", kernel) == ("http://b/jhe", "mine", None)
    assert find(None, "mine", kernel) == ("http://a/jhe", "mine", None)
    assert find(None, None, kernel) == ("http://a/jhe", "from-file", file)
    assert find("http://a/jhe/", None, kernel).token == "from-file"
    file.unlink()
    assert find(None, None, kernel) == ("http://a/jhe", "from-env", file)


@pytest.mark.parametrize("kernel", [{}, {"JHE_TOKEN": "x"}, {"JHE_URL": "http://a/jhe"}])
def test_without_an_exchange_the_error_says_what_to_do(kernel: dict[str, str]) -> None:
    with pytest.raises(jhe.NotConfigured, match=r"connect\(url=…, token=…\)"):
        find(None, None, kernel)


def test_the_token_of_one_exchange_is_not_offered_to_another() -> None:
    with pytest.raises(jhe.NotConfigured, match="the one at hand is for http://a/jhe"):
        find("https://b/jhe", None, {"JHE_URL": "http://a/jhe", "JHE_TOKEN": "x"})


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8888", "ftp://a/jhe", "http://me:pw@a/jhe", "http://a/jhe?token=x", "http://a:x"]
)
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        jhe.Client(url, SECRET)


def test_whoever_knows_the_public_client_knows_ours() -> None:
    def positions(method: Any) -> list[str]:
        by_position = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
        return [name for name, one in inspect.signature(method).parameters.items() if one.kind in by_position]

    public = {
        name: one for name, one in vars(JupyterHealthClient).items() if callable(one) and not name.startswith("_")
    }
    assert "list_observations_df" in public
    for name, theirs in public.items():
        ours = getattr(jhe.Exchange, name)
        assert positions(ours)[: len(positions(theirs))] == positions(theirs), name
        assert set(inspect.signature(theirs).parameters) - {"kwargs"} <= set(inspect.signature(ours).parameters), name


def test_a_quick_import_and_exactly_the_names_it_promises() -> None:
    assert sorted(jhe.__all__) == jhe.__all__
    assert all(hasattr(jhe, name) for name in jhe.__all__)
    assert callable(jhe.connect)
    with pytest.raises(AttributeError):
        jhe.no_such_name  # noqa: B018
