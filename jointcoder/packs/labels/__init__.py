"""labels: a whole record → codes of a closed set, the principal one and the others. No marked evidence was needed.

    labels = Labels.load(folder, info, None)
    labels.propose(encounter, "zh")         list[Proposal], likeliest first, all codes of the set
    labels.probabilities("…")               {code: probability}: a feature for other parts

| file | what |
|---|---|
| `reading.py` | encounter → runs of words by section; lists of entries |
| `grams.py` | runs → sparse vector |
| `names.py` | how much of a code's name is written, where |
| `pairs.py` | a record and a code → named figures |
| `model.py` | the files |
| `explain.py` | which words spoke for a code, and where they stand |

Trained by :mod:`jointcoder.learn.labels`. Knows the closed set it was taught and nothing of code books: a code outside
the set is never proposed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.packs.labels.explain import Asked, evidence, reasons
from jointcoder.packs.labels.grams import Counted, Found, count
from jointcoder.packs.labels.model import Model
from jointcoder.packs.labels.names import Said
from jointcoder.packs.labels.pairs import FIRST_SCORES, beside
from jointcoder.packs.labels.reading import Reading, affirmed
from jointcoder.packs.proposal import Proposal
from jointcoder.records import Encounter, System

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.packs.pack import PackInfo

Array = NDArray[np.float64]
PREFIX = "labels:"


@dataclass(frozen=True)
class Weighed:
    """One encounter: all figures. ``other``: (L,) probability of being given, of a led kind not as the principal;
    ``first``: (K,) of being the principal. ``features``, ``firsts``: the rows of figures behind the two."""

    reading: Reading
    found: Found
    said: Said
    features: Array
    other: Array
    first: Array
    firsts: Array


class Labels:
    """The part. Immutable; safe to share between threads."""

    def __init__(self, model: Model, thresholds: Mapping[str, float] | None = None) -> None:
        self.model = model
        self._thresholds = {**model.settings.thresholds, **(thresholds or {})}

    @classmethod
    def load(cls, folder: Path, info: PackInfo | None = None, lookup: Lookup | None = None) -> Self:
        """Thresholds that the pack states (``labels:SYSTEM``) win over the part's own.

        Raises AssetError JC212 where the files are damaged.
        """
        told = {key: value for key, value in info.thresholds.items() if key.startswith(PREFIX)} if info else {}
        return cls(Model.load(folder), {key.removeprefix(PREFIX): value for key, value in told.items()})

    def propose(self, encounter: Encounter, language: str = "") -> list[Proposal]:
        """All codes of the set, likeliest first; ``chosen`` are the codes above the threshold and, of a kind of
        which every stay has a principal code, the likeliest principal. The probability of that one is that of being
        given in any role, that of the others of its kind that of being given beside it.

        ``language`` does not matter: a part reads the language it was taught.
        """
        weighed = self.weigh(encounter)
        settings = self.model.settings
        principal, tops = self._principals(weighed.first)
        led = self._led
        probability = np.where(led, beside(weighed.other, principal), weighed.other)
        probability[tops] = np.clip(weighed.other + principal, 0.0, 1.0)[tops]
        proposals = []
        for place, (system, code) in enumerate(settings.codes):
            proposals.append(
                Proposal(
                    system=System(system),
                    code=code,
                    probability=float(probability[place]),
                    spans=evidence(self.model, weighed.reading, weighed.found, weighed.said, place),
                    principal=float(principal[place]),
                    reasons=reasons(self.model, weighed.found, self._asked(weighed, place, principal=place in tops)),
                    chosen=bool(place in tops or probability[place] >= self._thresholds.get(system, 0.5)),
                )
            )
        return sorted(proposals, key=lambda p: (-p.probability, p.system, p.code))

    def probabilities(self, text: str | Encounter) -> dict[str, float]:
        """The probability of every code of the set, in whatever role."""
        encounter = Encounter.from_text(text) if isinstance(text, str) else text
        weighed = self.weigh(encounter)
        principal, _ = self._principals(weighed.first)
        either = weighed.other + np.where(self._led, principal, 0.0)
        return {
            code: float(min(value, 1.0)) for (_, code), value in zip(self.model.settings.codes, either, strict=True)
        }

    def weigh(self, encounter: Encounter) -> Weighed:
        """All figures of one encounter."""
        model = self.model
        reading = model.reader.read(encounter)
        counted = counted_of(reading, model)
        found = model.space.features(counted)
        scores, principals = model.scores(found)
        said = model.names.said(reading, model.settings.language)
        row = (scores[None], principals[None], said.share[None])
        features = model.frame.others(*row)[0]
        other, first = np.zeros(len(scores)), np.zeros(len(principals))
        firsts = model.frame.firsts(*row)[0] if len(principals) else np.zeros((0, 0))
        if len(principals):
            for name, combiner in model.settings.firsts.items():
                of_kind = model.frame.of_kind(name)[model.frame.candidates]
                value = combiner.probability(firsts[of_kind])
                first[of_kind] = value / max(float(value.sum()), 1e-9) if name in model.settings.led else value
        for name, combiner in model.settings.others.items():
            of_kind = model.frame.of_kind(name)
            other[of_kind] = combiner.probability(features[of_kind])
        return Weighed(reading, found, said, features, other, first, firsts)

    def _asked(self, weighed: Weighed, place: int, *, principal: bool) -> Asked:
        """The question that a proposal answers: is it given, or is it the principal?"""
        settings = self.model.settings
        kind = System(settings.codes[place][0]).kind.value
        if not principal:
            return Asked(settings.others.get(kind), weighed.features[place], place)
        row = settings.candidates.index(place)
        column = len(settings.codes) + row
        return Asked(settings.firsts.get(kind), weighed.firsts[row], column, FIRST_SCORES, "principal: ")

    def _principals(self, first: Array) -> tuple[Array, list[int]]:
        """(L,) probability of being the principal, and of each led kind the likeliest one."""
        candidates = self.model.frame.candidates
        principal = np.zeros(len(self.model.settings.codes))
        principal[candidates] = first
        found = []
        for kind in self.model.settings.led:
            of_kind = np.flatnonzero(self.model.frame.of_kind(kind)[candidates])
            found.append(int(candidates[of_kind[first[of_kind].argmax()]]))
        return principal, found

    @property
    def _led(self) -> NDArray[np.bool_]:
        """(L,): which codes are of a led kind."""
        found = np.zeros(len(self.model.settings.codes), dtype=bool)
        for kind in self.model.settings.led:
            found |= self.model.frame.of_kind(kind)
        return found


def counted_of(reading: Reading, model: Model) -> Counted:
    """The words and affirmed entries of a reading."""
    language = model.settings.language
    entries = model.space.entries
    return count(reading, model.reader.glue, language, entries, lambda r, places: affirmed(r, places, language))
