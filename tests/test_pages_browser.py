"""Our own pages in a real browser, on a telephone's screen: readable, operable, accessible; they bring no scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from apps import App
from conftest import MARY, PASSWORD, PETER, Exchange
from labs import chromium

WIDTH, HEIGHT = 375, 667
TOUCH = 40  # pixels a finger needs


@pytest.fixture(scope="module")
def phone() -> Iterator[Any]:
    """A browser with the screen of a small telephone."""
    with chromium() as desk:
        context = desk.browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, has_touch=True)
        context.set_default_timeout(20_000)
        yield context.new_page()
        context.close()


def fits(page: Any) -> None:
    """Nothing to scroll sideways for, everything large enough to tap, and nothing axe-core objects to."""
    from axe_playwright_python.sync_playwright import Axe

    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH, page.url
    for button in page.locator("button:visible, a.button:visible, summary:visible").all():
        box = button.bounding_box()
        assert box["height"] >= TOUCH, button.inner_text()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def signed_in(page: Any, exchange: Exchange, email: str, path: str) -> None:
    page.context.clear_cookies()
    page.goto(f"{exchange.address}/{path}")
    fits(page)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").tap()


def test_a_patient_understands_what_they_share_and_stops_it_in_two_taps(shared_exchange: Exchange, phone: Any) -> None:
    foreign: list[str] = []
    phone.on("request", lambda asked: foreign.append(asked.url))
    signed_in(phone, shared_exchange, PETER, "me")
    phone.get_by_role("heading", name="What you share").wait_for()
    fits(phone)
    share = phone.get_by_role("button", name="Share Blood pressure", exact=True)
    share.tap()
    share.wait_for(state="detached")
    asked, unshared = phone.get_by_text("not answered"), phone.get_by_text("not shared")
    assert (asked.count(), unshared.count()) == (0, 0)
    phone.get_by_role("link", name="Stop sharing everything with this study").first.tap()
    yes = phone.get_by_role("button", name="Yes, stop sharing")
    yes.wait_for()
    fits(phone)
    yes.tap()
    unshared.first.wait_for()
    assert unshared.count() == 2, "both kinds of data of the first study, and nothing of the second"
    phone.get_by_text("What you have answered so far").tap()
    phone.get_by_text("declined, by patient").first.wait_for()
    fits(phone)
    with phone.expect_download() as download:
        phone.get_by_role("link", name="Download my data").tap()
    assert download.value.suggested_filename == "my-data.json"
    assert all(url.startswith(f"http://127.0.0.1:{shared_exchange.port}/") for url in foreign), "nothing from elsewhere"


def test_an_app_is_let_in_and_taken_back_to(shared_exchange: Exchange, phone: Any) -> None:
    """The redirect after the form has to get through the page's own policy, as only a browser can tell."""
    app = App(shared_exchange, "jhe-jupyter", redirect_uri="http://127.0.0.1:9/callback")
    asks = f"o/authorize?{httpx.QueryParams(app.request())}"
    signed_in(phone, shared_exchange, MARY, asks)
    phone.get_by_role("button", name="Yes, let it in").wait_for()
    for path in ("o/account", "o/forgotten", "o/password/x", asks):
        phone.goto(f"{shared_exchange.address}/{path}")
        fits(phone)
    with phone.expect_request(lambda asked: asked.url.startswith("http://127.0.0.1:9/callback")) as gone:
        phone.get_by_role("button", name="Yes, let it in").tap()
    assert "code=" in gone.value.url
