"""What the Exchange refused or could not do: one exception per status, so that a notebook shows one sentence.

ExchangeError
├── Invalid          400   what was sent cannot be used; `errors` names the fields
├── Unauthenticated  401   a token that is not, or no longer, good
├── Forbidden        403   known, but may not
├── NotFound         404   unknown or not visible; also a KeyError
│   └── UnknownName        no organization, study, patient, … of that name
├── AmbiguousName          several of that name; also a ValueError
├── Conflict         409   clashes with what exists
├── Gone             410   was there, is over
├── TooLarge         413   more than the server accepts at once
├── Unprocessable    422   a health record that fails its schema
├── TooMany          429   asked too often
├── Unavailable      5xx   the server failed or is busy
└── ConnectionLost         nothing answered; also a ConnectionError
    ├── ImportInterrupted  …in the middle of an import, with what was done
    └── UploadInterrupted  …in the middle of an upload, with what was done
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx
    import pandas as pd


class ExchangeError(Exception):
    """A refusal: `status` (None where no server spoke), `detail` in one sentence, `errors` by field.

    >>> print(ExchangeError(400, "Check the fields.", {"birthDate": ["lies in the future"]}))
    Check the fields. birthDate: lies in the future
    """

    def __init__(self, status: int | None, detail: str, errors: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(status, detail, errors)
        self.status = status
        self.detail = detail
        self.errors = {field: list(said) for field, said in (errors or {}).items()}

    def __str__(self) -> str:
        more = [f"{field}: {'; '.join(said)}" for field, said in self.errors.items()]
        new = [one for one in more if one not in self.detail]  # a sentence about one field already says it
        return f"{self.detail.removesuffix('.')}. {'. '.join(new)}" if new else self.detail

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback: the reader can act on the sentence, not on our stack."""
        return [f"{type(self).__name__}: {self}"]


class Invalid(ExchangeError):
    """400: what was sent cannot be used."""


class Unauthenticated(ExchangeError):
    """401: a token that is not, or no longer, good."""

    def __str__(self) -> str:
        said = super().__str__()  # where no server spoke, no token was sent
        return said if self.status is None else f"{said} (The token that was sent is unknown, expired or revoked.)"


class Forbidden(ExchangeError):
    """403: known, but may not."""


class NotFound(ExchangeError, KeyError):
    """404: unknown, or not for this caller to see; a KeyError too, as in jupyterhealth-client."""


class UnknownName(NotFound):
    """No organization, study, patient, code, data source or client answers to a name."""


class AmbiguousName(ExchangeError, ValueError):
    """Several answer to a name; the sentence lists them with their ids."""


class Conflict(ExchangeError):
    """409: clashes with what exists."""


class Gone(ExchangeError):
    """410: was there, is over."""


class TooLarge(ExchangeError):
    """413: more than the server accepts at once."""


class Unprocessable(ExchangeError):
    """422: a health record that fails its schema."""


class TooMany(ExchangeError):
    """429: asked too often."""


class Unavailable(ExchangeError):
    """5xx: the server failed or is busy."""


class ConnectionLost(ExchangeError, ConnectionError):
    """Nothing answered, or not to the end."""


class ImportInterrupted(ExchangeError):
    """An import that stopped half way; `done` is the DataFrame of the rows that were answered before."""

    def __init__(self, status: int | None, detail: str, done: pd.DataFrame) -> None:
        super().__init__(status, detail)
        self.done = done


class UploadInterrupted(ExchangeError):
    """An upload that stopped half way; `done` is the DataFrame of the rows that were answered before."""

    def __init__(self, status: int | None, detail: str, done: pd.DataFrame) -> None:
        super().__init__(status, detail)
        self.done = done


class Unreadable(ExchangeError, ValueError):
    """A file or frame of patients that cannot be understood as one."""


BY_STATUS: dict[int, type[ExchangeError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    422: Unprocessable,
    429: TooMany,
}


def refusal(response: httpx.Response) -> ExchangeError:
    """The exception that says what a refusing response says, in the server's own words where it has any."""
    status = response.status_code
    kind = BY_STATUS.get(status, Unavailable if status >= 500 else ExchangeError)
    try:
        said = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return kind(status, _wordless(response))
    detail, errors = _sentences(said if isinstance(said, dict) else {})
    return kind(status, detail or _wordless(response), errors)


def _sentences(said: Mapping[str, Any]) -> tuple[str | None, dict[str, list[str]]]:
    """Sentence and field errors of the three shapes an Exchange answers with: its own, FHIR's and OAuth's."""
    if said.get("resourceType") == "OperationOutcome":
        return _outcome(said.get("issue") or [])
    detail = said.get("detail") or said.get("error_description") or said.get("error")
    fields = said.get("errors")
    errors = {str(k): [str(one) for one in v] for k, v in fields.items()} if isinstance(fields, dict) else {}
    return (str(detail) if detail else None), errors


def _outcome(issues: Sequence[Mapping[str, Any]]) -> tuple[str | None, dict[str, list[str]]]:
    """Sentences of an OperationOutcome; where an issue says at which element, the element is the field."""
    first: str | None = None
    errors: dict[str, list[str]] = {}
    for issue in issues:
        sentence = str(issue.get("diagnostics") or (issue.get("details") or {}).get("text") or issue.get("code"))
        first = first or sentence
        for where in issue.get("expression") or []:
            errors.setdefault(str(where), []).append(sentence)
    return first, {} if list(errors.values()) == [[first]] else errors


def _wordless(response: httpx.Response) -> str:
    """One sentence for an answer that is not the Exchange's: a proxy, a sign-in page, a wrong address."""
    address = response.url.copy_with(query=None)
    answer = f"{address} answered {response.status_code} {response.reason_phrase}".rstrip()
    if 300 <= response.status_code < 400 or response.status_code == 404:
        return f"{answer}, and it is not an Exchange that says so: check the address (it usually ends in /jhe)."
    return f"{answer} without saying why."
