"""The frame of every panel: what is late never overwrites, what goes wrong is said, what others write is seen."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import ipywidgets
import pytest
from conftest import MARY, MEGAN, PETER, VICTOR, Exchange, wait_for
from viewers import Viewer, Ward

from jhe_jupyter.panels.surface import SCRIPTS, STATIC

AGAIN = 30002


@pytest.fixture
def ward(shared_exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    ward = Ward(shared_exchange, monkeypatch)
    yield ward
    ward.close()


def test_no_row_is_in_the_widgets_state_nor_in_what_a_notebook_keeps(ward: Ward) -> None:
    megan = ward.open(MEGAN)
    assert PETER in megan.words("main")
    state = json.dumps(ipywidgets.Widget.get_manager_state()["state"], default=str)
    assert "Petersen" not in state
    assert PETER not in state
    assert "Petersen" not in repr(megan.panel)


def test_a_second_view_is_shown_what_the_first_one_sees(ward: Ward) -> None:
    megan = ward.open(MEGAN)
    before = len(megan.messages)
    Viewer(megan.panel, "view-2")
    assert {one["part"] for one in megan.messages[before:]} == {"tabs", "bar", "notice", "main", "busy"} - {"notice"}


def test_a_slow_old_page_never_overwrites_a_newer_one(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    megan = ward.open(MEGAN, "patients_panel")
    exchange, turned = megan.panel.exchange, threading.Event()
    straight = exchange.get_page

    def held(path: str, params: dict[str, object]) -> object:
        page = straight(path, params)
        if params["search"] == "Petersen":
            assert turned.wait(20)
        return page

    monkeypatch.setattr(exchange, "get_page", held)
    megan.panel.heard({"part": "bar", "name": "search", "value": "Petersen"}, [])
    megan.panel.heard({"part": "bar", "name": "search", "value": "Park"}, [])
    wait_for(lambda: megan.column("Family name") == ["Park"], 20)
    turned.set()
    megan.panel.settle()
    assert megan.column("Family name") == ["Park"]
    assert megan.part("busy")["on"] is False


def test_a_click_is_answered_while_another_ones_request_is_under_way(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    megan = ward.open(MEGAN, "patients_panel")
    answered = threading.Event()
    monkeypatch.setattr(megan.panel.exchange, "get_page", lambda *_: answered.wait(20) and {"count": 0, "results": []})
    megan.panel.heard({"part": "bar", "name": "search", "value": "slow"}, [])
    megan.panel.heard({"part": "bar", "name": "add"}, [])
    wait_for(lambda: megan.title == "Create Patient", 5)
    assert not answered.is_set()
    answered.set()
    megan.panel.settle()


def test_a_mistake_of_ours_is_said_and_in_nobodys_way(ward: Ward) -> None:
    megan = ward.open(MEGAN, "patients_panel")
    megan.send({"part": "main", "name": "patients.view", "id": 1, "values": {}})
    assert "The panel could not do this (LookupError: the row is no longer on this page)" in megan.words("notice")
    assert isinstance(megan.panel.failure, LookupError)
    megan.panel.failure = None
    megan.choose("Search", "Petersen")
    assert megan.column("E-mail") == [PETER]


def test_what_others_write_appears_by_itself(ward: Ward) -> None:
    megan = ward.open(MEGAN, "patients_panel")
    mary = ward.exchange(MARY)
    mary.update_patient(40002, phone="555-7777")
    wait_for(lambda: "555-7777" in megan.words("main"), 20)
    mary.post_study({"name": "A study made meanwhile", "description": "…", "organization": 20003})
    wait_for(lambda: "A study made meanwhile" in megan.words("bar"), 20)


def test_what_is_the_same_is_not_drawn_again_under_somebodys_click(ward: Ward) -> None:
    megan = ward.open(MEGAN, "patients_panel")
    wait_for(lambda: not megan.panel._following._under_way, 20)
    drawn = sum(one["part"] == "main" for one in megan.messages)
    followed = megan.panel._followed
    ward.exchange(MARY).update_patient(40001, family_name="Petersen")
    wait_for(lambda: megan.panel._followed > followed and not megan.panel._following._under_way, 20)
    assert sum(one["part"] == "main" for one in megan.messages) == drawn


def test_a_panel_nobody_looks_at_asks_for_nothing_and_is_up_to_date_when_looked_at_again(ward: Ward) -> None:
    megan = ward.open(MEGAN, "patients_panel")
    megan.send({"name": "gone"})
    sent = len(megan.messages)
    watcher = ward.open(VICTOR, "patients_panel")
    ward.exchange(MARY).update_patient(40002, phone="555-8888")
    wait_for(lambda: "555-8888" in watcher.words("main"), 20)
    wait_for(lambda: megan.panel._stale, 20)
    assert len(megan.messages) == sent
    Viewer(megan.panel, "view-2")
    assert "555-8888" in megan.words("main")


def test_a_lost_exchange_is_said_and_the_panel_goes_on_by_itself(
    sqlite_exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = Ward(sqlite_exchange, monkeypatch)
    megan = ward.open(MEGAN, "patients_panel")
    sqlite_exchange.stop()
    wait_for(lambda: "keeps trying" in megan.words("notice"), 60)
    megan.choose("Search", "Petersen")
    assert "No Exchange answers" in megan.words("notice")
    sqlite_exchange.start()
    wait_for(lambda: "The Exchange answers again." in megan.words("notice"), 60)
    wait_for(lambda: megan.column("E-mail") == [PETER], 20)
    ward.close()


def test_the_place_can_be_named_and_names_are_understood(ward: Ward) -> None:
    mary = ward.open(MARY, "patients_panel", study="Blood pressure follow-up")
    assert (mary.field("Organization", "bar")["value"], mary.field("Study", "bar")["value"]) == ("20003", str(AGAIN))
    school = ward.open(MARY, "patients_panel", organization=20002)
    assert school.table["empty"] == "Nobody is in this organization yet."


def test_a_place_that_does_not_exist_is_said_in_the_panel(ward: Ward) -> None:
    mary = ward.open(MARY, "patients_panel", organization="Atlantis")
    assert "No organization is called 'Atlantis'." in mary.words("notice")


def test_every_block_that_python_makes_is_drawn_by_the_browsers_side() -> None:
    from jhe_jupyter.panels import blocks

    drawn = "".join((STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS)
    source = Path(blocks.__file__).read_text(encoding="utf-8")
    kinds = {word.split('"')[0] for word in source.split('"kind": "')[1:]} | {"field", "table"}
    assert [kind for kind in sorted(kinds) if f"  {kind}:" not in drawn] == []


def test_nothing_of_the_browsers_side_can_turn_text_into_markup_or_reach_another_host() -> None:
    for name in SCRIPTS:
        text = (STATIC / name).read_text(encoding="utf-8")
        code = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "https://"):
            assert word not in code, f"{word} in {name}"


def test_work_of_panels_has_a_loop_of_its_own() -> None:
    from jhe_jupyter.panels.work import loop

    assert loop().is_running()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
