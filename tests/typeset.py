"""Records set as PDF pages, and scans of them: what hospital programs print, made on the spot.

    typeset    text → pages of placed lines, wrapped as word processors do
    text_pdf   pages → a PDF with a text layer
    scan       a PDF → pictures of its pages, as a scanner gives them (noise, a slight turn)
    image_pdf  pictures → a PDF without a text layer

The glyphs are those of WenQuanYi Micro Hei, which the package mpl-font carries, and of DejaVu Sans (matplotlib) for the
one sign that it leaves blank.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

FONT, NAMED_FONT = "WenQuanYi", "STSong-Light"
_SPARE_FONT, _SPARED = "DejaVu", "℃"
A4 = (595.0, 842.0)
_NOT_FIRST = "，。、；：！？）》”’】〕%％℃,.;:!?)]}"
_NOT_LAST = "（《“‘【〔([{"


@dataclass(frozen=True)
class Placed:
    """A line of print: baseline from the left top corner, in points."""

    x: float
    y: float
    text: str
    size: float = 12.0
    font: str = FONT


def fonts() -> None:
    """Makes the fonts known to reportlab."""
    import matplotlib
    import mpl_font

    if FONT not in pdfmetrics.getRegisteredFontNames():
        file = Path(mpl_font.__file__).parent / "fonts" / "wqy" / "wqy-microhei.ttc"
        pdfmetrics.registerFont(TTFont(FONT, str(file), subfontIndex=0))
        pdfmetrics.registerFont(UnicodeCIDFont(NAMED_FONT))
        spare = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
        pdfmetrics.registerFont(TTFont(_SPARE_FONT, str(spare)))


def width(text: str, size: float, font: str = FONT) -> float:
    return sum(float(pdfmetrics.stringWidth(part, name, size)) for part, name in _by_font(text, font))


def _by_font(text: str, font: str) -> list[tuple[str, str]]:
    parts = re.split(f"([{_SPARED}])", text) if font == FONT else [text]
    return [(part, _SPARE_FONT if font == FONT and part in _SPARED else font) for part in parts if part]


def wrap(text: str, room: float, size: float, font: str = FONT) -> list[str]:
    """Lines of at most ``room`` points: words whole, no closing mark at a line's beginning."""
    lines, line = [], ""
    for part in _parts(text):
        if line and width(line + part.rstrip(), size, font) > room:
            lines.append(line.rstrip())
            line = part.lstrip()
        else:
            line += part
    return [*lines, line.rstrip()] if line.strip() else lines


def _parts(text: str) -> list[str]:
    """What may not be broken: words with the blank behind them, characters with the marks that belong to them."""
    parts: list[str] = []
    for char in text:
        last = parts[-1][-1] if parts else " "
        word = _in_word(last) and (_in_word(char) or char == " ")
        if parts and (word or char in _NOT_FIRST or last in _NOT_LAST):
            parts[-1] += char
        else:
            parts.append(char)
    return parts


def _in_word(char: str) -> bool:
    return (char.isascii() and not char.isspace()) or char in "μ°Ⅳ"


def typeset(
    text: str,
    *,
    size: float = 12.0,
    leading: float = 1.5,
    margin: float = 72.0,
    page: tuple[float, float] = A4,
    font: str = FONT,
    indent: float = 0.0,
    header: str = "",
    footer: Callable[[int, int], str] | None = None,
) -> list[list[Placed]]:
    """A text's paragraphs (one a line; an empty line leaves a gap) as pages. ``footer(page, pages)``; ``indent`` of a
    paragraph's first line, in sizes."""
    fonts()
    pages: list[list[Placed]] = [[]]
    y = margin + size
    for paragraph in text.split("\n"):
        if not paragraph.strip():
            y += 0.5 * leading * size
            continue
        shift = indent * size
        lines = _wrapped(paragraph, page[0] - 2 * margin, shift, size, font)
        for place, line in enumerate(lines):
            if y > page[1] - margin:
                pages.append([])
                y = margin + size
            pages[-1].append(Placed(margin + (shift if place == 0 else 0.0), y, line, size, font))
            y += leading * size
    for number, placed in enumerate(pages, start=1):
        if header:
            placed.insert(0, Placed(margin, 40.0, header, 9.0, font))
        if footer:
            line = footer(number, len(pages))
            placed.append(Placed((page[0] - width(line, 9.0, font)) / 2, page[1] - 36.0, line, 9.0, font))
    return pages


def _wrapped(paragraph: str, room: float, shift: float, size: float, font: str) -> list[str]:
    if not shift:
        return wrap(paragraph, room, size, font)
    first = wrap(paragraph, room - shift, size, font)[0]
    rest = paragraph[len(first) :].lstrip()
    return [first, *wrap(rest, room, size, font)] if rest else [first]


def text_pdf(
    path: Path,
    pages: Sequence[Iterable[Placed]],
    *,
    page: tuple[float, float] = A4,
    rotate: int = 0,
    draw: Callable[[Canvas, int], None] | None = None,
    **options: Any,
) -> Path:
    """Pages of placed lines as a PDF with a text layer; ``draw(canvas, page number)`` adds to each page."""
    fonts()
    canvas = Canvas(str(path), pagesize=page, **options)
    for number, placed in enumerate(pages, start=1):
        if rotate:
            canvas.setPageRotation(rotate)
            canvas.setPageSize(page if rotate == 180 else (page[1], page[0]))  # which reportlab swaps again
        for line in placed:
            x = line.x
            for part, font in _by_font(line.text, line.font):
                canvas.setFont(font, line.size)
                canvas.drawString(x, page[1] - line.y, part)
                x += width(part, line.size, font)
        if draw:
            draw(canvas, number)
        canvas.showPage()
    canvas.save()
    return path


def columns(left: Iterable[Placed], right: Iterable[Placed], *, shift: float) -> list[Placed]:
    """Two columns of one page, as a program writes them that sets line by line across the page."""
    moved = [replace(line, x=line.x + shift) for line in right]
    return sorted([*left, *moved], key=lambda line: (line.y, line.x))


def scan(path: Path, *, dpi: int = 200, noise: float = 0.0, degrees: float = 0.0, seed: int = 1) -> list[Image.Image]:
    """A PDF's pages as a scanner gives them: grey noise of so many levels, turned by so many degrees."""
    import pypdfium2

    random = np.random.default_rng(seed)
    pictures = []
    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            picture = page.render(scale=dpi / 72).to_pil().convert("RGB")
            if degrees:
                picture = picture.rotate(degrees, fillcolor="white", resample=Image.Resampling.BICUBIC)
            if noise:
                pixels = np.asarray(picture, float)
                pixels = pixels + random.normal(0.0, noise, pixels.shape[:2])[:, :, None]
                picture = Image.fromarray(pixels.clip(0, 255).astype("uint8"))
            pictures.append(picture)
    return pictures


def image_pdf(path: Path, pictures: Iterable[Image.Image], *, dpi: int = 200, stamp: str = "") -> Path:
    """Pictures as a PDF without a text layer, but for ``stamp``, a line that some scanners set at the foot."""
    fonts()
    canvas = Canvas(str(path))
    for picture in pictures:
        size = (picture.width * 72 / dpi, picture.height * 72 / dpi)
        canvas.setPageSize(size)
        data = io.BytesIO()
        picture.save(data, format="JPEG", quality=85)
        canvas.drawImage(ImageReader(data), 0, 0, *size)
        if stamp:
            canvas.setFont("Helvetica", 8)
            canvas.drawString(20, 12, stamp)
        canvas.showPage()
    canvas.save()
    return path
