"""What can go wrong, as the caller hears it: one exception per status, the only words the door turns into HTTP.

ExchangeError
├── Invalid          400  invalid      what was sent cannot be used; `errors` names the fields
├── Unauthenticated  401  login        nobody is known yet
├── Forbidden        403  forbidden    known, sees it, but may not
├── NotFound         404  not-found    unknown, or not for this caller to see
├── NotAllowed       405  not-supported
├── NotAcceptable    406  not-supported
├── Conflict         409  conflict     clashes with what exists; the sentence names it
├── Gone             410  deleted      was there, is over
├── TooLarge         413  too-long
├── UnsupportedMedia 415  not-supported
├── Unprocessable    422  invariant    an Open mHealth payload fails its schema or its rules
├── TooMany          429  throttled
├── Unavailable      503  transient    try again shortly
└── InsufficientStorage 507 no-store   the disk is full; there is no trace of the request
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NOT_CONSENTED = "The patient has not consented to"  # how the gate's refusal of an upload begins


class ExchangeError(Exception):
    """A refusal with a status, a FHIR issue code and one sentence that never holds patient data.

    >>> Conflict("User with this email already exists").status
    409
    """

    status = 500
    fhir_code = "exception"
    sentence = "The Exchange could not answer; the reason is in its log."
    recorded = False  # whether an audit row names who was refused on a public page

    def __init__(
        self,
        detail: str | None = None,
        errors: Mapping[str, Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.detail = detail or self.sentence
        self.errors = {field: list(said) for field, said in (errors or {}).items()}
        self.headers = dict(headers or {})
        super().__init__(self.detail)


class Invalid(ExchangeError):
    status, fhir_code, sentence = 400, "invalid", "The request cannot be used as it was sent."


class Unauthenticated(ExchangeError):
    status, fhir_code, sentence = 401, "login", "Authentication credentials were not provided."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="jhe"'})


class Forbidden(ExchangeError):
    status, fhir_code, sentence = 403, "forbidden", "You do not have permission to perform this action."


class NotFound(ExchangeError):
    status, fhir_code, sentence = 404, "not-found", "Not found."


class NotAllowed(ExchangeError):
    status, fhir_code, sentence = 405, "not-supported", "This method is not served here."


class NotAcceptable(ExchangeError):
    status, fhir_code, sentence = 406, "not-supported", "None of the media types asked for can be produced here."


class Conflict(ExchangeError):
    status, fhir_code, sentence = 409, "conflict", "This conflicts with what exists."


class Gone(ExchangeError):
    status, fhir_code, sentence = 410, "deleted", "This is no longer there."


class TooLarge(ExchangeError):
    status, fhir_code, sentence = 413, "too-long", "The request is larger than this server accepts."


class UnsupportedMedia(ExchangeError):
    status, fhir_code, sentence = 415, "not-supported", "Send application/json."


class Unprocessable(ExchangeError):
    status, fhir_code, sentence = 422, "invariant", "The data point is not valid."


class TooMany(ExchangeError):
    status, fhir_code, sentence = 429, "throttled", "Too many requests; try again later."


class Unavailable(ExchangeError):
    status, fhir_code, sentence = 503, "transient", "The Exchange is busy or stopping; try again shortly."


class InsufficientStorage(ExchangeError):
    status, fhir_code = 507, "no-store"
    sentence = "The Exchange's disk is full, so this request left nothing behind; its operator has to make room."
