"""What is known of a record and a code, as named figures: the question a combiner answers once for every code.

    frame.others(scores, principals, shares)       (records, codes, features): is the code given, not as the principal?
    frame.firsts(scores, principals, shares)       (records, candidates, features): is it the principal one?

The features are the same for all codes, so that few records teach many codes: what the words say (a linear model's
score), how that compares with the others', what coded history expects, and how much of the code's name is written,
where. The only feature of a code's own is ``custom``: how often it was given when its name stood so. Knows nothing of
texts and of how the figures are weighed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jointcoder.packs.labels.names import DENIED
from jointcoder.records import Kind

Array = NDArray[np.float64]
Places = NDArray[np.int64]

KINDS = (Kind.DIAGNOSIS, Kind.PROCEDURE)
SCORE_FEATURES = ("score", "score_logit", "relative", "rivals")
OTHERS = (
    *SCORE_FEATURES,
    "prior",
    "company",
    "beside_principal",
    "as_principal",
    "name_definitive",
    "name_narrative",
    "name_history",
    "name_denied",
    "name_ahead_definitive",
    "name_ahead",
    "name_whole",
    "custom",
)
FIRSTS = (
    "score",
    "score_logit",
    "margin",
    "prior",
    "as_other",
    "name_definitive",
    "name_narrative",
    "name_history",
    "name_denied",
    "name_ahead",
)
FIRST_SCORES = ("score", "score_logit", "margin")
STATES = 5  # how a name is said: not, in part elsewhere, in part definitively, wholly elsewhere, wholly definitively
PARTLY, WHOLLY = 0.6, 0.99
APART = -0.8  # log lift from which two codes exclude each other
_LEAST = 0.002


def logit(value: Array) -> Array:
    """Log-odds of probabilities, kept finite."""
    kept = np.clip(value, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(kept / (1 - kept)), dtype=np.float64)


def beside(other: Array, principal: Array) -> Array:
    """P(given, not as the principal) → P(given | it is not the principal)."""
    return np.asarray(np.clip(other / np.maximum(1.0 - principal, 1e-6), 0.0, 1.0), dtype=np.float64)


def states(shares: Array) -> Places:
    """(records, codes): in which of the STATES each name is."""
    definitive, anywhere = shares[..., 0], shares[..., :DENIED].max(axis=-1)
    found = np.zeros(definitive.shape, dtype=np.int64)
    for state, held in enumerate(
        (anywhere >= PARTLY, definitive >= PARTLY, anywhere >= WHOLLY, definitive >= WHOLLY), start=1
    ):
        found[held] = state
    return found


@dataclass(frozen=True)
class Frame:
    """What training fixed. L codes, K candidates for principal.

    ``kinds``: (L,) 0 diagnosis, 1 procedure. ``prior``: (L,). ``lifts``: (L, L). ``candidates``: (K,) places among the
    codes. ``first_prior``: (K,) share of records of the kind. ``beside``: (K, L) P(code | principal). ``alike``: (L,
    L). ``custom``: (L, STATES) log-odds.
    """

    kinds: Places
    prior: Array
    lifts: Array
    candidates: Places
    first_prior: Array
    beside: Array
    alike: NDArray[np.bool_]
    custom: Array

    def of_kind(self, kind: str) -> NDArray[np.bool_]:
        """(L,): which codes are of the kind."""
        return np.asarray(self.kinds == KINDS.index(Kind(kind)))

    def chances(self, principals: Array) -> Array:
        """(records, K): scores of candidates → shares that sum to one within a kind."""
        kept = np.clip(principals, 0.01, 1.0)
        for kind in sorted(set(self.kinds[self.candidates].tolist())):
            of_kind = self.kinds[self.candidates] == kind
            kept[:, of_kind] /= kept[:, of_kind].sum(axis=1, keepdims=True)
        return kept

    def others(self, scores: Array, principals: Array, shares: Array, custom: Array | None = None) -> Array:
        """``scores``: (records, L); ``principals``: (records, K); ``shares``: (records, L, groups).
        ``custom``: (records, L) in place of the table's, where a trainer cross-fits."""
        kept = np.clip(scores, _LEAST, 1 - _LEAST)
        chance = self.chances(principals)
        as_principal = np.zeros_like(kept)
        as_principal[:, self.candidates] = chance
        beside = self._beside(chance, kept.shape)
        strongest = np.ones_like(kept)
        for kind in sorted(set(self.kinds.tolist())):
            strongest[:, self.kinds == kind] = kept[:, self.kinds == kind].max(axis=1, keepdims=True)
        apart = self.lifts < APART
        rivals = np.stack([np.where(row, kept, 0.0).max(axis=1) for row in apart], axis=1)
        definitive, anywhere = shares[..., 0], shares[..., :DENIED].max(axis=-1)
        if custom is None:
            custom = self.custom[np.arange(len(self.prior)), states(shares)]
        return np.stack(
            [
                kept,
                logit(kept),
                kept / strongest,
                np.log(kept / (rivals + 0.02)),
                np.broadcast_to(logit(self.prior), kept.shape),
                kept @ self.lifts,
                logit(beside),
                as_principal,
                *(shares[..., group] for group in range(shares.shape[-1])),
                self._ahead(definitive),
                self._ahead(anywhere),
                (anywhere >= WHOLLY).astype(np.float64),
                custom,
            ],
            axis=2,
        )

    def firsts(self, scores: Array, principals: Array, shares: Array) -> Array:
        """The same shapes; features of the candidates only."""
        chance = self.chances(principals)
        margin = np.empty_like(principals)
        for place in range(principals.shape[1]):
            same = self.kinds[self.candidates] == self.kinds[self.candidates[place]]
            same[place] = False
            others = principals[:, same]
            margin[:, place] = principals[:, place] - (others.max(axis=1) if others.shape[1] else 0.0)
        anywhere = shares[..., :DENIED].max(axis=-1)
        return np.stack(
            [
                principals,
                logit(chance),
                margin,
                np.broadcast_to(logit(self.first_prior), principals.shape),
                np.clip(scores, 0.0, 1.0)[:, self.candidates],
                *(shares[:, self.candidates, group] for group in range(shares.shape[-1])),
                self._ahead(anywhere)[:, self.candidates],
            ],
            axis=2,
        )

    def _beside(self, chance: Array, shape: tuple[int, ...]) -> Array:
        """P(code | what the principal may be), each kind of code beside the principal of its own kind."""
        found = np.broadcast_to(self.prior, shape).copy()
        for kind in sorted(set(self.kinds[self.candidates].tolist())):
            rows, columns = self.kinds[self.candidates] == kind, self.kinds == kind
            found[:, columns] = chance[:, rows] @ self.beside[np.ix_(rows, columns)]
        return found

    def _ahead(self, said: Array) -> Array:
        """By how much more of a code's name is written than of any name like it."""
        rival = np.stack([np.where(row, said, 0.0).max(axis=1) for row in self.alike], axis=1)
        return np.asarray(said - rival, dtype=np.float64)
