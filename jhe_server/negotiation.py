"""Media types: the one an answer has (`Accept`), and those that a body may have (`Content-Type`); pure."""

from __future__ import annotations

from .errors import NotAcceptable, UnsupportedMedia


def preferred(accept: str, offered: tuple[str, ...]) -> str:
    """The media type of the answer (RFC 9110, 12.5.1): the first of the best; `NotAcceptable` where none will do.

    >>> preferred("text/html, application/*;q=0.9, */*;q=0.1", ("application/json",))
    'application/json'
    """
    best, quality = None, 0.0
    for part in accept.split(","):
        kind, *parameters = (one.strip() for one in part.lower().split(";"))
        q = _quality(parameters)
        for one in offered:
            if kind in (one, "*/*", one.split("/")[0] + "/*") and q > quality:
                best, quality = one, q
    if best is None:
        raise NotAcceptable(f"Only {' and '.join(offered)} can be produced here.")
    return best


def _quality(parameters: list[str]) -> float:
    for one in parameters:
        if one.startswith("q="):
            try:
                return float(one[2:])
            except ValueError:
                return 0.0
    return 1.0


def check_content_type(sent: str, body: bytes, accepted: tuple[str, ...]) -> None:
    """`UnsupportedMedia` for a body of another media type, and for whatever is not said to be UTF-8.

    >>> check_content_type("application/json; charset=UTF-8", b"{}", ("application/json",))
    """
    kind, *parameters = sent.lower().split(";")
    if body and kind.strip() not in accepted:
        raise UnsupportedMedia(f"Send {' or '.join(accepted)}.")
    charset = next((one.partition("=")[2].strip(' "') for one in parameters if "charset" in one), "utf-8")
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMedia("Send it in UTF-8.")
