"""Coded encounters → the records and the closed set that a labels part learns from.

    records, codes = gathered(corpora, least=3)

One record a stay: where a stay comes as a note and as a list of its entries, the note counts. Knows nothing
of features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jointcoder.corpora import Corpus, Labelled
from jointcoder.errors import InputError
from jointcoder.learn.priors import key_of, principal_of
from jointcoder.packs.labels.reading import is_listed
from jointcoder.records import Kind, System

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook

Array = NDArray[np.float64]
Key = tuple[str, str]
LEAST_RECORDS = 20
FEW = 3  # occurrences that make a code a candidate for principal, or a wording one of its names
MOST_CODES = 400
ALWAYS = 0.98  # share of records with a principal from which a kind always has one


@dataclass(frozen=True)
class Record:
    """One stay with its codes of the closed set. ``firsts``: principal by kind; ``outside``: by kind, how many
    other codes are not in the set. ``listed``: its text is a list of entries. ``ordered``: the codes' order matters."""

    item: Labelled
    keys: frozenset[Key]
    firsts: dict[Kind, Key]
    outside: dict[str, int]
    listed: bool
    ordered: bool


def gathered(corpora: Sequence[Corpus], least: int) -> tuple[list[Record], tuple[Key, ...]]:
    """One record a stay, those with codes only; and the codes of the closed set."""
    best: dict[str, tuple[Labelled, bool, bool]] = {}
    for corpus in corpora:
        for item in corpus.items:
            known = best.get(item.encounter.id)
            listed = is_listed(item.encounter)
            if item.gold and (known is None or (known[1] and not listed)):
                best[item.encounter.id] = (item, listed, corpus.ordered)
    if len(best) < LEAST_RECORDS:
        raise InputError(
            "JC114", f"{len(best)} coded records are too few to learn labels from", hint=f"give {LEAST_RECORDS} or more"
        )
    seen = Counter(key for item, *_ in best.values() for key in set(map(key_of, item.gold)))
    common = sorted(seen, key=lambda key: (-seen[key], key))[:MOST_CODES]
    codes = tuple(sorted(key for key in common if seen[key] >= least))
    if not codes:
        raise InputError("JC114", f"no code occurs in {least} records or more", hint="give more coded records")
    inside = frozenset(codes)
    records = []
    for _, (item, listed, ordered) in sorted(best.items()):
        keys = set(map(key_of, item.gold))
        firsts = {kind: top for kind in Kind if (top := principal_of(item.gold, kind, ordered=ordered)) is not None}
        outside = Counter(System(key[0]).kind.value for key in keys - inside - set(firsts.values()))
        records.append(Record(item, frozenset(keys & inside), firsts, dict(outside), listed, ordered))
    return records, codes


def language_of(records: Sequence[Record]) -> str:
    """The language most records say they are in; else that of the first text."""
    from jointcoder.text.language import detect

    told = Counter(record.item.encounter.language for record in records if record.item.encounter.language)
    if told:
        return str(told.most_common(1)[0][0])
    return detect(records[0].item.encounter.documents[0].text).language


def candidates_of(records: Sequence[Record], codes: Sequence[Key]) -> tuple[int, ...]:
    """The codes that were principal often enough to be so again."""
    seen = Counter(key for record in records for key in record.firsts.values())
    return tuple(place for place, key in enumerate(codes) if seen[key] >= FEW)


def led_kinds(records: Sequence[Record], codes: Sequence[Key], candidates: Sequence[int]) -> tuple[str, ...]:
    """The kinds of which (almost) every record has a principal code, and that one of the candidates."""
    known = {codes[place] for place in candidates}
    return tuple(
        kind.value
        for kind in Kind
        if sum(record.firsts.get(kind) in known for record in records) >= ALWAYS * len(records)
    )


def targets(
    records: Sequence[Record], codes: Sequence[Key], candidates: Sequence[int], led: Sequence[str]
) -> tuple[Array, Array]:
    """(records, L): given, of a led kind not as the principal; (records, K): given as the principal."""
    principal = [set(record.firsts.values()) for record in records]
    apart = [{key for key in tops if System(key[0]).kind.value in led} for tops in principal]
    other = [
        [float(key in record.keys and key not in tops) for key in codes]
        for record, tops in zip(records, apart, strict=True)
    ]
    first = [[float(codes[place] in tops) for place in candidates] for tops in principal]
    return np.array(other), np.array(first).reshape(len(records), len(candidates))


def names_of(
    records: Sequence[Record], codes: Sequence[Key], book: CodeBook | None, language: str
) -> tuple[tuple[str, ...], ...]:
    """Wordings of each code: as the data name it, as the book does, and what annotators marked for it most."""
    told: dict[Key, Counter[str]] = {key: Counter() for key in codes}
    marked: dict[Key, Counter[str]] = {key: Counter() for key in codes}
    for record in records:
        for code in record.item.gold:
            key = key_of(code)
            if key in told:
                told[key].update([code.name] if code.name else [])
                marked[key].update({span.quote.casefold() for span in code.spans})
    found = []
    for key in codes:
        wordings = [name for name, _ in sorted(told[key].items())]
        own = book.name(System(key[0]), key[1], language) if book is not None and _held(book, key) else None
        wordings += [own] if own else []
        often = sorted(marked[key].items(), key=lambda row: (-row[1], row[0]))
        wordings += [quote for quote, times in often[:5] if times >= FEW]
        found.append(tuple(dict.fromkeys(wordings)))
    return tuple(found)


def _held(book: CodeBook, key: Key) -> bool:
    system = System(key[0])
    return system in book.systems(system.kind)
