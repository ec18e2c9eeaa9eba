"""Who signed in, told to the app: ID tokens signed with ES256, the keys to check them, and userinfo."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from .. import settings
from ..access import Actor
from ..db import now
from ..errors import ExchangeError
from ..people import UserRow
from ..tokens import FamilyRow

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

    from .validator import Validator

SIGNED_WITH = "ES256"


@lru_cache(maxsize=4)
def key(file: Path) -> ECKey:
    """The signing key of this Exchange; made when first needed, in a file only its owner can read."""
    from joserfc.jwk import ECKey  # cryptography takes its time: only who signs or checks needs it

    try:
        with open(file, opener=_private) as found:
            text = found.read()
    except FileNotFoundError:
        text = json.dumps(ECKey.generate_key("P-256", private=True, auto_kid=True).as_dict(private=True))
        text = _kept(file, text)
    found_key: ECKey = ECKey.import_key(json.loads(text))
    found_key.ensure_kid()
    return found_key


def _private(path: str, flags: int) -> int:
    """Refuse a key that others could have read: what it signs would prove nothing."""
    descriptor = os.open(path, flags)
    if os.fstat(descriptor).st_mode & 0o077:
        os.close(descriptor)
        raise ExchangeError("The signing key can be read by others; set its file's mode to 0600, or remove it.")
    return descriptor


def _kept(file: Path, text: str) -> str:
    """Of several processes that make a key at once, one wins and all use its."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    try:
        os.link(fresh, file)
    except FileExistsError:
        return file.read_text()
    finally:
        fresh.unlink()
    return text


def with_id_token(session: Session, validator: Validator, token: dict[str, Any]) -> dict[str, Any]:
    """Add the ID token where `openid` was asked for."""
    code, user = validator.code, validator.user
    if code is None or user is None or "openid" not in code.scope.split():
        return token
    from joserfc import jwt

    time, known = int(now().timestamp()), settings.of(session)
    signing = key(known.key_file)
    said = {"iss": issuer(session), "aud": code.client_id, "sub": str(user.id), "iat": time, "exp": time + 3600}
    said |= {"nonce": code.nonce} if code.nonce else {}
    said |= {"email": user.email} if "email" in code.scope.split() else {}
    token["id_token"] = jwt.encode({"alg": SIGNED_WITH, "kid": signing.kid}, said, signing, algorithms=[SIGNED_WITH])
    return token


def issuer(session: Session) -> str:
    return f"{settings.of(session).site}/o"


def jwks(file: Path) -> dict[str, Any]:
    """The public half of the signing key."""
    public = key(file).as_dict(private=False)
    return {"keys": [{**public, "use": "sig", "alg": SIGNED_WITH}]}


def userinfo(session: Session, actor: Actor) -> dict[str, Any]:
    """Who a token belongs to, in OpenID's words."""
    actor.knock("oauth.userinfo")
    user = session.get_one(UserRow, actor.user_id)
    said = {"sub": str(user.id)}
    scope = _scope(session, actor)
    if "email" in scope:
        said |= {"email": user.email}
    if "profile" in scope:
        said |= {"given_name": user.first_name, "family_name": user.last_name}
    return {name: value for name, value in said.items() if value}


def _scope(session: Session, actor: Actor) -> list[str]:
    """What an app was let in for; a token of one's own, which no app asked for, is for everything."""
    if actor.family_id is None:
        return ["email", "profile"]
    return session.get_one(FamilyRow, actor.family_id).scope.split()
