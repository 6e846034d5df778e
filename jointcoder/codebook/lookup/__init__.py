"""Find codes by wording: same words first, then alike ones, the default code before the qualified one.

    lookup = Lookup(book)                                 # by words; by meaning too where the book has vectors
    lookup.search("heart failure", kind=Kind.DIAGNOSIS)   # [Hit(code, name, term, score, sources), …]

| source | finds | where |
|---|---|---|
| `exact` | the same wording after levelling | `lexical.py` |
| `lexical` | wordings that share words, weighed by rarity | `lexical.py`, `codebook/postings.py` |
| `index` | the same, the wording being a line of the alphabetic index | |
| `axes` | legal ICD-10-PCS codes of the axes that a wording names | `codebook/pcs_reading.py`, `pcs_coding.py` |
| `alias` | wordings that coders have coded before | `aliases.py` |
| `dense` | wordings of like meaning, in any language | `dense.py`, `codebook/build/vectors.py` |

How a hit is scored: likeness of the wordings, times factors for what the two say differently — another side,
"other …", a heading instead of a code; the sources joined by :mod:`.fuse`. All codes that share a word take part;
several wordings of a code are one hit, its best. ``score`` is 1 for the same wording and comparable within one query;
it is no probability. Order: score, then code.

Knows nothing of context: negation, patient and dates are the business of the steps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.analysis import (
    Analyser,
    Analysis,
    Tables,
    WordAnalyser,
    analyser,
    language_of,
    without_sides,
)
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.bridge import BridgeAnalyser
from jointcoder.codebook.lookup.dense import Dense, Vectors
from jointcoder.codebook.lookup.fuse import Found, dense_score, join
from jointcoder.codebook.lookup.headings import Headings
from jointcoder.codebook.lookup.hits import Place, Query, to_hits
from jointcoder.codebook.lookup.lexical import Documents, factors, match
from jointcoder.codebook.model import Hit, Spotted
from jointcoder.codebook.pcs_coding import Coding, Guess
from jointcoder.codebook.pcs_reading import lexicon_of
from jointcoder.codebook.postings import Postings
from jointcoder.errors import AssetError, UsageError, name_list
from jointcoder.records import Kind, System

if TYPE_CHECKING:
    from jointcoder.codebook.embed import Embedder
    from jointcoder.codebook.lookup.aliases import Aliases

__all__ = ["WAYS", "Lookup"]

POOL = 400  # wordings looked at closely
GROUPS = 100  # texts taken from the vectors
REMEMBERED = 2048  # answers kept at hand: the same wordings come again and again
LONGEST = 600  # characters of a query that are read: a term, not a note
WAYS = ("fused", "lexical", "dense")
NOTHING: Documents = np.empty(0, dtype=np.int64)


class Lookup:
    """Searching over one :class:`CodeBook`. Indexes are mapped on first use; safe to share between threads.

    ``dense``: ``auto`` searches by meaning too where the book has vectors and the machine the embedder, and says in
    :attr:`notice` what is missing; ``on`` insists (UsageError JC002, AssetError JC203, JC207); ``off`` is by words
    only. ``aliases``: wordings learnt from coded history. ``embedder``: another than the default one.
    """

    def __init__(
        self,
        book: CodeBook,
        *,
        dense: str = "auto",
        aliases: Aliases | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.book = book
        self._lock = Lock()
        self._shards: dict[tuple[str, System], Postings | None] = {}
        self._analysers: dict[str, Analyser] = {}
        self._headings = Headings(book)
        self._coding = Coding(book)
        self._dense, self._notice = Dense.of(book, dense, embedder)
        self._aliases = None if aliases is None else aliases.over(self)
        self._remembered = lru_cache(REMEMBERED)(self._sought)

    @property
    def notice(self) -> str:
        """Why this lookup does not search by meaning, for a person to read; empty when it does or was told not to."""
        return self._notice

    @property
    def dense(self) -> bool:
        """Whether this lookup searches by meaning."""
        return self._dense is not None

    @property
    def way(self) -> str:
        """How this lookup searches, for the record: ``lexical``, with the embedder's name where it searches by meaning
        too, and ``aliases`` where it has some."""
        embedder = [self._dense.embedder.name] if self._dense else []
        return " + ".join(["lexical", *embedder, *(["aliases"] if self._aliases else [])])

    def search(
        self,
        text: str,
        *,
        kind: Kind,
        lang: str | None = None,
        k: int = 10,
        system: System | None = None,
        billable: bool | None = None,
        source: str = "fused",
    ) -> list[Hit]:
        """The ``k`` codes whose wordings are most like ``text``.

        ``lang``: of the query (default: by its characters); where the book has no names in it, they are sought through
        :mod:`jointcoder.codebook.bridge`. ``system``: one system only. ``billable``: True gives
        assignable codes only — a heading that matches stands for its default code; False headings only. ``source``:
        ``lexical`` by words only, ``dense`` by meaning only (UsageError JC002 where this lookup has no vectors).
        """
        if source not in WAYS:
            raise UsageError("JC001", f"unknown source {source!r}", hint=f"known: {name_list(WAYS)}")
        if source == "dense" and self._dense is None:
            raise UsageError("JC002", self._notice or "this lookup searches by words only")
        text = text[:LONGEST]
        return list(self._remembered(text, kind, lang or language_of(text), k, system, billable, source))

    def _sought(
        self, text: str, kind: Kind, spoken: str, k: int, system: System | None, billable: bool | None, source: str
    ) -> tuple[Hit, ...]:
        engine = self.analyser(spoken)
        analysis = engine.analyse(text, query=True, procedures=kind is Kind.PROCEDURE)
        vector = None if source == "lexical" else self._vector(text, engine, kind)
        found: list[Hit] = []
        for one in (system,) if system else self.book.systems(kind):
            if one.kind is kind:
                place = self._place(self.index_language(spoken), one)
                same = place.shard.find_key(analysis.key) if place.shard is not None and analysis.words else NOTHING
                exact = frozenset(same.tolist())
                query = Query(text, analysis, exact, k, billable)
                found += to_hits(place, query, join(self._found(place, query, engine, spoken, vector, source)))
        return tuple(sorted(found, key=lambda hit: (-hit.score, hit.code))[:k])

    def spot(self, text: str, lang: str | None = None, *, kinds: Sequence[Kind] = tuple(Kind)) -> list[Spotted]:
        """Wordings of the book that occur in running text, and operations worded by their axes; never overlapping, of
        two the longer stays."""
        from jointcoder.codebook.spot import spot
        from jointcoder.codebook.spot_operations import spot_operations

        spoken = lang or language_of(text)
        found = spot(self, text, spoken, tuple(kinds))
        lexicon = lexicon_of(spoken) if Kind.PROCEDURE in kinds else None
        if lexicon is None:
            return found
        return _apart([*found, *spot_operations(self, lexicon, text, spoken)])

    # ---------------------------------------------------------------------------------- for this package and tests

    def analyser(self, language: str) -> Analyser:
        """The analysis with which the index was built; for another language one that leads to it."""
        with self._lock:
            if not self._analysers:
                self._analysers = _load_analysers(self.book.path)
            if language not in self._analysers:
                self._analysers[language] = _foreign(language, self._analysers[self.book.info.languages[0]])
            return self._analysers[language]

    def shard(self, language: str, system: System) -> Postings | None:
        """The index of one language and system; None when the book has none."""
        key = (language, system)
        with self._lock:
            if key not in self._shards:
                self._shards[key] = _open_shard(self.book.path / "index" / f"{language}.{system}")
            return self._shards[key]

    def hits_of(
        self, text: str, documents: NDArray[np.int32], system: System, analysis: Analysis, language: str, *, k: int
    ) -> list[Hit]:
        """Hits for wordings of an index whose key equals that of ``analysis``."""
        place = self._place(self.index_language(language), system)
        if place.shard is None or not len(documents):
            return []
        chosen = documents.astype(np.int64)
        found = Found(place.shard.node[chosen].astype(np.int64), chosen, factors(place.shard, chosen, analysis))
        query = Query(text, analysis, frozenset(chosen.tolist()), k, None)
        return sorted(to_hits(place, query, join({"lexical": found})), key=lambda hit: (-hit.score, hit.code))[:k]

    def index_language(self, language: str) -> str:
        """The language whose names are searched for words in ``language``."""
        held = self.book.info.languages
        return language if language in held else held[0]

    # ----------------------------------------------------------------------------------------------------- private

    def _place(self, language: str, system: System) -> Place:
        by_meaning = self.shard(self.book.info.languages[0], system)
        shard = self.shard(language, system)
        return Place(self.book, system, language, shard, by_meaning, self._aliases, self._headings)

    def _vector(self, text: str, engine: Analyser, kind: Kind) -> NDArray[np.float32] | None:
        if self._dense is None:
            return None
        plain = without_sides(engine, text, procedures=kind is Kind.PROCEDURE)
        return self._dense.embed(plain or text)

    def _found(
        self, place: Place, query: Query, engine: Analyser, spoken: str, vector: NDArray[np.float32] | None, source: str
    ) -> dict[str, Found]:
        """What each source says. Documents of ``dense`` are those of the index in the book's first language."""
        found: dict[str, Found] = {}
        main = self.book.info.languages[0]
        vectors = None if self._dense is None or vector is None else self._dense.vectors(main, place.system)
        near = NOTHING
        likeness = np.empty(0, dtype=np.float32)
        if vectors is not None and vector is not None:
            likeness = vectors.likeness(vector, spoken)
            near = vectors.best(likeness, GROUPS)
        if place.shard is not None and query.analysis.words and source != "dense":
            asked = near if place.language == main else NOTHING
            found["lexical"] = by_words(place, query, engine, asked)
            near = np.union1d(near, found["lexical"].documents) if place.language == main else near
        if vectors is not None and place.by_meaning is not None:
            found["dense"] = by_meaning(vectors, likeness, near, place.by_meaning, query.analysis)
        if self._aliases is not None and source == "fused":
            found["alias"] = self._aliases.find(query.text, place.system)
        if place.system is System.ICD10PCS and source != "dense" and (lexicon := lexicon_of(spoken)) is not None:
            found["axes"] = by_axes(place, self._coding.codes(lexicon.read(query.text)))
        return found


