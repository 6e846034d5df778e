"""Copies: strings of an answer that must stand in the request's context, enforced while they are written.

A schema marks such a string by ``"x-copy": true``. At every step of decoding the copy written so far, with the
candidate token behind it, must occur in the text; so what the model "quotes" cannot be invented.

    answer so far   {"diagnoses": ["acute app
    the text        … admitted with acute appendicitis. No acute appendage …
    may follow      "endi", "end", "e", …   in the text behind one of the copy's two occurrences

A copy begins and ends at word boundaries: between any two characters that are not both letters or digits of a script
that puts spaces between words (so anywhere in Chinese). It may be empty. Where an answer cannot go on so (a limit of
length inside a word), the copy may end inside the word.

Tokens are bytes: one may hold part of a character, an escape, or a quotation mark and the JSON behind it. So what is
written is read byte by byte (:class:`Scanner`), and the places where the copy stands in the text are narrowed down as
it grows (:meth:`Note.extend`). The text's control characters that JSON cannot hold without ``\\u`` escapes, which the
grammar does not write, end a copy. This module knows nothing of grammars or engines; numpy is all it uses.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jointcoder.llm.structured import COPY

Schema = Mapping[str, Any]
Ends = Sequence[int] | NDArray[np.int64]

SHORTLIST = 256  # likeliest tokens sorted before the others
FEW = 64  # places fewer than this are held in a list, more in an array
QUOTE, BACKSLASH = 0x22, 0x5C
ESCAPES = {ord(name): value for name, value in zip('"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True)}
_RAW = re.compile(rb'[^"\\\x00-\x1f]+')  # bytes of a string that stand for themselves
_UNSPACED = ("CJK ", "HIRAGANA ", "KATAKANA", "BOPOMOFO ", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")
_INSIDE, _WHOLE, _BOUNDARY = 0, 1, 2  # between bytes: within a character, within a word, at a word's edge


def copies(schema: Schema) -> bool:
    """Whether the schema marks any string as a copy."""
    if schema.get(COPY):
        return True
    parts = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return any(copies(part) for part in parts)


# -------------------------------------------------------------------------------------------------------- the text


class Note:
    """A text to copy from, as UTF-8. Lone surrogates are read as the engine reads them: as question marks."""

    def __init__(self, text: str) -> None:
        self.text = text.encode("utf-8", "replace")
        self._bytes = np.full(len(self.text) + 1, -1, dtype=np.int16)  # the end matches no byte
        self._bytes[:-1] = np.frombuffer(self.text, dtype=np.uint8)
        self._joints = _joints(self.text.decode("utf-8"))
        self.starts: NDArray[np.int64] = np.flatnonzero(self._joints == _BOUNDARY)
        self._starting: dict[int, NDArray[np.int64]] = {}

    def extend(self, ends: Ends, piece: bytes) -> Ends:
        """Of the places where a copy ends those behind which ``piece`` follows, moved behind it."""
        if not isinstance(ends, np.ndarray):
            return [end + len(piece) for end in ends if self.text.startswith(piece, end)]
        if ends is self.starts and piece:
            ends, piece = self._started(piece[0]), piece[1:]
        found: NDArray[np.int64] = ends
        for byte in piece:
            found = found[self._bytes[found] == byte] + 1
        return list(found.tolist()) if len(found) < FEW else found

    def _started(self, byte: int) -> NDArray[np.int64]:
        """The places behind ``byte`` where it begins a copy; the same at every copy's beginning."""
        if byte not in self._starting:
            self._starting[byte] = self.starts[self._bytes[self.starts] == byte] + 1
        return self._starting[byte]

    def following(self, ends: Ends) -> set[int]:
        """The bytes that follow at any of the places."""
        if isinstance(ends, np.ndarray):
            return set(np.unique(self._bytes[ends]).tolist()) - {-1}
        return {self.text[end] for end in ends if end < len(self.text)}

    def closes(self, ends: Ends, *, anywhere: bool = False) -> bool:
        """Whether a copy may end at one of the places; ``anywhere``: inside a word, too."""
        return bool((self._joints[ends] >= (_WHOLE if anywhere else _BOUNDARY)).any())


def _joints(text: str) -> NDArray[np.uint8]:
    """For each place between the bytes of ``text``, its two ends included: may a copy begin or end there?"""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    distinct, which = np.unique(points, return_inverse=True)
    word = np.array([_spaced(chr(point)) for point in distinct], dtype=bool)[which]
    width = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
    joints = np.full(int(width.sum()) + 1, _INSIDE, dtype=np.uint8)
    at = np.concatenate([[0], np.cumsum(width)])
    joints[at] = _BOUNDARY
    joints[at[1:-1][word[:-1] & word[1:]]] = _WHOLE
    return joints


