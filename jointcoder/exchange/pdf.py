"""PDF files → encounters: the text layer of every page that has a useful one, recognition of the pages that have not.

Each page is judged by itself, so that a discharge summary with scanned reports behind it is read whole. A page is
recognised where it has no text, where its text has no meaning (fonts without a character map), or where a picture fills
it and hardly any text stands over that. Form fields and notes drawn over a page are part of it. Pages are opened one
by one: memory does not grow with their number but for the text. Needs the extra ``pdf``; scans need ``ocr``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jointcoder.errors import InputError
from jointcoder.exchange.layout.compose import compose
from jointcoder.exchange.layout.pieces import Piece, Sheet, turned
from jointcoder.exchange.layout.text_layer import TextLayer, read_layer
from jointcoder.exchange.ocr import DPI, encounter_of, reading_flags, sheet
from jointcoder.exchange.pages import STEP, ReadDocument, numbered
from jointcoder.exchange.pictures import LOCK, MAX_PIXELS, POINTS, needs, open_pdf, picture_of
from jointcoder.records import Box, Flag, Page

_UNREADABLE = 0.1  # share of characters without a meaning: the text layer is useless
_FILLED = 0.5  # share of the page that a scan fills at least
_OVER = 0.1  # share of the picture's height that the text over a searchable scan fills at least
_PICTURE = 0.2  # share of the page: a picture beside text that is worth a word
_LAID_OVER = 3  # pieces of text over a picture: it is paper, not a figure
_WHOLE = (1.0, 1.0)
_RECOGNISED_PIXELS = 20_000_000  # a page is drawn with at most so many


@dataclass
class _Reading:
    """What is noted while pages are read."""

    sheets: list[Sheet] = field(default_factory=list)
    left_out: dict[int, int] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)
    too_large: list[int] = field(default_factory=list)
    meaningless: list[int] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    slanted: list[int] = field(default_factory=list)


def read_pdf(
    path: Path, *, password: str | None = None, progress: Callable[[int, int], None] | None = None
) -> ReadDocument:
    """A PDF as an encounter of one document, with the place of every line.

    ``password``: by default that of the environment (JOINTCODER_PDF_PASSWORD). ``progress`` is called with the pages
    done and their number. A page that cannot be read is flagged (JC139) where others can. Raises InputError JC101
    (nothing to read), JC107, JC130, JC131, JC132 or JC134; UsageError JC002 where an extra is missing; AssetError
    JC201.
    """
    reading = _Reading()
    with open_pdf(path, password=password) as document:
        count = len(document)
        for index in range(count):
            _read_page(document, index, reading)
            if progress:
                progress(index + 1, count)
    if not reading.sheets:
        if reading.too_large:
            message = f"{path.name}: the pictures of all pages have more than {MAX_PIXELS // 1_000_000} million pixels"
            raise InputError("JC134", message, hint="scan at 200 to 300 dots an inch")
        raise InputError("JC130", f"{path.name}: none of {count} pages can be read", hint="export the file anew")
    composed = compose(reading.sheets)
    flags = reading_flags(path.name, composed.document, reading.left_out, composed.left_out)
    return ReadDocument(encounter_of(path, composed.document), (*flags, *_flags(path.name, reading)))


def _flags(name: str, reading: _Reading) -> Iterator[Flag]:
    said = (
        ("JC137", reading.meaningless, "the text layer has no meaning; its picture was read instead"),
        ("JC138", reading.slanted, "slanted text (a watermark) left out"),
        ("JC139", reading.failed, "not read: damaged, or the recogniser failed"),
        ("JC139", reading.too_large, f"a picture of more than {MAX_PIXELS // 1_000_000} million pixels, not read"),
        ("JC139", reading.pictures, "a picture beside the text was not read"),
    )
    for code, pages, what in said:
        if pages:
            yield Flag(code=code, step=STEP, message=f"{name}, {numbered(pages)}: {what}")


def _read_page(document: Any, index: int, reading: _Reading) -> None:
    """One page into ``reading``; a damaged one is noted."""
    pdfium = needs("pypdfium2", "pdf")
    number = index + 1
    try:
        with LOCK:
            page = _flattened(document, index)
        try:
            _read_open_page(page, number, reading)
        finally:
            with LOCK:
                page.close()
    except pdfium.PdfiumError:
        reading.failed.append(number)
    except InputError as error:
        if error.code != "JC139":
            raise
        reading.failed.append(number)


def _flattened(document: Any, index: int) -> Any:
    """The page with its form fields and whatever else is drawn over it as part of it."""
    import pypdfium2.raw as raw

    page = document[index]
    if raw.FPDFPage_GetAnnotCount(page) > 0 and raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY):
        page.close()
        page = document[index]
    return page


def _read_open_page(page: Any, number: int, reading: _Reading) -> None:
    with LOCK:
        layer = read_layer(page)
        pictures, largest, drawn = _pictures_or_none(page)
    if layer.slanted:
        reading.slanted.append(number)
    meaningless = layer.unreadable > _UNREADABLE * layer.characters
    if drawn and (meaningless or not layer.pieces or _is_scan(layer, pictures)):
        if largest > MAX_PIXELS:
            reading.too_large.append(number)
            return
        if meaningless:
            reading.meaningless.append(number)
        width, height = layer.size
        scale = min(DPI / POINTS, (_RECOGNISED_PIXELS / (width * height)) ** 0.5)
        found, reading.left_out[number] = sheet(picture_of(page, scale=scale), number, scale=scale)
        reading.sheets.append(found)
        return
    width, height = layer.size
    of_page = Page(number=number, width=width, height=height, turned=layer.turned)
    reading.sheets.append(Sheet(of_page, layer.pieces))
    if any(_area(box) >= _PICTURE and len(_standing_in(layer.pieces, box, layer)) < _LAID_OVER for box in pictures):
        reading.pictures.append(number)


# ---------------------------------------------------------------------------------------------------------- pictures


def _pictures_or_none(page: Any) -> tuple[list[Box], int, bool]:
    """As :func:`_pictures`; where pdfium cannot tell, no picture, and something drawn."""
    pdfium = needs("pypdfium2", "pdf")
    try:
        return _pictures(page)
    except pdfium.PdfiumError:
        return [], 0, True


def _pictures(page: Any) -> tuple[list[Box], int, bool]:
    """The boxes of a page's pictures as shares of the page as shown (origin top left), the pixels of the largest one,
    and whether anything is drawn on the page at all."""
    import pypdfium2.raw as raw

    left, bottom, right, top = page.get_bbox()
    width, height = max(1e-6, right - left), max(1e-6, top - bottom)
    found: list[Box] = []
    largest, drawn = 0, False
    for item in page.get_objects(max_depth=3):
        drawn = True
        if item.type != raw.FPDF_PAGEOBJ_IMAGE:
            continue
        columns, lines = item.get_px_size()
        largest = max(largest, columns * lines)
        outer = item
        while outer.container is not None:
            outer = outer.container
        x0, y0, x1, y1 = outer.get_bounds()
        x0, x1 = (min(max((x - left) / width, 0.0), 1.0) for x in (x0, x1))
        y0, y1 = (min(max((top - y) / height, 0.0), 1.0) for y in (y1, y0))
        found.append(turned((x0, y0, x1, y1), _WHOLE, page.get_rotation()))
    return found, largest, drawn


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _is_scan(layer: TextLayer, pictures: Iterable[Box]) -> bool:
    """Whether a picture fills the page and hardly any text stands over it: a scan with a stamp or a footer on it."""
    for box in pictures:
        if _area(box) >= _FILLED:
            height = (box[3] - box[1]) * layer.size[1]
            text = sum(piece.height for piece in _standing_in(layer.pieces, box, layer))
            return text < _OVER * height
    return False


def _standing_in(pieces: Iterable[Piece], box: Box, layer: TextLayer) -> list[Piece]:
    """The pieces whose middle lies in a box given as shares of the page before it was turned to be read."""
    x0, y0, x1, y1 = turned(box, _WHOLE, layer.turned)
    width, height = layer.size
    return [
        piece
        for piece in pieces
        if x0 <= (piece.box[0] + piece.box[2]) / 2 / width <= x1
        and y0 <= (piece.box[1] + piece.box[3]) / 2 / height <= y1
    ]
