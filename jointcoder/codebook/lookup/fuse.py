"""What several sources say about the same entries → one score each.

Each source gives an entry a score in [0, 1]. Words and aliases are joined as if each were an independent reason to
believe (noisy or, Pearl 1988): 1 - Π(1 - s). So a lone lexical hit keeps its score and its scale, the same wording
stays 1, agreement raises, and no source can lower another. Meaning is joined likewise, but within [0, CEILING]: it
finds what words do not and orders what they leave open, but likeness of meaning alone never makes a hit as good as
certain (those who read the score take 0.9 for that), and leaves those that are.

The axes of an operation and its words are two readings of the same wording, no independent reasons: the better one
counts, and what both say a little more.

The dense score is a ramp over the centred cosine. Cap and ramp were chosen on the training halves of term corpora in
Chinese and Spanish (`benchmarks/search.py` prints what they give on the others).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SOURCES = ("exact", "alias", "lexical", "index", "axes", "dense")
"""In the order in which a hit names them."""

AGREEMENT = 0.1  # of what is left to 1, for a code that both the axes and the words give
LEAST, MOST = 0.2, 0.9  # centred cosine at which a likeness begins to count, and at which it counts fully
SHAPE = 1.5  # how slowly it begins
CAP = 0.6  # the score of a hit that only the vectors found
CEILING = 0.9  # what the vectors do not lift a score over


@dataclass(frozen=True)
class Found:
    """What one source found: row number of an entry, the document that says it, and its score; an entry may occur
    several times."""

    nodes: NDArray[np.int64]
    documents: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """Entries in order of score, then row number. ``of[source]``: score and document by that source, aligned."""

    nodes: NDArray[np.int64]
    scores: NDArray[np.float64]
    of: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]]

    def __len__(self) -> int:
        return len(self.nodes)

    def score(self, source: str, rank: int) -> float:
        """What a source says of the entry at ``rank``; 0 when it says nothing."""
        return float(self.of[source][0][rank]) if source in self.of else 0.0

    def document(self, source: str, rank: int) -> int:
        """The document by which a source found the entry at ``rank``; -1 when it did not."""
        return int(self.of[source][1][rank]) if source in self.of else -1


def dense_score(cosine: NDArray[Any]) -> NDArray[np.float64]:
    """Centred cosine → score in [0, CAP]."""
    share = np.clip((cosine.astype(np.float64) - LEAST) / (MOST - LEAST), 0.0, 1.0)
    return np.asarray(CAP * share**SHAPE)


def join(found: Mapping[str, Found]) -> Ranked:
    """Join what the sources found."""
    nodes = np.unique(np.concatenate([one.nodes for one in found.values()] or [np.empty(0, dtype=np.int64)]))
    of: dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}
    for source, one in found.items():
        scores, documents = np.zeros(len(nodes)), np.full(len(nodes), -1, dtype=np.int64)
        order = np.lexsort((-one.documents, one.scores))  # the best is written last
        at = np.searchsorted(nodes, one.nodes[order])
        scores[at], documents[at] = one.scores[order], one.documents[order]
        of[source] = scores, documents
    said = [scores for source, (scores, _) in of.items() if source not in ("axes", "dense")]
    total = said[0] if len(said) == 1 else 1.0 - np.prod([1.0 - s for s in said] or [np.ones(len(nodes))], axis=0)
    if "axes" in of:
        total, less = np.maximum(total, of["axes"][0]), np.minimum(total, of["axes"][0])
        total = total + AGREEMENT * less * (1.0 - total)
    if "dense" in of:
        total = total + np.maximum(CEILING - total, 0.0) * of["dense"][0] / CEILING
    order = np.lexsort((nodes, -total))
    order = order[total[order] > 0]
    return Ranked(nodes[order], total[order], {s: (scores[order], docs[order]) for s, (scores, docs) in of.items()})
