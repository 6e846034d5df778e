"""What a terms part knows: the standard terms, and wordings that coders have given them before.

    memory = Memory.build(standards, examples);  memory.links  →  which wording was given which terms

A standard term is a name, printed exactly as the book or the training data print it, with its code. A known wording
links to one or several of them. Kept on disk as JSON lines and mapped arrays. Knows nothing of scores.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.codes import normalise_code
from jointcoder.errors import AssetError
from jointcoder.packs.terms.index import Floats, Index
from jointcoder.packs.terms.translate import Translation
from jointcoder.packs.terms.wording import Wording

PREFIXES = (2, 3, 4, 5)  # characters of a code, its dot left out, at which codes count as neighbours
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Standard:
    """A standard term. ``code`` is "" where no edition has one; ``heading``: the book does not assign it."""

    name: str
    code: str
    heading: bool = False
    system: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A wording as written and the rows of its standard terms. ``weight``: records it stands for."""

    text: str
    terms: tuple[int, ...]


class Pairs:
    """How often two standard terms were given to one wording."""

    def __init__(self, examples: Sequence[Sequence[int]]) -> None:
        self.total = max(len(examples), 1)
        self.one: Counter[int] = Counter()
        self.two: Counter[tuple[int, int]] = Counter()
        for given in examples:
            terms = sorted(set(given))
            self.one.update(terms)
            self.two.update(combinations(terms, 2))

    def of(self, a: int, b: int) -> tuple[float, float, float, float]:
        """Log lift, P(a | b), P(b | a), and how telling it is that they never came together."""
        both, alone, other = self.two[min(a, b), max(a, b)], self.one[a], self.one[b]
        expected = alone * other / self.total
        lift = math.log((both + 0.1) / (expected + 0.1))
        return lift, both / (other + 1.0), both / (alone + 1.0), float(not both) * math.log1p(min(alone, other))


class Memory:
    """Standard terms and examples, indexed. Immutable; safe to share between threads."""

    def __init__(
        self,
        standards: Sequence[Standard],
        examples: Sequence[Example],
        names: Index,
        known: Index,
        says: Translation,
        said: Translation,
    ) -> None:
        self.standards, self.examples = tuple(standards), tuple(examples)
        self.names, self.known = names, known
        self.says, self.said = says, said
        pairs = sorted((term, row) for row, example in enumerate(self.examples) for term in set(example.terms))
        self.link_term = np.asarray([term for term, _ in pairs], dtype=np.int64)
        self.link_row = np.asarray([row for _, row in pairs], dtype=np.int64)
        self.starts = np.searchsorted(self.link_term, np.arange(len(self.standards) + 1))
        self.counts = np.diff(self.starts).astype(np.float64)
        share = np.asarray([1.0 / max(len(set(example.terms)), 1) for example in self.examples])
        self.link_share = share[self.link_row] if len(pairs) else np.zeros(0)

    @classmethod
    def build(cls, standards: Sequence[Standard], examples: Sequence[Example], *, names: Index | None = None) -> Self:
        """``names``: the index of the standards, where it is there already."""
        names = names or Index.build([Wording.of(standard.name) for standard in standards])
        written = [Wording.of(example.text) for example in examples]
        made = {term: Wording.of(standards[term].name) for term in sorted({t for e in examples for t in e.terms})}
        alone = [(w, e.terms[0]) for w, e in zip(written, examples, strict=True) if len(e.terms) == 1]
        pairs = [(w.short, made[term].short) for w, term in alone]
        says = Translation.learn(pairs)
        said = Translation.learn([(name, mention) for mention, name in pairs])
        return cls(standards, examples, names, Index.build(written), says, said)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "standards.jsonl", ([s.name, s.code, int(s.heading), s.system] for s in self.standards))
        _write(folder / "examples.jsonl", ([e.text, *e.terms] for e in self.examples))
        self.names.save(folder / "names")
        self.known.save(folder / "known")
        self.says.save(folder, "says")
        self.said.save(folder, "said")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises AssetError JC212 when a file is missing or damaged."""
        try:
            rows = [json.loads(line) for line in (folder / "standards.jsonl").read_text("utf-8").splitlines()]
            standards = [Standard(str(name), str(code), bool(head), str(system)) for name, code, head, system in rows]
            rows = [json.loads(line) for line in (folder / "examples.jsonl").read_text("utf-8").splitlines()]
            examples = [Example(str(text), tuple(map(int, terms))) for text, *terms in rows]
            names, known = Index.open(folder / "names"), Index.open(folder / "known")
            if len(names) != len(standards) or len(known) != len(examples):
                raise ValueError("index and table differ")
            says, said = Translation.load(folder, "says"), Translation.load(folder, "said")
            return cls(standards, examples, names, known, says, said)
        except (OSError, ValueError, TypeError, IndexError) as error:
            raise AssetError("JC212", f"the terms of the pack are damaged ({type(error).__name__})") from None

    @cached_property
    def pairs(self) -> Pairs:
        """Which terms are given together."""
        return Pairs([example.terms for example in self.examples])

    @cached_property
    def prefix_rows(self) -> tuple[Ints, ...]:
        """For each length in :data:`PREFIXES` the number of each standard's code prefix."""
        found = []
        for length in PREFIXES:
            seen: dict[str, int] = {}
            keys = [normalise_code(standard.code)[:length] for standard in self.standards]
            found.append(np.asarray([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64))
        return tuple(found)

    def wording(self, term: int) -> Wording:
        """The name of a standard, taken apart (kept: the same names come again and again)."""
        kept = self._wordings.get(term)
        if kept is None:
            kept = self._wordings.setdefault(term, Wording.of(self.standards[term].name))
        return kept

    def written(self, row: int) -> Wording:
        """The wording of an example, taken apart."""
        kept = self._written.get(row)
        if kept is None:
            kept = self._written.setdefault(row, Wording.of(self.examples[row].text))
        return kept

    def weight(self, units: Iterable[str]) -> float:
        """The summed idf of single units among the names."""
        return sum(map(self._weight, units))

    def weights(self, grams: Sequence[str]) -> Floats:
        """The idf of each gram among the names."""
        return np.fromiter(map(self._weight, grams), dtype=np.float64, count=len(grams))

    def _weight(self, gram: str) -> float:
        value = self._weights.get(gram)
        if value is None:
            value = self._weights[gram] = float(self.names.weights((gram,))[0])
        return value

    @cached_property
    def _weights(self) -> dict[str, float]:
        return {}

    @cached_property
    def _wordings(self) -> dict[int, Wording]:
        return {}

    @cached_property
    def _written(self) -> dict[int, Wording]:
        return {}

    def best_example(self, likeness: Floats, terms: Ints) -> tuple[Floats, Ints]:
        """For each of ``terms`` the greatest likeness among its examples, and that example's row (-1: it has none)."""
        best = np.zeros(len(terms))
        rows = np.full(len(terms), -1, dtype=np.int64)
        for place, term in enumerate(terms.tolist()):
            mine = self.link_row[self.starts[term] : self.starts[term + 1]]
            if len(mine):
                at = int(np.argmax(likeness[mine]))
                best[place], rows[place] = likeness[mine[at]], mine[at]
        return best, rows

    def votes(self, of_examples: Floats) -> Floats:
        """What examples say of every standard: each hands its value to its terms in equal shares."""
        weights = of_examples[self.link_row] * self.link_share if len(self.link_row) else np.zeros(0)
        counted = np.bincount(self.link_term, weights=weights, minlength=len(self.standards))
        return np.asarray(counted, dtype=np.float64)


def _write(path: Path, rows: Iterable[Sequence[object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
