"""A browser, a running service and people signed in to it. Everything is real; where there is no Chromium tests skip.

    sign_in("ana")                     a page in a context of its own, signed in
    sign_in("ana", on=served_zh, language="zh", dark=True, width=820, height=1180)
    fresh("pneumonia")                 the version of a new encounter with the same texts, coded, nobody's
    shot(page, "worklist-zh")          a picture into $JOINTCODER_SCREENSHOTS, else into a folder of the test run
    axe(page)                          fails on what axe-core calls serious or critical

Screenshots are artefacts to be looked at; no test compares them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jointcoder.codebook.book import CodeBook

from ..cheaply import cheap_hashes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from .serving import Served

SignIn = Callable[..., "Page"]
LOCALES = {"en": "en-US", "zh": "zh-CN"}
NAMES = ("chromium", "chromium-browser", "google-chrome")
SLOW_MS = 45_000  # an action that takes longer has failed, on a busy machine too


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are marked."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(autouse=True, scope="package")
def _cheap_hashes() -> Iterator[None]:
    with cheap_hashes():
        yield


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's Chromium, once for all tests."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium on this machine: none of {', '.join(NAMES)} is in the path")
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright drives the browser")
    with playwright.sync_playwright() as driver:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        opened = driver.chromium.launch(executable_path=program, args=["--no-sandbox"] if root else [])
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def served(browser: Browser, small_us: CodeBook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with the small US book and English stays."""
    from .serving import serving
    from .stays import ENGLISH

    with serving(tmp_path_factory.mktemp("served"), small_us, ENGLISH) as running:
        yield running


@pytest.fixture(scope="package")
def served_zh(browser: Browser, small_cn: CodeBook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with the small Chinese book and Chinese stays."""
    from .serving import serving
    from .stays import CHINESE

    with serving(tmp_path_factory.mktemp("served-zh"), small_cn, CHINESE) as running:
        yield running


@pytest.fixture(scope="package")
def sessions() -> dict[tuple[str, str], Any]:
    """Cookies of who is signed in where: signing in is slow on purpose."""
    return {}


@pytest.fixture
def sign_in(browser: Browser, served: Served, sessions: dict[tuple[str, str], Any]) -> Iterator[SignIn]:
    """Open a page as somebody; what is opened is closed after the test, and fails it if a script has failed there."""
    opened = []
    failures: list[str] = []

    def enter(
        name: str | None,
        *,
        on: Served | None = None,
        language: str = "en",
        dark: bool = False,
        width: int = 1280,
        height: int = 720,
        path: str = "/worklist",
        **options: Any,
    ) -> Page:
        service = on or served
        known = sessions.get((service.url, name)) if name else None
        context = browser.new_context(
            base_url=service.url,
            locale=LOCALES[language],
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": height},
            storage_state=known,
            reduced_motion="reduce",
            **options,
        )
        opened.append(context)
        context.set_default_timeout(SLOW_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: failures.append(message.text) if _is_refusal(message.text) else None)
        if name and known is None:
            page.goto("/login")
            page.locator("#name").fill(name)
            page.locator("#password").fill(service.accounts[name])
            page.locator("#password").press("Enter")
            page.wait_for_url(re.compile("/(worklist|account)"))
            sessions[service.url, name] = context.storage_state()
        page.goto(path)
        return page

    yield enter
    for context in opened:
        context.close()
    assert failures == [], "a script failed, or the content security policy refused something"


def _is_refusal(text: str) -> bool:
    return "Content Security Policy" in text or "Content-Security-Policy" in text


@pytest.fixture
def fresh(served: Served) -> Callable[..., str]:
    """A new encounter with the texts of a stay, coded and nobody's: its version."""
    from .stays import STAYS

    def make(name: str, *, on: Served | None = None, priority: int = 0) -> str:
        return (on or served).add(STAYS[name], fresh=True, priority=priority)

    return make


@pytest.fixture(scope="package")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go."""
    given = os.environ.get("JOINTCODER_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def shot(shots: Path) -> Callable[..., Path]:
    """Take a picture of a page."""

    def take(page: Page, name: str, *, full: bool = False) -> Path:
        path = shots / f"{name}.png"
        page.screenshot(path=path, full_page=full, animations="disabled")
        return path

    return take


@pytest.fixture
def axe() -> Callable[..., None]:
    """Check a page with axe-core."""
    module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the package axe-playwright-python")

    def check(page: Page) -> None:
        found = module.Axe().run(page).response["violations"]
        grave = [
            (one["id"], one["impact"], [(node["target"], node.get("failureSummary", "")) for node in one["nodes"]][:4])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert grave == [], page.url

    return check
