"""The whole way from a mention to calibrated candidates, in one place for training and use.

    gather ──► describe ──► log-linear (words), the foremost ──► first opinion ──► rivals ──► final opinion, calibrated

Two combiners: the first judges each candidate by itself and against the others' scores; the second knows what the first
said of all of them, so that a term already explained by a surer one falls back. Knows nothing of thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jointcoder.packs.combiner import Combiner
from jointcoder.packs.terms.evidence import Evidence, gather
from jointcoder.packs.terms.features import DENSE, Described, describe
from jointcoder.packs.terms.index import Floats
from jointcoder.packs.terms.loglinear import LogLinear
from jointcoder.packs.terms.memory import Ints, Memory
from jointcoder.packs.terms.rivals import RELATIVE, TOGETHER, relative, together

KEPT = 16  # candidates that the log-linear model leaves to the combiners
FIRST = (*DENSE, *RELATIVE)
FINAL = (*TOGETHER, *DENSE, *RELATIVE)


@dataclass(frozen=True)
class Opinion:
    """Candidates of one mention, in the order of ``evidence.terms``. ``rows``: what the final combiner saw."""

    evidence: Evidence
    described: Described
    rows: Floats
    logodds: Floats
    probability: Floats

    def order(self) -> list[int]:
        """Places of the candidates, best first; equal ones by row of the standard."""
        return [int(i) for i in np.lexsort((self.evidence.terms, -self.logodds))]


@dataclass(frozen=True)
class Model:
    """Frozen; safe to share between threads."""

    memory: Memory
    language: str
    words: LogLinear
    first: Combiner
    final: Combiner

    def opinion(self, text: str) -> Opinion:
        """Judge all candidates of a mention; an empty opinion where nothing of it is known."""
        evidence = gather(self.memory, text, self.language)
        described = describe(self.memory, evidence)
        scores = self.words.scores(described.rows, described.words)
        kept = foremost(scores)
        evidence, described = evidence.take(kept), described.take(kept)
        rows = first_rows(described, scores[kept])
        final = final_rows(self.memory, evidence, described, rows, self.first.logodds(rows))
        logodds = self.final.logodds(final)
        return Opinion(evidence, described, final, logodds, self.final.calibration(logodds))


def foremost(scores: Floats) -> Ints:
    """Places of the best :data:`KEPT` scores, in order of place: the rest is not looked at further."""
    return np.sort(np.argsort(-scores, kind="stable")[:KEPT]).astype(np.int64)


def first_rows(described: Described, scores: Floats) -> Floats:
    """Rows of :data:`FIRST`."""
    return np.hstack((described.rows, relative(scores)))


def final_rows(memory: Memory, evidence: Evidence, described: Described, rows: Floats, logodds: Floats) -> Floats:
    """Rows of :data:`FINAL`. ``logodds``: what the first combiner says of ``rows``."""
    return np.hstack((together(memory, evidence, described, logodds), rows))
