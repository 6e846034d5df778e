"""Coded records → :class:`jointcoder.packs.priors.Priors`: counting, and no more.

    priors = counted(items, ordered=False)
    train(corpora, folder)

Order is taken from corpora that say their order means something; of the others only the principal is known, which then
stands before the rest of its kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from jointcoder.corpora import Corpus, GoldCode, Labelled
from jointcoder.errors import InputError
from jointcoder.learn.write import PartReport
from jointcoder.packs.priors import Key, Priors
from jointcoder.records import Kind, System

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.coder import Coder

FILLED = (System.ICD10CN, System.ICD9CM3)


def train(
    corpora: Sequence[Corpus],
    folder: Path,
    *,
    lookup: Lookup | None = None,
    coder: Coder | None = None,
    seed: int = 0,
    want_precision: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PartReport:
    """Count all corpora and write ``priors.json``. Nothing is chosen here, so the other options do not matter.

    Raises InputError JC114 where no record carries a code.
    """
    priors = counted((item, corpus.ordered) for corpus in corpora for item in corpus.items)
    if not priors.codes:
        raise InputError("JC114", "nothing to learn: no record carries a code")
    priors.save(folder)
    notes = {"records": priors.records, "codes": len(priors.codes), "pairs": len(priors.pairs)}
    return PartReport(notes={**notes, "ordered_pairs": len(priors.order)})


def counted(items: Iterable[tuple[Labelled, bool]], *, inside: frozenset[Key] | None = None) -> Priors:
    """The counts of (record, whether the order of its codes means something). An encounter counts once.

    ``inside``: the codes that are counted, instead of all; records without any of them count as records.
    """
    seen: Counter[Key] = Counter()
    first: Counter[Key] = Counter()
    ranked: Counter[Key] = Counter()
    pairs: Counter[tuple[Key, Key]] = Counter()
    led: Counter[tuple[Key, Key]] = Counter()
    order: Counter[tuple[Key, Key]] = Counter()
    known: set[str] = set()
    for item, ordered in items:
        if not item.gold or item.encounter.id in known:
            continue
        known.add(item.encounter.id)
        keys = list(dict.fromkeys(map(key_of, item.gold)))
        keys = [key for key in keys if inside is None or key in inside]
        seen.update(keys)
        pairs.update((min(a, b), max(a, b)) for a, b in combinations(keys, 2))
        for kind in Kind:
            of_kind = [key for key in keys if System(key[0]).kind is kind]
            top = principal_of(item.gold, kind, ordered=ordered)
            if top is None or top not in of_kind:
                continue
            first[top] += 1
            ranked.update(of_kind)
            rest = [key for key in of_kind if key != top]
            led.update((top, key) for key in rest)
            order.update(combinations([top, *rest], 2) if ordered else ((top, key) for key in rest))
    codes = tuple(sorted(seen))
    place = {key: i for i, key in enumerate(codes)}
    return Priors(
        records=len(known),
        codes=codes,
        seen=tuple(seen[key] for key in codes),
        first=tuple(first[key] for key in codes),
        ranked=tuple(ranked[key] for key in codes),
        pairs={(place[a], place[b]): n for (a, b), n in pairs.items()},
        led={(place[a], place[b]): n for (a, b), n in led.items()},
        order={(place[a], place[b]): n for (a, b), n in order.items()},
    )


def key_of(gold: GoldCode) -> Key:
    """System and code in the form in which it is learnt: capitals, but for the fillers of the Chinese editions."""
    system = System(gold.system)
    return system.value, gold.code if system in FILLED else gold.code.upper()


def principal_of(gold: Sequence[GoldCode], kind: Kind, *, ordered: bool) -> Key | None:
    """The principal code of a kind: the one marked so, else the first where the order means something."""
    of_kind = [code for code in gold if System(code.system).kind is kind]
    marked = next((code for code in of_kind if code.primary), of_kind[0] if ordered and of_kind else None)
    return key_of(marked) if marked else None
