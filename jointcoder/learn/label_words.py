"""Coded records → the word columns of a labels part: which there are, and each record's row.

The dictionary of entries is what lists of entries name in several records and what annotators marked in several; of all
columns those are kept that occur in at least ``LEAST`` records. Knows nothing of codes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jointcoder.corpora import Labelled
from jointcoder.learn.fit import require
from jointcoder.packs.labels.grams import ENTRY, ENTRY_WORDS, Space, count, rarity
from jointcoder.packs.labels.reading import Reader, Reading, affirmed

LEAST_ENTRY, LEAST = 3, 5  # records; rarer ones teach little and might tell of a person
MOST_COLUMNS = 30_000
SHARES = {ENTRY: 1.0, "definitive": 1.0, "narrative": 0.7, "exam": 0.7, "history": 0.7, "orders": 0.7}


@dataclass(frozen=True)
class Words:
    """``rows``: sparse, (records, columns of ``space``)."""

    space: Space
    rows: Any
    readings: tuple[Reading, ...]


def words_of(items: Sequence[Labelled], reader: Reader) -> Words:
    """The columns that the records suggest, and the records in them."""
    readings = tuple(reader.read(item.encounter) for item in items)
    entries = dictionary(items, readings, reader)
    language = reader.language
    counted = [count(r, reader.glue, language, entries, lambda r, p: affirmed(r, p, language)) for r in readings]
    frequency = Counter(key for one in counted for key in one.counts)
    common = sorted(
        (key for key, n in frequency.items() if n >= LEAST and key[0] in SHARES), key=lambda key: (-frequency[key], key)
    )
    keys = sorted(common[:MOST_COLUMNS])
    notes = sum(not reading.listed for reading in readings)
    weights = np.array([rarity(frequency[key], len(items) if key[0] == ENTRY else notes) for key in keys])
    space = Space.of(keys, weights, SHARES)
    found = [space.features(one) for one in counted]
    sparse = require("scipy.sparse")
    sizes = np.cumsum([0, *(len(one.columns) for one in found)])
    rows = sparse.csr_matrix(
        (np.concatenate([one.values for one in found]), np.concatenate([one.columns for one in found]), sizes),
        shape=(len(items), len(keys)),
    )
    return Words(space, rows, readings)


def dictionary(items: Sequence[Labelled], readings: Sequence[Reading], reader: Reader) -> frozenset[str]:
    """What is sought in notes."""
    shortest, longest = ENTRY_WORDS.get(reader.language, ENTRY_WORDS[""])
    seen: Counter[str] = Counter()
    for item, reading in zip(items, readings, strict=True):
        runs = [tuple(w.text for w in run.words) for run in reading.runs] if reading.listed else []
        runs += [run for code in item.gold for span in code.spans for run in reader.words_of(span.quote)]
        seen.update({reader.glue.join(run) for run in runs if shortest <= len(run) <= longest})
    return frozenset(text for text, n in seen.items() if n >= LEAST_ENTRY)
