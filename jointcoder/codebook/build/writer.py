"""Nodes of a classification → a code book on disk, all or nothing.

A builder (us, cn) hands over :class:`Draft` nodes in printed order; this module numbers them, writes ``book.sqlite``,
the lexical indexes and ``meta.json`` into a temporary folder beside the target and swaps it in by rename. A failed
build leaves the old book as it was. It knows no file formats of the sources.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from jointcoder.codebook.analysis import PART, Analyser, Tables, analyser
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import FORMAT, BookInfo, Source
from jointcoder.codebook.postings import Document, Postings
from jointcoder.codebook.wordings import EXTERNAL, INDEX, INDEX_KINDS, variants
from jointcoder.errors import AssetError, CodeBookError
from jointcoder.records import Kind, System

Progress = Callable[[int, int], None]
_Row = tuple[Any, ...]
_Bag = tuple[frozenset[str], int, int]

BATCH = 2000  # nodes stored at once

_SCHEMA = """
CREATE TABLE node (id INTEGER PRIMARY KEY, system TEXT NOT NULL, code TEXT NOT NULL, key TEXT NOT NULL,
  name TEXT NOT NULL, level TEXT NOT NULL, billable INTEGER NOT NULL, parent INTEGER, last INTEGER NOT NULL);
CREATE TABLE name (node INTEGER NOT NULL, lang TEXT NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (node, lang)) WITHOUT ROWID;
CREATE TABLE term (id INTEGER PRIMARY KEY, node INTEGER NOT NULL, lang TEXT NOT NULL, kind TEXT NOT NULL,
  text TEXT NOT NULL);
CREATE TABLE note (node INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, label TEXT NOT NULL,
  text TEXT NOT NULL, PRIMARY KEY (node, position)) WITHOUT ROWID;
CREATE TABLE period (system TEXT NOT NULL, key TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
  PRIMARY KEY (system, key, start)) WITHOUT ROWID;
CREATE TABLE edit (system TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, start INTEGER NOT NULL,
  end INTEGER NOT NULL, PRIMARY KEY (system, key, name, start)) WITHOUT ROWID;
CREATE TABLE vocabulary (shard TEXT NOT NULL, word TEXT NOT NULL, PRIMARY KEY (shard, word)) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX node_key ON node (key, system);
CREATE INDEX node_parent ON node (parent);
CREATE INDEX term_node ON term (node);
"""


@dataclass(slots=True)
class Draft:
    """A node while the book is being built. ``parent``: position in the list of drafts, which is in pre-order."""

    system: System
    code: str
    name: str
    level: str
    billable: bool
    parent: int | None = None
    names: dict[str, str] = field(default_factory=dict)
    terms: list[tuple[str, str, str]] = field(default_factory=list)  # language, kind, text
    notes: list[tuple[str, str, str]] = field(default_factory=list)  # kind, label, text
    listed: bool = True  # whether its wordings can be searched


@dataclass(frozen=True, slots=True)
class Dated:
    """A period (``name`` empty) or an editor's flag (``name``) of a code; days as yyyymmdd, inclusive."""

    system: System
    key: str
    start: int
    end: int
    name: str = ""


@dataclass(frozen=True)
class Table:
    """A table beside those of the nodes: its definition (``CREATE TABLE …``), its rows, and its indexes. The module
    that reads it defines it; this module only carries it into the book, and its rows into the book's hash."""

    name: str
    definition: str
    rows: Sequence[tuple[Any, ...]]
    indexes: Sequence[str] = ()


@dataclass
class Part:
    """What one source contributes to a book."""

    drafts: list[Draft] = field(default_factory=list)
    periods: list[Dated] = field(default_factory=list)
    edits: list[Dated] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def __add__(self, other: Part) -> Part:
        names = ("drafts", "periods", "edits", "tables")
        return Part(*([*getattr(self, name), *getattr(other, name)] for name in names))


@dataclass(frozen=True)
class Plan:
    """All that goes into a book. ``usage``: language → the folder of word tables for how its names are worded."""

    id: str
    edition: str
    language: str
    drafts: Sequence[Draft]
    sources: Sequence[Source]
    periods: Sequence[Dated] = ()
    edits: Sequence[Dated] = ()
    extra: Sequence[Table] = ()
    usage: Mapping[str, str] = field(default_factory=dict)