def _spaced(character: str) -> bool:
    """Whether a character is part of a word in a script that puts spaces between words."""
    if not (character.isalnum() or unicodedata.combining(character)):
        return False
    return not unicodedata.name(character, "").startswith(_UNSPACED)


# ----------------------------------------------------------------------------------------------------- the answer


OUTSIDE, KEY, PLAIN, COPIED = range(4)  # where a scanner stands: outside strings, in a key, in a value


class State(NamedTuple):
    """What a scanner has read. ``open``: the brackets owed, (is an object, its schema), outermost first; ``coming``:
    the schema of the value that comes next, None where a key does; ``key``: of the key being read; ``escape``: one
    that has begun; ``ends``: where the copy being read ends in the text."""

    open: tuple[tuple[bool, Schema], ...]
    coming: Schema | None
    mode: int = OUTSIDE
    key: bytes = b""
    escape: bytes = b""
    ends: Ends = ()


class Scanner:
    """Reads a JSON text that follows ``schema`` byte by byte, far enough to know where its copies are.

    It does not check the text: the grammar does.
    """

    def __init__(self, schema: Schema) -> None:
        self.start = State((), schema)

    def step(self, state: State, byte: int) -> tuple[State, bytes]:
        """The state behind ``byte``, and what this adds to a copy, unescaped. Raises ValueError for an escape or a
        control character that JSON does not know, in a copy."""
        if state.mode == OUTSIDE:
            return _outside(state, byte), b""
        if state.escape:
            if state.mode != COPIED:  # the digits of \u look after themselves
                return state._replace(escape=b"", key=state.key + bytes([byte])), b""
            escape = state.escape + bytes([byte])
            text = _unescaped(escape)
            return state._replace(escape=b"" if text else escape), text
        if byte == QUOTE:
            return _closed(state), b""
        if byte == BACKSLASH:
            return state._replace(escape=b"\\", key=state.key + b"\\"), b""
        if state.mode == KEY:
            return state._replace(key=state.key + bytes([byte])), b""
        if state.mode == COPIED and byte < 0x20:
            raise ValueError("a control character in a string")
        return state, bytes([byte]) if state.mode == COPIED else b""


def _outside(state: State, byte: int) -> State:
    coming = state.coming
    if byte == QUOTE:
        if coming is None:
            return state._replace(mode=KEY, key=b"")
        return state._replace(mode=COPIED if coming.get(COPY) else PLAIN)
    if byte == ord("{"):
        return state._replace(open=(*state.open, (True, coming or {})), coming=None)
    if byte == ord("["):
        schema = coming or {}
        return state._replace(open=(*state.open, (False, schema)), coming=schema.get("items", {}))
    if byte in b"}]":
        return state._replace(open=state.open[:-1], coming={})
    if byte == ord(",") and state.open:
        is_object, schema = state.open[-1]
        return state._replace(coming=None if is_object else schema.get("items", {}))
    return state


def _closed(state: State) -> State:
    """Behind the quotation mark that ends a string."""
    if state.mode != KEY:
        return state._replace(mode=OUTSIDE, ends=(), key=b"")
    try:
        key = json.loads(b'"' + state.key + b'"')
    except ValueError:
        key = None
    schema = state.open[-1][1].get("properties", {}) if state.open else {}
    return state._replace(mode=OUTSIDE, key=b"", coming=schema.get(key, {}))


def _unescaped(escape: bytes) -> bytes:
    """What an escape stands for, in UTF-8; b"" while it is incomplete."""
    if escape[1] != ord("u"):
        if escape[1] not in ESCAPES:
            raise ValueError("an unknown escape")
        return bytes([ESCAPES[escape[1]]])
    if len(escape) < 6:
        return b""
    unit = _unit(escape[:6])
    if not 0xD800 <= unit < 0xDC00:
        return chr(unit).encode("utf-8")  # refuses a lone surrogate: a ValueError
    if not rb"\u".startswith(escape[6:8]):
        raise ValueError("a lone surrogate")
    if len(escape) < 12:
        return b""
    low = _unit(escape[6:])
    if not 0xDC00 <= low < 0xE000:
        raise ValueError("a lone surrogate")
    return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)).encode("utf-8")


