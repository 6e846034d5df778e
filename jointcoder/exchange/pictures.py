"""PDF files and image files, opened safely; their pages as pictures.

One lock is held around every call into pdfium, which knows no threads. Images are refused by their size before they are
unpacked. Knows nothing of text. Needs pypdfium2 (PDF) and Pillow, the extras ``pdf`` and ``ocr``.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jointcoder.errors import InputError, UsageError
from jointcoder.records import Page

if TYPE_CHECKING:
    from PIL.Image import Image

POINTS = 72.0
"""Points an inch: pages are measured in them."""
MAX_PIXELS = 100_000_000
"""An image with more is not unpacked: an A3 page at 600 dots an inch has 70 million."""
PASSWORD = "JOINTCODER_PDF_PASSWORD"
"""The environment variable that is tried on a protected PDF."""
LOCK = threading.RLock()
"""Held by whoever calls pdfium: the library may not be called by two threads at once, whatever the document."""

_ASSUMED_DPI = 200.0  # of an image that does not say, or says what no scanner does
_DPI = (60.0, 1300.0)
_WRONG_PASSWORD = 4  # FPDF_ERR_PASSWORD


def needs(package: str, extra: str) -> ModuleType:
    """A package of an extra. UsageError JC002 where it is not installed."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        name = package.partition(".")[0]
        hint = f"install it with `pip install jointcoder[{extra}]`"
        raise UsageError("JC002", f"reading this file needs the package {name}", hint=hint) from None


# -------------------------------------------------------------------------------------------------------------- PDF


@contextmanager
def open_pdf(path: Path, *, password: str | None = None) -> Iterator[Any]:
    """The document of pypdfium2, form fields filled in. Without ``password`` that of the environment is tried.

    Raises InputError JC107 (no file), JC130 (damaged), JC131 (protected) or JC132 (no pages); UsageError JC002.
    """
    pdfium = needs("pypdfium2", "pdf")
    given = password if password is not None else os.environ.get(PASSWORD) or None
    with LOCK:
        document = _opened(pdfium, path, given)
    try:
        with LOCK:
            count = len(document)
            if document.get_formtype():
                document.init_forms()
        if not count:
            raise InputError("JC132", f"{path.name}: the PDF has no pages", hint="check the export that produced it")
        yield document
    finally:
        with LOCK:
            document.close()


def _opened(pdfium: ModuleType, path: Path, password: str | None) -> Any:
    try:
        path.open("rb").close()
        return pdfium.PdfDocument(path, password=password)
    except OSError as error:
        raise InputError("JC107", f"{path.name}: {error.strerror or type(error).__name__}") from None
    except pdfium.PdfiumError as error:
        if error.err_code == _WRONG_PASSWORD:
            problem = "the password does not fit" if password else "the PDF is protected by a password"
            hint = f"set {PASSWORD}, or save the file without a password"
            raise InputError("JC131", f"{path.name}: {problem}", hint=hint) from None
        hint = "it may have been cut short in transfer; export or copy it anew"
        raise InputError("JC130", f"{path.name}: the file is damaged or no PDF", hint=hint) from None


def picture_of(page: Any, *, scale: float) -> Image:
    """A page of pypdfium2 as RGB, ``scale`` pixels a point; with fewer where it would have more than MAX_PIXELS."""
    needs("PIL.Image", "pdf")
    with LOCK:
        width, height = page.get_size()
        scale = min(scale, (MAX_PIXELS / max(1.0, width * height)) ** 0.5)
        bitmap = page.render(scale=scale, limit_image_cache=True)
        try:
            return bitmap.to_pil().convert("RGB")  # type: ignore[no-any-return]
        finally:
            bitmap.close()


# ----------------------------------------------------------------------------------------------------------- images


