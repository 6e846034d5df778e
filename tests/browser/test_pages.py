"""Every page but the encounter's: pictures of it as artefacts, and what axe-core says of it, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from .serving import Served

if TYPE_CHECKING:
    from playwright.sync_api import Page

SignIn = Callable[..., "Page"]
BY = {  # page → (who, path)
    "login": (None, "/login"),
    "worklist": ("lea", "/worklist?status=all"),
    "worklist-empty": ("lea", "/worklist?q=nothing-is-called-so"),
    "upload": ("ana", "/upload"),
    "account": ("ana", "/account"),
    "accounts": ("ada", "/admin/accounts"),
    "account-of": ("ada", "/admin/accounts/ana"),
    "audit": ("ada", "/admin/audit"),
    "about": ("ada", "/about"),
    "error": ("ana", "/no/such/page"),
}


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("zh", True)])
def test_pages_are_fit_for_everybody(
    sign_in: SignIn,
    shot: Callable[..., object],
    axe: Callable[[Page], None],
    served: Served,
    served_zh: Served,
    language: str,
    dark: bool,
) -> None:
    service = served_zh if language == "zh" else served
    taken = next(iter(service.encounters.values()))
    service.desk.claim(taken, by="bo", lead=True)  # whoever had it from a test before
    pages: dict[str | None, Page] = {}
    for name, (who, path) in BY.items():
        if who not in pages:
            pages[who] = sign_in(who, on=service, language=language, dark=dark, path=path)
        page = pages[who]
        page.goto(path)
        shot(page, f"{name}-{language}{'-dark' if dark else ''}")
        axe(page)
    service.desk.release(taken, by="bo")


@pytest.mark.parametrize(("language", "dark"), [("zh", False), ("en", True)])
def test_the_other_colours_too(
    sign_in: SignIn, shot: Callable[..., object], axe: Callable[[Page], None], served: Served, language: str, dark: bool
) -> None:
    page = sign_in("ada", on=served, language=language, dark=dark, path="/worklist?status=all", width=820, height=1180)
    for name in ("worklist", "audit", "accounts", "about"):
        page.goto(BY[name][1])
        shot(page, f"{name}-{language}{'-dark' if dark else ''}-tablet")
        axe(page)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is wider than the tablet"


def test_the_help_and_the_checked_chain(
    sign_in: SignIn, shot: Callable[..., object], axe: Callable[[Page], None]
) -> None:
    page = sign_in("ana")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    shot(page, "help-en")
    axe(page)
    page.keyboard.press("Escape")
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert page.locator("#worklist table").is_visible()
    shot(page, "worklist-print-en")
    audit = sign_in("ada", path="/admin/audit")
    audit.get_by_role("button", name="Check the chain").click()
    audit.get_by_text("The chain is whole.").wait_for()
    shot(audit, "audit-chain-en")
    axe(audit)


def test_files_are_uploaded_and_what_is_wrong_with_them_is_said(
    sign_in: SignIn, shot: Callable[..., object], axe: Callable[[Page], None], served: Served
) -> None:
    page = sign_in("ana", path="/upload")
    page.locator("#files").set_input_files(
        [
            {"name": "note.txt", "mimeType": "text/plain", "buffer": b"Discharge diagnosis: sprained ankle."},
            {"name": "torn.json", "mimeType": "application/json", "buffer": b'{"id": "7", "text": '},
            {"name": "<b>odd</b>.csv", "mimeType": "text/csv", "buffer": b"x,y\n1,2\n"},
        ]
    )
    assert page.locator("#chosen li").all_text_contents() == ["note.txt", "torn.json", "<b>odd</b>.csv"]
    page.get_by_role("button", name="Read and queue").click()
    page.get_by_text("1 encounter was queued").wait_for()
    said = page.locator("#result").inner_text()
    assert "JC104" in said
    assert "torn.json" in said
    assert page.locator("#result b").count() == 0
    shot(page, "upload-result-en")
    axe(page)
