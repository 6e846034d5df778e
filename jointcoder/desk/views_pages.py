"""Scanned pages on the encounter page: where on each page the evidence stands, in points of the page as it was read.

    page_views(document, index, places)  →  PageView per page, with a Box per line of each piece of evidence

The picture itself is somebody else's: this module only says where to draw. Boxes of recognised text are as good as the
recogniser's lines (:func:`jointcoder.exchange.pages.boxes` cuts them in proportion to the characters).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jointcoder.desk.views_text import Place
from jointcoder.exchange.pages import boxes
from jointcoder.records import Document


@dataclass(frozen=True, slots=True)
class Box:
    """One rectangle of a piece of evidence, points from the top left; ``first``: the first one of its place."""

    place: Place
    x: float
    y: float
    width: float
    height: float
    first: bool


@dataclass(frozen=True, slots=True)
class PageView:
    """A page and what stands on it. ``recognised``: its text was read from the picture; ``doubtful``: lines that the
    recogniser was unsure of."""

    number: int
    width: float
    height: float
    recognised: bool
    boxes: tuple[Box, ...]
    doubtful: int


DOUBTFUL = 0.8
"""Confidence of a recogniser below which a line counts as doubtful."""
PAD = 1.5  # points around a box, so that the edge does not touch the print


def page_views(document: Document, index: int, places: Iterable[Place]) -> tuple[PageView, ...]:
    """The pages of ``documents[index]`` in order; none for a document that did not come as pages."""
    on_page: dict[int, list[Box]] = {}
    for place in places:
        if place.span.document != index:
            continue
        for count, (number, (x0, y0, x1, y1)) in enumerate(boxes(document, place.span)):
            box = Box(place, x0 - PAD, y0 - PAD, x1 - x0 + 2 * PAD, y1 - y0 + 2 * PAD, first=count == 0)
            on_page.setdefault(number, []).append(box)
    unsure: dict[int, int] = {}
    for line in document.lines:
        if line.confidence is not None and line.confidence < DOUBTFUL:
            unsure[line.page] = unsure.get(line.page, 0) + 1
    return tuple(
        PageView(
            page.number,
            page.width,
            page.height,
            page.source == "ocr",
            tuple(sorted(on_page.get(page.number, ()), key=lambda box: -box.width * box.height)),  # small ones on top
            unsure.get(page.number, 0),
        )
        for page in document.pages
    )
