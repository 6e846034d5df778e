"""A coder at the worklist: signing in, filtering, taking and giving back, two coders, languages, the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .serving import SECRET, Served

if TYPE_CHECKING:
    from playwright.sync_api import Page

SignIn = Callable[..., "Page"]
HERE = "document.activeElement"


def rows(page: Page) -> list[str]:
    return page.locator("#worklist a.open").all_text_contents()


def test_sign_in_read_on_and_sign_out(sign_in: SignIn, served: Served) -> None:
    page = sign_in(None, path="/worklist?status=all")
    assert page.url.startswith(f"{served.url}/login?next=")
    page.get_by_label("Account").fill("bo")
    page.get_by_label("Password").fill("not the right one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Name or password is wrong.").wait_for()
    assert page.get_by_label("Account").input_value() == "bo"
    page.get_by_label("Password").fill(SECRET)
    page.get_by_label("Password").press("Enter")
    page.wait_for_url("**/worklist?status=all")
    assert set(rows(page)) >= set(served.encounters)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto("/worklist")
    assert "/login" in page.url


def test_filters_change_the_list_and_the_url_and_back_undoes_them(sign_in: SignIn, fresh: Callable[..., str]) -> None:
    fresh("knee")
    page = sign_in("ana")
    page.get_by_role("searchbox", name="Encounter").fill("knee")
    page.wait_for_url(re.compile("q=knee"))
    page.wait_for_function(
        "[...document.querySelectorAll('#worklist a.open')].every(link => link.textContent.startsWith('knee'))"
    )
    assert page.evaluate(f"{HERE}.id") == "filter-q"  # the field keeps the focus while the list changes
    page.locator("#filter-band").select_option("low")
    page.wait_for_url(re.compile("band=low"))
    page.locator("#tab-all").click()
    page.wait_for_url(re.compile(r"q=knee.*status=all|status=all.*q=knee"))
    page.evaluate("window.before = true")
    page.go_back()
    page.wait_for_url(re.compile("band=low$|band=low&(?!.*status)"))
    page.wait_for_function("!window.before")  # the page is loaded anew, after its address has changed
    page.wait_for_load_state()
    page.goto("/worklist?q=heart&sort=-characters")
    assert page.get_by_role("searchbox", name="Encounter").input_value() == "heart"
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"


def test_what_is_chosen_last_is_what_is_shown(sign_in: SignIn, fresh: Callable[..., str]) -> None:
    fresh("knee")
    page = sign_in("ana")
    page.locator("#filter-q").press_sequentially("knee")
    page.wait_for_url(re.compile("q=knee"))
    # the field's change, which leaving it sends, is on its way for long; the tab's answer overtakes it
    page.route(re.compile("q=knee(?!.*status=all)"), lambda route: (page.wait_for_timeout(1500), route.continue_()))
    steps = page.evaluate("history.length")
    page.locator("#tab-all").click()
    page.wait_for_url(re.compile("status=all"))
    page.wait_for_timeout(2500)
    assert "status=all" in page.url
    assert page.locator("#tab-all").get_attribute("aria-current")
    assert page.evaluate("history.length") == steps + 1
    page.locator("#filter-q").dispatch_event("change")  # asks for the same again
    page.wait_for_load_state("networkidle")
    assert page.evaluate("history.length") == steps + 1


def test_take_see_it_marked_and_give_it_back(sign_in: SignIn, fresh: Callable[..., str], served: Served) -> None:
    version = fresh("knee")
    page = sign_in("ana", path="/worklist?q=knee")
    button = page.locator(f"#act-{version}")
    button.click()
    page.locator(f"tr.mine:has(#row-{version})").wait_for()
    assert page.locator("#live").text_content() == f"You have {served.desk.line(version).id}."
    assert served.desk.line(version).holder == "ana"
    assert page.evaluate(f"{HERE}.id") == f"act-{version}"  # where the button was is the button to undo it
    page.keyboard.press("Enter")
    page.locator(f"tr:not(.mine):has(#row-{version})").wait_for()
    assert served.desk.line(version).holder == ""


def test_two_coders_want_the_same_and_the_lead_settles_it(
    sign_in: SignIn, fresh: Callable[..., str], served: Served
) -> None:
    version, other = fresh("heart"), fresh("heart")
    path = "/worklist?q=heart"
    ana, bo, lea = sign_in("ana", path=path), sign_in("bo", path=path), sign_in("lea", path=path)
    ana.locator(f"#act-{version}").click()
    ana.locator(f"tr.mine:has(#row-{version})").wait_for()
    bo.locator(f"#act-{version}").click()  # his list is older
    bo.locator("#toast.alarm").wait_for()
    assert bo.locator("#alarm").text_content() == f"{served.desk.line(version).id} is with ana."
    assert bo.locator(f"#act-{version}").count() == 0
    bo.route("**/claim", lambda route: route.continue_(url=route.request.url.replace(other, "0" * 64)))
    bo.locator(f"#act-{other}").click()
    bo.locator("#toast.alarm", has_text="JC460").wait_for()  # an error is said, and the list stays
    assert bo.locator(f"#row-{version}").count() == 1
    assert served.desk.line(version).holder == "ana"
    lea.keyboard.press(".")
    take_over = lea.get_by_role("button", name=re.compile(f"Take over {served.desk.line(version).id} from ana"))
    take_over.wait_for()
    lea.once("dialog", lambda dialog: dialog.accept())
    take_over.click()
    lea.locator(f"tr.mine:has(#row-{version})").wait_for()
    assert served.desk.line(version).holder == "lea"


def test_the_list_is_refreshed_and_the_focus_stays(sign_in: SignIn, fresh: Callable[..., str], served: Served) -> None:
    first = fresh("pneumonia")
    page = sign_in("ana", path="/worklist?q=pneumonia")
    page.locator(f"#row-{first}").focus()
    second = fresh("pneumonia")
    page.keyboard.press(".")
    page.locator(f"#row-{second}").wait_for()
    assert page.evaluate(f"{HERE}.id") == f"row-{first}"


def test_by_keyboard_alone(sign_in: SignIn, fresh: Callable[..., str], served: Served) -> None:
    version = fresh("knee", priority=8)
    page = sign_in("ana")
    page.keyboard.press("Tab")
    assert page.evaluate(f"{HERE}.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    page.keyboard.press("j")  # shortcuts rest while a window is open
    assert page.evaluate(f"{HERE}.closest('dialog') !== null")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("knee")
    page.wait_for_url(re.compile("q=knee"))
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert page.evaluate(f"{HERE}.id") == f"row-{version}"  # the highest priority is first
    page.keyboard.press("t")
    page.locator(f"tr.mine:has(#row-{version})").wait_for()
    page.keyboard.press("r")
    page.locator(f"tr:not(.mine):has(#row-{version})").wait_for()
    page.keyboard.press("n")
    page.wait_for_url(f"**/encounters/{version}")
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.wait_for_url("**/worklist")
    served.desk.release(version, by="ana")


def test_the_language_is_switched_where_one_is_and_stays(sign_in: SignIn) -> None:
    page = sign_in("bo", path="/worklist?status=all")
    page.get_by_role("button", name="中文").click()
    page.get_by_role("heading", name="工作列表").wait_for()
    assert "status=all" in page.url
    page.goto("/account")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    page.get_by_role("button", name="English").click()
    page.get_by_role("heading", name="Your account").wait_for()
