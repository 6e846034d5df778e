"""One HL7 v2 message as text: its delimiters, segments and fields, and the escapes within them.

    message = Message.parse(text)
    message.first("PID").value(3)          # PID-3, first repetition, first component, unescaped
    unescape(escape("a|b"), …) == "a|b"

Fields are numbered as the standard numbers them. Nothing is checked but what reading needs: that there is an MSH, that
every line is a segment, that the version is known. A line break within a text field, which some senders leave as it is,
belongs to the field. Errors name the segment's number, never what stands there. This module knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jointcoder.errors import InputError, name_list
from jointcoder.exchange.values import data

NULL = '""'
"""What a sender writes to say that there is nothing (any more)."""

_HEAD = re.compile(r"MSH([^A-Za-z0-9\s])")
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_TYPE = re.compile(r"[A-Z]{3}(?:\^[A-Z0-9]{3})?")
_LONGEST = 1 << 16  # characters of an escape sequence
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_COMMAND = re.compile(r"\.(br|ce|sp|sk|fi|nf|in|ti)([+-]?\d*)", re.IGNORECASE)
_SPACED = 200  # blanks or lines that a command may ask for
_UNSAFE = re.compile("[\x00-\x1f\x7f]")
_LONE = re.compile("[\ud800-\udfff]")
_SHORTEST = 3  # a segment's name alone, which a line of a text may also be
_WITH_TEXT = ("OBX", "NTE", "ADD")  # segments whose last fields may hold line breaks


@cache
def words() -> Mapping[str, Any]:
    """``data/hl7.toml``; read once, never changed."""
    return data("hl7")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The characters that part a message. ``escape`` and ``truncation`` may be "" (not used)."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding(self) -> str:
        """MSH-2."""
        return f"{self.component}{self.repetition}{self.escape}{self.subcomponent}{self.truncation}"


STANDARD = Delimiters()


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment. ``number``: its place in the message, from 1; ``fields[n]`` is field n as it came, ``fields[0]`` the
    name."""

    name: str
    number: int
    fields: tuple[str, ...]
    delimiters: Delimiters
    charset: str = "utf-8"

    def raw(self, number: int) -> str:
        """A field as it came; "" where the segment is shorter, and for what was sent as null."""
        text = self.fields[number] if number < len(self.fields) else ""
        return "" if text == NULL else text

    def is_null(self, number: int) -> bool:
        """Whether the field says that there is nothing any more."""
        return number < len(self.fields) and self.fields[number] == NULL

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field as they came; none for an empty field."""
        text = self.raw(number)
        if not text:
            return []
        return text.split(self.delimiters.repetition) if self.delimiters.repetition else [text]

    def value(self, number: int, component: int = 1, *, repetition: int = 0) -> str:
        """A component (its first subcomponent), unescaped and without blanks around it; "" where there is none."""
        found = self.repetitions(number)
        return self.component(found[repetition], component) if repetition < len(found) else ""

    def component(self, repetition: str, number: int) -> str:
        """A component of a repetition, as :meth:`value` gives it."""
        parts = repetition.split(self.delimiters.component)
        if number > len(parts):
            return ""
        mark = self.delimiters.subcomponent
        first = parts[number - 1].split(mark)[0] if mark else parts[number - 1]
        return "" if first == NULL else self.text(first).strip()

    def text(self, raw: str) -> str:
        """What came, unescaped."""
        return unescape(raw, self.delimiters, charset=self.charset)

    def plain(self, number: int) -> str:
        """A field in the standard delimiters, whatever those of the message: to be kept and sent again."""
        mine, text = self.delimiters, self.raw(number)
        if mine == STANDARD or not text:
            return text
        parts = re.split(f"([{re.escape(mine.component + mine.repetition + mine.subcomponent)}])", text)
        marks = {mine.component: "^", mine.repetition: "~", mine.subcomponent: "&"}
        return "".join(marks[one] if place % 2 else escape(self.text(one)) for place, one in enumerate(parts))


@dataclass(frozen=True, slots=True)
class Message:
    """A message. ``type``: MSH-9.1, ``event``: MSH-9.2, or EVN-1 where that is empty; ``broken_lines``: of text fields
    that held line breaks."""

    segments: tuple[Segment, ...]
    type: str
    event: str
    broken_lines: int = 0
    _named: dict[str, list[Segment]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, *, charset: str = "utf-8") -> Message:
        """The message. ``charset``: the encoding that hexadecimal escapes are in. InputError JC170 (no MSH), JC171
        (torn), JC172 (another version), JC173 (a type that is not read)."""
        delimiters = delimiters_of(text)
        lines, broken = _lines(text, delimiters)
        segments = tuple(_segments(lines, delimiters, charset))
        head = segments[0]
        _require_version(head.value(12))
        type = head.value(9)
        evn = next((one.value(1) for one in segments if one.name == "EVN"), "")
        event = head.value(9, 2) or evn
        _require_type(type, event)
        named: dict[str, list[Segment]] = {}
        for one in segments:
            named.setdefault(one.name, []).append(one)
        return cls(segments, type, event, broken, named)

    def first(self, name: str) -> Segment | None:
        """The first segment of a name."""
        return next(iter(self._named.get(name, ())), None)

    def all(self, name: str) -> list[Segment]:
        """The segments of a name, in order."""
        return self._named.get(name, [])

    def value(self, name: str, number: int, component: int = 1) -> str:
        """Of the first segment of a name; "" without one."""
        one = self.first(name)
        return one.value(number, component) if one is not None else ""


def delimiters_of(text: str) -> Delimiters:
    """What MSH-1 and MSH-2 say. InputError JC170 without an MSH, JC171 where they say nothing that parts anything."""
    found = _HEAD.match(text)
    if found is None:
        raise InputError("JC170", "no MSH segment", hint="an HL7 v2 message begins with MSH")
    separator = found[1]
    marks = re.split(r"[\r\n]", text[4:], maxsplit=1)[0].split(separator, 1)[0]
    if not 1 <= len(marks) <= 5 or len({separator, *marks}) < len(marks) + 1 or re.search(r"[A-Za-z0-9\s]", marks):
        raise InputError("JC171", "MSH-2 does not name the delimiters")
    return Delimiters(separator, *marks, *[""] * (5 - len(marks)))


def charset_named(head: str) -> str:
    """Python's name of the character set that MSH-18 of a segment names; "" where it names none that is known."""
    named = head.split(head[3])[17:18] if len(head) > 3 else []
    if not named or not named[0]:
        return ""
    first = re.split(r"[~^]", named[0], maxsplit=1)[0]
    plain = "".join(letter for letter in first.casefold() if letter.isalnum())
    found: str = words()["charsets"].get(plain.removeprefix("iso"), "")
    return found


