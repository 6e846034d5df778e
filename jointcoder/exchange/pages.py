"""What was read from pages, and how to show where on them it stands.

    ReadDocument   an encounter that came as pages, with what has to be said about the reading
    boxes          the places of a span on its pages
    render         a page as PNG
    marked         a page as PNG with the places of spans drawn into it

Coordinates are points of 1/72 inch, origin top left, of the page turned as it was read (``Page.turned``).
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jointcoder.errors import InputError
from jointcoder.exchange.layout.pieces import cut, united
from jointcoder.exchange.pictures import needs, page_picture
from jointcoder.records import Box, Document, Encounter, Flag, Page

if TYPE_CHECKING:
    from PIL.Image import Image

STEP = "exchange"
_MARK = (255, 176, 0)  # amber: tells apart from red and green for most eyes, and leaves black print legible
_FILL, _EDGE = 70, 230  # of 255, opacity
_SHOWN = 12  # pages named in one message


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """What a file of pages held. ``flags`` name the file and its pages, never what stands on them."""

    encounter: Encounter
    flags: tuple[Flag, ...] = ()


class Stretch(Protocol):
    """Offsets into a document's text: a :class:`jointcoder.records.Span` or anything like it."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


def boxes(document: Document, span: Stretch) -> list[tuple[int, Box]]:
    """The page and box of every part of ``document.text[span.start:span.end]``, one a line, in the order of the text.

    Within a line the box is cut in proportion to the widths of the characters, blanks at its ends left off. Empty for a
    document without lines and for a span of blanks.
    """
    return list(_boxes(document, span.start, span.end))


def _boxes(document: Document, start: int, end: int) -> Iterator[tuple[int, Box]]:
    first = bisect_right(document.lines, start, key=lambda line: line.end)
    for line in document.lines[first:]:
        if line.start >= end:
            return
        low, high = max(start, line.start), min(end, line.end)
        while low < high and document.text[low].isspace():
            low += 1
        while low < high and document.text[high - 1].isspace():
            high -= 1
        if low < high:
            text = document.text[line.start : line.end]
            yield line.page, cut(line.box, text, low - line.start, high - line.start)


def render(path: Path, page: Page, *, scale: float = 2.0, password: str | None = None) -> bytes:
    """A page of a PDF or image file as PNG, ``scale`` pixels a point.

    Raises InputError JC107, JC130–JC134; UsageError JC002 where a package of the extra ``pdf`` is missing.
    """
    return _png(page_picture(path, page, scale=scale, password=password))


def marked(
    path: Path,
    document: Document,
    spans: Iterable[Stretch],
    *,
    page: int | None = None,
    scale: float = 2.0,
    password: str | None = None,
) -> bytes:
    """A page as PNG with the places of the spans marked: page number ``page``, by default the first they stand on.

    Raises what :func:`render` raises; InputError JC108 for a page the document was not read from.
    """
    places = [place for span in spans for place in boxes(document, span)]
    number = page if page is not None else min((number for number, _ in places), default=1)
    found = next((one for one in document.pages if one.number == number), None)
    if found is None:
        raise InputError("JC108", f"{path.name}: the document was not read from page {number}")
    picture = page_picture(path, found, scale=scale, password=password)
    return _png(_drawn(picture, [box for at, box in places if at == number], scale))


def _drawn(picture: Image, places: Iterable[Box], scale: float) -> Image:
    needs("PIL.Image", "pdf")
    from PIL import Image as Pillow
    from PIL import ImageDraw

    above = Pillow.new("RGBA", picture.size, (255, 255, 255, 0))
    pen = ImageDraw.Draw(above)
    for box in _merged(places):
        x0, y0, x1, y1 = (round(value * scale) for value in box)
        edge = max(1, round(scale * 0.75))
        pen.rectangle((x0 - edge, y0, x1 + edge, y1), fill=(*_MARK, _FILL), outline=(*_MARK, _EDGE), width=edge)
    return Pillow.alpha_composite(picture.convert("RGBA"), above).convert("RGB")


def _merged(places: Iterable[Box]) -> list[Box]:
    """Boxes of one line that overlap as one: opacity does not add up."""
    found: list[Box] = []
    for box in sorted(set(places), key=lambda b: (b[1], b[3], b[0])):
        last = found[-1] if found else None
        if last is not None and (last[1], last[3]) == (box[1], box[3]) and box[0] <= last[2]:
            found[-1] = united(last, box)
        else:
            found.append(box)
    return found


def _png(picture: Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, format="PNG", compress_level=6)
    return data.getvalue()


def numbered(numbers: Iterable[int]) -> str:
    """``page 4``, ``pages 1–3, 7``: for messages."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    names = [f"{low}" if low == high else f"{low}–{high}" for low, high in runs]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    one = len(runs) == 1 and runs[0][0] == runs[0][1]
    return f"{'page' if one else 'pages'} {', '.join(names[:_SHOWN])}{more}"
