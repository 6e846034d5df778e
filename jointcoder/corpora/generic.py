"""Any JSON-lines file in our record layout: what a hospital or another study would bring.

Differs from the named corpora only in its defaults: a record may state ``patient``, ``admitted``, ``discharged``
and ``documents``; gold order counts when every labelled code carries an integer ``rank``; spans are
``[start, end]`` into ``text``, ``[document, start, end]`` or ``{"document", "start", "end"}`` and are scored
exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from jointcoder.corpora.base import Corpus, Labelled, Row, Where, labelled, systems_of

NAME = "generic"


def matches(row: Row) -> bool:
    """Whether a row can be read at all: it holds something to code."""
    return any(row.get(name) is not None for name in ("text", "sections", "documents"))


def load(path: Path, rows: Iterable[tuple[Where, Row]]) -> Corpus:
    """All records; raises InputError as :func:`jointcoder.corpora.base.labelled` does."""
    items: list[Labelled] = []
    ordered: list[bool] = []
    for where, row in rows:
        item = labelled(row, where)
        ranks = [entry.get("rank") for entry in row.get("codes") or ()]
        if ranks:
            ordered.append(all(type(rank) is int for rank in ranks))
        if ranks and ordered[-1] and not item.unscored:
            by_rank = sorted(zip(ranks, item.gold, strict=True), key=lambda pair: pair[0])
            item = replace(item, gold=tuple(code for _, code in by_rank))
        items.append(item)
    return Corpus(NAME, path, tuple(items), systems_of(items), ordered=bool(ordered) and all(ordered))