def shown(type: str, event: str) -> str:
    """A message's type for people; "" for what has not the form of one."""
    name = f"{type}^{event}" if event else type
    return name if _TYPE.fullmatch(name) else ""


# ------------------------------------------------------------------------------------------------------------- escapes


def escape(text: str, delimiters: Delimiters = STANDARD) -> str:
    """The text as a field may hold it: delimiters, line ends and control characters escaped; a lone surrogate, which no
    encoding has, becomes U+FFFD."""
    mark = delimiters.escape
    if text == NULL:
        return f'{mark}X22{mark}"'
    marks = {
        delimiters.escape: "E",
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.subcomponent: "T",
        delimiters.repetition: "R",
    }
    table = {ord(char): f"{mark}{name}{mark}" for char, name in marks.items() if char}
    table |= {ord("\n"): f"{mark}.br{mark}"}
    written = text.translate(table)
    written = _UNSAFE.sub(lambda found: f"{mark}X{ord(found[0]):02X}{mark}", written)
    return _LONE.sub("\ufffd", written)


def unescape(text: str, delimiters: Delimiters = STANDARD, *, charset: str = "utf-8") -> str:
    """What a field says: the escapes of its delimiters, of bytes (``X…``, in ``charset``) and of line breaks turned
    into what they stand for; those of highlighting and of local meaning left out. A mark that begins none stays."""
    mark = delimiters.escape
    if not mark or mark not in text:
        return text
    found: list[str] = []
    place = 0
    while (start := text.find(mark, place)) >= 0:
        found.append(text[place:start])
        end = text.find(mark, start + 1, start + _LONGEST)
        meant = _meaning(text[start + 1 : end], delimiters, charset) if end > start + 1 else None
        if meant is None:
            found.append(mark)
            place = start + 1
            continue
        place = end + 1
        while meant[1] and (more := _bytes_at(text, place, mark)):  # a character may be spread over several
            meant = (meant[0] + more[0], True)
            place = more[1]
        found.append(_decoded(meant[0], charset) if meant[1] else meant[0].decode("utf-8", "surrogatepass"))
    found.append(text[place:])
    return "".join(found)


