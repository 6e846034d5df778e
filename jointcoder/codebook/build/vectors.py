"""Vectors for the wordings of a built book, so that it can be searched by meaning.

Which wordings: names, inclusion terms and includes notes of categories and codes in the book's first language; the
vectors lead queries in other languages to them as well. One vector stands for all wordings that differ only in what
an embedding tells apart badly and the search weighs by itself:

* the side (*left knee*, *right knee*);
* the 7th character of ICD-10-CM: the heading above is embedded, its default code is found through it;
* the approach of ICD-10-PCS (fifth character), when the rest of two titles is the same.

Lines of the alphabetic index are left out: they are wordings of the same codes, and would double time and memory.

Vectors are centred: a query in another language keeps a constant distance from all names, which is the difference
of the two languages' means; taking each language's own mean away lifted recall at ten from .49 to .55 (Spanish
mentions → English names, training half of CodiEsp). The mean of a language comes from names in it, or from the terms
of the program's own tables (`data/<language>`). Vectors are written as int8 with one scale a dimension; the search
computes in float32.

On disk below the book's folder, beside the indexes, swapped in by rename: `vectors/meta.json` and, a language and
system, the arrays of :class:`jointcoder.codebook.lookup.dense.Vectors`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.analysis import Tables, without_sides
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.embed import Embedder, Progress, VectorStore, load_embedder, prepare
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.lookup.dense import FOLDER, META, VERSION, Vectors, has_vectors, shard_folder
from jointcoder.codebook.postings import Postings
from jointcoder.errors import AssetError
from jointcoder.records import Kind, System

KINDS = ("name", "inclusion", "include")
PHRASES = ("bridge", "phrases", "procedures")  # tables whose first column holds terms of the language
SAMPLE = 500  # texts from which the mean of a language is taken
FEWEST = 20  # texts below which it is not
SEVENTH = 7  # characters of a code with a 7th character, or of ICD-10-PCS
LANGUAGES = ("en", "es", "zh")  # of queries
APPROACH = 4  # place of the approach in an ICD-10-PCS code

__all__ = ["VectorInfo", "add_vectors", "has_vectors"]


@dataclass(frozen=True, slots=True)
class VectorInfo:
    """What was added to a book: the model, how many texts stand for how many wordings, bytes on disk."""

    model: str
    texts: int
    wordings: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Wording:
    """A wording of the book: its first document in the lexical index, where it stands, and its text."""

    document: int
    node: int
    parent: int | None
    code: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Groups:
    """What is embedded for one system: ``texts``, and of each document of the index its text's place, or -1.

    ``members``: the documents through which a text is found; others only share its likeness."""

    texts: list[str]
    members: list[list[int]]
    group_of: NDArray[np.int32]


def add_vectors(
    book: CodeBook, *, cache: Path, embedder: Embedder | None = None, progress: Progress | None = None
) -> VectorInfo:
    """Embed the wordings of ``book`` and put the vectors beside its indexes; old ones are replaced.

    ``cache``: the folder that keeps the vectors of every text ever embedded; what is there is not computed again, so
    an interrupted run goes on where it stopped and a rebuilt book costs only its new wordings. Raises UsageError
    JC002 without an embedder, AssetError JC205 when something cannot be written, JC207 when the book changed under it.
    """
    embedder = embedder or load_embedder()
    store = VectorStore(cache, embedder.name, embedder.dimensions)
    language = book.info.languages[0]
    groups = {system: found for system in book.info.systems if (found := _groups(book, language, system)).texts}
    samples = {other: sample for other in LANGUAGES if other != language and (sample := _sample(book, other))}
    parts = [*(group.texts for group in groups.values()), *samples.values()]
    vectors = store.fill([text for part in parts for text in part], embedder, progress)
    ends = np.cumsum([len(part) for part in parts])
    cut = [np.asarray(part, dtype=np.float32) for part in np.split(vectors, ends[:-1])]
    means = {other: part.mean(axis=0) for other, part in zip(samples, cut[len(groups) :], strict=True)}
    if CodeBook.open(book.path).info.sha256 != book.info.sha256:
        hint = "run it again: nothing is embedded twice"
        raise AssetError("JC207", f"the code book {book.path} was built anew meanwhile", hint=hint)
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{FOLDER}.", dir=book.path))
    except OSError as error:
        raise AssetError("JC205", f"cannot write to {book.path} ({error.strerror})") from None
    try:
        for (system, group), part in zip(groups.items(), cut, strict=False):
            made = Vectors.build(part, group.members, group.group_of, means)
            made.save(work / shard_folder(language, system))
        meta = {"version": VERSION, "model": embedder.name, "dimensions": embedder.dimensions, "book": book.info.sha256}
        (work / META).write_text(json.dumps(meta, indent=1), "utf-8")
        size = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
        work.chmod(0o755)
        shutil.rmtree(book.path / FOLDER, ignore_errors=True)
        work.rename(book.path / FOLDER)
    except OSError as error:
        raise AssetError("JC205", f"cannot write the vectors of {book.path} ({error.strerror})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    wordings = sum(len(documents) for group in groups.values() for documents in group.members)
    return VectorInfo(embedder.name, sum(len(group.texts) for group in groups.values()), wordings, size)


def _groups(book: CodeBook, language: str, system: System) -> _Groups:
    """Wordings that become the same text share a vector."""
    lookup = Lookup(book, dense="off")
    shard = lookup.shard(language, system)
    if shard is None:
        return _Groups([], [], np.empty(0, dtype=np.int32))
    engine = lookup.analyser(language)
    wordings = [w for w in _wordings(book, shard, system) if not _extended(w, system)]
    texts = _without_approach(wordings) if system is System.ICD10PCS else [w.text for w in wordings]
    places: dict[str, int] = {}
    members: list[list[int]] = []
    of_term = np.full(int(shard.term.max()) + 1, -1, dtype=np.int32)
    of_node: dict[int, int] = {}
    for wording, text in zip(wordings, texts, strict=True):
        plain = prepare(without_sides(engine, text, procedures=system.kind is Kind.PROCEDURE)) or prepare(text)
        if not plain:
            continue
        place = places.setdefault(plain, len(places))
        if place == len(members):
            members.append([])
        members[place].append(wording.document)
        of_term[shard.term[wording.document]] = place
        of_node.setdefault(wording.node, place)
    for wording in _wordings(book, shard, system):
        if _extended(wording, system) and wording.parent in of_node:
            of_term[shard.term[wording.document]] = of_node[wording.parent]
    return _Groups(list(places), members, of_term[shard.term])


def _extended(wording: _Wording, system: System) -> bool:
    """Whether the wording is the title of a code with a 7th character."""
    return system is System.ICD10CM and wording.kind == "name" and len(normalise_code(wording.code)) == SEVENTH


def _wordings(book: CodeBook, shard: Postings, system: System) -> Iterator[_Wording]:
    """The first document of every wording: as printed, before its variants."""
    terms, documents = np.unique(np.asarray(shard.term), return_index=True)
    document_of = dict(zip(terms.tolist(), documents.tolist(), strict=True))
    marks = ",".join("?" * len(KINDS))
    rows = book.rows(
        f"SELECT t.id, n.id, n.parent, n.code, t.kind, t.text FROM term t JOIN node n ON n.id = t.node"
        f" WHERE n.system = ? AND t.kind IN ({marks}) ORDER BY t.id",
        system,
        *KINDS,
    )
    for term, *rest in rows:
        if term in document_of:
            yield _Wording(document_of[term], *rest)


def _without_approach(wordings: Sequence[_Wording]) -> list[str]:
    """Titles without their last part where codes that differ only in the approach say the rest alike.

    What those last parts are is learnt from such groups, so that a title that stands alone loses its own as well.
    """
    groups: dict[tuple[str, str], set[str]] = {}
    for wording in wordings:
        groups.setdefault(_but_approach(wording), set()).add(wording.text)
    approaches: set[str] = set()
    for titles in groups.values():
        cut = [title.rpartition(", ") for title in titles]
        if len(cut) > 1 and len({rest for rest, *_ in cut}) == 1 and cut[0][0]:
            approaches.update(last for *_, last in cut)
    found = []
    for wording in wordings:
        rest, _, last = wording.text.rpartition(", ")
        found.append(rest if rest and last in approaches else wording.text)
    return found


def _but_approach(wording: _Wording) -> tuple[str, str]:
    code = wording.code
    return (code[:APPROACH] + code[APPROACH + 1 :] if len(code) == SEVENTH else code, wording.kind)


def _sample(book: CodeBook, language: str) -> list[str]:
    """Terms in ``language``: names of the book, evenly taken, or the phrases of the program's own tables."""
    tables: Mapping[str, Sequence[tuple[str, ...]]] = Tables.load(language).rows
    if language in book.info.languages:
        rows = book.rows(
            "SELECT name.text FROM name JOIN node n ON n.id = name.node WHERE name.lang = ? AND n.level IN"
            " ('category', 'code') ORDER BY name.node",
            language,
        )
        texts = [text for (text,) in rows[:: max(1, len(rows) // SAMPLE)]]
    else:
        texts = [row[0] for name in PHRASES for row in tables.get(name, ())]
    texts = list(dict.fromkeys(filter(None, map(prepare, texts))))[:SAMPLE]
    return texts if len(texts) >= FEWEST else []
