"""Bytes → text, strictly: what is decoded encodes back to the same bytes, and nothing is ever replaced.

Order of trial: byte-order mark, UTF-8, UTF-16 without its mark, then the legacy encodings that hospital exports really
use (GB18030, Big5 with its extensions of Windows and Hong Kong, Windows-1252), told apart by how ordinary the text
would be, and charset-normalizer for whatever is left. A database field that was cut at a number of bytes may end within
a character: what is left of that one is dropped, and said (JC150). Knows nothing of file formats beyond the signatures
it refuses.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from jointcoder.errors import InputError
from jointcoder.records import Flag
from jointcoder.text.normalise import normalise

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
_EXPORT = "give plain text, or export the note as text first"
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_C1 = re.compile("[\x80-\x9f]")
_MAX_CONTROL_SHARE = 0.01
_MIN_LEGACY_SHARE = 0.7
_MIN_UTF16_SHARE = 0.9
_FEW = 4  # characters from which UTF-16 without a zero byte is believed
_LONGEST = 4  # bytes of a character
_SHORTEST_CUT = 64  # bytes of a text that may have been cut within a character
_FREQUENT, _RARER = 2, 1
_WESTERN_RUN = 1.4  # mean length of a run of high bytes
_SAMPLE = 200_000


@dataclass(frozen=True)
class Decoded:
    """The text, the Python name of the encoding it came in, and flags (JC109 if that was not UTF-8, JC150 if it ended
    within a character)."""

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
            return _finished(*_strict(data[len(mark) :], encoding), encoding)
    _refuse_signatures(data)
    if _is_binary(data):
        bare = _bare_utf16(data, least=1 if b"\x00" in data[:_SAMPLE] else _FEW)
        if bare is None:
            raise InputError("JC102", "the input is binary, not text", hint=_EXPORT)
        return _finished(*_strict(data, bare), bare)
    try:
        return _finished(*_cut(data, "utf-8"), "utf-8")
    except UnicodeDecodeError:
        encoding = _legacy_encoding(data)
    return _finished(*_strict(data, encoding), encoding)


def _empty() -> InputError:
    return InputError("JC101", "the input holds no text", hint="check the export that produced it")


def _strict(data: bytes, encoding: str) -> tuple[str, int]:
    """The text, and how many bytes of a last character were dropped. InputError JC106."""
    try:
        text, dropped = _cut(data, encoding)
        if text.encode(encoding) == data[: len(data) - dropped]:
            return text, dropped
    except UnicodeError:
        pass
    raise _undecodable()


def _cut(data: bytes, encoding: str) -> tuple[str, int]:
    """The text without a last character that was cut, and the number of bytes left of that one.

    UnicodeDecodeError where anything else is wrong.
    """
    try:
        return data.decode(encoding), 0
    except UnicodeDecodeError as error:
        whole, rest = data[: error.start], data[error.start :]
        told = len(data) >= _SHORTEST_CUT and not whole.isascii()  # that it is text of this encoding at all
        if not (told and len(rest) < _LONGEST and _is_incomplete(rest, encoding)):
            raise
        return whole.decode(encoding), len(rest)


def _is_incomplete(rest: bytes, encoding: str) -> bool:
    """Whether the bytes are the beginning of a character, not wrong ones."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        return not decoder.decode(rest, final=False) and bool(decoder.getstate()[0])
    except UnicodeDecodeError:
        return False


def _undecodable() -> InputError:
    return InputError("JC106", "the text encoding could not be determined", hint="save the file as UTF-8")


def _finished(text: str, dropped: int, encoding: str) -> Decoded:
    if not text.strip():
        raise _empty()
    if "\x00" in text:
        raise InputError("JC102", "the input holds NUL characters", hint="save the note as plain UTF-8 text")
    flags = []
    if encoding != "utf-8":
        message = f"the text was decoded from {encoding}, not UTF-8"
        flags.append(Flag(code="JC109", step="decode", message=message))
    if dropped:
        message = f"the text ends within a character; {dropped} bytes of it were left out"
        flags.append(Flag(code="JC150", step="decode", message=message))
    return Decoded(text, encoding, tuple(flags))


def _bare_utf16(data: bytes, *, least: int = 1) -> str | None:
    """UTF-16 in the byte order in which at least ``least`` characters make Chinese or English text, or None."""
    if len(data) % 2 or len(data) < 2 * least:
        return None
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text and _sensible(text[:_SAMPLE]) >= _MIN_UTF16_SHARE:
            return encoding
    return None


def _sensible(text: str) -> float:
    """The share of printable ASCII, white space and characters that GB2312 holds in simplified form."""
    counts = Counter(text)
    good = sum(count for char, count in counts.items() if char.isspace() or (char.isprintable() and _rank(char)))
    return good / len(text)


def _refuse_signatures(data: bytes) -> None:
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            raise InputError("JC102", f"the input is {what}, not text", hint=_EXPORT)


def _is_binary(data: bytes) -> bool:
    sample = data[:_SAMPLE]
    return b"\x00" in data or len(_CONTROL.findall(sample)) > _MAX_CONTROL_SHARE * len(sample)


def _legacy_encoding(data: bytes) -> str:
    """The most plausible encoding of bytes that are not UTF-8. Raises InputError JC106."""
    if encoding := _bare_utf16(data, least=_FEW):
        return encoding
    runs = _HIGH_RUN.findall(data[:_SAMPLE])
    # Western text has single accented letters between plain ones; Chinese text has long runs of high bytes.
    run_length = sum(map(len, runs)) / len(runs)
    if run_length < _WESTERN_RUN and (western := _western(data)):
        return western
    scores = {encoding: _share(data, encoding) for encoding in ("gb18030", *_taiwanese(data))}
    best = max(scores, key=lambda encoding: scores[encoding])
    if scores[best] >= _MIN_LEGACY_SHARE:
        return best
    return _guessed(data)


def _taiwanese(data: bytes) -> tuple[str, ...]:
    """The narrowest form of Big5 that reads the bytes."""
    for encoding in ("big5", "cp950", "big5hkscs"):
        try:
            _cut(data, encoding)
        except UnicodeDecodeError:
            continue
        return (encoding,)
    return ()


def _western(data: bytes) -> str | None:
    for encoding in ("cp1252", "latin-1"):
        if _plausible_western(data, encoding):
            return encoding
    return None


def _share(data: bytes, encoding: str) -> float:
    """Of the non-ASCII characters that ``encoding`` reads, the share that is ordinary."""
    try:
        text, _ = _cut(data, encoding)
    except UnicodeDecodeError:
        return 0.0
    high = sum(char > "\x7f" for char in text[:_SAMPLE])
    return _ordinary(text[:_SAMPLE]) / high if high else 0.0


def _ordinary(text: str) -> int:
    """How many characters are of everyday Chinese text, in simplified or traditional form."""
    return sum(count for char, count in Counter(text).items() if char > "\x7f" and _rank(char) == _FREQUENT)


@lru_cache(maxsize=1 << 14)
def _rank(char: str) -> int:
    """Of the character's simplified form: frequent (or punctuation, or full-width), rarer, or not in GB2312 (0)."""
    plain = normalise(char, lower=False).text
    if plain.isascii():
        return _FREQUENT
    try:
        lead = plain.encode("gb2312")[0]
    except UnicodeEncodeError:
        return 0
    return _FREQUENT if 0xA1 <= lead <= 0xA3 or 0xB0 <= lead <= 0xD7 else _RARER


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
