"""The notes of a search, in three sets that share no encounter: to search on, to choose on, to test on.

    sets = split(corpora, select=None, test=None, share=0.4, seed=0)
    sets.search, sets.selection, sets.test        tuples of labelled encounters, in a seeded order

Two encounters are the same if they share an id or a text (white space and case levelled), so a copy under another id is
found. Sets that the user names and that share one are refused (JC434): a workflow chosen on notes it was found on looks
better than it is. Within one file, copies go to the same side.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from jointcoder.corpora import Corpus, Labelled
from jointcoder.errors import InputError

LEAST = 4  # labelled encounters a set needs before any comparison means something


@dataclass(frozen=True)
class Sets:
    """``systems``: the code systems that are labelled in all of the sets; only they are scored."""

    search: tuple[Labelled, ...]
    selection: tuple[Labelled, ...]
    test: tuple[Labelled, ...] = ()
    systems: tuple[str, ...] = ()

    def fingerprint(self) -> dict[str, str]:
        """A hash a set, of texts and labels in their order: what tells whether a run goes on with the same notes."""
        return {name: _hash(getattr(self, name)) for name in ("search", "selection", "test")}


def split(
    data: Sequence[Corpus],
    *,
    select: Corpus | None = None,
    test: Corpus | None = None,
    share: float = 0.4,
    limit: int | None = None,
    seed: int = 0,
    system: str | None = None,
) -> Sets:
    """The sets. Without ``select`` a ``share`` of the data is kept back to choose on; ``limit`` takes a random part
    of the data first. Raises InputError JC434 where sets share encounters, JC435 where one is too small, JC108 where
    nothing, or not ``system``, is labelled."""
    random_ = random.Random(seed)
    items = [item for corpus in data for item in corpus.items if item.gold]
    items = items if limit is None else random_.sample(items, min(limit, len(items)))
    groups = _groups(items)
    random_.shuffle(groups)
    if select is None:
        wanted = round(share * len(items))
        kept: list[Labelled] = []
        while groups and len(kept) < wanted:
            kept += groups.pop()
        chosen = tuple(kept)
    else:
        chosen = tuple(item for item in select.items if item.gold)
    parts = {
        "search": tuple(item for group in groups for item in group),
        "selection": chosen,
        "test": tuple(item for item in test.items if item.gold) if test else (),
    }
    _require_disjoint(parts)
    for name in ("search", "selection"):
        if len(parts[name]) < LEAST:
            raise InputError(
                "JC435",
                f"{len(parts[name])} labelled encounters for {name}; it takes {LEAST} at least",
                hint="name more data; --share says how much of it is kept back to choose on",
            )
    return Sets(**parts, systems=_systems([*data, *(one for one in (select, test) if one)], system))


def _systems(corpora: Sequence[Corpus], system: str | None) -> tuple[str, ...]:
    common = [one for one in corpora[0].systems if all(one in corpus.systems for corpus in corpora)]
    if system is not None:
        common = [one for one in common if one == system]
    if not common:
        names = ", ".join(sorted({corpus.path.name for corpus in corpora}))
        raise InputError("JC108", f"{names}: no code system, or not the one asked for, is labelled in all of them")
    return tuple(common)


def _require_disjoint(parts: dict[str, tuple[Labelled, ...]]) -> None:
    for one, other in combinations(parts, 2):
        ids = {item.encounter.id for item in parts[one]} & {item.encounter.id for item in parts[other]}
        texts = {_text(item) for item in parts[one]} & {_text(item) for item in parts[other]}
        if ids or texts:
            raise InputError(
                "JC434",
                f"the {one} and {other} sets share encounters ({len(ids)} ids, {len(texts)} texts)",
                hint="what is chosen or tested on may not have been searched on; take them out of one of the sets",
            )


def _groups(items: Iterable[Labelled]) -> list[list[Labelled]]:
    """Items that share an id or a text together."""
    groups: list[list[Labelled]] = []
    of: dict[str, list[Labelled]] = {}
    for item in items:
        keys = (f"id {item.encounter.id}", f"text {_text(item)}")
        known = [of[key] for key in keys if key in of]
        group = known[0] if known else []
        if not known:
            groups.append(group)
        for other in known[1:]:
            if other is not group:
                group += other
                groups.remove(other)
                of.update({key: group for key, place in of.items() if place is other})
        group.append(item)
        of.update(dict.fromkeys(keys, group))
    return groups


def _text(item: Labelled) -> str:
    words = " ".join(" ".join(document.text.casefold().split()) for document in item.encounter.documents)
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def _hash(items: Sequence[Labelled]) -> str:
    digest = hashlib.sha256()
    for item in items:
        labels = sorted((code.system, code.code) for code in item.gold)
        digest.update(repr((item.encounter.id, _text(item), labels)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
