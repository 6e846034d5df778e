"""A document that came as bytes inside a message → text: plain text in any character set, HTML, PDF files and images.

    read_bytes(data, "application/pdf", path="message 3: OBX 2")     # a document and flags, or InputError

Rich text, CDA and office documents are not read. Errors begin with ``path``: where the bytes stood. This module knows
neither FHIR nor HL7 v2.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import tempfile
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from jointcoder.errors import InputError
from jointcoder.exchange.incoming import STEP
from jointcoder.records import Document, Flag
from jointcoder.text.decode import Decoded, decode

IMAGES = {"image/png": ".png", "image/jpeg": ".jpg", "image/tiff": ".tif", "image/bmp": ".bmp", "image/webp": ".webp"}
REFUSED = ("text/rtf", "text/xml", "text/csv", "text/calendar", "text/vcard")
_MARKUP = ("text/html", "application/xhtml+xml")
_UNTOLD = ("", "application/octet-stream")
_MEDIA = re.compile(r"[a-z0-9.+\-]{1,40}/[a-z0-9.+\-]{1,60}")
_BLOCK_ELEMENTS = """address article aside blockquote br caption dd div dl dt footer h1 h2 h3 h4 h5 h6 header hr li ol p
pre section table tbody tfoot thead tr ul"""


@dataclass(frozen=True, slots=True)
class Read:
    """A document without id and title (those its message has), and what is to be said of the reading."""

    document: Document
    flags: tuple[Flag, ...] = ()


def read_bytes(data: bytes, kind: str = "", *, charset: str = "", path: str) -> Read:
    """The document of a media type ("": told by the bytes). InputError JC164 where it cannot be read, JC101 for one
    without text, and as the readers of PDF files and images raise."""
    if kind in _UNTOLD:
        kind = "application/pdf" if data.startswith(b"%PDF-") else "text/plain"
    if kind == "application/pdf":
        return _pages(data, ".pdf", path)
    if kind in IMAGES:
        return _pages(data, IMAGES[kind], path)
    if (not kind.startswith("text/") and kind not in _MARKUP) or kind in REFUSED:
        named = f" ({kind})" if _MEDIA.fullmatch(kind) else ""
        hint = "plain text, HTML, PDF and images are read"
        raise InputError("JC164", f"{path}: attachments of this content type{named} are not read", hint=hint)
    text, flags = decoded(data, charset, path)
    if kind in _MARKUP:
        text = narrative(text)
    if not text.strip():
        raise InputError("JC101", f"{path} holds no text")
    return Read(Document(id="", text=text), flags)


def from_base64(encoded: str, path: str) -> bytes:
    """The bytes, blanks and line ends aside. InputError JC164."""
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("JC164", f"{path} is not base64") from None


def narrative(text: str) -> str:
    """The text of XHTML as a page shows it: blocks on lines of their own, cells apart.

    >>> narrative("<div><p>Fever,<br/>cough.</p><ul><li>no dyspnoea</li></ul></div>")
    'Fever,\\ncough.\\n- no dyspnoea'
    """
    reader = _Narrative()
    reader.feed(text)
    reader.close()
    return reader.text()


def decoded(data: bytes, charset: str, path: str) -> tuple[str, tuple[Flag, ...]]:
    """The text in the character set it says it has, or, where it has not, in the one it is found to have."""
    if charset:
        try:
            return data.decode(codecs.lookup(charset).name).removeprefix("\ufeff"), ()
        except (LookupError, UnicodeError):
            found = _detected(data, path)
            message = f"{path}: not in the character set it names; decoded from {found.encoding}"
            return found.text, (Flag(code="JC109", step=STEP, message=message),)
    found = _detected(data, path)
    return found.text, tuple(flag.model_copy(update={"message": f"{path}: {flag.message}"}) for flag in found.flags)


def _detected(data: bytes, path: str) -> Decoded:
    try:
        return decode(data)
    except InputError as error:
        code = "JC101" if error.code == "JC101" else "JC164"
        raise InputError(code, f"{path}: {error.message}", hint=error.hint) from None


def _pages(data: bytes, suffix: str, path: str) -> Read:
    """A file of pages, through its reader, which wants a file. The same errors with the element's path."""
    with tempfile.TemporaryDirectory(prefix="jointcoder-") as folder:
        file = Path(folder) / f"attachment{suffix}"
        file.write_bytes(data)
        try:
            if suffix == ".pdf":
                from jointcoder.exchange.pdf import read_pdf

                found = read_pdf(file)
            else:
                from jointcoder.exchange.ocr import read_image

                found = read_image(file)
        except InputError as error:
            raise InputError(error.code, f"{path}: {error.message}", hint=error.hint) from None
    (document,) = found.encounter.documents
    flags = tuple(flag.model_copy(update={"message": f"{path}: {flag.message}"}) for flag in found.flags)
    return Read(document, flags)


class _Narrative(HTMLParser):
    """Collects text line by line; white space within a line is one blank, but in ``pre``."""

    _BLOCKS = frozenset(re.findall(r"\w+", _BLOCK_ELEMENTS))
    _CELLS = frozenset(("td", "th"))
    _SILENT = frozenset(("script", "style", "title", "head"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = [""]
        self._silent: list[str] = []
        self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self._silent.append(tag)
        elif tag in self._BLOCKS:
            self._break()
            if tag == "li":
                self._lines[-1] = "- "
            self._verbatim += tag == "pre"
        elif tag in self._CELLS and self._lines[-1]:
            self._lines[-1] += "\t"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._BLOCKS:
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag == self._silent[-1]:
            self._silent.pop()
        elif tag in self._BLOCKS:
            self._verbatim -= tag == "pre" and self._verbatim > 0
            self._break()

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._verbatim:
            first, *others = data.split("\n")
            self._lines[-1] += first
            self._lines.extend(others)
            return
        words = re.sub(r"[ \t\r\n\f\xa0]+", " ", data)
        last = self._lines[-1]
        self._lines[-1] = last + (words.lstrip(" ") if not last or last[-1] in " \t" else words)

    def _break(self) -> None:
        if self._lines[-1].strip():
            self._lines.append("")
        else:
            self._lines[-1] = ""

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._lines).strip("\n")
