"""Runs a coder over a labelled corpus and reports: interruptible, resumable, no record dropped from any denominator.

    evaluate(corpus, coder, predictions=path)      encounters → codes
    evaluate_terms(terms, predict, …)              mentions → standard names       (terms.py)

A record that could not be coded counts as an empty prediction and is reported with its error code. What the
corpus does not label (systems without any gold code in it) is counted but not scored. This module knows neither
the coder nor the corpora, only their shapes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jointcoder.errors import InputError, ModelError
from jointcoder.evaluation import metrics, report
from jointcoder.evaluation.predictions import PredictionsFile, key_of, read_records, record_of
from jointcoder.evaluation.scored import GoldLike, Key, Scored, normalised, stages, suggestions
from jointcoder.evaluation.scored import predictions as predicted
from jointcoder.records import CodedRecord, Encounter, Flag, Versions
from jointcoder.source import source_digest

T = TypeVar("T")
Progress = Callable[[int, int], None]  # records done, records in all
Valid = Callable[[Encounter, str, str], bool]
Compliance = Callable[[CodedRecord], tuple[int, int]]  # checks passed, checks that applied

# Remarks that leave a record coded; see errors.CATALOGUE.
_REMARKS = frozenset({"JC109", "JC110", "JC111", "JC112"})
# Errors of the engine that no other record will escape.
_HOPELESS = frozenset({"JC301", "JC303"})


class LabelledLike(Protocol):
    """An encounter with its gold codes."""

    @property
    def encounter(self) -> Encounter: ...
    @property
    def gold(self) -> Sequence[GoldLike]: ...


class CorpusLike(Protocol):
    """A labelled corpus; see ``corpora.Corpus`` for what the fields mean."""

    @property
    def path(self) -> Path: ...
    @property
    def items(self) -> Sequence[LabelledLike]: ...
    @property
    def systems(self) -> Sequence[str]: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def slack(self) -> int | None: ...


class CoderLike(Protocol):
    """What codes. ``code_many`` yields one record per encounter, in any order, told apart by ``encounter`` id; a
    record that fails should come out flagged, but an InputError or ModelError raised is survived too."""

    @property
    def versions(self) -> Versions: ...
    def code_many(self, encounters: Sequence[Encounter], /) -> Iterator[CodedRecord]: ...


def evaluate(
    corpus: CorpusLike,
    coder: CoderLike,
    *,
    limit: int | None = None,
    seed: int = 0,
    system: str | None = None,
    progress: Progress | None = None,
    predictions: Path | None = None,
    resume: bool = True,
    valid: Valid | None = None,
    compliance: Compliance | None = None,
    training: Mapping[Key, int] | None = None,
    baseline: Path | None = None,
) -> report.Report:
    """Code every encounter of the corpus and measure (keys: see report.py).

    ``limit`` takes a random sample by ``seed`` (a smaller limit gives a part of a larger one); ``system`` scores
    one code system only. With ``predictions`` each record is appended to that file as soon as it is done, and with
    ``resume`` records already there, coded from the same input by the same versions, are not coded again (failed
    ones are). ``valid`` and ``compliance`` bring in what only a code book knows. ``baseline``: a predictions file
    to compare with, paired, over the records it holds.

    Raises InputError JC108 if nothing in the corpus is labelled or ``system`` is not labelled in it; JC101, JC104,
    JC107 for the files. KeyboardInterrupt passes through with all finished records kept.
    """
    systems = _systems(corpus, system)
    chosen = sample(corpus.items, limit, seed)
    versions = coder.versions.model_dump(mode="json")
    records, reused = _coded(chosen, coder, versions, system, progress, predictions, resume)
    scored = [score(item, records[item.encounter.id], corpus.ordered) for item in chosen]
    kept = [s.restricted(systems) for s in scored]
    found = report.measures(kept, systems, slack=corpus.slack, closed=corpus.closed, training=training, seed=seed)
    if valid:
        codes = [(i.encounter, c.system.value, c.code) for i in chosen for c in records[i.encounter.id].codes]
        found["invalid_code_rate"] = metrics.invalid_code_rate(codes, valid)
    if compliance:
        passed, applied = map(sum, zip(*(compliance(record) for record in records.values()), strict=True))
        found["compliance"] = passed / applied if applied else None
    result: report.Report = {
        "n": len(chosen),
        "data": corpus.path.name,
        "workflow": coder.versions.workflow,
        "metrics": {name: value for name, value in found.items() if value is not None},
        "cost": report.cost([record.cost for record in records.values()]),
        "versions": versions,
        "seed": seed,
        "failed": dict(Counter(s.failed for s in scored if s.failed)),
        "flags": dict(Counter(flag.code for record in records.values() for flag in record.flags)),
        "unscored": dict(Counter(p.system for s in scored for p in s.predicted if p.system not in systems)),
        "reused": reused,
    }
    if len(chosen) < len(corpus.items):
        result["sampled_from"] = len(corpus.items)
    if predictions:
        result["predictions"] = str(predictions)
    if baseline:
        result["comparison"] = _compare(baseline, chosen, kept, systems, corpus.ordered, seed)
    return result | {"remarks": _remarks(result)}


def sample(items: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """The first ``limit`` of a seeded shuffle, in their old order. Raises InputError JC108 for a limit below 1."""
    if limit is None or limit >= len(items):
        return list(items)
    if limit < 1:
        raise InputError("JC108", "limit must be 1 or more")
    order = list(range(len(items)))
    random.Random(seed).shuffle(order)
    return [items[i] for i in sorted(order[:limit])]


def failure(record: CodedRecord) -> str:
    """The code of the error that left a record without any code, or ""."""
    if record.codes:
        return ""
    fatal = ("JC1", "JC2", "JC3", "JC4", "JC5", "JC999")
    return next((f.code for f in record.flags if f.code.startswith(fatal) and f.code not in _REMARKS), "")


def training_counts(items: Sequence[LabelledLike]) -> dict[Key, int]:
    """In how many encounters each code is gold: what the rare-code bins need."""
    return Counter(key for item in items for key in {(str(g.system), normalised(g.code)) for g in item.gold})


def _systems(corpus: CorpusLike, system: str | None) -> list[str]:
    if not corpus.systems:
        raise InputError(
            "JC108", f"{corpus.path.name} holds no gold codes", hint="use `jointcoder code` for records without labels"
        )
    if system is None:
        return list(corpus.systems)
    if system not in corpus.systems:
        raise InputError(
            "JC108", f"{corpus.path.name} labels no {system}", hint=f"it labels {', '.join(corpus.systems)}"
        )
    return [system]


def _coded(
    chosen: Sequence[LabelledLike],
    coder: CoderLike,
    versions: Mapping[str, Any],
    system: str | None,
    progress: Progress | None,
    path: Path | None,
    resume: bool,
) -> tuple[dict[str, CodedRecord], int]:
    """Every encounter's record by id, in corpus order, and how many came from the file."""
    made_by = (versions, source_digest())
    keys = {item.encounter.id: key_of(item.encounter.model_dump(mode="json"), made_by, system) for item in chosen}
    done: dict[str, CodedRecord] = {}
    with ExitStack() as stack:
        file = stack.enter_context(PredictionsFile(path, resume=resume)) if path else None
        if file:
            for identity, key in keys.items():
                line = file.done.get(key)
                if line and not failure(record := record_of(line, file.path)):
                    done[identity] = record
        reused = len(done)
        if progress:
            progress(reused, len(chosen))
        todo = [item.encounter for item in chosen if item.encounter.id not in done]
        for record in _survive(todo, coder):
            if record.encounter not in keys or record.encounter in done:
                continue
            done[record.encounter] = record
            if file:
                file.put(record.encounter, keys[record.encounter], record=record.model_dump(mode="json"))
            if progress:
                progress(len(done), len(chosen))
    return {identity: done[identity] for identity in keys}, reused


