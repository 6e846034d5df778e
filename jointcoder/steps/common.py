"""What several steps share: how a chunk is shown to the model, where a quote lies, how codes are ordered.

Knows nothing of any one stage.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jointcoder.llm.base import Context
from jointcoder.records import AssignedCode, Document, Role, Span, System
from jointcoder.text.locate import locate

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.model import Entry
    from jointcoder.steps.base import State, Tools
    from jointcoder.text.chunks import Chunk


@cache
def step_data(name: str) -> dict[str, Any]:
    """A language-independent rule table of ``steps/data``; read once, never changed."""
    return tomllib.loads((files("jointcoder.steps") / "data" / f"{name}.toml").read_text("utf-8"))


@cache
def has_data(name: str) -> bool:
    """Whether ``steps/data`` holds a table of that name: a language may lack one."""
    return (files("jointcoder.steps") / "data" / f"{name}.toml").is_file()


def chunk_text(chunk: Chunk, documents: Sequence[Document]) -> str:
    """The chunk as the model sees it: its pieces in order, titled fields under their titles."""
    parts = []
    for index, start, end in chunk.pieces:
        document = documents[index]
        text = document.text[start:end].strip()
        if text:
            parts.append(f"{document.title}:\n{text}" if document.title else text)
    return "\n\n".join(parts)


def record_context(state: State, chunk: Chunk, tools: Tools) -> Context:
    """The shared context of every question about one chunk. The same text for every stage, so that the engine's
    kept prefix serves them all."""
    prompts = tools.prompts(state.language)
    text = prompts("shared", "record", text=chunk_text(chunk, state.encounter.documents))
    return Context(text=text, system=prompts("shared", "system"))


def find_span(quote: str, chunk: Chunk, documents: Sequence[Document]) -> Span | None:
    """Where a quote that the model copied stands in the chunk's part of the original, or None."""
    for index, start, end in chunk.pieces:
        found = locate(quote, documents[index].text, start=start, end=end)
        if found is not None:
            return span_at(documents, index, *found)
    return None


def span_at(documents: Sequence[Document], index: int, start: int, end: int) -> Span:
    """A Span with its quote taken from the original."""
    return Span(document=index, start=start, end=end, quote=documents[index].text[start:end])


def chunk_of(span: Span, chunks: Sequence[Chunk]) -> int:
    """Index of the chunk in which the span begins."""
    for number, chunk in enumerate(chunks):
        if any(i == span.document and start <= span.start < end for i, start, end in chunk.pieces):
            return number
    return 0


def sentence_around(span: Span, documents: Sequence[Document], *, reach: int = 90) -> str:
    """The words around a span on one line, cut at sentence ends or after ``reach`` characters a side."""
    text = documents[span.document].text
    left, right = max(0, span.start - reach), min(len(text), span.end + reach)
    before, after = text[left : span.start], text[span.end : right]
    for stop in ("\n", "。", "；", ". ", ";"):
        if (cut := before.rfind(stop)) >= 0:
            before = before[cut + len(stop) :]
        if (cut := after.find(stop)) >= 0:
            after = after[:cut]
    return " ".join((before + span.quote + after).split())


def entry_at(book: CodeBook, system: System, prefix: str) -> Entry | None:
    """The assignable entry that a place of the classification stands for in this edition: Chinese ones fill the place
    up (``00.45`` is ``00.4500``, ``I10`` is ``I10.x00``); else the place's default."""
    for code in (prefix, f"{prefix}00", f"{prefix}.x00", f"{prefix}x00"):
        entry = book.get(system, code)
        if entry is not None and entry.billable:
            return entry
    return book.default_billable(system, prefix)


def ranked(codes: Iterable[AssignedCode]) -> tuple[AssignedCode, ...]:
    """The codes in the order given, ranks counted from 1; the first is principal."""
    return tuple(
        code.with_(rank=rank, role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY)
        for rank, code in enumerate(codes, start=1)
    )


def logit(probability: float) -> float:
    """Log-odds, bounded so that certainty stays a number."""
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))


def sigmoid(value: float) -> float:
    """Inverse of :func:`logit`."""
    return 1 / (1 + math.exp(-value))


def softmax(values: Sequence[float]) -> list[float]:
    """Probabilities proportional to exp(value)."""
    top = max(values)
    weights = [math.exp(value - top) for value in values]
    return [weight / sum(weights) for weight in weights]
