"""Where codes were lost, found out from the trace: which step dropped a right one, which brought a wrong one first.

    for loss in losses(scored, record, book):
        loss.kind, loss.stage, loss.name            "dropped", "validate_diagnoses", "Heart failure, unspecified"

Needs no model. Entries are told by their names in the code book, never by their codes: what is said here is shown to
models. A code that no step ever named has no stage ("never"); one that gave way to another of its category is "near".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from jointcoder.codebook.book import CodeBook
from jointcoder.evaluation.scored import Key, Scored, category, normalised
from jointcoder.records import CodedRecord, System

Kind = Literal["never", "dropped", "near", "spurious"]
Names = Callable[[System, str], str | None]
MISSED: tuple[Kind, ...] = ("never", "dropped", "near")


@dataclass(frozen=True)
class Loss:
    """One missing or wrong code. ``stage``: the step that lost it or brought it first, "" where none did; ``other``:
    the name given instead, or the words of the record behind a wrong one."""

    kind: Kind
    stage: str
    name: str
    other: str = ""


def losses(scored: Scored, record: CodedRecord, book: CodeBook) -> list[Loss]:
    """The losses of one record, missing codes first."""
    gold, given = scored.gold_keys(), scored.predicted_keys()
    names: Names = partial(book.name, lang=record.language)
    return [*_missed(scored, gold - given, given, names), *_spurious(scored, given - gold, record, names)]


def summary(found: Iterable[Loss]) -> list[tuple[Kind, str, int, int]]:
    """(kind, stage, count, how many missing or wrong codes there are in all), most frequent first."""
    every = list(found)
    missed = sum(one.kind in MISSED for one in every)
    counts = Counter((one.kind, one.stage) for one in every)
    return [
        (kind, stage, count, missed if kind in MISSED else len(every) - missed)
        for (kind, stage), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _missed(scored: Scored, missed: Iterable[Key], given: Iterable[Key], names: Names) -> Iterator[Loss]:
    near = {category(key): key for key in given}
    for key in sorted(missed):
        kind: Kind = "never"
        stage = _lost_at(key, scored)
        if stage:
            kind = "dropped"
        if not stage and category(key) in near:
            yield Loss(
                "near", _first(near[category(key)], scored), _name(key, names), _name(near[category(key)], names)
            )
            continue
        yield Loss(kind, stage, _name(key, names))


def _spurious(scored: Scored, wrong: Iterable[Key], record: CodedRecord, names: Names) -> Iterator[Loss]:
    words = {(code.system.value, normalised(code.code)): code for code in record.codes}
    for key in sorted(wrong):
        code = words.get(key)
        quote = " ".join(code.evidence[0].quote.split()) if code and code.evidence else ""
        yield Loss("spurious", _first(key, scored), _name(key, names), quote)


def _lost_at(key: Key, scored: Scored) -> str:
    """The step after which a code was gone for good, "" if none ever named it. A step that leaves no code of its kind
    worked on the other one."""
    stages = [(name, keys) for name, keys in scored.stages.items() if any(one[0] == key[0] for one in keys)]
    held = [place for place, (_, keys) in enumerate(stages) if key in keys]
    if not held:
        return ""
    return stages[held[-1] + 1][0] if held[-1] + 1 < len(stages) else stages[held[-1]][0]


def _first(key: Key, scored: Scored) -> str:
    return next((name for name, keys in scored.stages.items() if key in keys), "")


def _name(key: Key, names: Names) -> str:
    return names(System(key[0]), key[1]) or "?"
