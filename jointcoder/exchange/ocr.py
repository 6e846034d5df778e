"""Scans: pictures of pages → pieces of text with their places and confidence; image files → encounters.

The recogniser is PP-OCR (Chinese, Latin scripts) as the package `rapidocr` carries it, weights included: nothing is
fetched at run time. One is opened a process. A page that lies on its side or upside down is turned, one that was
scanned askew is levelled for the order of its lines. Handwriting, seals and tables' rules are not understood: they come
out as lines of little confidence, or not at all. Needs the extra ``ocr``.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from jointcoder.errors import AssetError, InputError
from jointcoder.exchange.layout.compose import compose
from jointcoder.exchange.layout.pieces import WIDE, Piece, Sheet, widths
from jointcoder.exchange.pages import STEP, ReadDocument, numbered
from jointcoder.exchange.pictures import POINTS, count_frames, frame, needs, open_image
from jointcoder.records import Document, Encounter, Flag, Page, Turn
from jointcoder.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

DPI = 200
"""Dots an inch at which pages of a PDF are drawn to be recognised."""
LITTLE = 0.9
"""Lines recognised with a lower confidence are counted and flagged. Of a scan at 200 dots an inch hardly one is; below
it most lines hold a wrong character (measured on one card drawn ever more coarsely)."""
NONE = 0.3
"""Lines with a lower one are no text: specks, rules, a signature. They are left out and counted."""
_FIND_SIDE = 1280  # pixels: to find lines, a picture is reduced to this; they are read from it as it is
_MAX_SIDE = 4000
_POOR = 0.8  # mean confidence of a page that probably stands on its head
_ASIDE = 0.6  # share of the lines, by length, that stand upright: the page lies on its side
_TALL = 1.5
_GAP = 0.7  # squares: characters further apart have a blank between them
_ENOUGH = 4  # characters that tell how wide one is
_LONG = 5.0  # heights: lines so long tell how far the page is askew
_USING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Recognised:
    """What stands in a picture, in its pixels once it is turned clockwise by ``turned`` degrees; ``size`` likewise.
    ``left_out``: lines that were no text."""

    pieces: tuple[Piece, ...]
    size: tuple[int, int]
    turned: Turn = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A line: its corners (clockwise from the top left), text and confidence. ``places``: the middle of each visible
    character, in pixels from the left edge along the line; empty where the recogniser does not tell."""

    corners: NDArray[Any]
    text: str
    score: float
    places: tuple[float, ...] = ()


def recognise(picture: Image) -> Recognised:
    """The text of an RGB picture. InputError JC139 where the recogniser fails on it, AssetError JC201 where its weights
    are missing, UsageError JC002 where a package is."""
    scale = min(1.0, _MAX_SIDE / max(picture.size))
    if scale < 1:
        picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    turned, found = _upright(picture)
    text = [line for line in found if line.score >= NONE]
    size = picture.size if turned in (0, 180) else (picture.height, picture.width)
    pieces = _pieces(text, size, 1 / scale)
    whole = (round(size[0] / scale), round(size[1] / scale))
    return Recognised(pieces, whole, turned, len(found) - len(text))


def _upright(picture: Image) -> tuple[Turn, list[_Found]]:
    """By how many degrees the picture was turned clockwise, and the lines of it so turned."""
    found = _read(picture)
    if not found:
        return 0, found
    aside = sum(max(_sides(line)) for line in found if _is_tall(line))
    if aside >= _ASIDE * sum(max(_sides(line)) for line in found):
        # tall lines are read turned by a quarter counter-clockwise: read well, they ask for the whole page to be so
        degrees: Turn = 270 if _quality(found) >= _POOR else 90
        return degrees, _read(picture.rotate(-degrees, expand=True))
    if _quality(found) >= _POOR:
        return 0, found
    over = _read(picture.rotate(180))
    return (180, over) if _quality(over) > _quality(found) else (0, found)


def _is_tall(line: _Found) -> bool:
    width, height = _sides(line)
    return height > _TALL * width


def _sides(line: _Found) -> tuple[float, float]:
    a, b, c, _ = line.corners
    return math.dist(a, b), math.dist(b, c)


def _quality(found: Sequence[_Found]) -> float:
    """Mean confidence, long lines weighing more. Not by characters: what stands on its head is read as a few."""
    length = sum(max(_sides(line)) for line in found)
    return sum(line.score * max(_sides(line)) for line in found) / length if length else 0.0


def _read(picture: Image) -> list[_Found]:
    import numpy as np

    pixels = np.asarray(picture)[:, :, ::-1]  # the recogniser takes blue first
    with _USING:
        recogniser = _recogniser()
        try:
            result = recogniser(
                np.ascontiguousarray(pixels), use_det=True, use_cls=False, use_rec=True, return_word_box=True
            )
        except Exception as error:  # whatever three packages raise; other pages go on
            raise InputError("JC139", f"the recogniser failed on a page ({type(error).__name__})") from None
    if getattr(result, "txts", None) is None or result.boxes is None:
        return []
    words = result.word_results if len(result.word_results) == len(result.txts) else ((),) * len(result.txts)
    lines = zip(result.boxes, result.txts, result.scores, words, strict=True)
    found = (
        _Found(np.asarray(box, float), text.strip(), float(score), _places(np.asarray(box, float), text, marks))
        for box, text, score, marks in lines
        if text.strip()
    )
    return [part for line in found for part in _parted(line)]


