"""The form of a study: its name, what it is about, whom patients can ask, and what happens after a withdrawal."""

from __future__ import annotations

from typing import Any

from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .panel import Panel

Json = dict[str, Any]
POLICIES = (
    ("hide", "Hide it: after a withdrawal nothing of that data type is readable"),
    ("keep", "Keep it readable: what was measured while the consent was in force"),
)
FIELDS = ("name", "description", "iconUrl", "contact", "dataAfterWithdrawal")


class StudyForm(Dialog):
    """Create a study, or change one: only what was changed is sent."""

    def __init__(self, panel: Panel, study: Json | None = None) -> None:
        super().__init__(panel)
        self.study = study
        self.icon: str | None = None
        self.title = "Create Study" if study is None else "Update Study"
        self.actions |= {"save": self.save, "preview": self.preview}

    def body(self) -> list[Block]:
        known = self.study or {}
        icon = self.field("iconUrl", "Icon", known.get("iconUrl"), "url", placeholder="https://…")
        shown = [blocks.image(self.icon, "The icon")] if self.icon else []
        return [
            self.field("name", "Name", known.get("name"), required=True),
            self.field("description", "Description", known.get("description"), "textarea", required=True),
            self.field("contact", "Contact", known.get("contact"), hint="Whom to ask; invitations name it."),
            blocks.row(icon, blocks.button("preview", "Preview icon")),
            *shown,
            self._policy(known),
        ]

    def _policy(self, known: Json) -> Block:
        may = self.panel.place.may("studies.set_policy")
        value = known.get("dataAfterWithdrawal") or "hide"
        hint = None if may else "A manager can change this."
        return blocks.select(
            "dataAfterWithdrawal", "Data after a withdrawal", POLICIES, value, disabled=not may, hint=hint
        )

    def buttons(self) -> list[Block]:
        label = "Create" if self.study is None else "Update"
        return [*super().buttons(), blocks.button("save", label, "create", submit=True)]

    async def preview(self, said: Said) -> None:
        """Only when asked: the picture comes from wherever its address says."""
        self.icon = said.word("iconUrl") or None
        self.draw()

    async def save(self, said: Said) -> None:
        if self.missing(said, name="A name", description="A description"):
            return
        given = {name: said.word(name) for name in FIELDS if name in said.values}
        if self.study is None:
            await self._create({name: value for name, value in given.items() if value})
        elif not await self._update(self.study, given):
            return
        await self.panel.place.follow(frozenset({"study"}))
        self.close()
        await self.panel.screen.refresh()

    async def _create(self, given: Json) -> None:
        if not self.panel.place.may("studies.set_policy"):
            given.pop("dataAfterWithdrawal", None)
        body = {**given, "organization": self.panel.place.organization_id}
        await self.panel.write(f"{given['name']} was created.", "post_study", body)

    async def _update(self, study: Json, given: Json) -> bool:
        """False where somebody else was first; then both are said, and nothing is written."""
        now = await self.panel.call(self.panel.exchange.get_study, study["id"])
        changed = {name: value for name, value in given.items() if value != (study[name] or "")}
        other = sorted(name for name in changed if now[name] != study[name])
        if other:
            self.study = {**study, **{name: now[name] for name in other}}
            said = {name: f"Somebody else has just changed this to “{now[name] or ''}”." for name in other}
            self.refuse("The study was changed meanwhile. Update again to write what stands here.", said)
            return False
        if changed:
            body = {name: value or None for name, value in changed.items()}
            await self.panel.write(f"{study['name']} was updated.", "patch_study", study["id"], body)
        return True
