"""A file, or what came through a pipe: its bytes, what kind of file it is, and its text line by line.

Text is decoded as it streams; the encoding is decided once, by :func:`jointcoder.text.decode.decode` over the first
part that is not plain ASCII. A byte that does not fit becomes a lone surrogate, so that only the row that holds it
fails (:func:`torn`). This module knows nothing of rows and records.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from jointcoder.errors import InputError
from jointcoder.records import Flag
from jointcoder.text.decode import Decoded, decode

TEXT_SUFFIXES = (".txt", ".json", ".jsonl", ".ndjson", ".md")
WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls")
SAMPLE = 200_000  # bytes on which the encoding is decided
_HEAD = 4096
_MARKS = {  # UTF-32 first: its little-endian mark begins with the UTF-16 one
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
PARQUET_SUFFIXES = (".parquet", ".pq")
_PARQUET = (b"PAR1", b"PARE")  # the second where even the list of the columns is encrypted
_ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
_WORKBOOK_STREAM = "Workbook".encode("utf-16-le")  # in the directory of an old Office file
PROTECTED = "EncryptedPackage".encode("utf-16-le")  # likewise, of a new one behind a password
_ESCAPED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Source:
    """Bytes with a name: those of ``path``, or ``data``. ``name`` is for messages."""

    name: str
    path: Path | None = None
    data: bytes | None = None

    @classmethod
    def of(cls, given: Path | str | bytes, *, name: str = "") -> Source:
        """A path, or bytes that are called ``name``."""
        if isinstance(given, bytes):
            return cls(name or "standard input", data=given)
        path = Path(given)
        return cls(name or path.name, path=path)

    @property
    def suffix(self) -> str:
        return self.path.suffix.casefold() if self.path else ""

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes from the beginning. InputError JC107."""
        if self.path is None:
            yield io.BytesIO(self.data or b"")
            return
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from None
        with file:
            yield file

    def read(self) -> bytes:
        """All bytes. InputError JC107."""
        with self.open() as file:
            try:
                return file.read()
            except OSError as error:
                raise self._unreadable(error) from None

    @cached_property
    def head(self) -> bytes:
        """The first bytes. InputError JC107."""
        with self.open() as file:
            try:
                return file.read(_HEAD)
            except OSError as error:
                raise self._unreadable(error) from None

    @property
    def kind(self) -> str:
        """What the bytes are: ``workbook``, ``parquet``, ``pdf``, ``image`` or ``text``. A file that is called a text
        is one, and so is one that is called Parquet."""
        if self.suffix in TEXT_SUFFIXES:
            return "text"
        if self.suffix in PARQUET_SUFFIXES or self.head.startswith(_PARQUET):
            return "parquet"
        if self.head.startswith((OLE, _ZIP)):
            return "workbook" if self._holds_workbook() else "text"
        if self.head.startswith(b"%PDF-"):
            return "pdf"
        return "image" if self.head.startswith(_IMAGES) else "text"

    @cached_property
    def encoding(self) -> tuple[str, tuple[Flag, ...]]:
        """The encoding of a text, and flags (JC109 if it is not UTF-8). InputError JC101, JC102 or JC106."""
        for mark, encoding in _MARKS.items():
            if self.head.startswith(mark):
                note = () if encoding.startswith("utf-8") else (_decoded_from(encoding),)
                return encoding, note
        with self.open() as file:
            sample = start = file.read(SAMPLE)
            while sample.isascii() and len(sample) == SAMPLE:
                sample = file.read(SAMPLE)
        found = _decided(_whole(start, begun=True))  # also what shows that the bytes are no text at all
        if sample is not start and sample.strip():
            found = _decided(_whole(sample, begun=False))
        return found.encoding, found.flags

    @contextmanager
    def lines(self, *, newline: str) -> Iterator[Iterator[str]]:
        """The lines of a text with their ends; ``newline`` as :class:`io.TextIOWrapper` takes it. Raises as
        :attr:`encoding` does, and InputError JC106 where a UTF-16 text breaks off."""
        encoding, _ = self.encoding
        wide = encoding.startswith(("utf-16", "utf-32"))
        with self.open() as file:
            errors = "strict" if wide else "surrogateescape"
            text = io.TextIOWrapper(file, encoding=encoding, errors=errors, newline=newline)
            yield self._checked(text)

    def _checked(self, text: io.TextIOWrapper) -> Iterator[str]:
        try:
            yield from text
        except UnicodeDecodeError:
            raise InputError("JC106", f"{self.name}: the text breaks off", hint="save the file as UTF-8") from None
        except OSError as error:
            raise self._unreadable(error) from None

    def _holds_workbook(self) -> bool:
        if self.suffix in WORKBOOK_SUFFIXES:
            return True
        if self.head.startswith(OLE):
            data = self.read()
            return _WORKBOOK_STREAM in data or PROTECTED in data
        with self.open() as file:
            try:
                return any(name.startswith("xl/workbook.") for name in zipfile.ZipFile(file).namelist())
            except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
                return False

    def _unreadable(self, error: OSError) -> InputError:
        return InputError("JC107", f"{self.path or self.name}: {error.strerror or type(error).__name__}")


def torn(text: str) -> bool:
    """Whether the text holds bytes that its encoding could not read."""
    return not text.isascii() and _ESCAPED.search(text) is not None


def _whole(part: bytes, *, begun: bool) -> bytes:
    """The part without what may be half a character at its end, or (if it does not begin the file) at its beginning."""
    if len(part) < SAMPLE and begun:
        return part
    first = 0 if begun else part.find(b"\n") + 1
    last = part.rfind(b"\n") if len(part) == SAMPLE else len(part)
    return part[first:last] if first < last else _trimmed(part)


def _decided(sample: bytes) -> Decoded:
    """The sample decoded; lines that no encoding fits are passed over as long as most lines agree on one."""
    lines = sample.splitlines(keepends=True)
    fitting = _agree(lines, "utf-8")
    if fitting is None:
        try:
            return decode(sample)
        except InputError as error:
            fitting = _agree(lines, "gb18030") if error.code == "JC106" else None
            if fitting is None:
                raise
    return decode(fitting)


def _agree(lines: Sequence[bytes], encoding: str) -> bytes | None:
    """The lines that ``encoding`` can read, if they are most of those that are not ASCII."""
    fitting = [line for line in lines if _fits(line, encoding)]
    telling = sum(not line.isascii() for line in fitting)
    others = len(lines) - len(fitting)
    return b"".join(fitting) if telling > others or not others else None


def _fits(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _trimmed(part: bytes) -> bytes:
    """One endless line: whole UTF-8 characters of it where it is UTF-8, as it is where not."""
    for start in range(4):
        for end in range(4):
            inner = part[start : len(part) - end]
            try:
                inner.decode("utf-8")
            except UnicodeDecodeError:
                continue
            return inner
    return part


def _decoded_from(encoding: str) -> Flag:
    return Flag(code="JC109", step="decode", message=f"the text was decoded from {encoding}, not UTF-8")