def _places(corners: NDArray[Any], text: str, marks: Sequence[Any]) -> tuple[float, ...]:
    """Where each visible character stands along the line, if ``marks`` (text, score, corners) tell of each alone."""
    visible = "".join(text.split())
    if len(marks) != len(visible) or "".join(str(mark[0]) for mark in marks) != visible:
        return ()
    a, b = corners[0], corners[1]
    length = max(1.0, math.dist(a, b))
    ahead = ((b[0] - a[0]) / length, (b[1] - a[1]) / length)
    middles = [((box[0][0] + box[1][0]) / 2 - a[0], (box[0][1] + box[1][1]) / 2 - a[1]) for _, _, box in marks]
    return tuple(float(x * ahead[0] + y * ahead[1]) for x, y in middles)


def _parted(line: _Found) -> list[_Found]:
    """The line with blanks where its characters stand apart (the recogniser sees few), parted at wide gaps."""
    visible = "".join(line.text.split())
    if len(line.places) < _ENOUGH:
        return [line]
    wide = widths(visible)
    steps = [(a + b) / 2 or 1.0 for a, b in pairwise(wide)]
    square = median((b - a) / step for (a, b), step in zip(pairwise(line.places), steps, strict=True))
    if square <= 0:
        return [line]
    gaps = [(b - a) / square - step for (a, b), step in zip(pairwise(line.places), steps, strict=True)]
    written = [bool(match[0]) for match in re.finditer(r"(?<=\S)\s*(?=\S)", line.text)]
    parts: list[_Found] = []
    text, first = visible[0], 0
    for place, (gap, blank) in enumerate(zip(gaps, written, strict=True)):
        if gap >= WIDE:
            parts.append(_part(line, text, first, place, wide, square))
            text, first = "", place + 1
        elif blank or gap >= _GAP:
            text += " "
        text += visible[place + 1]
    return [*parts, _part(line, text, first, len(visible) - 1, wide, square)]


def _part(line: _Found, text: str, first: int, last: int, wide: Sequence[float], square: float) -> _Found:
    """The part of a line from one visible character to another."""
    import numpy as np

    a, b, c, d = line.corners
    length = max(1.0, math.dist(a, b))
    low = max(0.0, (line.places[first] - wide[first] * square / 2) / length) if first else 0.0
    whole = last == len(line.places) - 1
    high = 1.0 if whole else min(1.0, (line.places[last] + wide[last] * square / 2) / length)
    corners = np.array([a + (b - a) * low, a + (b - a) * high, d + (c - d) * high, d + (c - d) * low])
    return _Found(corners, text, line.score, line.places[first : last + 1])


@cache
def _recogniser() -> Any:
    """The recogniser, with weights given by path: where they are missing it must not go and fetch them."""
    rapidocr = needs("rapidocr", "ocr")
    needs("onnxruntime", "ocr")
    models = Path(str(rapidocr.__file__)).parent / "models"
    threads = Settings.load().threads
    params: dict[str, Any] = {
        "Global.log_level": "critical",
        "Global.text_score": 0.0,  # nothing is dropped behind our back
        "Global.use_cls": False,
        "Global.max_side_len": _MAX_SIDE,
        "Det.limit_type": "max",
        "Det.limit_side_len": _FIND_SIDE,
        "Det.model_path": str(_weights(models, "*_det_*.onnx")),
        "Rec.model_path": str(_weights(models, "*_rec_*.onnx")),
    }
    if threads:
        params["EngineConfig.onnxruntime.intra_op_num_threads"] = threads
    return rapidocr.RapidOCR(params=params)


