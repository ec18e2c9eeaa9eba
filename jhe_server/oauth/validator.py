"""What oauthlib asks about clients, codes and tokens, answered from one transaction of the store.

Checking and claiming happen in that one transaction, so of eight parallel exchanges of a code one finds it unused. A
refusal that ends a family is an answer, not an exception: its transaction commits.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus

from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749 import errors
from sqlalchemy.orm import Session

from .. import authorization_codes, redemptions, tokens
from ..authorization_codes import CodeRow
from ..db import now
from ..errors import Unauthenticated
from ..people import UserRow
from ..tokens import FamilyRow, RefreshRow
from . import families
from .parties import Party, party

GRACE = timedelta(seconds=5)  # a duplicate of the same request is no replay
SCOPES = ("openid", "email", "profile", "offline_access")


class Validator(RequestValidator):  # type: ignore[misc]
    """One request's worth of answers; `code` or `refresh` is what the request turned out to bring."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.user: UserRow | None = None
        self.family: FamilyRow | None = None
        self.code: CodeRow | None = None
        self.refresh: RefreshRow | None = None

    # -------------------------------------------------------------- who the client is
    def client_authentication_required(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Somebody unknown is asked for a secret, like somebody who has one."""
        found = party(self.session, self._credentials(request)[0])
        return found is None or found.confidential

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        client_id, secret = self._credentials(request)
        found = party(self.session, client_id)
        return found is not None and found.is_secret(secret) and self._bound(request, found)

    def authenticate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        found = party(self.session, client_id)
        return found is not None and not found.confidential and self._bound(request, found)

    def validate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        found = party(self.session, client_id)
        return found is not None and self._bound(request, found)

    def _bound(self, request: Any, found: Party) -> bool:
        request.client, request.client_id = found, found.client_id
        return True

    def _credentials(self, request: Any) -> tuple[str | None, str | None]:
        """Client id and secret: by HTTP Basic, else in the form."""
        header = request.headers.get("Authorization") or ""
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "basic":
            return request.client_id, request.client_secret
        try:
            name, _, secret = b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return None, None
        return unquote_plus(name), unquote_plus(secret)

    # -------------------------------------------------------------- what the client may ask for
    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        return bool(request.client.redirects_to(redirect_uri))

    def validate_response_type(self, client_id: str, response_type: str, client: Party, request: Any, *args: Any,
                               **kwargs: Any) -> bool:  # fmt: skip
        return response_type == "code"

    def validate_grant_type(self, client_id: str, grant_type: str, client: Party, request: Any, *args: Any,
                            **kwargs: Any) -> bool:  # fmt: skip
        return grant_type in client.grants

    def validate_scopes(self, client_id: str, scopes: list[str], client: Party, request: Any, *args: Any,
                        **kwargs: Any) -> bool:  # fmt: skip
        return set(scopes) <= set(SCOPES)

    def get_default_scopes(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        return ["openid"]

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return True

    def get_default_redirect_uri(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> str | None:
        """Only an invitation's app may leave out where it was never redirected to."""
        return self.code.redirect_uri if self.code is not None and self.code.invitation_id is not None else None

    # -------------------------------------------------------------- codes
    def save_authorization_code(self, client_id: str, code: dict[str, str], request: Any, *args: Any,
                                **kwargs: Any) -> None:  # fmt: skip
        authorization_codes.issue(
            self.session,
            request.user,
            client_id,
            request.redirect_uri,
            request.code_challenge,
            scope=" ".join(request.scopes),
            nonce=(request.nonce or "")[:300] or None,
            code=code["code"],
        )

    def validate_code(self, client_id: str, code: str, client: Party, request: Any, *args: Any, **kwargs: Any) -> bool:
        """A used code is let through here: whether it is a replay is asked once PKCE has shown who sends it."""
        row = authorization_codes.known(self.session, code)
        if row is None or row.client_id != client.client_id or (row.used is None and row.expires <= now()):
            return False
        if not self._known(row.user_id):
            return False
        self.code, request.user, request.scopes = row, row.user_id, row.scope.split()
        return True

    def get_code_challenge(self, code: str, request: Any) -> str | None:
        return None if self.code is None else self.code.challenge

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        return "S256"

    def confirm_redirect_uri(self, client_id: str, code: str, redirect_uri: str, client: Party, request: Any,
                             *args: Any, **kwargs: Any) -> bool:  # fmt: skip
        return self.code is not None and self.code.redirect_uri == redirect_uri

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Done already, in the moment the tokens were saved."""

    # -------------------------------------------------------------- refreshing
    def validate_refresh_token(self, refresh_token: str, client: Party, request: Any, *args: Any,
                               **kwargs: Any) -> bool:  # fmt: skip
        found = families.refresh_of(self.session, refresh_token)
        if found is None or found[1].client_id != client.client_id:
            return False
        row, family = found
        if row.used is not None:
            return self._replayed(row.used, family)
        if row.expires <= now() or not families.is_alive(family) or not self._known(family.user_id):
            return False
        self.refresh, self.family, request.user = row, family, family.user_id
        return True

    def get_original_scopes(self, refresh_token: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        return self.family.scope.split() if self.family is not None else []

    def rotate_refresh_token(self, request: Any) -> bool:
        return True

    def _replayed(self, used: Any, family: FamilyRow | None) -> bool:
        """Two hold what only one was given: nobody can tell which is the thief, so both have to begin again."""
        if family is not None and abs(now() - used) > GRACE:
            tokens.end_family(self.session, family.id)
            tokens.known_as(self.session, family.user_id, families.VIA, "denied")
        return False

    def _known(self, user_id: int) -> bool:
        """Whether this is still somebody: not disabled, not a patient whose record is gone."""
        try:
            tokens.actor_of(self.session, user_id, families.VIA)
        except Unauthenticated:
            return False
        self.user = self.session.get(UserRow, user_id)
        return self.user is not None

    # -------------------------------------------------------------- tokens
    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        """Claim what was brought and save what is given for it, or refuse."""
        if self.code is not None and not self._claimed(self.code):
            raise errors.InvalidGrantError(request=request)
        if request.grant_type == "client_credentials" and not self._known(request.client.owner_id):
            raise errors.InvalidClientError(request=request)
        user = self.user
        assert user is not None
        if self.refresh is not None:
            self.refresh.used = now()
        family = self.family or families.begin(self.session, user, request.client_id, " ".join(request.scopes))
        if self.code is not None:
            self.code.family_id = family.id
        lifetime = timedelta(seconds=token["expires_in"])
        families.add_access(self.session, family, user, token["access_token"], lifetime)
        if "refresh_token" in token:
            families.add_refresh(self.session, family, user, token["refresh_token"])
        tokens.known_as(self.session, user.id, families.VIA)

    def _claimed(self, code: CodeRow) -> bool:
        if code.used is not None:
            return self._replayed(code.used, self.session.get(FamilyRow, code.family_id or 0))
        code.used = now()  # before the invitation's unused codes are cleared away: this one has to be known again
        self.session.flush()
        return code.invitation_id is None or redemptions.exchanged(self.session, code.invitation_id)

    # -------------------------------------------------------------- revoking, looking into
    def revoke_token(self, token: str, token_type_hint: str | None, request: Any, *args: Any, **kwargs: Any) -> None:
        """The whole family, as RFC 7009 (2.1) lets us: who gives one token back is done with all of them."""
        family = self._family_of(token)
        if family is not None and family.client_id == request.client_id:
            tokens.end_family(self.session, family.id)
            tokens.known_as(self.session, family.user_id, families.VIA)

    def introspect_token(self, token: str, token_type_hint: str | None, request: Any, *args: Any,
                         **kwargs: Any) -> dict[str, Any] | None:  # fmt: skip
        """What a client's own token is good for; of anybody else's it hears no more than of an unknown one."""
        family, row = self._family_of(token), tokens.good(self.session, token)
        if row is None or family is None or family.client_id != request.client_id:
            return None
        return {
            "scope": family.scope,
            "client_id": family.client_id,
            "sub": str(family.user_id),
            "token_type": "Bearer",
            "iat": int(row.created.timestamp()),
            "exp": int(row.expires.timestamp()),
        }

    def _family_of(self, token: str) -> FamilyRow | None:
        if (found := families.refresh_of(self.session, token)) is not None:
            return found[1]
        row = tokens.known(self.session, token)
        return None if row is None or row.family_id is None else self.session.get(FamilyRow, row.family_id)