def describe_source(path: Path, name: str | None = None) -> Source:
    """Name, sha256 and size of a source file. CodeBookError JC502 when it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Source(name or path.name, digest, path.stat().st_size)
    except OSError as error:
        raise CodeBookError("JC502", f"{path.name}: cannot be read ({error.strerror})") from None


def write(plan: Plan, target: Path, *, progress: Progress | None = None) -> BookInfo:
    """Build ``target`` (a folder). AssetError JC205 when it cannot be written; the old book stays then."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise AssetError("JC205", f"cannot write to {target.parent} ({error.strerror})") from None
    try:
        info = _write_into(work, plan, progress or (lambda done, total: None))
        _swap(work, target)
    except OSError as error:
        raise AssetError("JC205", f"cannot write the code book {target} ({error.strerror})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return info


def _swap(work: Path, target: Path) -> None:
    old = work.with_name(work.name + ".old")
    if target.exists():
        target.rename(old)
    try:
        work.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_into(folder: Path, plan: Plan, progress: Progress) -> BookInfo:
    drafts = plan.drafts
    systems = tuple(sorted({draft.system for draft in drafts}))
    languages = tuple(dict.fromkeys((plan.language, *sorted({lang for d in drafts for lang in d.names}))))
    total = 2 * len(drafts)
    with sqlite3.connect(folder / "book.sqlite") as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.executescript(_SCHEMA)
        digest = _write_nodes(connection, plan, lambda done: progress(done, total))
        for table in plan.extra:
            _write_table(connection, table, digest)
        tables = {language: Tables.load(language, plan.usage.get(language, "")) for language in languages}
        done = len(drafts)
        for language in languages:
            engine = analyser(tables[language])
            for system in systems:
                words = _write_index(connection, folder, language, system, engine)
                done += sum(d.system is system for d in drafts) // len(languages)
                progress(min(done, total - 1), total)
                digest.update(f"{language}{system}{words}".encode())
        connection.executescript(_INDEXES)
        connection.executescript(";".join(index for table in plan.extra for index in table.indexes))
        connection.execute("ANALYZE")
    connection.close()
    for language in languages:
        digest.update(tables[language].digest().encode())
    info = BookInfo(
        id=plan.id,
        edition=plan.edition,
        systems=systems,
        languages=languages,
        sha256=digest.hexdigest(),
        counts={
            str(system): {
                "entries": sum(d.system is system for d in drafts),
                "billable": sum(d.system is system and d.billable for d in drafts),
            }
            for system in systems
        },
        sources=tuple(plan.sources),
        tables=own_tables(),
    )
    (folder / "analysis.json").write_text(
        json.dumps({language: table.to_json() for language, table in tables.items()}, ensure_ascii=False), "utf-8"
    )
    (folder / "meta.json").write_text(json.dumps(_meta(info), ensure_ascii=False, indent=1), "utf-8")
    progress(total, total)
    return info


def own_tables() -> str:
    """sha256 of the word tables of this program (``codebook/data``): a book built with others is out of date."""
    digest = hashlib.sha256()
    pending = [resources.files("jointcoder.codebook").joinpath("data")]
    while pending:
        place = pending.pop()
        if place.is_dir():
            pending += sorted(place.iterdir(), key=lambda item: item.name, reverse=True)
        elif place.name.endswith((".tsv", ".txt")):
            digest.update(place.name.encode() + b"\0" + place.read_bytes())
    return digest.hexdigest()


def _meta(info: BookInfo) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "id": info.id,
        "edition": info.edition,
        "systems": list(info.systems),
        "languages": list(info.languages),
        "sha256": info.sha256,
        "tables": info.tables,
        "counts": info.counts,
        "sources": [{"name": s.name, "sha256": s.sha256, "bytes": s.bytes} for s in info.sources],
    }


def _write_nodes(connection: sqlite3.Connection, plan: Plan, progress: Callable[[int], None]) -> Any:
    drafts = plan.drafts
    last = list(range(len(drafts)))
    for number in range(len(drafts) - 1, -1, -1):
        parent = drafts[number].parent
        if parent is not None:
            last[parent] = max(last[parent], last[number])
    digest = hashlib.sha256(f"format {FORMAT} tables {own_tables()} edition {plan.edition}".encode())
    rows: list[_Row] = []
    names: list[_Row] = []
    wordings: list[_Row] = []
    notes: list[_Row] = []

    def store() -> None:
        connection.executemany("INSERT INTO node VALUES (?,?,?,?,?,?,?,?,?)", rows)
        connection.executemany("INSERT INTO name VALUES (?,?,?)", names)
        connection.executemany("INSERT INTO term VALUES (NULL,?,?,?,?)", wordings)
        connection.executemany("INSERT INTO note VALUES (?,?,?,?,?)", notes)
        digest.update(json.dumps([rows, names, wordings, notes], ensure_ascii=False).encode())
        for batch in (rows, names, wordings, notes):
            batch.clear()

    for number, draft in enumerate(drafts):
        key, level = normalise_code(draft.code), draft.level
        up = draft.parent
        rows.append((number, draft.system, draft.code, key, draft.name, level, draft.billable, up, last[number]))
        held = {plan.language: draft.name, **draft.names}
        names += [(number, lang, text) for lang, text in held.items()]
        if draft.listed:
            titles = ((lang, "name", text) for lang, text in held.items())
            wordings += [(number, *term) for term in dict.fromkeys((*titles, *draft.terms))]
        notes += [(number, position, *note) for position, note in enumerate(draft.notes)]
        if number % BATCH == BATCH - 1:
            store()
            progress(number)
    store()
    periods = [(p.system, p.key, p.start, p.end) for p in plan.periods]
    edits = [(e.system, e.key, e.name, e.start, e.end) for e in plan.edits]
    connection.executemany("INSERT OR REPLACE INTO period VALUES (?,?,?,?)", periods)
    connection.executemany("INSERT OR REPLACE INTO edit VALUES (?,?,?,?,?)", edits)
    digest.update(json.dumps([periods, edits]).encode())
    return digest