@contextmanager
def open_image(path: Path) -> Iterator[Image]:
    """An image file of Pillow, not yet unpacked. InputError JC107, JC133 or JC134; UsageError JC002."""
    pillow = needs("PIL.Image", "ocr")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            image = pillow.open(path)
    except pillow.DecompressionBombError:
        raise _too_large(path) from None
    except pillow.UnidentifiedImageError:
        raise _unreadable(path) from None
    except OSError as error:
        raise InputError("JC107", f"{path.name}: {error.strerror or type(error).__name__}") from None
    except (ValueError, SyntaxError, EOFError):  # what Pillow's readers raise on damaged headers
        raise _unreadable(path) from None
    with image:
        yield image


def frame(image: Image, number: int, path: Path) -> tuple[Image, float]:
    """One page of an image file, from 1, as RGB and as a camera meant it to be turned; with its dots an inch.

    Raises InputError JC133 (damaged) or JC134 (too many pixels).
    """
    pillow = needs("PIL.Image", "ocr")
    from PIL import ImageOps

    name = f"{path.name}, page {number}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a size that we judge ourselves, and of odd metadata
            image.seek(number - 1)
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(path, name)
            upright = ImageOps.exif_transpose(image) or image
            return _rgb(upright), _dpi(image)
    except pillow.DecompressionBombError:
        raise _too_large(path, name) from None
    except (OSError, ValueError, SyntaxError, EOFError):
        raise _unreadable(path, name) from None


def count_frames(image: Image) -> int:
    """How many pages an image file has; 1 where it does not say."""
    try:
        return int(getattr(image, "n_frames", 1))
    except (OSError, ValueError, SyntaxError, EOFError):
        return 1


def _rgb(image: Image) -> Image:
    """On white, in eight bits: transparent paper is white paper."""
    from PIL import Image as Pillow

    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        low, high = image.getextrema()
        scale = 255.0 / max(1.0, float(high) - float(low))  # type: ignore[arg-type]
        return image.point(lambda value: (value - float(low)) * scale).convert("L").convert("RGB")  # type: ignore
    if "A" in image.getbands() or "transparency" in image.info:
        above = image.convert("RGBA")
        paper = Pillow.new("RGBA", above.size, "white")
        return Pillow.alpha_composite(paper, above).convert("RGB")
    return image.convert("RGB")


def _dpi(image: Image) -> float:
    try:
        value = float(image.info.get("dpi", (0, 0))[0])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return _ASSUMED_DPI
    return value if _DPI[0] < value <= _DPI[1] and value not in (72.0, 96.0) else _ASSUMED_DPI


def _too_large(path: Path, name: str = "") -> InputError:
    return InputError(
        "JC134",
        f"{name or path.name}: the image has more than {MAX_PIXELS // 1_000_000} million pixels",
        hint="scan it at 200 to 300 dots an inch, one page an image",
    )


def _unreadable(path: Path, name: str = "") -> InputError:
    return InputError(
        "JC133",
        f"{name or path.name}: the image is damaged or of an unknown kind",
        hint="PNG, JPEG and TIFF are read",
    )


# ------------------------------------------------------------------------------------------------------------- both


def page_picture(path: Path, page: Page, *, scale: float, password: str | None = None) -> Image:
    """A page that was read, turned as it was read, ``scale`` pixels a point. Errors as of opening; InputError JC130."""
    if is_pdf(path):
        pdfium = needs("pypdfium2", "pdf")
        with open_pdf(path, password=password) as document, LOCK:
            try:
                loaded = document[page.number - 1]
                picture = picture_of(loaded, scale=scale)
                loaded.close()
            except (pdfium.PdfiumError, IndexError):
                raise InputError("JC130", f"{path.name}, page {page.number}: the page cannot be read") from None
    else:
        with open_image(path) as image:
            picture, _ = frame(image, page.number, path)
    upright = picture.rotate(-page.turned, expand=True) if page.turned else picture
    size = (max(1, round(page.width * scale)), max(1, round(page.height * scale)))
    return upright if upright.size == size else upright.resize(size)


def is_pdf(path: Path) -> bool:
    """By its first kilobyte, whatever its name. InputError JC107."""
    try:
        with path.open("rb") as file:
            return b"%PDF-" in file.read(1024)
    except OSError as error:
        raise InputError("JC107", f"{path.name}: {error.strerror or type(error).__name__}") from None
