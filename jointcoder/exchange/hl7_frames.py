"""A file of HL7 v2 messages → where each one stands, and its text: streaming, whatever parts the messages.

    for frame in frames(file): …          # one after the other, or in the blocks of MLLP, or in a batch
    text, charset, flags = text_of(read(file, frame), path)

A message begins with MSH at the beginning of a line or of a block (0x0B … 0x1C); what stands around messages and is
none of them is a frame with an error. Envelopes (FHS, BHS, BTS, FTS) are no messages; where they count the messages and
count others than came, that is an error too. Bytes become text by MSH-18, or as they are found to be. All encodings
that HL7 v2 names but UTF-16 and UTF-32 leave ASCII as it is, so that a message is found before it is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from jointcoder.errors import InputError
from jointcoder.exchange.hl7_message import charset_named
from jointcoder.exchange.incoming import STEP
from jointcoder.records import Flag
from jointcoder.text.decode import decode

SUFFIXES = (".hl7", ".er7")
START, END = b"\x0b", b"\x1c"  # of a block of MLLP
_BLOCK = 1 << 20
_UNIT = re.compile(rb"\x0b|(?:\A|(?<=[\r\n\x1c]))(?:\xef\xbb\xbf)?[ \t]*(?=(?:MSH|FHS|BHS|BTS|FTS)[^A-Za-z0-9\s])")
_SIGNATURE = re.compile(rb"(?:\xef\xbb\xbf)?[\s\x0b]*(?:MSH|FHS|BHS)([^\w\s])[^\w\s]{3,5}(?:\1|[\r\n])")
_LOOK = 16  # bytes that decide whether a unit begins
_AROUND = b"\r\n\t \x00\xef\xbb\xbf"
_ENVELOPE = (b"FHS", b"BHS", b"BTS", b"FTS")


@dataclass(frozen=True, slots=True)
class Frame:
    """A message of a file: its ``number`` from 1, where it stands in bytes; or what is wrong at that place, or with a
    ``batch`` as a whole (from 1)."""

    number: int
    start: int = 0
    size: int = 0
    error: InputError | None = None
    batch: int = 0


def begins(head: bytes) -> bool:
    """Whether a file that begins with these bytes holds HL7 v2 messages."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.replace(b"\x00", b"")[2:]
    return _SIGNATURE.match(head) is not None


def frames(file: IO[bytes]) -> Iterator[Frame]:
    """The messages of a file, from its beginning. Errors: JC170 (something else than a message), JC171 (a block that is
    not closed, an envelope that counts other messages)."""
    number = held = batches = 0
    for start, size, unit in _units(file):
        kind = unit.removeprefix(START).lstrip(_AROUND)[:3]
        batches += kind == b"BTS"
        if kind == b"BTS" and (told := _told(unit)) not in (None, held):
            problem = f"the batch says it holds {told} messages; {held} came"
            error = InputError("JC171", problem, hint="the file is torn, or part of it is lost")
            yield Frame(0, error=error, batch=batches)
        if kind in _ENVELOPE:
            held = 0
            continue
        if not unit.strip(_AROUND + START + END):
            continue
        number += 1
        held += 1
        if kind != b"MSH":
            yield Frame(number, error=InputError("JC170", "no MSH segment", hint="an HL7 v2 message begins with MSH"))
            continue
        if unit.startswith(START) and END not in unit:
            yield Frame(number, error=InputError("JC171", "the block breaks off before its end (0x1C)"))
            continue
        end = unit.find(END)
        yield Frame(number, start, size if end < 0 else end)
        if end >= 0 and unit[end:].strip(_AROUND + END):
            number += 1
            yield Frame(number, error=InputError("JC170", "between two blocks stands something else than a message"))


def read(file: IO[bytes], frame: Frame) -> bytes:
    """The bytes of a message, from MSH to its last segment."""
    file.seek(frame.start)
    return file.read(frame.size).lstrip(_AROUND + START).rstrip(b"\x00")


def text_of(data: bytes, path: str) -> tuple[str, str, tuple[Flag, ...]]:
    """The text of a message, the encoding it is in, and flags (JC109: not in the one that MSH-18 names, or not UTF-8).
    InputError JC106 or JC102, beginning with ``path``."""
    charset = charset_named(_head(data))
    if data.isascii():
        return data.decode("ascii"), "utf-8" if charset in ("", "ascii") else charset, ()
    if charset == "ascii":
        charset = ""
    try:
        return data.decode(charset or "utf-8"), charset or "utf-8", ()
    except UnicodeDecodeError:
        pass
    try:
        found = decode(data)
    except InputError as error:
        raise InputError(error.code, f"{path}: {error.message}", hint=error.hint) from None
    if charset:
        message = f"{path}: not in the character set that MSH-18 names; decoded from {found.encoding}"
        return found.text, found.encoding, (Flag(code="JC109", step=STEP, message=message),)
    flags = tuple(flag.model_copy(update={"message": f"{path}: {flag.message}"}) for flag in found.flags)
    return found.text, found.encoding, flags


def _head(data: bytes) -> str:
    """The MSH segment, decoded so that its delimiters can be told from halves of Chinese characters."""
    line = re.split(rb"[\r\n]", data, maxsplit=1)[0]
    for encoding in ("utf-8", "gb18030"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")


def _units(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """(start, size, bytes) of everything from one beginning of a message, block or envelope to the next."""
    pending, offset, done = b"", 0, False
    searched = 0
    while not done:
        file.seek(offset + len(pending))  # who takes the frames reads from the file too
        block = file.read(_BLOCK)
        done = not block
        pending += block
        last = len(pending) if done else max(0, len(pending) - _LOOK)
        begin = 0
        for found in _UNIT.finditer(pending, searched):
            if found.start() >= last:
                break
            if found.start() > begin and not _only_start(pending[begin : found.start()]):
                yield offset + begin, found.start() - begin, pending[begin : found.start()]
                begin = found.start()
        searched = max(0, last - begin - 1) if last > begin else 0
        if begin:
            pending = pending[begin:]
            offset += begin
    if pending:
        yield offset, len(pending), pending


def _only_start(unit: bytes) -> bool:
    """Whether it is the mark before a message, which belongs to that."""
    return unit.startswith(START) and not unit[1:].strip(_AROUND)


def _told(unit: bytes) -> int | None:
    """How many messages the end of a batch counts (BTS-1)."""
    body = unit.strip(_AROUND + START + END)
    fields = re.split(rb"[\r\n]", body, maxsplit=1)[0].split(body[3:4])
    told = fields[1].strip() if len(fields) > 1 else b""
    return int(told) if told.isdigit() else None
