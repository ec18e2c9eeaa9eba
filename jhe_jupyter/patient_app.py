"""A patient's app in a notebook, for pilots and tests: let in by an invitation, it answers and uploads for them."""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import httpx
import pandas as pd

from .browser_sign_in import exchange_at
from .connection import Connection, Json
from .exchange import Exchange
from .kept_tokens import InMemory, Tokens
from .names import choose, code_names
from .oauth import SignedIn, tokens_for
from .transport import is_loopback, server_url

LINK = re.compile(r"(?:^|[=/?&#])(?P<host>[A-Za-z0-9.:\[\]-]+)[|_](?P<secret>[A-Za-z0-9]{32})$")


class PatientApp(Exchange):
    """An Exchange as one patient's app sees it; made by `jhe_jupyter.as_patient()`."""

    @cached_property
    def me(self) -> Json:
        """The patient's own record."""
        return self._get("patients/me")

    def consents(self) -> pd.DataFrame:
        """What each study asks and what was answered; columns as of `consents_df`."""
        return self.consents_df(patient=self.me["id"])

    def answer(self, study: Any, answers: Mapping[Any, bool], reason: str | None = None) -> pd.DataFrame:
        """Answer a study, `{code: True | False}`; names do, as everywhere. Returns the consents as they are then."""
        asking = self._asking(study)
        given = []
        for code, consented in answers.items():
            found = choose(str(code), asking["codes"], "code", code_names)
            given.append({name: found[name] for name in ("codingSystem", "codingCode")} | {"consented": consented})
        self.post_patient_consents(self.me["id"], [{"studyId": asking["id"], "scopeConsents": given, "reason": reason}])
        return self.consents()

    def withdraw(self, study: Any, reason: str | None = None) -> pd.DataFrame:
        """Stop sharing everything with a study; returns the consents as they are then."""
        self.post_patient_withdrawal(self.me["id"], self._asking(study)["id"], reason)
        return self.consents()

    def upload(self, data: Any, device: Any = None, code: Any = None) -> pd.DataFrame:
        """Upload the patient's own measurements; see `Exchange.upload_observations`."""
        return self.upload_observations(data, patient=self.me["id"], device=device, code=code, progress=False)

    def _asking(self, study: Any) -> Json:
        """The study that is meant, of those that ask, with the codes it asks for."""
        said = self.get_patient_consents(self.me["id"])
        found: dict[int, Json] = {}
        for one in [*said["studies"], *said["studiesPendingConsent"]]:
            known = found.setdefault(one["id"], {"id": one["id"], "name": one["name"], "codes": []})
            asked = one.get("scopeConsents") or one["pendingScopeConsents"]
            known["codes"] += [each["code"] for each in asked]
        return choose(str(study), list(found.values()), "study", lambda one: [one["name"]])


def as_patient(invitation_link: str, url: str | None = None) -> PatientApp:
    """Play a patient's app: redeem an invitation and act as the patient it invites.

    `url` is the Exchange's address where the link's host is not enough to find it (below a Hub). The tokens are kept
    in memory only. Raises ValueError for what is no invitation link; NotFound, Gone, Conflict or Forbidden where the
    invitation is not open.
    """
    host, secret = parts(invitation_link)
    address = exchange_at(url or _address(host, os.environ.get("JHE_URL", "")))
    kept, fresh = InMemory(), _redeemed(address, secret)
    kept.save(fresh)
    app = PatientApp(address, "", auth=SignedIn(address, kept, fresh))
    app.sign_in()
    return app


def _address(host: str, known: str) -> str:
    """Where an invitation's host is: the Exchange at hand, if it is that one, for it may be mounted anywhere.

    >>> _address("localhost:8888", "http://127.0.0.1:8888/lab/jhe"), _address("jhe.example.org", "")
    ('http://127.0.0.1:8888/lab/jhe', 'https://jhe.example.org')
    """
    there = server_url(f"http://{host}")
    here = server_url(known) if known else None
    if here is not None and (here.netloc == there.netloc or (is_loopback(here) and is_loopback(there))):
        return known if here.port == there.port else f"http://{host}"
    return f"{'http' if is_loopback(there) else 'https'}://{host}"


def parts(link: str) -> tuple[str, str]:
    """(host, secret) of an invitation link, of either form.

    >>> parts("https://play.example.com/?referrer=cloud_sharing=jhe.example.org|" + "a" * 32)[0]
    'jhe.example.org'
    >>> parts("https://app.example.com/invitation/jhe.example.org:8443_" + "a" * 32)[0]
    'jhe.example.org:8443'
    """
    found = LINK.search(link.strip())
    if found is None:
        raise ValueError("this is no invitation link: it ends in a host, | or _, and 32 letters and digits")
    return found["host"], found["secret"]


def _redeemed(url: str, secret: str) -> Tokens:
    with Connection(url, "", auth=httpx.Auth()) as stranger:
        said = stranger.api_request("invitation/redeem", method="POST", json={"token": secret}, repeatable=True)
    verifier = urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    return tokens_for(url, said["grant"]["client_id"], {**said["grant"], "code_verifier": verifier})
