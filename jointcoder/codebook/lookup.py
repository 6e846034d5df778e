"""Find codes by wording: same words first, then alike ones, the default code before the qualified one.

How a hit is scored: likeness of the wordings (:mod:`jointcoder.codebook.postings`), times factors for what the two
say differently — another side, "other …", a heading instead of a code. All codes that share a word take part; several
wordings of a code are one hit, its best. ``score`` is 1 for the same wording and comparable within one query; it is
no probability. Order: score, then code.

Knows nothing of context: negation, patient and dates are the business of the steps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.analysis import (
    BOTH,
    OTHER,
    PART,
    Analyser,
    Analysis,
    Tables,
    WordAnalyser,
    analyser,
    language_of,
    level,
)
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.bridge import BridgeAnalyser
from jointcoder.codebook.defaults import default_child
from jointcoder.codebook.model import Entry, Hit, Spotted
from jointcoder.codebook.postings import BETA, Postings
from jointcoder.errors import AssetError
from jointcoder.records import Kind, System

BETAS = {"zh": 0.7}  # what a title adds weighs more where it is counted in characters
POOL = 400  # wordings looked at closely
UNKNOWN = 0.6  # share of the greatest idf that an unknown word of the query weighs
ALIKE = 0.8  # likeness of letters from which an unknown word counts as a misspelling
CORRECTED = 0.85  # share that a word counts when its spelling was corrected
SAME_SIDE, NO_SIDE, SIDE_ADDED, OTHER_SIDE = 1.0, 0.9, 0.85, 0.25
OTHER_ADDED = 0.85
PART_OF_TITLE = 0.97
VIA_HEADING = 0.97
NOT_LITERAL = 0.999  # same after levelling, yet not letter for letter: behind the wording that is


@dataclass(frozen=True, slots=True)
class _Match:
    """A wording that matched: its rows, its score and whether its key is the query's."""

    document: int
    term: int
    node: int
    score: float
    exact: bool


