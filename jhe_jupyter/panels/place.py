"""Where a panel works: the organization and study that are chosen, and what its user may do there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..names import id_of
from . import blocks
from .blocks import Block
from .work import call

if TYPE_CHECKING:
    from ..exchange import Exchange

ALL_STUDIES = "All Studies"
ABOUT_HERE = frozenset({"organization", "role", "study"})  # concepts of the feed that change the choices


class Place:
    """The choices at the top of every screen; the screens of a console share one."""

    def __init__(self, exchange: Exchange, organization: Any = None, study: Any = None) -> None:
        self.exchange = exchange
        self.me: dict[str, Any] = {}
        self.organizations: list[dict[str, Any]] = []
        self.studies: list[dict[str, Any]] = []
        self.organization_id: int | None = None
        self.study_id: int | None = None
        self.loaded = False
        self._wanted = organization, study

    async def load(self) -> None:
        """Ask who we are and what there is to choose."""
        me, found = await asyncio.gather(
            call(self.exchange.get_user), call(lambda: list(self.exchange.list_organizations()))
        )
        self.me = me
        self.organizations = [one for one in found if one["id"] and (self.superuser or one["currentUserRole"])]
        if not self.loaded:
            await self._first()
        elif self.organization_id not in {one["id"] for one in self.organizations}:
            self.organization_id = self.organizations[0]["id"] if self.organizations else None
        await self._load_studies()
        self.loaded = True

    async def _first(self) -> None:
        """Begin where the caller said, else where there is something to see."""
        organization, study = self._wanted
        if study is not None:
            mine = await call(lambda: list(self.exchange.list_studies()))
            self.study_id = id_of(study, "study", lambda: mine)
            self.organization_id = next(one["organization"]["id"] for one in mine if one["id"] == self.study_id)
        elif organization is not None:
            self.organization_id = id_of(organization, "organization", lambda: self.organizations)
        elif self.organizations:
            self.organization_id = await self._busiest()

    async def _busiest(self) -> int:
        """Of several organizations the first with a study: most of a tree is only there to hold the others."""
        known = [one["id"] for one in self.organizations]
        if len(known) > 1:
            studies = await call(lambda: list(self.exchange.list_studies()))
            busy = [one["organization"]["id"] for one in studies if one["organization"]["id"] in known]
            known = [*busy, *known]
        return int(known[0])

    async def _load_studies(self) -> None:
        here = self.organization_id
        found = [] if here is None else await call(lambda: list(self.exchange.list_studies(organization_id=here)))
        if here == self.organization_id:
            self.studies = found
        if self.study_id not in {one["id"] for one in self.studies}:
            self.study_id = None

    async def follow(self, concepts: frozenset[str]) -> bool:
        """Keep the choices true when somebody writes an organization, a role or a study; whether they may differ."""
        if not concepts & ABOUT_HERE:
            return False
        await self.load()
        return True

    @property
    def superuser(self) -> bool:
        return bool(self.me.get("isSuperuser"))

    def may(self, verb: str, organization_id: int | None = None) -> bool:
        """Whether the Exchange lets its user do this here, as `GET users/profile` says."""
        here = self.organization_id if organization_id is None else organization_id
        return self.superuser or verb in self.me.get("permissions", {}).get(str(here), ())

    @property
    def organization_name(self) -> str:
        return self.named(self.organization_id)

    def named(self, organization_id: int | None) -> str:
        return next((one["name"] for one in self.organizations if one["id"] == organization_id), "the organization")

    def study_name(self, study_id: int | None) -> str:
        return next((one["name"] for one in self.studies if one["id"] == study_id), f"study {study_id}")

    async def choose_organization(self, id: str) -> None:
        """Go to another organization: its studies are other ones."""
        self.organization_id, self.study_id = int(id), None
        await self._load_studies()

    def choose_study(self, id: str) -> None:
        """Look at one study, or with nothing at all of them."""
        self.study_id = int(id) if id else None

    def organization_field(self) -> Block:
        options = [(one["id"], one["name"]) for one in self.organizations]
        return blocks.select("organization", "Organization", options, self.organization_id, live=True)

    def study_field(self) -> Block:
        options = [("", ALL_STUDIES), *((one["id"], one["name"]) for one in self.studies)]
        return blocks.select("study", "Study", options, self.study_id, live=True)
