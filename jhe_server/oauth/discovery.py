"""Where everything is, for programs: OpenID Connect's discovery document and SMART on FHIR's."""

from __future__ import annotations

from typing import Any

from .exchanging import GRANT as EXCHANGE
from .identity import SIGNED_WITH
from .validator import SCOPES

GRANTS = ("authorization_code", "refresh_token", "client_credentials")
METHODS = ["client_secret_basic", "client_secret_post", "none"]


def _endpoints(site: str, hub: bool) -> dict[str, Any]:
    paths = ("authorize", "token", "revoke_token", "introspect")
    names = dict(zip(("authorization", "token", "revocation", "introspection"), paths, strict=True))
    return {
        "issuer": f"{site}/o",
        "jwks_uri": f"{site}/o/.well-known/jwks.json",
        **{f"{name}_endpoint": f"{site}/o/{path}" for name, path in names.items()},
        "grant_types_supported": [*GRANTS, *([EXCHANGE] if hub else [])],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": METHODS,
        "scopes_supported": list(SCOPES),
    }


def openid_configuration(site: str, hub: bool = False) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0, section 3; `site` is where this Exchange says it is, never a request's Host.

    `hub` says that a JupyterHub's tokens are exchanged.
    """
    return {
        **_endpoints(site, hub),
        "userinfo_endpoint": f"{site}/o/userinfo",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [SIGNED_WITH],
        "claims_supported": ["sub", "email", "given_name", "family_name"],
        "authorization_response_iss_parameter_supported": True,
    }


def smart_configuration(site: str, hub: bool = False) -> dict[str, Any]:
    """SMART App Launch 2.2, section 8.3: what we really have of it, and nothing else."""
    have = ["client-public", "client-confidential-symmetric", "sso-openid-connect"]
    return {**_endpoints(site, hub), "capabilities": have}
