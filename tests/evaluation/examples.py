"""Small encounters for the tests of measures: codes written as words, ``SYSTEM:CODE@confidence``."""

from __future__ import annotations

from jointcoder.evaluation.scored import Gold, Predicted, Scored
from jointcoder.records import Span

CM, PCS, CN, ICD9 = "ICD-10-CM", "ICD-10-PCS", "ICD-10-CN", "ICD-9-CM-3"


def case(gold: str, predicted: str, *, system: str = CM, ordered: bool = False, primary: bool = False) -> Scored:
    """``case("A B", "A C@0.4")``. The first gold code of each kind is the principal one if ``primary``."""
    labels = []
    for i, word in enumerate(gold.split()):
        its_system, code = word.split(":") if ":" in word else (system, word)
        first = not any(label.system == its_system for label in labels)
        labels.append(Gold(its_system, code, primary=primary and first and (i == 0 or ":" in word)))
    ranked = []
    for word in predicted.split():
        word, _, confidence = word.partition("@")
        its_system, code = word.split(":") if ":" in word else (system, word)
        ranked.append(Predicted(its_system, code, float(confidence or 1)))
    return Scored(labels, ranked, ordered)


def span(start: int, quote: str, document: int = 0) -> Span:
    return Span(document=document, start=start, end=start + len(quote), quote=quote)
