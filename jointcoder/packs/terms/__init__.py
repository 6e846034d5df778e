"""A mention as written → the standard terms it holds, learned from pairs of the two.

    terms = Terms.load(folder, info)
    terms.rank("L wrist fx")          →  [TermChoice(name, code, probability, reasons), …]   best first
    terms.normalise("L wrist fx")     →  those that the mention is said to hold
    terms.open_question("L wrist fx") →  those to put to a model first; then terms.settled(choices, logprobs, none)

| file | what |
|---|---|
| `wording.py`, `pieces.py`, `differences.py` | texts: units, stretches, what differs and what would follow |
| `index.py`, `memory.py`, `translate.py` | what is known: names, examples, which gram stands for which |
| `evidence.py`, `features.py`, `rivals.py` | candidates and what speaks for each |
| `loglinear.py`, `model.py`, `choosing.py` | from features to probability, and to the answer |
| `rescore.py`, `voice.py` | a model's choice among the candidates as one more voice, and what it counts |

Trained by :mod:`jointcoder.learn.terms`. Knows nothing of encounters, of negation or of dates.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jointcoder.errors import AssetError
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.terms.choosing import Choosing
from jointcoder.packs.terms.loglinear import LogLinear
from jointcoder.packs.terms.memory import Memory
from jointcoder.packs.terms.model import Model, Opinion
from jointcoder.packs.terms.rescore import voices
from jointcoder.packs.terms.voice import Voice
from jointcoder.records import Reason

if TYPE_CHECKING:
    from jointcoder.packs.pack import PackInfo

__all__ = ["Choosing", "TermChoice", "Terms"]

FILE = "terms.json"
REASONS = 8  # reasons given a choice
WORDS = 3  # of these, what the wordings say differently


@dataclass(frozen=True, slots=True)
class TermChoice:
    """One standard term for a mention. ``name``: exactly as the book or the training data have it; ``probability``
    is calibrated; ``reasons``: log-odds contributions, largest first; ``logodds``: before calibration."""

    name: str
    code: str
    probability: float
    reasons: tuple[Reason, ...] = ()
    system: str = ""
    logodds: float = 0.0


class Terms:
    """The part as loaded. Safe to share between threads."""

    def __init__(self, model: Model, choosing: Choosing, voice: Voice | None = None) -> None:
        self.model, self.choosing, self.voice = model, choosing, voice
        self.systems = frozenset(standard.system for standard in model.memory.standards)

    @classmethod
    def load(cls, folder: Path, info: PackInfo | None = None, lookup: object = None) -> Self:
        """Raises AssetError JC212 when the part is damaged. A threshold ``terms:names`` in ``info`` overrides the one
        that the part was trained with; ``lookup`` is not needed."""
        try:
            data: dict[str, Any] = json.loads((folder / FILE).read_text("utf-8"))
            stated = info.thresholds.get("terms:names") if info else None
            choosing = Choosing(float(data["threshold"] if stated is None else stated), float(data["least"]))
            language, first, final = str(data["language"]), data["first"], data["final"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AssetError("JC212", f"the terms of the pack are damaged ({type(error).__name__})") from None
        model = Model(
            Memory.load(folder),
            language,
            LogLinear.load(folder),
            Combiner.from_json(first, folder / "first"),
            Combiner.from_json(final, folder / "final"),
        )
        return cls(model, choosing, Voice.load(folder))

    def rank(self, term: str, *, k: int = 10) -> list[TermChoice]:
        """The ``k`` most probable standard terms, with reasons; none where nothing of the mention is known."""
        opinion = self.model.opinion(term)
        return [self._choice(opinion, at) for at in opinion.order()[:k]]

    def normalise(self, mention: str) -> list[TermChoice]:
        """The standard terms that the mention is said to hold, best first."""
        opinion = self.model.opinion(mention)
        order = opinion.order()
        return [self._choice(opinion, order[at]) for at in self.choosing.of([opinion.probability[at] for at in order])]

    def open_question(self, mention: str) -> list[TermChoice]:
        """The candidates to put to a model, best first; none where no model has been weighed, where the part is sure of
        the best one, or where there is nothing to choose."""
        if self.voice is None:
            return []
        found = self.rank(mention, k=self.voice.k)
        return found if len(found) > 1 and found[0].probability < self.voice.sure else []

    def settled(
        self, choices: Sequence[TermChoice], logprobs: Sequence[float], none: float | None = None
    ) -> list[TermChoice]:
        """The terms that the mention holds, after the model's answer to :meth:`open_question`: log-probabilities in
        the order of ``choices``, and that of "none of these"."""
        assert self.voice is not None
        combiner = self.voice.combiner
        rows = voices([choice.logodds for choice in choices], logprobs, none)
        ranked = [
            replace(choice, probability=float(value), reasons=(*combiner.contributions(row), *choice.reasons)[:REASONS])
            for choice, row, value in zip(choices, rows, combiner.probability(rows), strict=True)
        ]
        ranked.sort(key=lambda choice: (-choice.probability, -choice.logodds))
        return [ranked[at] for at in self.voice.choosing.of([choice.probability for choice in ranked])]

    def _choice(self, opinion: Opinion, at: int) -> TermChoice:
        standard = self.model.memory.standards[int(opinion.evidence.terms[at])]
        parts = self.model.final.contributions(opinion.rows[at])
        # what the log-linear model found telling: its weights are log-odds of its own, named apart
        telling = self.model.words.telling(opinion.described.words[at], WORDS)
        said = tuple(Reason(feature=f"words: {self._readable(word)}", value=1.0, weight=w) for word, w in telling)
        return TermChoice(
            standard.name,
            standard.code,
            float(opinion.probability[at]),
            (*parts[: REASONS - len(said)], *said),
            standard.system,
            float(opinion.logodds[at]),
        )

    def _readable(self, word: str) -> str:
        kind, _, row = word.partition(" ")
        return f"name {self.model.memory.standards[int(row)].name}" if kind == "name" else word
