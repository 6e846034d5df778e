"""Ranked entries → hits: the assignable code for a heading, the wording that was found, who found it.

Reads the book in few statements for all entries together, and only as far down the ranking as needed.
This module knows entries and their scores, not how they came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jointcoder.codebook.analysis import Analysis, level
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.lookup.aliases import BookAliases
from jointcoder.codebook.lookup.fuse import SOURCES, Ranked
from jointcoder.codebook.lookup.headings import NONE, Headings
from jointcoder.codebook.model import Hit
from jointcoder.codebook.postings import Array, Postings
from jointcoder.codebook.wordings import INDEX_KINDS
from jointcoder.records import System

VIA_HEADING = 0.97
NOT_LITERAL = 0.999  # same after levelling, yet not letter for letter: behind the wording that is
DIGITS = 6  # of a score
AT_ONCE = 500  # values in one statement


@dataclass(frozen=True)
class Place:
    """One system of a book: its index in the language searched, that in the language of the vectors, its aliases."""

    book: CodeBook
    system: System
    language: str
    shard: Postings | None
    by_meaning: Postings | None
    aliases: BookAliases | None
    headings: Headings


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked. ``exact``: documents of ``Place.shard`` with the same key as the query."""

    text: str
    analysis: Analysis
    exact: frozenset[int]
    k: int
    billable: bool | None


def to_hits(place: Place, query: Query, ranked: Ranked) -> list[Hit]:
    """The best ``k`` codes, and those that are as good as the last."""
    best: dict[int, tuple[float, int]] = {}  # row number of a code → score, place in the ranking
    at, step = 0, 2 * query.k + 8
    while at < len(ranked):
        if len(best) >= query.k and _kth(best, query.k) > ranked.scores[at]:
            break
        upto = min(at + step, len(ranked))
        while upto < len(ranked) and ranked.scores[upto] == ranked.scores[upto - 1]:
            upto += 1
        codes = _codes(place, query, ranked.nodes[at:upto].tolist())
        for rank in range(at, upto):
            node = int(ranked.nodes[rank])
            code = codes.get(node, NONE)
            if code != NONE:
                factor = (1.0 if code == node else VIA_HEADING) * _literal(place, query, ranked, rank)
                score = round(float(ranked.scores[rank]) * factor, DIGITS)
                if score > best.get(code, (0.0, 0))[0]:
                    best[code] = score, rank
        at, step = upto, step * 2
    if len(best) > query.k:
        last = _kth(best, query.k)
        best = {code: found for code, found in best.items() if found[0] >= last}
    return _described(place, query, ranked, best)


def _kth(best: Mapping[int, tuple[float, int]], k: int) -> float:
    return float(np.partition([-score for score, _ in best.values()], k - 1)[k - 1] * -1)


def _literal(place: Place, query: Query, ranked: Ranked, rank: int) -> float:
    document = ranked.document("lexical", rank)
    if document not in query.exact or place.shard is None:
        return NOT_LITERAL
    ((term,),) = place.book.rows("SELECT text FROM term WHERE id = ?", int(place.shard.term[document]))
    return 1.0 if level(term) == level(query.text) else NOT_LITERAL


def _codes(place: Place, query: Query, nodes: Sequence[int]) -> dict[int, int]:
    """Row number → that of the entry to be shown for it; entries not asked for are left out."""
    if query.billable is None:
        return {node: node for node in nodes}
    assignable: set[int] = set()
    for first in range(0, len(nodes), AT_ONCE):
        part = nodes[first : first + AT_ONCE]
        statement = f"SELECT id FROM node WHERE billable AND id IN ({_marks(part)})"
        assignable.update(node for (node,) in place.book.rows(statement, *part))
    headings = [node for node in nodes if node not in assignable]
    if not query.billable:
        return {node: node for node in headings}
    index = f"{place.language}.{place.system}"
    side, side_of, shard = query.analysis.side, None, place.shard
    if side and headings and shard is not None:
        side_of = place.book.kept(f"side/{index}", lambda: _sides(shard))
    return {node: node for node in assignable} | place.headings.defaults(headings, side, index, side_of)


def _sides(shard: Postings) -> Array:
    """By row number the side that an entry's name says."""
    side_of = np.zeros(int(shard.node.max()) + 1, dtype=np.uint8)
    side_of[shard.node[::-1]] = shard.side[::-1]  # an entry's first document is its name
    return side_of


def _described(place: Place, query: Query, ranked: Ranked, best: Mapping[int, tuple[float, int]]) -> list[Hit]:
    """The hits, with the names of their entries and the wordings that were found."""
    entries = place.book.entries(list(best))
    found: dict[int, dict[str, int]] = {}  # rank → source → row number of its wording
    for _, rank in best.values():
        found[rank] = {
            source: int(shard.term[document])
            for source, shard in (("lexical", place.shard), ("dense", place.by_meaning))
            if shard is not None and (document := ranked.document(source, rank)) >= 0
        }
    terms = _terms(place.book, sorted({term for said in found.values() for term in said.values()}))
    shown = []
    for code, (score, rank) in best.items():
        entry, said = entries[code], found[rank]
        alias = ranked.document("alias", rank)
        name = entry.names.get(place.language, entry.name)
        sources: set[str] = set()
        wordings: list[tuple[float, str, str]] = []
        if "lexical" in said:
            wording, kind = terms[said["lexical"]]
            exact = ranked.document("lexical", rank) in query.exact
            sources |= {"exact"} if exact else set()
            sources |= {"index"} if kind in INDEX_KINDS else set() if exact else {"lexical"}
            wordings.append((ranked.score("lexical", rank) + exact, wording, place.language))
        if alias >= 0 and place.aliases is not None:
            sources.add("alias")
            wordings.append((ranked.score("alias", rank), place.aliases.text(alias), place.language))
        if "dense" in said:
            sources.add("dense")
            language = place.book.info.languages[0]
            wordings.append((ranked.score("dense", rank) * ("lexical" not in said), terms[said["dense"]][0], language))
        if axes := ranked.score("axes", rank):
            sources.add("axes")
            wordings.append((axes, name, place.language))
        _, wording, language = max(wordings, key=lambda one: one[0])
        shown.append(Hit(entry.system, entry.code, name, wording, language, score, _ordered(sources)))
    return shown


def _ordered(sources: set[str]) -> tuple[str, ...]:
    return tuple(source for source in SOURCES if source in sources)


def _terms(book: CodeBook, wanted: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Row number of a wording → its text and kind."""
    found: dict[int, tuple[str, str]] = {}
    for first in range(0, len(wanted), AT_ONCE):
        part = wanted[first : first + AT_ONCE]
        rows = book.rows(f"SELECT id, text, kind FROM term WHERE id IN ({_marks(part)})", *part)
        found.update((term, (text, kind)) for term, text, kind in rows)
    return found


def _marks(values: Sequence[int]) -> str:
    return ",".join("?" * len(values))
