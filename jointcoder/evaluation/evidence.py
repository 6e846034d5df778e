"""Whether the evidence is where annotators saw it, code and place together.

Two conventions. *Contained* (CodiEsp-X, Miranda-Escalada et al. 2020): a code is right if one of its predicted
spans contains one of its gold mentions with at most ``slack`` characters too many on either side; the unit is the
code. *Exact* (MDACE, Cheng et al. 2023): the unit is the span with its code, by offsets or by words, whole or token
by token. Encounters in which no gold code has a span are left out: there is nothing to compare with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from jointcoder.evaluation.metrics import Counts, total
from jointcoder.evaluation.scored import Key, Scored, SpanLike

# A word, or one character of a script written without blanks.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_Units = Callable[[Key, SpanLike], Iterable[tuple[object, ...]]]


def contained(scored: Sequence[Scored], *, slack: int = 10) -> Counts | None:
    """CodiEsp-X. A predicted code counts once; without a fitting span it is wrong. None without gold spans."""
    counts: list[Counts] = []
    for s in _with_spans(scored):
        gold = {label.key: label.spans for label in s.labels if label.spans}
        right = sum(
            any(_contains(span, mention, slack) for span in p.spans for mention in gold.get(p.key, ()))
            for p in s.predicted
        )
        counts.append(Counts(right, len(s.predicted) - right, len(gold) - right))
    return total(counts) if counts else None


def exact(scored: Sequence[Scored]) -> dict[str, Counts] | None:
    """MDACE's four: ``span`` (note, start, end, code), ``text`` (lower-cased words, code), ``token`` and
    ``token_text`` (the same, token by token). None without gold spans."""
    chosen = list(_with_spans(scored))
    if not chosen:
        return None
    return {name: total([_counts(s, units) for s in chosen]) for name, units in _UNITS.items()}


def _with_spans(scored: Sequence[Scored]) -> Iterable[Scored]:
    return (s for s in scored if any(label.spans for label in s.labels))


def _contains(span: SpanLike, mention: SpanLike, slack: int) -> bool:
    return (
        span.document == mention.document
        and 0 <= mention.start - span.start <= slack
        and 0 <= span.end - mention.end <= slack
    )


def _counts(scored: Scored, units: _Units) -> Counts:
    gold = frozenset(u for label in scored.labels for span in label.spans for u in units(label.key, span))
    predicted = frozenset(u for p in scored.predicted for span in p.spans for u in units(p.key, span))
    return Counts.of(gold, predicted)


def _span(key: Key, span: SpanLike) -> Iterable[tuple[object, ...]]:
    return [(key, span.document, span.start, span.end)]


def _text(key: Key, span: SpanLike) -> Iterable[tuple[object, ...]]:
    return [(key, " ".join(span.quote.lower().split()))]


def _token(key: Key, span: SpanLike) -> Iterable[tuple[object, ...]]:
    places = _places(span)
    return [
        (key, span.document, places[match.start()], places[match.end() - 1] + 1)
        for match in _TOKEN.finditer(span.quote)
        if match.end() <= len(places)
    ]


def _places(span: SpanLike) -> Sequence[int]:
    """The offset of every character of the quote; a discontinuous mention quotes its fragments joined by a blank."""
    fragments: Sequence[tuple[int, int]] = getattr(span, "fragments", ())
    if len(fragments) < 2:
        return range(span.start, span.end)
    return [place for start, end in fragments for place in (*range(start, end), end)][:-1]


def _token_text(key: Key, span: SpanLike) -> Iterable[tuple[object, ...]]:
    return [(key, match.group().lower()) for match in _TOKEN.finditer(span.quote)]


_UNITS: dict[str, _Units] = {"span": _span, "text": _text, "token": _token, "token_text": _token_text}
