"""Where a code is worded: a linear-chain model over words (conditional random field, Lafferty 2001), run in numpy.

    lattice = tagger.read(note)
    lattice.inside[i]          probability that word i belongs to a marked mention
    lattice.exactly(i, j)      probability that words i … j are one mention, neither more nor less

Labels are O (outside), B (first word), I (further word). The weights were trained elsewhere and are plain arrays;
nothing but numpy runs here. Exact probabilities of stretches come from the forward and backward sums.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.packs.mentions.tokens import Note

Array = NDArray[np.float64]
LABELS = ("O", "B", "I")
O, B, I = range(3)  # noqa: E741
FAR = -30.0  # log-weight of a label that cannot be


def cues(note: Note, first: int, last: int) -> list[list[str]]:
    """What the tagger sees of each word of the sentence ``[first, last)``. Order and spelling are part of the model."""
    rows: list[list[str]] = []
    words, stems = note.words, note.stems
    for i in range(first, last):
        word, stem = words[i], stems[i]
        before = words[i - 1] if i > first else "<"
        after = words[i + 1] if i + 1 < last else ">"
        left = stems[i - 1] if i > first else "<"
        right = stems[i + 1] if i + 1 < last else ">"
        row = [
            "w=" + word,
            "s=" + stem,
            "p4=" + word[:4],
            "p6=" + word[:6],
            "e3=" + word[-3:],
            "e4=" + word[-4:],
            "e5=" + word[-5:],
            "h=" + note.shapes[i],
            "-1=" + before,
            "+1=" + after,
            "-1s=" + left,
            "+1s=" + right,
            "-1+0=" + left + "|" + stem,
            "+0+1=" + stem + "|" + right,
            "-1e=" + before[-4:],
            "+1e=" + after[-4:],
            "g=" + note.gaps[i],
        ]
        if i + 1 < last:
            row.append("g+=" + note.gaps[i + 1])
            row.append("+1h=" + note.shapes[i + 1])
        if i - 1 > first:
            row.append("-2=" + stems[i - 2])
            row.append("-2-1=" + stems[i - 2] + "|" + left)
        if i + 2 < last:
            row.append("+2=" + stems[i + 2])
            row.append("+1+2=" + right + "|" + stems[i + 2])
        if i == first:
            row.append("first")
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Lattice:
    """Probabilities over one note's words; ``emit`` and the sums are log-weights by word and label."""

    inside: Array
    emit: Array
    alpha: Array
    beta: Array
    total: Array  # log of the sum over all paths, the same for all words of a sentence
    steps: Array
    ends: tuple[int, ...]  # of each word: where its sentence ends
    _run: Array

    def exactly(self, first: int, last: int) -> float:
        """The probability that the words ``first … last`` are one mention."""
        value = self.alpha[first, B] + self._run[last] - self._run[first]
        if last + 1 < self.ends[last]:
            onward = self.steps[B if first == last else I, [O, B]] + self.emit[last + 1, [O, B]]
            value += float(np.logaddexp.reduce(onward + self.beta[last + 1, [O, B]]))
        if last > first:
            value += float(self.steps[B, I] - self.steps[I, I])
        return float(np.exp(min(0.0, value - self.total[first])))


class Tagger:
    """Weights by cue. Immutable."""

    def __init__(self, names: list[str], weights: NDArray[np.float32], steps: NDArray[np.float32]) -> None:
        self.names, self.weights, self.steps = names, weights, steps
        self._index = {name: i for i, name in enumerate(names)}

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        arrays = np.load(folder / f"{name}.npz")
        names = json.loads((folder / f"{name}.json").read_text("utf-8"))
        return cls(names, arrays["weights"].astype(np.float32), arrays["steps"].astype(np.float32))

    def save(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{name}.npz", weights=self.weights.astype(np.float16), steps=self.steps)
        text = json.dumps(self.names, ensure_ascii=False, separators=(",", ":"))
        (folder / f"{name}.json").write_text(text, "utf-8")

    def read(self, note: Note) -> Lattice:
        """The lattice of a note."""
        number = len(note)
        emit = np.zeros((number, 3))
        for place, row in self._known(note):
            if row:
                emit[place] = self.weights[row].sum(axis=0)
        steps = self.steps.astype(np.float64)
        steps[O, I] = FAR  # a mention begins with B
        alpha, beta, total = np.zeros((number, 3)), np.zeros((number, 3)), np.zeros(number)
        ends = [0] * number
        for first, last in note.sentences:
            alpha[first] = emit[first]
            alpha[first, I] = FAR
            for i in range(first + 1, last):
                alpha[i] = emit[i] + _logsum(alpha[i - 1][:, None] + steps)
            for i in range(last - 2, first - 1, -1):
                beta[i] = _logsum((steps + (emit[i + 1] + beta[i + 1])[None, :]).T)
            total[first:last] = np.logaddexp.reduce(alpha[last - 1])
            ends[first:last] = [last] * (last - first)
        outside = np.exp(np.minimum(0.0, alpha[:, O] + beta[:, O] - total))
        run = np.cumsum(emit[:, I] + steps[I, I]) if number else np.zeros(0)
        return Lattice(1.0 - outside, emit, alpha, beta, total, steps, tuple(ends), run)

    def _known(self, note: Note) -> Iterator[tuple[int, list[int]]]:
        index = self._index
        for first, last in note.sentences:
            for i, row in enumerate(cues(note, first, last), start=first):
                yield i, [index[cue] for cue in row if cue in index]


def _logsum(values: Array) -> Array:
    top = values.max(axis=0)
    return np.asarray(top + np.log(np.exp(values - top).sum(axis=0)))


def stretches(note: Note, lattice: Lattice, *, least: float = 0.05, longest: int = 10) -> list[tuple[int, int, float]]:
    """The stretches that may be one mention, with their probability: (first word, last word, probability)."""
    found: list[tuple[int, int, float]] = []
    begins = np.flatnonzero(lattice.inside >= least)
    for first in begins.tolist():
        start = np.exp(min(0.0, float(lattice.alpha[first, B] + lattice.beta[first, B] - lattice.total[first])))
        if start < least:
            continue
        for last in range(first, min(first + longest, lattice.ends[first])):
            if lattice.inside[last] < least:
                break
            if (value := lattice.exactly(first, last)) >= least:
                found.append((first, last, value))
    return found