def _weights(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        hint = "install the package rapidocr anew: its wheel carries them"
        raise AssetError("JC201", "the recogniser's weights are missing from the package rapidocr", hint=hint)
    return found[0]


def recogniser_name() -> str:
    """Package and version, for flags."""
    return f"rapidocr {version('rapidocr')}"


def _pieces(found: Sequence[_Found], size: tuple[int, int], scale: float) -> tuple[Piece, ...]:
    """Lines as pieces in pixels times ``scale``; their frames are turned until long lines are level."""
    slant = _slant(found)
    cos, sin = math.cos(slant), math.sin(slant)
    cx, cy = size[0] / 2, size[1] / 2
    pieces = []
    for line in found:
        xs, ys = [float(x) for x, _ in line.corners], [float(y) for _, y in line.corners]
        level = [(cx + (x - cx) * cos + (y - cy) * sin, cy - (x - cx) * sin + (y - cy) * cos) for x, y in line.corners]
        # the corners' means, not their extremes: a line that leans by itself is no taller for it
        left, right = (level[0][0] + level[3][0]) / 2, (level[1][0] + level[2][0]) / 2
        top, bottom = (level[0][1] + level[1][1]) / 2, (level[2][1] + level[3][1]) / 2
        frame = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        box = (min(xs), min(ys), max(xs), max(ys))
        scaled = [tuple(value * scale for value in corners) for corners in (frame, box)]
        pieces.append(Piece(line.text, scaled[0], scaled[1], line.score))  # type: ignore[arg-type]
    return tuple(pieces)


def _slant(found: Sequence[_Found]) -> float:
    """By how many radians the page's lines fall to the right, in pixels that grow downward; 0 without long lines."""
    slopes = []
    for line in found:
        width, height = _sides(line)
        if width >= _LONG * max(height, 1.0):
            a, b, c, d = line.corners
            slopes.append(math.atan2(b[1] + c[1] - a[1] - d[1], b[0] + c[0] - a[0] - d[0]))
    return median(slopes) if slopes else 0.0


# ------------------------------------------------------------------------------------------------- pictures as pages


def sheet(picture: Image, number: int, *, scale: float) -> tuple[Sheet, int]:
    """A picture of a page, ``scale`` pixels a point, as a page with its pieces; and how many lines were no text."""
    seen = recognise(picture)
    width, height = (side / scale for side in seen.size)
    page = Page(number=number, width=width, height=height, source="ocr", turned=seen.turned)
    pieces = tuple(Piece(p.text, _over(p.frame, scale), _over(p.box, scale), p.confidence) for p in seen.pieces)
    return Sheet(page, pieces), seen.left_out


def _over(box: tuple[float, float, float, float], scale: float) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return (x0 / scale, y0 / scale, x1 / scale, y1 / scale)


def read_image(path: Path, *, progress: Callable[[int, int], None] | None = None) -> ReadDocument:
    """An image file (PNG, JPEG, TIFF of any number of pages …) as an encounter of one document.

    A page that cannot be read is flagged (JC139) where others can. ``progress`` is called with the pages done and their
    number. Raises InputError JC101 (nothing to read), JC107, JC133 or JC134; UsageError JC002; AssetError JC201.
    """
    sheets: list[Sheet] = []
    left_out: dict[int, int] = {}
    failures: list[tuple[int, InputError]] = []
    with open_image(path) as image:
        count = count_frames(image)
        for number in range(1, count + 1):
            try:
                picture, dpi = frame(image, number, path)
                page, left_out[number] = sheet(picture, number, scale=dpi / POINTS)
                sheets.append(page)
            except InputError as error:
                failures.append((number, error))
            if progress:
                progress(number, count)
    if not sheets:
        raise failures[0][1]
    composed = compose(sheets)
    flags = reading_flags(path.name, composed.document, left_out, composed.left_out)
    if failures:
        what = numbered(number for number, _ in failures)
        flags += (Flag(code="JC139", step=STEP, message=f"{path.name}: {what} could not be read"),)
    return ReadDocument(encounter_of(path, composed.document), flags)


def encounter_of(path: Path, document: Document) -> Encounter:
    """One document as an encounter. InputError JC101 naming the file where nothing stands on its pages."""
    if not document.text.strip():
        pages = len(document.pages)
        hint = "check whether the right pages were scanned"
        raise InputError("JC101", f"{path.name}: nothing could be read on {pages} pages", hint=hint)
    return Encounter.from_documents((document,))


def reading_flags(name: str, document: Document, left_out: dict[int, int], running: int) -> tuple[Flag, ...]:
    """What has to be said of a document that was read from pages: ``left_out`` lines that were no text a page,
    ``running`` rows left out."""
    flags: list[Flag] = []

    def say(code: str, message: str) -> None:
        flags.append(Flag(code=code, step=STEP, message=f"{name}: {message}"))

    recognised = [page.number for page in document.pages if page.source == "ocr"]
    if recognised:
        say("JC137", f"{numbered(recognised)} of {len(document.pages)} recognised by {recogniser_name()}")
    written = {line.page for line in document.lines}
    if empty := [page.number for page in document.pages if page.number not in written]:
        say("JC135", f"nothing stands on {numbered(empty)}")
    doubtful: dict[int, int] = {}
    for line in document.lines:
        if line.confidence is not None and line.confidence < LITTLE:
            doubtful[line.page] = doubtful.get(line.page, 0) + 1
    for page in sorted({*doubtful, *(page for page, lines in left_out.items() if lines)}):
        lines = sum(line.page == page for line in document.lines)
        message = f"page {page}: {doubtful.get(page, 0)} of {lines} lines recognised with a confidence below {LITTLE}"
        if left_out.get(page):
            message += f", {left_out[page]} more left out as no text"
        say("JC136", message)
    if running:
        say("JC138", f"lines left out as running headers, footers or page numbers: {running}")
    return tuple(flags)
