"""The JupyterHub this Exchange is a service of: whose a Hub token or cookie is, asked of the Hub and kept for seconds.

Needs `jupyterhub`, which only a service has; nothing imports this but the server of a service. Tokens of ours are never
sent to the Hub, and whoever tries out tokens is stopped before the Hub has to answer for each of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

from jupyterhub.services.auth import HubOAuth
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider, JupyterHubUser
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Instance, default
from traitlets.config import LoggingConfigurable

from .attempts import network_of
from .errors import Unavailable
from .hub_answers import Answers, Guesses
from .hub_users import HubUser

FRESH = 15  # seconds for which an answer of the Hub is taken for true; with a token of ours on top, less than a minute
AT_ONCE = 8  # questions to the Hub
OURS = ("jhe_", "jhr_")
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")
SILENT = "The Hub cannot be asked who this is; try again shortly."
BLIND = (
    "jhe: this service may not read the Hub's users: users deleted on the Hub keep what they were given until it ends,"
    " and a name given to somebody new is not noticed. Give the service a role with the scope read:users."
)
Model = dict[str, Any]


class ServiceAuth(HubOAuth):  # type: ignore[misc]
    """How the Hub is asked about cookies; its answers are kept far shorter than usual."""

    @default("cache_max_age")
    def _default_cache_max_age(self) -> int:
        return FRESH


class Hub(LoggingConfigurable):
    """Asks the Hub about people."""

    auth = Instance(ServiceAuth)

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._guesses, self._answers = Guesses(), Answers(self.auth.cache_max_age)
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._reads_users: bool | None = None

    # -------------------------------------------------------------- whose a token is
    async def holder(self, token: str, address: str) -> HubUser | None:
        """The user whose token this is, where it may be used here; None for all others, whatever is wrong with them."""
        model = await self.model(token, address)
        return None if model is None else await self.described(model)

    async def model(self, token: str, address: str) -> Model | None:
        """What the Hub says of the user who holds a token for this service."""
        if not TOKEN.fullmatch(token) or token.startswith(OURS):
            return None
        question, network = f"token:{hashlib.sha256(token.encode()).hexdigest()}", network_of(address)
        model: Model | None
        async with self._turn:
            is_known, model = self._answers.known(question)
            if not is_known:
                if not self._answers.was_good(question):  # or one kernel's guesses would stop those beside it
                    self._guesses.check(network)
                model = self._answers.keep(question, await self._entering(token))
                if model is None:
                    self._guesses.wrong(network)
                else:  # a token nobody has shown before may be that of somebody new with an old name
                    self._answers.forget(f"name:{model['name']}")
        return model

    async def _entering(self, token: str) -> Model | None:
        """A service's own token is nobody's, and a user's has to have been made for this service."""
        model = await heard(self.auth.user_for_token(token, use_cache=False, sync=False))
        if model is None or model.get("kind") != "user":
            return None
        return model if self.auth.check_scopes(self.auth.access_scopes, model) else None

    async def described(self, model: Model) -> HubUser | None:
        """A user with what only the service may know about them; None for one who has been deleted in the meantime."""
        return await self.user(str(model["name"])) if await self.reads_users() else _user(model)

    # -------------------------------------------------------------- what the service may know
    async def reads_users(self) -> bool:
        """Whether the Hub lets this service read its users; said once in the log where it does not."""
        if self._reads_users is None:
            own = await heard(self.auth.user_for_token(self.auth.api_token, use_cache=False, sync=False))
            self._reads_users = own is not None and "read:users" in own.get("scopes", ())
            if not self._reads_users:
                self.log.warning(BLIND)
        return self._reads_users

    async def user(self, name: str) -> HubUser | None:
        """A user of the Hub by name; None where there is none."""
        is_known, model = self._answers.known(f"name:{name}")
        if not is_known:
            model = self._answers.keep(f"name:{name}", await self._found(f"users/{quote(name, safe='')}"))
        return None if model is None else _user(model)

    async def _found(self, path: str) -> Model | None:
        """One answer of the Hub's API, None for what is not there."""
        auth = self.auth
        how = {"client_cert": auth.certfile, "client_key": auth.keyfile, "ca_certs": auth.client_ca}
        headers = {"Authorization": f"token {auth.api_token}"}
        address = f"{auth.api_url.rstrip('/')}/{path}"
        given = {name: value for name, value in how.items() if value}
        try:
            answer = await AsyncHTTPClient().fetch(address, headers=headers, **given)
        except HTTPClientError as error:
            if error.code == 404:
                return None
            raise Unavailable(SILENT) from None
        except OSError:
            raise Unavailable(SILENT) from None
        found: Model = json.loads(answer.body)
        return found


async def heard(asking: Awaitable[Any]) -> Any:
    """What jupyterhub's own question comes to; a Hub that does not answer is no refusal."""
    try:
        return await asking
    except web.HTTPError:
        raise Unavailable(SILENT) from None


def _user(model: Model) -> HubUser:
    admin = bool(model["admin"]) if "admin" in model else None
    return HubUser(str(model["name"]), frozenset(model.get("groups") or ()), admin, model.get("created"))


class HubIdentityProvider(JupyterHubIdentityProvider):  # type: ignore[misc]
    """Who comes with a Hub token, or with the cookie of a sign-in at the Hub."""

    token = None  # the service's own token lets nobody in
    auth_enabled = True
    hub = Instance(Hub)

    @default("hub_auth")
    def _default_hub_auth(self) -> ServiceAuth:
        return ServiceAuth(parent=self)

    @default("hub")
    def _default_hub(self) -> Hub:
        return Hub(parent=self, auth=self.hub_auth)

    async def get_user(self, handler: Any) -> Any:
        """Jupyter's user for the Hub's, or None; where a token was sent, a cookie beside it counts for nothing."""
        if not hasattr(handler, "_jupyterhub_user"):
            sent = self.hub_auth.get_token(handler, in_cookie=False)
            if not sent:
                return await self._by_cookie(handler)
            handler._jupyterhub_user = await self._by_token(handler, sent)
        return handler._jupyterhub_user

    async def _by_token(self, handler: Any, token: str) -> Any:
        model = await self.hub.model(token, getattr(handler, "address", handler.request.remote_ip or ""))
        handler._token_authenticated = model is not None
        return None if model is None else JupyterHubUser(model)

    async def _by_cookie(self, handler: Any) -> Any:
        user = await heard(super().get_user(handler))
        return user if user is not None and user.hub_user.get("kind") == "user" else None

    async def hub_user(self, handler: Any) -> HubUser | None:
        """The Hub's user behind a request."""
        user = await self.get_user(handler)
        return None if user is None else await self.hub.described(user.hub_user)