def _unit(escape: bytes) -> int:
    if not escape[2:].isalnum():  # int() would take signs and spaces
        raise ValueError("an unknown escape")
    return int(escape[2:], 16)


# --------------------------------------------------------------------------------------------------- the constraint


class Copying:
    """The state of one answer whose copies must stand in ``note``. A token is given as the bytes that it writes."""

    def __init__(self, schema: Schema, note: Note) -> None:
        self._scanner = Scanner(schema)
        self._note = note
        self._state = self._scanner.start

    @property
    def inside(self) -> bool:
        """Whether a copy is being written."""
        return self._state.mode == COPIED

    def allows(self, piece: bytes, *, anywhere: bool = False) -> bool:
        """Whether ``piece`` keeps the copies in the text, and the one it may leave open can go on or end."""
        return self._after(piece, anywhere) is not None

    def accept(self, piece: bytes) -> None:
        """Go on by a piece that :meth:`allows`."""
        state = self._after(piece, True)
        if state is None:
            raise ValueError("this piece would leave the text that is being copied")
        self._state = state

    def first_bytes(self) -> set[int]:
        """Inside a copy: the bytes with which what is allowed next can begin."""
        if self._state.escape:
            return {*ESCAPES, ord("u")}
        found = self._note.following(self._state.ends)
        raw = {byte for byte in found if byte >= 0x20 and byte not in (QUOTE, BACKSLASH)}
        return raw | {QUOTE, BACKSLASH}

    def _after(self, piece: bytes, anywhere: bool) -> State | None:
        state, note, at = self._state, self._note, 0
        if not piece and state.mode == COPIED:
            return None  # a control token writes nothing: there would be no end of it
        while at < len(piece):
            raw = _RAW.match(piece, at) if state.mode == COPIED and not state.escape else None
            if raw is not None:  # many bytes at once; the same as one after the other
                text, at, state_after = raw.group(), raw.end(), state
            else:
                try:
                    state_after, text = self._scanner.step(state, piece[at])
                except ValueError:
                    return None
                at += 1
            if text:
                ends = note.extend(state.ends, text)
                if not len(ends):
                    return None
                state_after = state_after._replace(ends=ends)
            elif state_after.mode == COPIED != state.mode:
                state_after = state_after._replace(ends=note.starts)
            elif state.mode == COPIED != state_after.mode and not note.closes(state.ends, anywhere=anywhere):
                return None
            state = state_after
        # An escape that is only begun: something that can be escaped must follow in the text.
        begun = state.mode == COPIED and state.escape
        if begun and (begun != b"\\" or not note.following(state.ends) & {*ESCAPES.values()}):
            return None
        return state


def held(schema: Schema | None, texts: Sequence[str]) -> list[Copying | None]:
    """For each answer what holds its copies to its text, None where the schema marks none. A text is prepared once."""
    if schema is None or not copies(schema):
        return [None] * len(texts)
    notes = {text: Note(text) for text in set(texts)}
    return [Copying(schema, notes[text]) for text in texts]


class Pieces:
    """The bytes that a model's tokens write. Asked for once, and only when needed."""

    def __init__(self, piece: Callable[[int], bytes], vocabulary: int) -> None:
        self._piece, self._vocabulary = piece, vocabulary
        self._known: dict[int, bytes] = {}
        self._by_first: list[NDArray[np.int64]] = []

    def __getitem__(self, token: int) -> bytes:
        if token not in self._known:
            self._known[token] = self._piece(token)
        return self._known[token]

    def beginning(self, bytes_: set[int]) -> NDArray[np.int64]:
        """The tokens that begin with one of the bytes, in ascending order."""
        if not self._by_first:
            first = np.array([(self[t] or b"\0")[0] + (256 if not self[t] else 0) for t in range(self._vocabulary)])
            self._by_first = [np.flatnonzero(first == byte) for byte in range(256)]
        parts = [self._by_first[byte] for byte in sorted(bytes_)]
        return np.sort(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)


def by_logit(tokens: NDArray[np.int64], row: NDArray[np.float32]) -> Iterator[int]:
    """The tokens, likeliest first; of equal ones the lowest number. Sorted in two parts: mostly the first will do."""
    logits = row[tokens]
    near = np.ones(len(tokens), dtype=bool)
    if len(tokens) > SHORTLIST:
        near = logits > np.partition(logits, -SHORTLIST)[-SHORTLIST]
    for part in (near, ~near):
        order = np.argsort(-logits[part], kind="stable")
        yield from tokens[part][order].tolist()
