"""Candidates among each other: how sure each is beside the others, and what the surer ones leave unexplained.

    relative(scores)                                   # (candidates, len(RELATIVE))
    together(memory, evidence, described, logodds)     # (candidates, len(TOGETHER))

The second looks at a first opinion of all candidates: who explains the same characters, whose name holds whose, which
terms coders give together and which never. Knows no weights and no thresholds.
"""

from __future__ import annotations

import numpy as np

from jointcoder.codebook.codes import normalise_code
from jointcoder.packs.combiner import sigmoid
from jointcoder.packs.terms.evidence import Evidence
from jointcoder.packs.terms.features import Described
from jointcoder.packs.terms.index import Floats
from jointcoder.packs.terms.memory import Memory

RELATIVE = ("words", "words_rank", "words_gap")
TOGETHER = (
    "first",
    "first_rank",
    "first_gap",
    "first_second",
    "sum",
    "expected_others",
    "units",
    "covered",
    "covered_by_surer",
    "new",
    "left_by_others",
    "left_after",
    "overlap_best",
    "category_best",
    "subset_of",
    "superset_of",
    "same_stretch_example",
    "pair_lift",
    "pair_share",
    "pair_share_back",
    "pair_never",
    "marks_per_term",
)
LIKELY = 0.3  # a rival from here on counts as probably meant
MOST = 8  # rivals looked at


def relative(scores: Floats) -> Floats:
    """A score, its rank, and its distance to the best rival."""
    count = len(scores)
    if not count:
        return np.zeros((0, len(RELATIVE)))
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(count)
    rank[order] = np.arange(count)
    best = scores[order[0]]
    second = scores[order[1]] if count > 1 else best - 5.0
    return np.column_stack((scores, rank, np.where(rank == 0, best - second, scores - best)))


def together(memory: Memory, evidence: Evidence, described: Described, logodds: Floats) -> Floats:
    """Features of each candidate given a first opinion of all."""
    count = len(logodds)
    found = np.zeros((count, len(TOGETHER)))
    if not count:
        return found
    base = relative(logodds)
    p = sigmoid(logodds)
    order = np.argsort(-logodds, kind="stable")
    top = [int(i) for i in order[:MOST]]
    units = evidence.wording.units
    weight = memory.weights(units)
    covers = described.covers
    total = float(weight.sum()) or 1.0
    names = [set(memory.wording(int(term)).units) for term in evidence.terms]
    categories = [normalise_code(memory.standards[int(term)].code)[:3] for term in evidence.terms]
    second = float(p[order[1]]) if count > 1 else 0.0
    whole = float(p.sum())
    likely = [i for i in top if p[i] >= LIKELY]
    for at in range(count):
        rivals = [i for i in top if i != at]
        surer = others = 0
        overlap = category = subset = superset = example = 0.0
        mine = covers[at]
        size = _weight(mine, weight)
        for i in rivals:
            shared = _weight(mine & covers[i], weight) / max(size, 1e-9)
            if p[i] > p[at]:
                surer |= covers[i] if p[i] >= LIKELY else 0
            if p[i] >= LIKELY:
                others |= covers[i]
            if shared > 0.5:
                overlap = max(overlap, float(p[i]))
            if categories[i] and categories[i] == categories[at]:
                category = max(category, float(p[i]))
            if names[at] < names[i]:
                subset = max(subset, float(p[i]))
            if names[i] < names[at]:
                superset = max(superset, float(p[i]))
            row = int(evidence.example[0, at])
            if row >= 0 and row == int(evidence.example[0, i]):
                example = max(example, float(p[i] * evidence.example_alike[0, at]))
        own = int(evidence.terms[at])
        pairs = [(memory.pairs.of(own, int(evidence.terms[i])), float(p[i])) for i in likely if i != at]
        lift = max((value[0] * q for value, q in pairs), default=0.0)
        share = max((value[1] * q for value, q in pairs), default=0.0)
        back = max((value[2] * q for value, q in pairs), default=0.0)
        never = max((value[3] * q for value, q in pairs), default=0.0)
        found[at] = (
            *base[at],
            second,
            whole,
            whole - float(p[at]),
            len(units),
            size / total,
            _weight(mine & surer, weight) / max(size, 1e-9),
            _weight(mine & ~others, weight) / total,
            1.0 - _weight(others, weight) / total,
            1.0 - _weight(others | mine, weight) / total,
            overlap,
            category,
            subset,
            superset,
            example,
            lift,
            share,
            back,
            never,
            len(evidence.stretches) / max(whole, 0.5),
        )
    return found


def _weight(bits: int, weight: Floats) -> float:
    total = 0.0
    at = 0
    while bits:
        if bits & 1 and at < len(weight):
            total += float(weight[at])
        bits >>= 1
        at += 1
    return total
