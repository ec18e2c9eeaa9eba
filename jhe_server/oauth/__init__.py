"""OAuth2 and OpenID Connect: how an app gets tokens, on oauthlib.

    parties       who may ask: apps, practitioners' keys, notebooks
    validator     what oauthlib asks about them, answered from the store
    families      tokens that follow each other
    identity      ID tokens, signing key, userinfo
    exchanging    a JupyterHub's token for one of ours
    provider      the grants composed; the verbs `token`, `revoke`, `introspect`
    discovery     where everything is, for programs

Words: a *family* is what one sign-in or one invitation gave one app. A *scope* is OAuth2's, here and nowhere else.
"""

from __future__ import annotations

from ..practitioner_clients import NOTEBOOK
from .answers import Answer
from .discovery import openid_configuration, smart_configuration
from .exchanging import GRANT
from .identity import jwks, userinfo
from .parties import Party, party
from .provider import introspect, revoke, token

__all__ = [
    "GRANT",
    "NOTEBOOK",
    "Answer",
    "Party",
    "introspect",
    "jwks",
    "openid_configuration",
    "party",
    "revoke",
    "smart_configuration",
    "token",
    "userinfo",
]