def _meaning(sequence: str, delimiters: Delimiters, charset: str) -> tuple[bytes, bool] | None:
    """What an escape stands for, and whether that is bytes of the message's encoding; None where it is no escape."""
    named = {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "P": delimiters.truncation or "#",
        "H": "",
        "N": "",
    }
    if sequence in named:
        return named[sequence].encode("utf-8"), False
    kind, rest = sequence[0], sequence[1:]
    if kind in "Xx" and _HEX.fullmatch(rest):
        return bytes.fromhex(rest), True
    if kind in "CM" and _HEX.fullmatch(rest):
        return b"", False  # a change of the character set: what follows is read in that of the message
    if kind == "Z" and rest.isalnum():
        return b"", False
    if command := _COMMAND.fullmatch(sequence):
        return _laid_out(command[1].lower(), command[2]).encode("utf-8"), False
    return None


def _laid_out(command: str, number: str) -> str:
    times = min(int(number), _SPACED) if number.lstrip("+").isdecimal() else 1
    if command in ("br", "ce"):
        return "\n"
    return {"sp": "\n" * times, "sk": " " * times}.get(command, "")


def _bytes_at(text: str, place: int, mark: str) -> tuple[bytes, int] | None:
    """The bytes of an escape that begins there, and where it ends."""
    if not text.startswith((f"{mark}X", f"{mark}x"), place):
        return None
    end = text.find(mark, place + 1, place + _LONGEST)
    digits = text[place + 2 : end] if end > 0 else ""
    return (bytes.fromhex(digits), end + 1) if _HEX.fullmatch(digits) else None


def _decoded(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset)
    except UnicodeDecodeError:
        return data.decode("latin-1")


# ------------------------------------------------------------------------------------------------------------ segments


def _lines(text: str, delimiters: Delimiters) -> tuple[list[str], int]:
    """The segments as lines, and how many line breaks stood within fields. InputError JC171."""
    first = re.search(r"[\r\n]", text)
    alone = first is not None and text[first.start() :][:1] == "\r" and text[first.end() :][:1] != "\n"
    parts = text.split("\r") if alone else re.split(r"\r\n|\r|\n", text)
    found: list[str] = []
    broken = 0
    for number, part in enumerate(parts, start=1):
        line = part.lstrip("\n") if alone else part
        if not line.strip():
            if line or number < len(parts):
                _carry(found, line)
            continue
        within = bool(found) and found[-1].startswith(_WITH_TEXT)
        if _begins_segment(line, delimiters) and not (within and len(line) == _SHORTEST):
            broken += line.count("\n")
            found.append(line)
        elif within:
            broken += 1
            found[-1] += f"\n{line}"
        else:
            raise InputError("JC171", f"line {number} of the message is no segment", hint="the message is torn")
    return [line.rstrip("\n") for line in found], broken


def _carry(found: list[str], line: str) -> None:
    """A blank line within a text belongs to it; what is blank at the end of a segment is taken off later."""
    if found and found[-1].startswith(_WITH_TEXT):
        found[-1] += f"\n{line}".rstrip(" \t")


def _begins_segment(line: str, delimiters: Delimiters) -> bool:
    return _NAME.match(line) is not None and line[3:4] in ("", delimiters.field)


def _segments(lines: list[str], delimiters: Delimiters, charset: str) -> Iterator[Segment]:
    joined: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith("ADD") and joined:  # the rest of a field that was too long for its segment
            joined[-1] = (joined[-1][0], joined[-1][1] + line[4:])
        else:
            joined.append((number, line))
    for number, line in joined:
        fields = line.split(delimiters.field)
        if fields[0] in ("MSH", "FHS", "BHS"):
            fields[1:1] = [delimiters.field]  # the separator is itself the first field
        yield Segment(fields[0], number, tuple(fields), delimiters, charset)


def _require_version(version: str) -> None:
    known: list[str] = words()["versions"]
    if not version:
        raise InputError("JC171", "the MSH segment breaks off before the version (MSH-12)")
    if version not in known:
        named = f" {version}" if re.fullmatch(r"\d\.\d(\.\d)?", version) else ""
        raise InputError("JC172", f"version{named} is not read", hint=f"versions that are: {name_list(known)}")


def _require_type(type: str, event: str) -> None:
    types = words()["types"]
    if not type:
        raise InputError("JC171", "the MSH segment has no message type (MSH-9)")
    if not isinstance(types.get(type), str) or event in types["unread"]:
        named = f" {shown(type, event)}" if shown(type, event) else ""
        hint = "ORU and MDM give documents; ADT and BAR the stay, but not those that merge or move records"
        raise InputError("JC173", f"messages of this type{named} are not read", hint=hint)
