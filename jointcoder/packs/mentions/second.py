"""The second look: what a note's codes say about each other, once the first look has weighed each by itself.

    add_company(rows, first, memory)     first: probability of each row at the first look (0 for codes not trained)

Which code claims the same words, which stands in the same category, which usually come together (log lift, smoothed).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from jointcoder.packs.mentions.evidence import Memory
from jointcoder.packs.mentions.features import KNOWN, NOVEL, Row, odds

COMPANY = (
    "first_look",
    "rival",
    "rival_stronger",
    "inside_rival",
    "same_category",
    "same_category_stronger",
    "lift",
    "lift_most",
    "lift_least",
    "company",
)
COVER = ("covered_most", "covered_mean", "category_given")
KNOWN_SECOND = (*KNOWN, *COMPANY)
NOVEL_SECOND = (*NOVEL, *COVER)
STRONG = 0.3  # probability at the first look from which a code counts as company
NO_CODE = -1


def add_company(rows: Sequence[Row], first: Sequence[float], memory: Memory) -> None:
    """Adds ``COMPANY`` to the rows of trained codes and ``COVER`` to the others, in place."""
    at_word: dict[tuple[str, int], list[int]] = defaultdict(list)
    in_category: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row.known:
            in_category[row.code[0], row.code[1][:3]].append(i)
            for word in row.words:
                at_word[row.code[0], word].append(i)
    strong = [i for i, row in enumerate(rows) if row.known and first[i] >= STRONG]
    for i, row in enumerate(rows):
        system, code = row.code
        words = set(row.words)
        same = [first[q] for q in in_category.get((system, code[:3]), ()) if q != i]
        if not row.known:
            covered = [max((first[q] for q in at_word.get((system, word), ())), default=0.0) for word in row.words]
            row.features["covered_most"] = max(covered)
            row.features["covered_mean"] = sum(covered) / len(covered)
            row.features["category_given"] = max(same, default=0.0)
            continue
        rival = longer = 0.0
        for q in sorted({q for word in words for q in at_word[system, word]} - {i}):
            others = set(rows[q].words)
            rival = max(rival, first[q] * len(others & words) / len(words))
            if others > words:
                longer = max(longer, first[q])
        lifts = [_lift(memory, row, rows[q]) * first[q] for q in strong if q != i]
        row.features.update(
            first_look=odds(first[i], 0.003),
            rival=rival,
            rival_stronger=float(rival > first[i]),
            inside_rival=longer,
            same_category=max(same, default=0.0),
            same_category_stronger=max(same, default=0.0) - first[i],
            lift=sum(lifts) / math.sqrt(1 + len(strong)),
            lift_most=max([0.0, *lifts]),
            lift_least=min([0.0, *lifts]),
            company=math.log1p(len(strong)),
        )


def _lift(memory: Memory, one: Row, other: Row) -> float:
    """Log of how much oftener two codes share an encounter than they would by chance, one encounter pretended."""
    a, b = memory.number.get(one.code, NO_CODE), memory.number.get(other.code, NO_CODE)
    if NO_CODE in (a, b) or not memory.encounters:
        return 0.0
    together = memory.pairs.get((min(a, b), max(a, b)), 0)
    expected = memory.documents[a] * memory.documents[b] / memory.encounters
    return math.log((together + 1.0) / (expected + 1.0))
