"""The chain of the audit log: what an entry is, how it is hashed, and how a walk along entries finds what was touched.

Each entry holds the hash of the one before it, and its own hash covers that: who changes, removes or moves an entry has
to write every later one anew. Who can do even that is found out by an anchor, the number and hash of an entry noted
earlier and kept elsewhere. Pure: knows no database.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from jointcoder.errors import InputError

FORMAT = 1  # of what is hashed
GENESIS = "0" * 64  # before the first entry
LONGEST = 200  # characters of a text in an entry; ids, codes and hashes are shorter
LARGEST = 16_000  # characters of an entry's details; what is larger is told by its hash
DEEPEST = 4
How = Literal["missing", "changed", "unlinked", "cut", "rewritten", "added"]


@dataclass(frozen=True)
class Entry:
    """One line of the log. ``kind`` and ``subject``: which thing it is about; ``versions``: hashes of model, adapters,
    workflow and code book where it is about a coded record; ``previous``: hash of the entry before."""

    seq: int
    time: dt.datetime
    actor: str
    action: str
    kind: str
    subject: str
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    previous: str = GENESIS
    hash: str = ""

    def values(self) -> dict[str, Any]:
        """As JSON knows it; ``read_entry`` is the way back."""
        return {**vars(self), "time": self.time.astimezone(dt.UTC).isoformat(timespec="microseconds")}

    def digest(self) -> str:
        """The hash that the entry should have: SHA-256 of its canonical JSON, all but ``hash``."""
        values = {"format": FORMAT, **self.values()}
        del values["hash"]
        text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Anchor:
    """An entry noted outside of the database: what is before it can no longer be written anew unseen."""

    seq: int
    hash: str

    def write(self, path: Path) -> None:
        """Into a file. InputError JC107 where it cannot be written."""
        try:
            path.write_text(json.dumps({"seq": self.seq, "hash": self.hash}) + "\n", "utf-8")
        except OSError as error:
            raise InputError("JC107", f"{path}: {error.strerror or type(error).__name__}") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file. InputError JC107 (cannot be read), JC104 (holds no anchor)."""
        try:
            value = json.loads(path.read_text("utf-8"))
            seq, digest = value["seq"], value["hash"]
            if type(seq) is not int or not isinstance(digest, str):
                raise TypeError
        except OSError as error:
            raise InputError("JC107", f"{path}: {error.strerror or type(error).__name__}") from None
        except (ValueError, KeyError, TypeError):
            raise InputError("JC104", f"{path} holds no anchor of an audit log") from None
        return cls(seq, digest)


@dataclass(frozen=True)
class Broken:
    """The first entry that is not as it was written.

    ``how``: missing (a number is left out), changed (its content), unlinked (not the one that followed), cut (the log
    ends before it), rewritten (the chain holds, but is not the one that was noted), added (behind the head, by another
    hand).
    """

    seq: int
    how: How


@dataclass(frozen=True)
class Verified:
    """What a walk found: entries seen, the last one, and what is broken first, if anything."""

    rows: int
    seq: int
    hash: str
    broken: Broken | None = None

    @property
    def ok(self) -> bool:
        return self.broken is None


class Walk:
    """Goes along entries in the order of their numbers, from the first one; ``marks`` are entries known from elsewhere
    (the head, an anchor). Stops to look at the first break."""

    def __init__(self, *marks: Anchor) -> None:
        self.marks = {mark.seq: mark.hash for mark in marks if mark.seq}
        self._contradicting = next((mark.seq for mark in marks if mark.seq and self.marks[mark.seq] != mark.hash), None)
        self.rows, self.seq, self.hash = 0, 0, GENESIS
        self.broken: Broken | None = None

    def step(self, entry: Entry) -> bool:
        """Take the next entry: whether the chain holds so far."""
        if self.broken is None:
            self.broken = self._break(entry)
            if self.broken is None:
                self.rows, self.seq, self.hash = self.rows + 1, entry.seq, entry.hash
        return self.broken is None

    def end(self, *, head: int | None = None) -> Verified:
        """What was found, when there is no more. ``head``: how far the log goes by its own account, asked for now."""
        if self.broken is None and max([*self.marks, head or 0]) > self.seq:
            self.broken = Broken(self.seq + 1, "cut")
        if self.broken is None and head is not None and head < self.seq:
            self.broken = Broken(head + 1, "added")
        if self.broken is None and self._contradicting is not None:
            self.broken = Broken(self._contradicting, "rewritten")
        return Verified(self.rows, self.seq, self.hash, self.broken)

    def _break(self, entry: Entry) -> Broken | None:
        if entry.seq != self.seq + 1:
            return Broken(self.seq + 1, "missing")
        if entry.previous != self.hash:
            return Broken(entry.seq, "unlinked")
        if entry.digest() != entry.hash:
            return Broken(entry.seq, "changed")
        if self.marks.get(entry.seq, entry.hash) != entry.hash:
            return Broken(entry.seq, "rewritten")
        return None


def read_entry(line: str) -> Entry:
    """An entry of an exported log. InputError JC104 for what is none."""
    try:
        value = json.loads(line)
        entry = Entry(**{**value, "time": dt.datetime.fromisoformat(value["time"])})
    except (ValueError, KeyError, TypeError):
        raise InputError("JC104", "a line of the exported audit log is no entry") from None
    texts = (entry.actor, entry.action, entry.kind, entry.subject, entry.previous, entry.hash)
    if type(entry.seq) is not int or entry.time.tzinfo is None or not all(isinstance(text, str) for text in texts):
        raise InputError("JC104", "a line of the exported audit log is no entry")
    return entry


def short(text: str) -> str:
    """A text that may stand in the log: an id, code, hash or name as it is; anything longer, or of several lines, or
    that a database cannot hold, as its hash."""
    if len(text) <= LONGEST and text.isprintable():
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Details as JSON that every database gives back as it was. TypeError for what is no id, code, hash or count."""
    made = {short(str(key)): _plain(value, 1) for key, value in values.items()}
    text = json.dumps(made, ensure_ascii=False, sort_keys=True)
    if len(text) > LARGEST:
        return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "characters": len(text)}
    return made


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return short(str(value))
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if depth < DEEPEST and isinstance(value, Mapping):
        return {short(str(key)): _plain(one, depth + 1) for key, one in value.items()}
    if depth < DEEPEST and isinstance(value, list | tuple):
        return [_plain(one, depth + 1) for one in value]
    raise TypeError(f"an audit entry holds no {type(value).__name__}")