class Lookup:
    """Searching over one :class:`CodeBook`. Indexes are mapped on first use; safe to share between threads."""

    def __init__(self, book: CodeBook) -> None:
        self.book = book
        self._lock = Lock()
        self._shards: dict[tuple[str, System], Postings | None] = {}
        self._analysers: dict[str, Analyser] = {}

    def search(
        self,
        text: str,
        *,
        kind: Kind,
        lang: str | None = None,
        k: int = 10,
        system: System | None = None,
        billable: bool | None = None,
    ) -> list[Hit]:
        """The ``k`` codes whose wordings are most like ``text``.

        ``lang``: of the query (default: by its characters); where the book has no names in it, they are sought through
        :mod:`jointcoder.codebook.bridge`. ``system``: one system only. ``billable``: True gives
        assignable codes only — a heading that matches stands for its default code; False headings only.
        """
        found: list[Hit] = []
        spoken = lang or language_of(text)
        language = self.index_language(spoken)
        engine = self.analyser(spoken)
        analysis = engine.analyse(text, query=True, procedures=kind is Kind.PROCEDURE)
        for one in (system,) if system else self.book.systems(kind):
            shard = self.shard(language, one)
            if shard is not None and one.kind is kind and analysis.words:
                matches = self._match(shard, engine, analysis, language, one)
                found += self._hits(text, matches, analysis, language, k, billable)
        return sorted(_collapse(found), key=lambda hit: (-hit.score, hit.code))[:k]

    def spot(self, text: str, lang: str | None = None, *, kinds: Sequence[Kind] = tuple(Kind)) -> list[Spotted]:
        """Wordings of the book that occur in running text, longest first at each place, never overlapping."""
        from jointcoder.codebook.spot import spot

        return spot(self, text, lang or language_of(text), tuple(kinds))

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
        self, text: str, documents: NDArray[np.int32], shard: Postings, analysis: Analysis, language: str, *, k: int
    ) -> list[Hit]:
        """Hits for wordings whose key equals that of ``analysis``."""
        scores = _factors(shard, documents.astype(np.int64), analysis)
        matches = [
            _Match(int(d), int(shard.term[d]), int(shard.node[d]), float(s), True)
            for d, s in zip(documents, scores, strict=True)
        ]
        hits = self._hits(text, sorted(matches, key=lambda m: -m.score), analysis, language, k, None)
        return sorted(_collapse(hits), key=lambda hit: (-hit.score, hit.code))[:k]

    def index_language(self, language: str) -> str:
        """The language whose names are searched for words in ``language``."""
        held = self.book.info.languages
        return language if language in held else held[0]

    def _match(
        self, shard: Postings, engine: Analyser, analysis: Analysis, language: str, system: System
    ) -> list[_Match]:
        words = list(dict.fromkeys(word.text for word in analysis.words))
        rows = shard.find_words(words)
        weights = np.ones(len(words))
        if language != "zh":
            for i in np.flatnonzero(rows < 0):
                near = self._correct(words[i], f"{language}.{system}")
                if near is not None:
                    rows[i], weights[i] = shard.find_words([near])[0], CORRECTED
        known = rows >= 0
        if not known.any():
            return []
        greatest = float(shard.idf.max())
        whole = float(shard.idf[rows[known]].sum())
        whole += sum(UNKNOWN * greatest * engine.weight(words[i]) for i in np.flatnonzero(~known))
        found, likeness = shard.similarity(rows[known], weights[known], whole=whole, beta=BETAS.get(language, BETA))
        exact = set(shard.find_key(analysis.key).tolist())
        scores = likeness * _factors(shard, found, analysis)
        if len(found) > POOL:
            best = np.argpartition(-scores, POOL)[:POOL]
            found, scores = found[best], scores[best]
        order = np.lexsort((found, -scores))
        return [
            _Match(int(d), int(shard.term[d]), int(shard.node[d]), float(scores[i]), int(d) in exact)
            for i, d in zip(order, found[order], strict=True)
        ]

    def _hits(
        self, text: str, matches: Sequence[_Match], analysis: Analysis, language: str, k: int, billable: bool | None
    ) -> list[Hit]:
        """Matches, best first → hits, until ``k`` different codes are found."""
        literal = level(text)
        hits: list[Hit] = []
        codes: set[str] = set()
        for match in matches:
            if len(codes) >= k and match.score < hits[-1].score:
                break
            entry: Entry | None = self.book.entry(match.node)
            factor = 1.0
            if billable is True and entry is not None and not entry.billable:
                entry, factor = self._default(entry, analysis.side, language), VIA_HEADING
            if entry is None or (billable is False and entry.billable):
                continue
            codes.add(entry.code)
            term = self.book.rows("SELECT text FROM term WHERE id = ?", match.term)[0][0]
            score = min(1.0, match.score) * factor * (1.0 if level(term) == literal else NOT_LITERAL)
            sources = ("exact",) if match.exact else ("lexical",)
            name = entry.names.get(language, entry.name)
            hits.append(Hit(entry.system, entry.code, name, term, language, round(score, 6), sources))
        return hits

    def _default(self, heading: Entry, side: int, language: str) -> Entry | None:
        """The default code of a heading; on the side the query names, where the heading divides by side."""
        if not side:
            return self.book.default_billable(heading.system, heading.code)
        engine = self.analyser(language)
        entry: Entry | None = heading
        while entry is not None and not entry.billable:
            children = self.book.children(entry.system, entry.code)
            sided = [c for c in children if engine.analyse(c.names.get(language, c.name)).side == side]
            entry = sided[0] if len(sided) == 1 else default_child(self.book, entry)
        return entry

    def _correct(self, word: str, shard: str) -> str | None:
        """The word of the index that ``word`` most likely misspells: same first two letters, very alike."""
        if len(word) < 5 or not word.isalpha():
            return None
        rows = self.book.rows(
            "SELECT word FROM vocabulary WHERE shard = ? AND word >= ? AND word < ?", shard, word[:2], word[:2] + "{"
        )
        near = [other for (other,) in rows if abs(len(other) - len(word)) <= 2]
        return next(iter(get_close_matches(word, near, n=1, cutoff=ALIKE)), None)


def _factors(shard: Postings, found: NDArray[np.int64], analysis: Analysis) -> NDArray[np.float64]:
    """What the query and each wording say differently about side and "other", as a factor."""
    side, marks = shard.side[found], shard.marks[found]
    if analysis.side:
        factor = np.where(
            side == 0,
            NO_SIDE,
            np.where(side == analysis.side, SAME_SIDE, np.where(side & analysis.side, SIDE_ADDED, OTHER_SIDE)),
        )
        if analysis.side != BOTH:
            factor = np.where(side == BOTH, OTHER_SIDE * 2, factor)
    else:
        factor = np.where(side == 0, 1.0, SIDE_ADDED)
    if not analysis.marks & OTHER:
        factor = np.where(marks & OTHER, factor * OTHER_ADDED, factor)
    factor = np.where(marks & PART, factor * PART_OF_TITLE, factor)
    return np.asarray(factor, dtype=np.float64)


def _collapse(hits: Sequence[Hit]) -> list[Hit]:
    """One hit a code: the best score, exact before lexical."""
    best: dict[tuple[System, str], Hit] = {}
    for hit in hits:
        key = (hit.system, hit.code)
        old = best.get(key)
        if old is None or (hit.score, hit.sources == ("exact",)) > (old.score, old.sources == ("exact",)):
            best[key] = hit
    return list(best.values())


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
