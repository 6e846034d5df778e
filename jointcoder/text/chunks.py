"""Documents → parts that fit a token budget, with nothing lost and nothing twice.

Whole sections are packed while they fit; a section longer than the budget is split at sentence ends, a sentence
longer than the budget between characters. Token counts are asked for sparingly: each cut is estimated from the
tokens per character seen so far, then verified. Knows nothing of prompts: the budget is for note text alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from jointcoder.records import Document, Section
from jointcoder.text.segment import sentences

Piece = tuple[int, int, int]
_SEPARATOR = "\n\n"
_MAX_GROWTH = 2  # tries to take in more after a cut that left room


@dataclass(frozen=True)
class Chunk:
    """Consecutive ``pieces`` (document, start, end), at most one a document, and the names of their sections."""

    pieces: tuple[Piece, ...]
    sections: tuple[str, ...] = ()
    tokens: int = 0

    def text(self, documents: Sequence[Document]) -> str:
        """The text of all pieces, those of different documents parted by a blank line."""
        return _SEPARATOR.join(documents[index].text[start:end] for index, start, end in self.pieces)


def plan_chunks(
    documents: Sequence[Document],
    sections: Sequence[Section],
    *,
    budget: int,
    count: Callable[[str], int],
) -> list[Chunk]:
    """Chunks of at most ``budget`` tokens, as ``count`` measures ``chunk.text(documents)``, in reading order.

    Every character of every document lies in exactly one chunk. A single character goes into a chunk even if it
    alone exceeds the budget. Raises ValueError for a budget below 1.
    """
    if budget < 1:
        raise ValueError("a chunk needs a budget of at least one token")
    plan = _Plan(documents, sections)
    counted = _Counter(plan, count)
    chunks: list[Chunk] = []
    start = 0
    while start < plan.length:
        end = _next_end(plan, counted, start, budget)
        chunks.append(plan.chunk(start, end, counted.tokens(start, end)))
        start = end
    return chunks


class _Plan:
    """All documents as one line of characters, with the places where it is good to cut."""

    def __init__(self, documents: Sequence[Document], sections: Sequence[Section]) -> None:
        self.documents = documents
        self.starts = [0, *accumulate(len(document.text) for document in documents)]
        self.length = self.starts[-1]
        ends = (self.starts[s.document] + place for s in sections for place in (s.start, s.end))
        self.section_cuts = sorted({*self.starts[1:], *ends} - {0})
        self._sections = sections
        self._sentence_cuts: list[int] | None = None

    @property
    def sentence_cuts(self) -> list[int]:
        """Ends of sentences, white space after them included; found only when a section must be split."""
        if self._sentence_cuts is None:
            cuts: set[int] = set()
            for offset, document in zip(self.starts, self.documents, strict=False):
                # the Chinese rules know the Latin stops too, and chunks have no language
                cuts.update(offset + start for start, _ in sentences(document.text, "zh"))
            self._sentence_cuts = sorted(cuts - {0})
        return self._sentence_cuts

    def pieces(self, start: int, end: int) -> Iterable[Piece]:
        first = bisect_right(self.starts, start) - 1
        for index in range(first, len(self.documents)):
            offset = self.starts[index]
            if offset >= end:
                break
            piece = (max(start, offset) - offset, min(end, self.starts[index + 1]) - offset)
            if piece[0] < piece[1]:
                yield (index, *piece)

    def chunk(self, start: int, end: int, tokens: int) -> Chunk:
        pieces = tuple(self.pieces(start, end))
        names = (
            section.name
            for index, first, last in pieces
            for section in self._sections
            if section.document == index and section.start < last and first < section.end
        )
        return Chunk(pieces, tuple(dict.fromkeys(names)), tokens)

    def text(self, start: int, end: int) -> str:
        return Chunk(tuple(self.pieces(start, end))).text(self.documents)


class _Counter:
    """Counts stretches once each and keeps the tokens per character of the last one."""

    def __init__(self, plan: _Plan, count: Callable[[str], int]) -> None:
        self._plan = plan
        self._count = count
        self._known: dict[tuple[int, int], int] = {}
        self.density = 0.0

    def tokens(self, start: int, end: int) -> int:
        if (start, end) not in self._known:
            tokens = self._count(self._plan.text(start, end))
            self._known[start, end] = tokens
            self.density = max(tokens, 1) / (end - start)
        return self._known[start, end]


def _next_end(plan: _Plan, counted: _Counter, start: int, budget: int) -> int:
    """Where the chunk that begins at ``start`` ends."""
    if not counted.density and counted.tokens(start, plan.length) <= budget:
        return plan.length
    good, bad = start, plan.length + 1  # verified to fit; verified not to fit
    limit = start + max(1, int(budget / counted.density))
    growth = 0
    while True:
        end = _cut(plan, start, min(limit, bad - 1, plan.length), good)
        if end <= good:
            return good if good > start else start + 1
        tokens = counted.tokens(start, end)
        if tokens > budget:
            bad = end
            # at least a twentieth less each time, so that few counts find the way down
            limit = min(start + int((end - start) * budget / tokens), end - max(1, (end - start) // 20))
            if limit <= start and good == start:
                limit = start + 1
            if bad == start + 1:
                return start + 1
            continue
        good = end
        growth += 1
        limit = start + int((end - start) * budget / max(tokens, 1))
        if end == plan.length or growth > _MAX_GROWTH:
            return good


def _cut(plan: _Plan, start: int, limit: int, good: int) -> int:
    """The best place to cut in ``(start, limit]``: a section end, else a sentence end, else ``limit`` itself.

    Once something fits (``good``), only cuts as good as a section end are worth another try.
    """
    if section_end := _last(plan.section_cuts, start, limit):
        return section_end
    if sentence_end := _last(plan.sentence_cuts, start, limit):
        return sentence_end
    return limit if good == start else good


def _last(cuts: Sequence[int], start: int, limit: int) -> int | None:
    place = bisect_right(cuts, limit)
    return cuts[place - 1] if place > bisect_left(cuts, start + 1) else None