def _survive(todo: Sequence[Encounter], coder: CoderLike) -> Iterator[CodedRecord]:
    """All records, also when the coder raises for one: then the rest is coded one at a time."""
    left = {encounter.id: encounter for encounter in todo}
    if not left:
        return
    try:
        for record in coder.code_many(list(left.values())):
            left.pop(record.encounter, None)
            yield record
    except (InputError, ModelError) as error:
        if error.code in _HOPELESS:
            raise
    for identity, encounter in left.items():
        try:
            alone = [r for r in coder.code_many([encounter]) if r.encounter == identity]
            yield alone[0] if alone else _failed(encounter, coder, "JC406", "the coder returned no record")
        except (InputError, ModelError) as error:
            if error.code in _HOPELESS:
                raise
            yield _failed(encounter, coder, error.code, error.message)


def _failed(encounter: Encounter, coder: CoderLike, code: str, message: str) -> CodedRecord:
    flag = Flag(code=code, step="evaluate", message=message)
    return CodedRecord(
        encounter=encounter.id, language=encounter.language or "", flags=(flag,), versions=coder.versions
    )


def score(item: LabelledLike, record: CodedRecord, ordered: bool) -> Scored:
    """A labelled encounter beside the record that was coded from it."""
    return Scored(item.gold, predicted(record), ordered, failure(record), stages(record), suggestions(record))


def _compare(
    path: Path,
    chosen: Sequence[LabelledLike],
    kept: Sequence[Scored],
    systems: Sequence[str],
    ordered: bool,
    seed: int,
) -> report.Report:
    earlier = read_records(path)
    pairs = [
        (score(item, earlier[item.encounter.id], ordered).restricted(systems), now)
        for item, now in zip(chosen, kept, strict=True)
        if item.encounter.id in earlier
    ]
    if not pairs:
        raise InputError("JC108", f"{path.name} holds none of the records evaluated here")
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {
        "baseline": str(path),
        "n": len(pairs),
        "micro_f1": report.comparison(before, after, systems, seed=seed),
    }


def _remarks(result: report.Report) -> dict[str, str]:
    """What a reader of the figures must know, in words."""
    counted = {name: ", ".join(f"{k} {v}" for k, v in result[name].items()) for name in ("failed", "unscored")}
    if counted["failed"]:
        counted["failed"] += " (counted as empty predictions)"
    if counted["unscored"]:
        counted["unscored"] += " codes predicted in systems that the data do not label"
    if "sampled_from" in result:
        counted["sample"] = f"{result['n']} of {result['sampled_from']} records, seed {result['seed']}"
    if "comparison" in result:
        counted["baseline"] = f"{result['comparison']['n']} records paired"
    return {name: text for name, text in counted.items() if text}
