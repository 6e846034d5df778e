"""Term pairs and coded records with spans → wordings with the standard terms they were given.

Standard terms are the names of the code book and those of the data; a name has the code that the data give it most
often, in the edition that the book holds, else the book's. Names that compare equal (case, width, blanks) are one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jointcoder.corpora import Corpus, TermCorpus
from jointcoder.errors import InputError
from jointcoder.evaluation.terms import plain
from jointcoder.packs.terms.memory import Standard
from jointcoder.packs.terms.wording import LONGEST
from jointcoder.records import Kind, System

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook

HEADINGS = ("category", "code")


@dataclass(frozen=True, slots=True)
class Case:
    """A wording and the rows of its standard terms. ``group``: the record it comes from; folds keep it whole."""

    group: str
    text: str
    terms: tuple[int, ...]


@dataclass(frozen=True)
class Cases:
    """What there is to learn from. ``names``: comparable name → row of ``standards``."""

    standards: tuple[Standard, ...]
    names: dict[tuple[str, str], int]
    cases: tuple[Case, ...]
    language: str


@dataclass(frozen=True, slots=True)
class _Raw:
    group: str
    text: str
    terms: tuple[tuple[str, str, str], ...]  # system, name, code


def cases_of(corpora: Sequence[Corpus | TermCorpus], book: CodeBook | None, *, only_seen: bool = False) -> Cases:
    """``only_seen``: leave out the book's names that the data never use (a smaller part, blind to new terms).

    Raises InputError JC108 where the corpora are in several languages, JC114 where they hold no wording with a name.
    """
    languages = sorted({_language(corpus) for corpus in corpora})
    if len(languages) > 1:
        raise InputError("JC108", f"the term pairs are in several languages: {', '.join(languages)}")
    raw = [one for corpus in corpora for one in _raw(corpus, book)]
    if not raw:
        raise InputError("JC114", "no wording with a standard name to learn from")
    systems = sorted({system for one in raw for system, _, _ in one.terms})
    found: dict[tuple[str, str], Standard] = {}
    if book is not None and not only_seen:
        for system in systems:
            for standard in _of_book(book, system):
                found.setdefault((system, plain(standard.name)), standard)
    seen: dict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in raw:
        for system, name, code in one.terms:
            seen[system, plain(name)][name, code] += 1
    for key, counts in sorted(seen.items()):
        (name, code), _ = min(counts.items(), key=lambda pair: (-pair[1], not pair[0][1], pair[0]))
        known = found.get(key)
        found[key] = Standard(name, code or (known.code if known else ""), known.heading if known else False, key[0])
    rows = {key: row for row, key in enumerate(found)}
    cases = tuple(
        Case(one.group, one.text, tuple(sorted({rows[system, plain(name)] for system, name, _ in one.terms})))
        for one in raw
    )
    return Cases(tuple(found.values()), rows, cases, languages[0])


def _of_book(book: CodeBook, system: str) -> Iterator[Standard]:
    """Assignable entries first, so that a name they share with a heading is theirs."""
    if system not in {one.value for one in book.info.systems}:
        return
    statement = "SELECT code, name, level, billable FROM node WHERE system = ? ORDER BY billable DESC, id"
    for code, name, level, billable in book.rows(statement, system):
        if level in HEADINGS and name.strip() and name != code:
            yield Standard(name, code, not billable, system)


def _language(corpus: Corpus | TermCorpus) -> str:
    if isinstance(corpus, TermCorpus):
        return corpus.language
    counts = Counter(item.encounter.language for item in corpus.items if item.encounter.language)
    return counts.most_common(1)[0][0] if counts else "en"


def _raw(corpus: Corpus | TermCorpus, book: CodeBook | None) -> Iterator[_Raw]:
    if isinstance(corpus, TermCorpus):
        system, edition = _system(corpus, book), _edition(corpus, book)
        for pair in corpus.items:
            codes = pair.codes.get(edition, ("",) * len(pair.names))
            given = tuple((system, name, code) for name, code in zip(pair.names, codes, strict=True))
            if any(map(str.isalnum, pair.mention)):
                yield _Raw(pair.id, pair.mention, given)
        return
    for item in corpus.items:
        written: dict[str, dict[tuple[str, str, str], None]] = {}
        for gold in item.gold:
            name = gold.name
            if not name and book and _holds(book, gold.system):
                name = book.name(System(gold.system), gold.code) or ""
            for span in gold.spans:
                if name and any(map(str.isalnum, span.quote)) and len(span.quote) <= LONGEST:
                    written.setdefault(span.quote, {})[gold.system, name, gold.code] = None
        for text, terms in written.items():
            yield _Raw(item.encounter.id or "", text, tuple(terms))


def _holds(book: CodeBook, system: str) -> bool:
    return system in {one.value for one in book.info.systems}


def _system(corpus: TermCorpus, book: CodeBook | None) -> str:
    """The book's system of that kind; without a book the kind itself tells them apart."""
    systems = book.systems(corpus.kind) if book else ()
    return systems[0].value if systems else {Kind.DIAGNOSIS: "", Kind.PROCEDURE: "procedure"}[corpus.kind]


def _edition(corpus: TermCorpus, book: CodeBook | None) -> str:
    """The edition whose codes the book knows best."""
    editions = sorted({edition for pair in corpus.items for edition in pair.codes})
    if book is None or not editions:
        return editions[0] if editions else ""
    statement = "SELECT code FROM node WHERE system = ?"
    known = {code for system in book.systems(corpus.kind) for (code,) in book.rows(statement, system)}
    counts = Counter(
        edition for pair in corpus.items for edition, codes in pair.codes.items() for code in codes if code in known
    )
    return max(editions, key=lambda edition: (counts[edition], edition))
