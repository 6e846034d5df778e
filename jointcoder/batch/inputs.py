"""Files and folders → encounters with their places, one after the other, whatever their number.

    for item in Inputs((Path("export.jsonl"), Path("notes/"))).items():
        item.incoming.encounter or item.incoming.error, item.origin

Every file is read by :func:`jointcoder.exchange.reading.read`: this module knows no format, but that files of HL7 v2
are read together, after the others: the messages of a stay may be spread over them. A folder gives its files in
the order of their names, subfolders too; hidden files and those that are still being written (``.tmp``, ``.part``) are
passed over. A text or PDF file that is one encounter goes by its path below the folder, so that a corrected file is
known as the same encounter. The order is the same every time, which is what makes a run repeatable.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointcoder.errors import InputError
from jointcoder.exchange import hl7
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.reading import LINE_SUFFIXES, TABLE_SUFFIXES, WHOLE_FILES, read
from jointcoder.exchange.rows import Forgetful
from jointcoder.exchange.source import PARQUET_SUFFIXES, WORKBOOK_SUFFIXES, Source

if TYPE_CHECKING:
    from jointcoder.exchange.mapping import ColumnMapping
    from jointcoder.records import Encounter

UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an encounter came from: the file as it was named or found, and the place in it (0: not by that)."""

    file: str
    sheet: str = ""
    row: int = 0
    line: int = 0
    record: int = 0
    message: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def key(self) -> str:
        """A name for what stands here, for records that have none of their own."""
        return str(Place(**asdict(self)))


@dataclass(frozen=True, slots=True)
class Item:
    """One record of the input, readable or not, and where it stands."""

    incoming: Incoming
    origin: Origin

    @property
    def id(self) -> str:
        """The encounter's id, or what the record is called; where it has no name, its place."""
        return self.incoming.id or self.origin.key


@dataclass(frozen=True)
class Inputs:
    """What is to be coded. ``mapping`` and ``sheet`` are for tables."""

    paths: tuple[Path, ...]
    mapping: ColumnMapping | None = None
    sheet: str | int | None = None

    def files(self) -> Iterator[tuple[Path, str]]:
        """Each file, and the name of its encounter if it is a single one. Raises InputError JC107 for a path that leads
        nowhere."""
        for path in self.paths:
            if path.is_dir():
                for found in _walk(path):
                    yield found, found.relative_to(path).as_posix()
            elif path.exists():
                yield path, path.name
            else:
                raise InputError("JC107", f"{path}: No such file or directory")

    def items(self) -> Iterator[Item]:
        """Every record. What cannot be read is an item with an error; raises InputError JC107 as :meth:`files`, and
        UsageError JC001 or JC002 as :func:`read`."""
        messages: list[Path] = []
        for path, name in self.files():
            if _holds_messages(path):
                messages.append(path)
                continue
            for incoming in read(path, mapping=self._mapping_of(path), sheet=self._sheet_of(path), seen=Forgetful()):
                yield _item(incoming, path, name)
        if messages:  # of one stay may stand in several files
            sources = [Source.of(path, name=str(path)) for path in messages]
            for incoming in hl7.read_files(sources, Forgetful()):
                yield Item(incoming, Origin(incoming.place.file, message=incoming.place.message))

    def count(self) -> int | None:
        """How many records there are, at a glance: lines of JSON lines and of tables, and files; None where a workbook
        or messages would have to be opened. For the time left only."""
        total = 0
        for path, _ in self.files():
            suffix = path.suffix.casefold()
            if suffix in (*WORKBOOK_SUFFIXES, *hl7.SUFFIXES):
                return None
            if suffix in PARQUET_SUFFIXES:
                total += _rows(path)
            elif suffix in LINE_SUFFIXES:
                total += _lines(path)
            elif suffix in TABLE_SUFFIXES:
                total += max(1, _lines(path) - 1)
            else:
                total += 1
        return total

    def _mapping_of(self, path: Path) -> ColumnMapping | None:
        return self.mapping if path.suffix.casefold() in TABLE_SUFFIXES else None

    def _sheet_of(self, path: Path) -> str | int | None:
        return self.sheet if path.suffix.casefold() in WORKBOOK_SUFFIXES else None


def in_shard(id: str, shard: tuple[int, int] | None) -> bool:
    """Whether an id belongs to shard (i, n), i from 1: by its hash, so that every machine says the same."""
    if shard is None:
        return True
    place, number = shard
    return int.from_bytes(hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()[:8]) % number == place - 1


def _walk(folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """Every file below a folder; its names are in memory at once, to be put in order. A folder that cannot be looked
    into is given itself: reading it says why. Links that lead back up are not followed."""
    try:
        told = folder.stat()
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        yield folder
        return
    if (told.st_dev, told.st_ino) in above:
        return
    for name in names:
        entry = folder / name
        if name.startswith((".", "~$")) or entry.suffix.casefold() in UNFINISHED:
            continue
        if entry.is_dir():
            yield from _walk(entry, above | {(told.st_dev, told.st_ino)})
        elif entry.is_file():
            yield entry


def _item(incoming: Incoming, path: Path, name: str) -> Item:
    place = incoming.place
    origin = Origin(str(path), place.sheet, place.row, place.line, place.record, place.message)
    encounter = incoming.encounter
    if encounter is not None and not place.number and _id_of_text(encounter):
        encounter = encounter.model_copy(update={"id": name})
        incoming = replace(incoming, id=name, encounter=encounter)
    elif incoming.error is not None and not place.number and path.suffix.casefold() in (*WHOLE_FILES, ".txt", ".md"):
        incoming = failed(place, incoming.error, id=name)
    return Item(incoming, origin)


def _holds_messages(path: Path) -> bool:
    """Whether it is a file of HL7 v2; one that cannot be read is none: reading it says why."""
    suffix = path.suffix.casefold()
    if suffix in (*TABLE_SUFFIXES, *LINE_SUFFIXES, *WHOLE_FILES, ".json"):
        return False
    try:
        return hl7.begins(Source.of(path))
    except InputError:
        return False


def _id_of_text(encounter: Encounter) -> bool:
    """Whether the id is the hash that a reader gives a record without one."""
    return encounter.id == type(encounter).from_documents(encounter.documents).id


def _rows(path: Path) -> int:
    """Of a Parquet file, by its footer; one that cannot be read is one record, which fails."""
    from jointcoder.exchange.parquet import rows_in

    try:
        return rows_in(Source.of(path))
    except InputError:
        return 1


def _lines(path: Path) -> int:
    """Line ends, a last line without one included. A file that cannot be read has none: the reader says why."""
    count, last = 0, b"\n"
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                count += block.count(b"\n")
                last = block[-1:]
    except OSError:
        return 0
    return count + (last != b"\n")


def paths(given: Sequence[Path]) -> tuple[Path, ...]:
    """The inputs, each once, in their order."""
    return tuple(dict.fromkeys(given))
