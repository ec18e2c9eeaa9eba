"""The frame of every panel: screens, a dialog, work in threads, refusals in the server's words, the feed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ConnectionLost, ExchangeError, Unavailable
from . import blocks
from .blocks import Block
from .dialog import Dialog, Said
from .feed import feed_of
from .place import Place
from .surface import UNASKED, Surface
from .words import python
from .work import Work, call

if TYPE_CHECKING:
    from ..exchange import Exchange
    from .screen import Screen

T = TypeVar("T")
EACH = 1.0  # seconds between two refreshes that nobody here asked for


class Panel(Surface):
    """Screens over one Exchange, with one person's rights.

    `selected_df` is what is ticked, `patient` who was opened last, `python` the lines that do what was done here.
    """

    def __init__(
        self,
        exchange: Exchange,
        screens: Sequence[Callable[[Panel], Screen]],
        organization: Any = None,
        study: Any = None,
    ) -> None:
        super().__init__()
        self.exchange = exchange
        self.python: list[str] = []
        self.patient: dict[str, Any] | None = None
        self.failure: BaseException | None = None
        self.dialog: Dialog | None = None
        self._work, self._following = Work(), Work()
        self._heard: frozenset[str] = frozenset()
        self._followed = 0.0
        self._away: str | None = None
        self._stale = False
        self._said: list[Block] = []
        self.place = Place(exchange, organization, study)
        self.screens = [make(self) for make in screens]
        self.screen = self.screens[0]
        self.go(self._start())
        feed_of(exchange).join(self)

    def __repr__(self) -> str:
        return f"<{' · '.join(screen.title for screen in self.screens)} at {self.exchange.url}>"

    @property
    def selected_df(self) -> Any:
        """The ticked rows of the screen on show as a DataFrame, in the order they were ticked."""
        return self.screen.selected_df

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until the panel has done what it was asked; for scripts and tests."""
        self._work.settle(seconds)

    def close(self) -> None:
        """Stop following the Exchange and free the widget."""
        if self.comm is not None:
            feed_of(self.exchange).leave(self)
        super().close()

    # -- what was done in the browser --------------------------------------------------------------------------------

    def heard(self, said: dict[str, Any], buffers: list[memoryview]) -> None:
        if said.get("name") == "ready":
            self.go(self._opened())
            return
        content = bytes(buffers[0]) if buffers else b""
        names = ("values", "value", "id", "on")
        known = {name: said[name] for name in names if said.get(name) is not None}
        self.go(self._act(said["part"], said["name"], Said(**known, ids=tuple(said.get("ids", ())), content=content)))

    def do(self, name: str, *, part: str = "main", **said: Any) -> None:
        """Do what a click does, and wait for it: `panel.do("add", part="bar")`."""
        self.heard({"part": part, "name": name, **said}, [])
        self.settle()

    async def _act(self, part: str, name: str, said: Said) -> None:
        if part == "tabs":
            await self.turn_to(said.value)
            return
        if part == "dialog":
            if self.dialog is not None:  # a click on what has meanwhile gone is no mistake
                await self.dialog.press(name, said)
        elif name in self.screen.actions:
            await self.screen.actions[name](said)

    # -- work --------------------------------------------------------------------------------------------------------

    def go(self, job: Coroutine[Any, Any, None]) -> None:
        """Begin a job; whatever goes wrong in it is said in the panel."""
        self._work.start(self._guarded(job))

    async def _guarded(self, job: Coroutine[Any, Any, None]) -> None:
        """The one place where what goes wrong is heard: nobody sees an exception of a click otherwise."""
        try:
            await job
        except (ConnectionLost, Unavailable) as error:
            self.complain(str(error))  # whether it is gone for longer, the feed finds out
        except ExchangeError as error:
            self._refused(error)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """A mistake of ours: said, kept in `failure`, and in nobody's way."""
        self.failure = error
        if self.dialog is not None:
            self.close_dialog()
        self.complain(f"The panel could not do this ({type(error).__name__}: {error}). The rest goes on working.")

    def _refused(self, error: ExchangeError) -> None:
        if self.dialog is not None:
            self.dialog.refused(error)
        else:
            self.complain(str(error))

    async def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """What a method of the Exchange returns; refusals come out here."""
        return await call(function, *arguments, **named)

    async def all(self, function: Callable[..., Iterable[T]], *arguments: Any, **named: Any) -> list[T]:
        """Everything a listing method of the Exchange yields."""
        return await call(lambda: list(function(*arguments, **named)))

    async def write(self, told: str, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of the Exchange that writes; say what was done, and how Python says it."""
        answer = await call(getattr(self.exchange, method), *arguments, **named)
        self.tell(told, python(method, *arguments, **named))
        return answer

    async def _start(self) -> None:
        self._show_tabs()
        await self.place.load()
        self._show_tabs()  # now it is known what its user may do
        await self.screen.refresh()

    async def _opened(self) -> None:
        """A view opened: it is shown what there is, and that is brought up to date if nobody has looked meanwhile."""
        self.show_again()
        if self._stale:
            self._stale = False
            await self.screen.refresh()

    async def turn_to(self, title: str) -> None:
        """Go to the screen of that title."""
        self.screen = next(screen for screen in self.screens if screen.title == title)
        self._show_tabs()
        self.quiet()
        self.put("figure", blocks=[])
        self.screen.draw()
        await self.screen.refresh()

    def _show_tabs(self) -> None:
        titles = [screen.title for screen in self.screens if screen.offered]
        self.put("tabs", tabs=titles if len(self.screens) > 1 else [], current=self.screen.title)

    # -- saying ------------------------------------------------------------------------------------------------------

    def tell(self, words: str, line: str | None = None) -> None:
        """Say what was done, with the line of Python that does the same."""
        said = [blocks.text(words, "good", "status")]
        if line is not None:
            self.python.append(line)
            said.append(blocks.row(blocks.code(line), blocks.copy("Copy Python", line)))
        self._notice(said)

    def complain(self, words: str) -> None:
        """Say what went wrong, in the dialog if one is open."""
        if self.dialog is not None:
            self.dialog.refuse(words)
        else:
            self._notice([blocks.alert(words)])

    def quiet(self) -> None:
        """Take back what was said."""
        self._notice([])

    def _notice(self, said: list[Block]) -> None:
        self._said = said
        away = [blocks.alert(self._away)] if self._away else []
        self.put("notice", blocks=[*away, *said])

    def busy(self, on: bool) -> None:
        self.put("busy", on=on)

    # -- dialogs -----------------------------------------------------------------------------------------------------

    async def ask(self, dialog: Dialog) -> None:
        """Open a dialog in place of the one that is open."""
        self.dialog = dialog
        dialog.draw(fresh=True)
        await dialog.load()

    def close_dialog(self) -> None:
        self.dialog = None
        self.put("dialog", title=None, blocks=[])

    # -- the feed ----------------------------------------------------------------------------------------------------

    def changed(self, concepts: frozenset[str]) -> None:
        """Somebody wrote something; called by the feed's thread."""
        if self.seen:
            self._following.start(self._guarded(self._follow(concepts)))
        else:
            self._stale = True

    def lost(self, why: str) -> None:
        self.go(self._losing(why))

    def found(self) -> None:
        self.go(self._finding())

    async def _follow(self, concepts: frozenset[str]) -> None:
        """Bring up to date what is on show, at most once a second: an import writes ten times in that."""
        waiting, self._heard = bool(self._heard), self._heard | concepts
        if waiting:
            return
        UNASKED.set(True)
        await asyncio.sleep(max(0.0, self._followed + EACH - time.monotonic()))
        concepts, self._heard, self._followed = self._heard, frozenset(), time.monotonic()
        if await self.place.follow(concepts):
            self._show_tabs()
            self.screen.draw_bar()
        if concepts & self.screen.concepts:
            await self.screen.refresh()

    async def _losing(self, why: str) -> None:
        self._away = f"{why} The panel keeps trying and will go on by itself."
        self._notice(self._said)

    async def _finding(self) -> None:
        self._away = None
        self._notice([blocks.text("The Exchange answers again.", "good", "status")])
        if not self.place.loaded:
            await self.place.load()
        await self.screen.refresh()