def _apart(spotted: Sequence[Spotted]) -> list[Spotted]:
    """Those that no longer one of the same kind overlaps."""
    kept: list[Spotted] = []
    for one in sorted(spotted, key=lambda one: (one.start - one.end, one.start)):
        kind = one.hits[0].system.kind
        if not any(one.start < o.end and o.start < one.end and o.hits[0].system.kind is kind for o in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: (one.start, one.end))


def by_words(place: Place, query: Query, engine: Analyser, asked: Documents) -> Found:
    """The wordings most alike by their words, and those in ``asked`` that share any."""
    assert place.shard is not None
    name = f"{place.language}.{place.system}"
    analysis, language = query.analysis, place.language
    matches = match(place.book, name, place.shard, engine, analysis, language=language, number=POOL, asked=asked)
    documents = np.concatenate((matches.documents, asked))
    scores = np.concatenate((matches.likeness, matches.asked)) * factors(place.shard, documents, analysis)
    kept = scores > 0
    documents = documents[kept]
    return Found(place.shard.node[documents].astype(np.int64), documents, np.minimum(scores[kept], 1.0))


def by_meaning(
    vectors: Vectors, likeness: NDArray[np.float32], documents: Documents, shard: Postings, analysis: Analysis
) -> Found:
    """What the likeness of the texts says of ``documents``."""
    groups = vectors.group_of[documents]
    documents, groups = documents[groups >= 0], groups[groups >= 0]
    scores = dense_score(likeness[groups])
    documents, scores = documents[scores > 0], scores[scores > 0]
    return Found(shard.node[documents].astype(np.int64), documents, scores * factors(shard, documents, analysis))


