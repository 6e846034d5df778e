"""The documents of a message: OBX of words as lines, OBX with files through their readers, titled by OBR or TXA.

    for given in documents_of(message, "message 3"): …

A result report (ORU) gives a document for each OBR, a document notification (MDM) one; where the OBX within name
several things (findings, impression), a document for each of them. TX, FT and ST are words, unless they are a result (a
number, or with units or a range); ED is a file; RP points to one that is not held. Other types are results, which are
not read here. This module knows messages, not stays: what replaces what is said (:class:`Given`), not done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from jointcoder.errors import InputError
from jointcoder.exchange.attached import IMAGES, Read, from_base64, read_bytes
from jointcoder.exchange.hl7_message import Message, Segment, words
from jointcoder.exchange.incoming import STEP
from jointcoder.records import Document, Flag
from jointcoder.text.sections import canonical_name

WORDS = ("TX", "FT", "ST", "")
Key = tuple[str, ...]
_ED = 5  # components of a file
_NUMBER = re.compile(r"[<>=~±\s]*[+-]?[\d.,]+(?:\s*[/:x*-]\s*[\d.,]+)?\s*%?")
_KINDS = {"pdf": "application/pdf", "html": "text/html", "xhtml": "application/xhtml+xml", "rtf": "text/rtf"} | {
    name.removeprefix("image/"): name for name in IMAGES
}
_KINDS |= {"jpg": "image/jpeg", "tif": "image/tiff", "xml": "text/xml", "x-hl7-cda-level-one": "text/xml"}


@dataclass(frozen=True, slots=True)
class Given:
    """What a message says of one document. ``key``: what a later message with the same takes the place of; ``replaces``
    another that it does; ``void``: there is no such document any more; ``whole``: it brings what is to stand under the
    key, be it nothing. ``dated``: the day, as it came."""

    key: Key
    replaces: Key | None = None
    void: bool = False
    whole: bool = True
    documents: tuple[Document, ...] = ()
    dated: str = ""
    flags: tuple[Flag, ...] = ()
    problems: tuple[InputError, ...] = ()


@dataclass
class _Group:
    """An OBR or TXA with its OBX."""

    head: Segment | None
    results: list[Segment] = field(default_factory=list)


def documents_of(message: Message, path: str) -> Iterator[Given]:
    """The documents of a message; ``path`` names it in what is said of them."""
    if message.type == "MDM":
        head = message.first("TXA")
        results = message.all("OBX")
        yield _notified(message, _Group(head, results), path)
        return
    if message.type != "ORU":
        return
    groups: list[_Group] = []
    for segment in message.segments:
        if segment.name == "OBR":
            groups.append(_Group(segment))
        elif segment.name == "OBX":
            if not groups:
                groups.append(_Group(None))
            groups[-1].results.append(segment)
    for place, group in enumerate(groups):
        yield _reported(message, group, place, path)


def day_of(message: Message) -> str:
    """When the first document of a message was made, as it came: TXA-4, OBR-7 or OBR-22; else when it was sent."""
    txa, obr = message.first("TXA"), message.first("OBR")
    told = (txa.value(4) or txa.value(6)) if txa is not None else ""
    if not told and obr is not None:
        told = obr.value(7) or obr.value(22)
    return told or message.value("MSH", 7)


def _notified(message: Message, group: _Group, path: str) -> Given:
    head, events, void = group.head, words()["events"], words()["void"]
    if head is None:
        return _given(group, ("MDM", message.value("MSH", 10)), path)
    key = head.value(12) or message.value("MSH", 10)
    parent = head.value(13) if message.event in events["replacement"] else ""
    gone = (
        message.event in events["cancel_document"]
        or head.value(17) in void["status"]
        or head.value(19) in void["availability"]
    )
    if gone:
        return Given(("TXA", key), void=True)
    title = head.value(2, 2) or words()["titles"].get(head.value(2), "") or head.value(2)
    replaces = ("TXA", parent) if parent else None
    return _given(group, ("TXA", key), path, title=title, dated=head.value(4) or head.value(6), replaces=replaces)


def _reported(message: Message, group: _Group, place: int, path: str) -> Given:
    head = group.head
    if head is None:
        return _given(group, ("ORU", message.value("MSH", 10)), path)
    order = head.value(3) or head.value(2)
    key = ("OBR", order, head.value(4)) if order else ("ORU", message.value("MSH", 10), str(place))
    if head.value(25) in words()["void"]["report"]:
        return Given(key, void=True)
    return _given(group, key, path, title=_titled(head, 4), dated=head.value(7) or head.value(22))


def _given(
    group: _Group, key: Key, path: str, *, title: str = "", dated: str = "", replaces: Key | None = None
) -> Given:
    stand = [one for one in group.results if one.value(11) not in words()["void"]["status"]]
    kind = group.head.value(4 if group.head.name == "OBR" else 2) if group.head is not None else ""
    name = key[1]
    documents: list[Document] = []
    flags: list[Flag] = []
    problems: list[InputError] = []
    for part in _parts(stand, title):
        at = f"{path}: OBX in segment {part.first.number}"
        try:
            document, said = part.read(at)
        except InputError as error:
            problems.append(error)
            continue
        flags += said
        if document is not None:
            documents.append(document.model_copy(update={"title": part.title, "kind": kind}))
    numbered = [
        one.model_copy(update={"id": name if len(documents) == 1 else f"{name}#{place}"})
        for place, one in enumerate(documents, start=1)
    ]
    return Given(
        key=key,
        replaces=replaces,
        void=bool(group.results) and not stand,
        whole=bool(documents or problems),
        documents=tuple(numbered),
        dated=dated,
        flags=tuple(flags),
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Part:
    """OBX that make one document."""

    type: str
    segments: Sequence[Segment]
    title: str

    @property
    def first(self) -> Segment:
        return self.segments[0]

    def read(self, at: str) -> tuple[Document | None, tuple[Flag, ...]]:
        """The document, without an id; None for one that is not held or empty. InputError as :func:`read_bytes`."""
        if self.type == "RP":
            return None, (Flag(code="JC176", step=STEP, message=f"{at} points to a document that is not in the file"),)
        if self.type == "ED":
            read = _file(self.first, at)
            return read.document, read.flags
        lines = [one.text(text) for one in self.segments for text in one.repetitions(5) or [""]]
        text = "\n".join(lines)
        return (Document(id="", text=text) if text.strip() else None), ()


def _parts(results: Sequence[Segment], title: str) -> Iterator[_Part]:
    """Runs of OBX that name the same thing as one, files one by one, results left out."""

    def sort(one: Segment) -> tuple[str, str]:
        type = one.value(2).upper()
        if type in ("ED", "RP"):
            return type, str(one.number)
        if type not in WORDS or _is_result(one, type):
            return "", ""
        return "TX", one.raw(3)

    runs = [(key, list(group)) for key, group in groupby(results, key=sort) if key[0]]
    several = len(runs) > 1
    for (type, _), segments in runs:
        yield _Part(type, segments, _joined(title, _titled(segments[0], 3), several=several))


def _is_result(one: Segment, type: str) -> bool:
    """Whether words are a result: a short one with units, a range or a mark, or nothing but a number."""
    if type != "ST":
        return False
    return any(one.raw(number) for number in (6, 7, 8)) or _NUMBER.fullmatch(one.value(5)) is not None


def _titled(segment: Segment, number: int) -> str:
    """The words of a coded field: its own, else those of its code."""
    own: str = words()["titles"].get(segment.value(number), "")
    return segment.value(number, 2) or segment.value(number, 5) or own


def _joined(above: str, own: str, *, several: bool) -> str:
    """The title of a part: its own where that names a kind of section or nothing stands above it, else both."""
    if not own or own.casefold() == above.casefold() or (not several and above):
        return above or own
    return own if not above or canonical_name(own) is not None else f"{above} / {own}"


def _file(segment: Segment, at: str) -> Read:
    """The document of an ED field: source, type, subtype, encoding, data."""
    parts = segment.raw(5).split(segment.delimiters.component)
    if len(parts) < _ED:
        raise InputError(
            "JC164", f"{at}: not the five components of a file", hint="ED is source^type^subtype^encoding^data"
        )
    _, family, subtype, coding = (segment.text(one).strip().casefold() for one in parts[: _ED - 1])
    written = segment.text(segment.delimiters.component.join(parts[_ED - 1 :]))
    kind = _KINDS.get(subtype) or _KINDS.get(family) or ""
    if coding == "base64":
        data = from_base64(written, at)
    elif coding == "hex":
        try:
            data = bytes.fromhex(written)
        except ValueError:
            raise InputError("JC164", f"{at} is not hexadecimal") from None
    elif coding in ("", "a"):
        return read_bytes(written.encode("utf-8", "surrogatepass"), kind, charset="utf-8", path=at)
    else:
        raise InputError("JC164", f"{at}: the encoding of the file is none of Base64, Hex and A")
    return read_bytes(data, kind, path=at)
