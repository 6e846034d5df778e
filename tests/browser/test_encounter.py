"""A coder's day at the encounter page, in a real browser: by keyboard, by mouse, against another coder."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from jointcoder.store.audit import Audit

from .serving import Served

pytest.importorskip("playwright.sync_api", reason="the package playwright drives the browser")

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

from playwright.sync_api import expect

SignIn = Callable[..., "Page"]


def at(page: Page, version: str) -> Page:
    """The page of an encounter, its script at work."""
    page.goto(f"/encounters/{version}")
    page.wait_for_selector("html[data-ready]")
    return page


def row(page: Page, item: str) -> Locator:
    return page.locator(f"#i-{item}")


def codes(page: Page, kind: str = "diagnosis") -> list[str]:
    """The codes of a kind in the order of the page."""
    found = page.locator(f'ol.codes .code-row[data-kind="{kind}"]')
    return [one.get_attribute("data-code") or "" for one in found.all()]


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_a_whole_day_by_keyboard(
    served: Served, sign_in: SignIn, fresh: Callable[..., str], shot: Callable[..., Any], axe: Callable[..., None]
) -> None:
    version = fresh("pneumonia")
    page = at(sign_in("ana"), version)
    axe(page)
    shot(page, "encounter")

    # from a code to its evidence and back
    press(page, "t")
    expect(page.locator(".state-line")).to_contain_text("with ana")
    press(page, "j", "j")
    expect(row(page, "p3")).to_be_focused()
    press(page, "Enter")
    mark = page.locator("#documents .mark.here")
    expect(mark).to_be_focused()
    expect(mark).to_have_text("Essential hypertension")
    press(page, "e")
    expect(page.locator("#documents .mark.here")).to_have_attribute("data-begins", "e-p3-2")
    press(page, "Enter")
    expect(row(page, "p3")).to_be_focused()

    # accept, and the focus goes on; reject; the model's confidence stays
    press(page, "k", "k", "a")
    expect(row(page, "p1")).to_have_class(re.compile("state-accepted"))
    expect(row(page, "p1").locator(".confidence")).to_contain_text("0.94")
    expect(row(page, "p2")).to_be_focused()
    press(page, "j", "j", "x")
    expect(page.locator(".gone-list #i-p4")).to_have_count(1)
    expect(row(page, "p5")).to_be_focused()

    # replace by search: words, the entry with its notes, take it
    press(page, "k", "k")
    expect(row(page, "p2")).to_be_focused()
    press(page, "r")
    page.locator("#choose-q").fill("E11.2")
    expect(page.locator("#hits [data-hit] .code")).to_have_text(["E11.2", "E11.22"])
    shot(page, "encounter-search")
    axe(page)
    press(page, "ArrowDown", "ArrowDown", "Enter")
    expect(page.locator("#entry [data-take]")).to_be_focused()
    press(page, "Enter")
    expect(row(page, "p2")).to_have_class(re.compile("state-replaced"))
    expect(row(page, "p2")).to_be_focused()
    assert "E11.22" in codes(page)

    # add by search
    press(page, "n")
    page.locator("#choose-q").fill("congestive heart failure")
    page.wait_for_selector('#hits [data-hit] >> text="I50.9"')
    page.locator('#hits [data-hit]:has-text("I50.9")').click()
    page.locator("#entry [data-take]").click()
    added = page.locator(".code-row.state-added")
    expect(added).to_be_focused()
    assert codes(page)[-1] == "I50.9"

    # order, principal, present on admission, link, comment
    press(page, "Alt+ArrowUp")
    expect(page.locator(".code-row.state-added")).to_have_attribute("data-rank", "4")
    press(page, "p")
    expect(page.locator(".code-row.state-added")).to_have_attribute("data-rank", "1")
    press(page, "u")
    expect(page.locator(".code-row.state-added")).to_have_attribute("data-rank", "4")
    press(page, "x")
    page.wait_for_selector('.gone-list [data-code="I50.9"]', state="attached")
    row(page, "p1").focus()
    press(page, "o")
    expect(row(page, "p1").locator("[data-poa]")).to_be_focused()
    row(page, "p1").locator("[data-poa]").select_option("W")
    expect(row(page, "p1").locator("[data-poa]")).to_have_value("W")
    row(page, "p7").focus()
    press(page, "l")
    page.locator("#link-other").select_option("p1")
    press(page, "Tab", "Enter")
    expect(row(page, "p7").locator(".links")).to_contain_text("J18.9")
    press(page, "c")
    page.locator("#words-text").fill("seen on the film")
    press(page, "Tab", "Enter")
    expect(row(page, "p7").locator("blockquote")).to_contain_text("seen on the film")

    # why, then finishing: refused with what is open, the focus on the first
    press(page, "w")
    page.wait_for_selector("#why-body .weight")
    axe(page)
    shot(page, "encounter-why")
    press(page, "Escape", "F")
    expect(page.locator("#notice")).to_contain_text("cannot be finished yet")
    expect(row(page, "p3")).to_be_focused()
    shot(page, "encounter-open")
    for item in ("p3", "p5", "p6", "p7"):
        row(page, item).focus()
        press(page, "a")
        expect(row(page, item)).to_have_class(re.compile("state-accepted"))
    findings = page.locator(".finding.bad:not(.overridden), .finding.warn:not(.overridden)")
    while findings.count():
        left = findings.count()
        press(page, "f", "v")
        page.locator("#words-text").fill("both were treated")
        press(page, "Tab", "Enter")
        expect(findings).to_have_count(left - 1)
    press(page, "F")
    expect(page.locator(".review-bar")).to_contain_text("This record is finished")
    shot(page, "encounter-finished")
    axe(page)

    entries = Audit(served.store).page(actor="ana", limit=100)
    actions = [entry.action for entry in entries]
    assert actions[0] == "review.finish"
    assert {"review.accept", "review.reject", "review.replace", "review.add", "review.override"} <= set(actions)
    lead = sign_in("lea", path="/admin/audit")
    expect(lead.locator("main")).to_contain_text("review.finish")
    at(lead, version).get_by_role("button", name="Reopen").click()
    lead.locator("#words-text").fill("a report came late")
    press(lead, "Tab", "Enter")
    expect(lead.locator(".state-line")).to_contain_text("with lea")


def test_by_mouse_click_drag_and_marked_words(
    sign_in: SignIn, fresh: Callable[..., str], shot: Callable[..., Any]
) -> None:
    page = at(sign_in("ana", height=1300), fresh("pneumonia"))  # all rows in sight: dragging scrolls nothing
    page.locator('#documents [data-begins~="e-p7-1"]').click()
    expect(row(page, "p7")).to_be_focused()
    row(page, "p4").locator("[data-jump]").first.click()
    expect(page.locator("#documents .mark.here")).to_have_text("insulin glargine")
    assert codes(page) == ["J18.9", "E11.9", "I10", "Z79.4", "R05.9"]
    row(page, "p4").locator(".rank").hover()
    page.mouse.down()
    for _ in range(2):  # the second move is what a browser tells the page of
        row(page, "p2").hover(position={"x": 40, "y": 3})
    page.mouse.up()
    expect(row(page, "p4")).to_have_attribute("data-rank", "2")
    assert codes(page) == ["J18.9", "Z79.4", "E11.9", "I10", "R05.9"]
    page.locator('details.part[data-name="chief_complaint"] > summary').click()

    # words that are marked become the evidence of an added code
    place = page.locator(".text", has_text="her father had a stroke")
    start = place.evaluate(
        """(block) => {
          const node = block.firstChild, at = node.data.indexOf("stroke"), range = document.createRange();
          range.setStart(node, at); range.setEnd(node, at + 6);
          getSelection().removeAllRanges(); getSelection().addRange(range);
          return Number(block.dataset.start) + at;
        }"""
    )
    page.locator("#selection button").click()
    expect(page.locator(".chosen-words q")).to_have_text("stroke")
    page.locator("#choose-q").fill("W19")
    page.wait_for_selector("#hits [data-hit]")
    page.locator("#choose-q").fill("heart failure unspecified")
    page.locator('#hits [data-hit]:has-text("I50.9")').click()
    page.locator("#entry [data-take]").click()
    added = page.locator(".code-row.state-added")
    expect(added).to_be_focused()
    place = page.locator(f'#documents [data-begins~="{added.get_attribute("data-places")}"]')
    expect(place).to_have_text("stroke")
    assert start > 0
    assert page.locator('details.part[data-name="chief_complaint"]').get_attribute("open") is None  # still folded
    shot(page, "encounter-mouse")


def test_keys_pressed_faster_than_the_answers_are_not_lost(
    served: Served, sign_in: SignIn, fresh: Callable[..., str]
) -> None:
    version = fresh("pneumonia")
    page = at(sign_in("ana"), version)
    press(page, "a", "a", "x", "u", "a", "a")
    expect(page.locator(".state-line")).to_contain_text("3 codes to decide")
    kinds = [one.decision.kind for one in served.desk.review(version).decided]
    assert kinds == ["accept", "accept", "reject", "undo", "accept", "accept"]


def test_two_coders_in_conflict(
    served: Served, sign_in: SignIn, fresh: Callable[..., str], shot: Callable[..., Any]
) -> None:
    version = fresh("heart")
    ana, lea = at(sign_in("ana"), version), at(sign_in("lea"), version)
    press(ana, "a")
    expect(row(ana, "p1")).to_have_class(re.compile("state-accepted"))
    served.desk.release(version, by="ana")

    press(lea, "c")
    lea.locator("#words-text").fill("please look at the kidney")
    press(lea, "Tab", "Enter")
    notice = lea.locator("dialog[open] #notice")
    expect(notice).to_contain_text("Someone else changed this record")
    expect(notice).to_contain_text("Accepted · I11.0 · ana")
    expect(lea.locator("#words-text")).to_have_value("please look at the kidney")
    expect(row(lea, "p1")).to_have_class(re.compile("state-accepted"))
    shot(lea, "encounter-conflict")
    lea.locator("#words .button.primary").click()
    expect(lea.locator("dialog[open]")).to_have_count(0)
    assert [said.text for said in served.desk.review(version).items[0].comments] == ["please look at the kidney"]

    press(ana, "x")  # on what she still sees; lea has it now
    expect(ana.locator("#notice")).to_contain_text("Commented · I11.0 · lea")
    expect(ana.locator(".review-bar")).to_contain_text("lea is working on this record")
    press(ana, "x")
    expect(ana.locator("#live")).to_contain_text("only look")
    assert served.desk.review(version).seq == 2


def test_in_chinese(served_zh: Served, sign_in: SignIn, shot: Callable[..., Any], axe: Callable[..., None]) -> None:
    version = served_zh.encounters["zh_angina"]
    page = at(sign_in("ana", on=served_zh, language="zh"), version)
    expect(page.locator(".part-name").first).to_have_text("主诉")
    press(page, "a")
    expect(row(page, "p1").locator(".badge.state")).to_have_text("已接受")
    row(page, "p2").locator("[data-poa]").select_option("U")
    expect(row(page, "p2").locator("[data-poa]")).to_have_value("U")
    assert row(page, "p2").locator("[data-poa] option:checked").text_content() == "3 – 情况不明"
    press(page, "Enter")
    expect(page.locator("#documents .mark.here")).to_have_text("不稳定型心绞痛")
    axe(page)
    shot(page, "encounter-zh")
    dark = at(sign_in("bo", on=served_zh, language="zh", dark=True, width=820, height=1180), version)
    axe(dark)
    shot(dark, "encounter-zh-dark-narrow")
