"""Bytes → text, strictly: what is decoded encodes back to the same bytes, and nothing is ever replaced.

Order of trial: byte-order mark, UTF-8, then the legacy encodings that hospital exports really use (GB18030 for
Chinese, Big5 for traditional Chinese, Windows-1252 for Western text), told apart by their own byte statistics, and
charset-normalizer for whatever is left. Knows nothing of file formats beyond the signatures it refuses.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from jointcoder.errors import InputError
from jointcoder.records import Flag

_MARKS = (  # UTF-32 first: its little-endian mark begins with the UTF-16 one
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNATURES = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or an Office document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh9", "a bzip2 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"{\\rtf", "a rich-text document"),
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_C1 = re.compile("[\x80-\x9f]")
_MAX_CONTROL_SHARE = 0.01
_MIN_LEGACY_SHARE = 0.7
_WESTERN_RUN = 1.4  # mean length of a run of high bytes
_SAMPLE = 200_000


@dataclass(frozen=True)
class Decoded:
    """The text, the Python name of the encoding it came in, and flags (JC109 if that was not UTF-8)."""

    text: str
    encoding: str
    flags: tuple[Flag, ...] = ()


def decode(data: bytes) -> Decoded:
    """Decode one file's bytes. Line ends stay as they are; a byte-order mark is dropped.

    Raises InputError JC101 (empty, or white space only), JC102 (binary) or JC106 (no encoding fits).
    """
    if not data.strip():
        raise _empty()
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _finished(_strict(data[len(mark) :], encoding), encoding)
    _refuse_binary(data)
    try:
        return _finished(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        encoding = _legacy_encoding(data)
    return _finished(_strict(data, encoding), encoding)


def _empty() -> InputError:
    return InputError("JC101", "the input holds no text", hint="check the export that produced it")


def _strict(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
        if text.encode(encoding) == data:
            return text
    except UnicodeError:
        pass
    raise _undecodable()


def _undecodable() -> InputError:
    return InputError("JC106", "the text encoding could not be determined", hint="save the file as UTF-8")


def _finished(text: str, encoding: str) -> Decoded:
    if not text.strip():
        raise _empty()
    if "\x00" in text:
        raise InputError("JC102", "the input holds NUL characters", hint="save the note as plain UTF-8 text")
    if encoding == "utf-8":
        return Decoded(text, encoding)
    flag = Flag(code="JC109", step="decode", message=f"the text was decoded from {encoding}, not UTF-8")
    return Decoded(text, encoding, (flag,))


def _refuse_binary(data: bytes) -> None:
    hint = "give plain text, or export the note as text first"
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            raise InputError("JC102", f"the input is {what}, not text", hint=hint)
    sample = data[:_SAMPLE]
    if b"\x00" in data or len(_CONTROL.findall(sample)) > _MAX_CONTROL_SHARE * len(sample):
        raise InputError("JC102", "the input is binary, not text", hint=hint)


def _legacy_encoding(data: bytes) -> str:
    """The most plausible encoding of bytes that are not UTF-8. Raises InputError JC106."""
    runs = _HIGH_RUN.findall(data[:_SAMPLE])
    # Western text has single accented letters between plain ones; Chinese text has long runs of high bytes.
    run_length = sum(map(len, runs)) / len(runs)
    if run_length < _WESTERN_RUN and (western := _western(data)):
        return western
    scores = {"gb18030": _share(data, "gb18030", "gb2312", _is_common_gb)}
    if scores["gb18030"] < 1:
        scores["big5"] = _share(data, "big5", "big5", _is_common_big5)
    best = max(scores, key=lambda encoding: scores[encoding])
    if scores[best] >= _MIN_LEGACY_SHARE:
        return best
    return _guessed(data)


def _western(data: bytes) -> str | None:
    for encoding in ("cp1252", "latin-1"):
        if _plausible_western(data, encoding):
            return encoding
    return None


def _share(data: bytes, encoding: str, core: str, common: Callable[[int], bool]) -> float:
    """Of the non-ASCII characters that ``encoding`` reads, the share that its everyday part holds."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    high = [char for char in text[:_SAMPLE] if char > "\x7f"]
    hits = sum(1 for char in high if _is_common(char, core, common))
    return hits / len(high) if high else 0.0


def _is_common(char: str, core: str, common: Callable[[int], bool]) -> bool:
    try:
        pair = char.encode(core)
    except UnicodeEncodeError:
        return False
    return common(pair[0])


def _is_common_gb(lead: int) -> bool:
    return 0xA1 <= lead <= 0xA3 or 0xB0 <= lead <= 0xD7  # punctuation, full-width forms, level-1 characters


def _is_common_big5(lead: int) -> bool:
    return 0xA1 <= lead <= 0xA2 or 0xA4 <= lead <= 0xC6


def _plausible_western(data: bytes, encoding: str) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return not _C1.search(text)


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    if best is None or _C1.search(str(best)):
        raise _undecodable()
    return best.encoding
