"""Term normalisation: a mention as written → the standard names (CHIP-CDN, Yidu-N7K).

accuracy             share of mentions whose set of names is exactly right (the measure of Yidu-N7K)
precision recall f1  micro, over (mention, name) pairs (the measure of CHIP-CDN)

Names compare after NFKC, without blanks and case. ``codes`` gives the same four for each edition of the codes in
the data, over the mentions all of whose gold names have a code there; an edition other than the one that the
predictor codes in scores low for that reason alone. Knows neither the predictor nor the corpora.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from jointcoder.evaluation.metrics import Counts, total
from jointcoder.evaluation.predictions import PredictionsFile, key_of
from jointcoder.evaluation.report import Report
from jointcoder.evaluation.run import Progress, sample
from jointcoder.evaluation.scored import normalised
from jointcoder.records import Kind, Versions
from jointcoder.source import source_digest

Names = Sequence[tuple[str, str]]  # (standard name, code), as many as the mention holds
Predict = Callable[[Sequence[str]], Sequence[Names]]
AT_ONCE = 64


class TermLike(Protocol):
    """A mention with its gold names, and per edition their codes."""

    @property
    def id(self) -> str: ...
    @property
    def mention(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def codes(self) -> Mapping[str, Sequence[str]]: ...


class TermsLike(Protocol):
    """A file of term pairs."""

    @property
    def path(self) -> Path: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def items(self) -> Sequence[TermLike]: ...


def evaluate_terms(
    corpus: TermsLike,
    predict: Predict,
    *,
    versions: Versions,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    predictions: Path | None = None,
    resume: bool = True,
) -> Report:
    """Normalise every mention, some at a time, and measure.

    ``predict(mentions)`` gives one list of (name, code) per mention, in order; an empty list is a mention left
    alone. Options as in :func:`jointcoder.evaluation.run.evaluate`. Raises ValueError if ``predict`` returns
    another number of lists than it was given mentions.
    """
    chosen = sample(corpus.items, limit, seed)
    stamp = versions.model_dump(mode="json")
    made_by = (stamp, source_digest())
    keys = {item.id: key_of(item.mention, corpus.kind.value, made_by) for item in chosen}
    done: dict[str, list[tuple[str, str]]] = {}
    with ExitStack() as stack:
        file = stack.enter_context(PredictionsFile(predictions, resume=resume)) if predictions else None
        if file:
            held = {identity: file.done[key] for identity, key in keys.items() if key in file.done}
            done = {i: [(str(n), str(c)) for n, c in line.get("terms", ())] for i, line in held.items()}
        reused = len(done)
        todo = [item for item in chosen if item.id not in done]
        began = time.perf_counter()
        for begin in range(0, len(todo), AT_ONCE):
            part = todo[begin : begin + AT_ONCE]
            for item, names in zip(part, predict([item.mention for item in part]), strict=True):
                done[item.id] = [(name, code) for name, code in names]
                if file:
                    file.put(item.id, keys[item.id], terms=done[item.id])
            if progress:
                progress(len(done), len(chosen))
        seconds = time.perf_counter() - began
    result: Report = {
        "n": len(chosen),
        "data": corpus.path.name,
        "task": "normalise",
        "workflow": versions.workflow,
        "metrics": _measures(chosen, [done[item.id] for item in chosen]),
        "cost": {"seconds_per_term": seconds / len(todo)} if todo else {},
        "versions": stamp,
        "seed": seed,
        "unanswered": sum(not done[item.id] for item in chosen),
        "reused": reused,
    }
    if len(chosen) < len(corpus.items):
        result["sampled_from"] = len(corpus.items)
    if predictions:
        result["predictions"] = str(predictions)
    return result


def plain(name: str) -> str:
    """The form in which names compare: NFKC, lower case, no blanks."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _measures(items: Sequence[TermLike], found: Sequence[Names]) -> dict[str, Any]:
    names = [
        (frozenset(map(plain, item.names)), frozenset(plain(name) for name, _ in answer))
        for item, answer in zip(items, found, strict=True)
    ]
    measured: dict[str, Any] = _four(names)
    editions = {edition for item in items for edition in item.codes}
    by_edition = {edition: _codes(items, found, edition) for edition in sorted(editions)}
    if any(by_edition.values()):
        measured["codes"] = {edition or "codes": value for edition, value in by_edition.items() if value}
    return measured


def _codes(items: Sequence[TermLike], found: Sequence[Names], edition: str) -> dict[str, Any]:
    pairs = [
        (
            frozenset(map(normalised, item.codes[edition])),
            frozenset(normalised(code) for _, code in answer if code),
        )
        for item, answer in zip(items, found, strict=True)
        if all(item.codes.get(edition, ("",)))
    ]
    return {"n": len(pairs), **_four(pairs)} if pairs else {}


def _four(pairs: Iterable[tuple[frozenset[str], frozenset[str]]]) -> dict[str, Any]:
    pairs = list(pairs)
    counts = total([Counts.of(gold, answer) for gold, answer in pairs])
    values = {
        "accuracy": sum(gold == answer for gold, answer in pairs) / len(pairs),
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
    }
    return {name: value for name, value in values.items() if value is not None}