def by_axes(place: Place, guesses: Sequence[Guess]) -> Found:
    """Codes of the ICD-10-PCS tables that account for the wording; they have no wording of their own."""
    codes = [guess.code for guess in guesses]
    marks = ",".join("?" * len(codes))
    statement = f"SELECT key, id FROM node WHERE system = ? AND key IN ({marks})"
    held = dict(place.book.rows(statement, place.system, *codes)) if codes else {}
    kept = [(held[guess.code], guess.score) for guess in guesses if guess.code in held]
    nodes = np.asarray([node for node, _ in kept], dtype=np.int64)
    return Found(nodes, nodes, np.asarray([score for _, score in kept], dtype=np.float64))


def _load_analysers(path: Path) -> dict[str, Analyser]:
    try:
        data = json.loads((path / "analysis.json").read_text("utf-8"))
        return {language: analyser(Tables.from_json(table)) for language, table in data.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AssetError("JC207", f"the code book {path} is damaged ({type(error).__name__}: analysis.json)") from None


def _foreign(language: str, target: Analyser) -> Analyser:
    """Into the book's language where a table leads there; else the words are taken as they are."""
    tables = Tables.load(language)
    if isinstance(target, WordAnalyser) and tables.get("bridge"):
        return BridgeAnalyser(tables, target)
    return target


def _open_shard(folder: Path) -> Postings | None:
    if not folder.is_dir():
        return None
    try:
        return Postings.open(folder)
    except (OSError, ValueError) as error:
        raise AssetError("JC207", f"the code book index {folder} is damaged ({type(error).__name__})") from None