def _write_table(connection: sqlite3.Connection, table: Table, digest: Any) -> None:
    connection.execute(table.definition)
    if table.rows:
        marks = ",".join("?" * len(table.rows[0]))
        connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", table.rows)
    digest.update(table.name.encode())
    digest.update(json.dumps(table.rows, ensure_ascii=False).encode())


def shard_name(language: str, system: System) -> str:
    """The folder of one index below ``index/``."""
    return f"{language}.{system}"


def _write_index(connection: sqlite3.Connection, folder: Path, language: str, system: System, engine: Analyser) -> int:
    shard = shard_name(language, system)
    documents = list(_documents(connection, language, system, engine))
    if not documents:
        return 0
    vocabulary = {word for document in documents for word in document.words}
    weights = {word: engine.weight(word) for word in vocabulary}
    Postings.build(documents, weights).save(folder / "index" / shard)
    if language != "zh":  # misspellings are looked up among words; Chinese has none of this kind
        rows = [(shard, word) for word in sorted(vocabulary)]
        connection.executemany("INSERT INTO vocabulary VALUES (?,?)", rows)
    return len(documents)


def _documents(connection: sqlite3.Connection, language: str, system: System, engine: Analyser) -> Iterator[Document]:
    rows: Iterable[tuple[int, int, str, str, int]] = connection.execute(
        "SELECT t.id, t.node, t.kind, t.text, n.billable FROM term t JOIN node n ON n.id = t.node"
        " WHERE t.lang = ? AND n.system = ? AND n.level != 'chapter' AND n.level != 'block' ORDER BY t.id",
        (language, system),
    )
    procedures = system.kind is Kind.PROCEDURE
    connectives = {row[0]: row[1] for row in engine.tables.get("connectives")}
    owners: dict[_Bag, list[int]] = {}
    lines: list[tuple[_Bag, Document]] = []
    for term, node, kind, text, billable in rows:
        seen: set[str] = set()
        for wording, part in variants(text, kind=kind, language=language, connectives=connectives):
            found = engine.analyse(wording, procedures=procedures)
            key = found.key
            if not found.words or key in seen:
                continue
            seen.add(key)
            words: dict[str, bool] = {}
            for word in found.words:
                words[word.text] = words.get(word.text, True) and word.aside
            bag = (frozenset(words), found.side, found.marks)
            if kind == EXTERNAL or (kind == INDEX and len(words) == 1):
                key = ""  # a word such as "age" or "fall" is no condition wherever it stands in running text
            if system is System.ICD10PCS and kind != INDEX and not billable:
                key = ""  # nor is "occlusion of the carotid artery" an operation
            document = Document(term, node, words, key, found.side, found.marks | (PART if part else 0))
            if kind in INDEX_KINDS:
                lines.append((bag, document))
            else:
                owners.setdefault(bag, []).append(node)
                yield document
    yield from _of_index(lines, owners, _last_below(connection, system))


def _last_below(connection: sqlite3.Connection, system: System) -> dict[int, int]:
    return dict(connection.execute("SELECT id, last FROM node WHERE system = ?", (system,)))


def _of_index(
    lines: Iterable[tuple[_Bag, Document]], owners: Mapping[_Bag, Sequence[int]], last: Mapping[int, int]
) -> Iterator[Document]:
    """Lines of the index that say something else than the titles, each bag of words once a node.

    A wording that is a title belongs to its code; the index may only lead on from a heading to a code below it.
    """
    given: set[tuple[int, _Bag]] = set()
    for bag, document in lines:
        titles = owners.get(bag, ())
        if titles and not any(node < document.node <= last[node] for node in titles):
            continue
        if document.node not in titles and (document.node, bag) not in given:
            given.add((document.node, bag))
            yield document
