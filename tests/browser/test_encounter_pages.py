"""Scanned pages with the evidence boxed, and a record that is being coded while somebody watches."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from jointcoder.records import Document, Encounter, Kind, Line, Page, StepTrace
from jointcoder.steps.base import State

from .serving import Served
from .stays import STAYS

pytest.importorskip("playwright.sync_api", reason="the package playwright drives the browser")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

WIDTH, HEIGHT, LEADING = 420.0, 200.0, 24.0


def typed(text: str) -> tuple[Document, bytes]:
    """A text as one page, a line below the other, and the picture of that page."""
    pillow = pytest.importorskip("PIL.Image", reason="the extra pdf is not installed")
    from PIL import ImageDraw, ImageFont

    picture = pillow.new("RGB", (int(WIDTH * 2), int(HEIGHT * 2)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(20)
    lines, start = [], 0
    for number, line in enumerate(text.split("\n")):
        if line:
            top = 16 + number * LEADING
            pen.text((2 * 20, 2 * top), line, fill="black", font=font)
            width = pen.textlength(line, font=font) / 2
            box = (20.0, top, 20 + width, top + 13)
            lines.append(Line(start=start, end=start + len(line), page=1, box=box, confidence=0.9))
        start += len(line) + 1
    data = io.BytesIO()
    picture.save(data, format="PNG")
    page = Page(number=1, width=WIDTH, height=HEIGHT, source="ocr")
    return Document(id="0", title="Scan", text=text, pages=(page,), lines=tuple(lines)), data.getvalue()


def test_a_scanned_page_shows_the_evidence_and_leads_both_ways(
    served: Served, sign_in: Callable[..., Tab], shot: Callable[..., Any], axe: Callable[..., None]
) -> None:
    _, text = STAYS["knee"].documents[0]
    document, picture = typed(text.replace(" for years. ", " for years.\n"))
    encounter = Encounter(id="knee.scan", documents=(document,), language="en")
    version = served.desk.receive(encounter).version
    served.desk.keep_pages(version, {(0, 1): picture})
    served.desk.submit([encounter])
    for event in served.desk.stages.subscribe(version, timeout_s=60):
        if event is None or event.last:
            break
    page = sign_in("ana", path=f"/encounters/{version}")
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("i")
    loaded = "document.querySelector('#documents image').getBBox().width"
    assert page.evaluate(loaded) == WIDTH
    page.locator("#i-p1").focus()
    page.keyboard.press("Enter")
    box = page.locator("#documents .box.here")
    expect(box).to_be_focused()
    expect(box).to_have_attribute("data-items", "p1")
    shot(page, "encounter-scan")
    axe(page)
    page.locator('#documents .box[data-items="p2"]').click()
    expect(page.locator("#i-p2")).to_be_focused()


def test_stages_stream_in_and_become_the_review(
    served: Served, sign_in: Callable[..., Tab], shot: Callable[..., Any], axe: Callable[..., None]
) -> None:
    stay = STAYS["heart"]
    encounter = stay.encounter(9000)
    version = served.desk.receive(encounter).version
    page = sign_in("ana", path=f"/encounters/{version}")
    expect(page.locator("#live-state")).to_contain_text("waits")
    stages = served.desk.stages
    stages.begin(version, encounter=encounter.id, total=4)
    stages.stage(version, State(encounter), StepTrace(step="read", component="read"))
    expect(page.locator("#live-stages li")).to_have_count(1)
    codes = stay.record(encounter, served.book).of_kind(Kind.DIAGNOSIS)
    stages.stage(version, State(encounter, diagnoses=codes), StepTrace(step="standardise", component="standardise"))
    expect(page.locator("#documents .mark").first).to_be_visible()
    expect(page.locator("#live-found")).to_contain_text("I50.9")
    axe(page)
    shot(page, "encounter-live")
    served.desk.submit([encounter])
    expect(page.locator("#review .code-row")).to_have_count(len(codes))
