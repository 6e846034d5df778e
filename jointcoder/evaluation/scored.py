"""What is measured: an encounter's gold codes beside the ranked list that was predicted for it.

Codes are brought to one form here (:func:`normalised`), each counts once per encounter, and the order of the
lists is kept. This module computes nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from jointcoder.records import CodedRecord, Kind, System

Key = tuple[str, str]  # (system, normalised code)


class SpanLike(Protocol):
    """A place in a document: records.Span and a corpus's span both fit. ``end`` is exclusive."""

    @property
    def document(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def quote(self) -> str: ...


class GoldLike(Protocol):
    """A label, as corpora give it."""

    @property
    def system(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def primary(self) -> bool: ...
    @property
    def spans(self) -> Sequence[SpanLike]: ...
    @property
    def only_negated(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Gold:
    """A label. See :class:`GoldLike`."""

    system: str
    code: str
    primary: bool = False
    spans: tuple[SpanLike, ...] = ()
    only_negated: bool = False

    @property
    def key(self) -> Key:
        return self.system, self.code


class Predicted(NamedTuple):
    """One code of the ranked list."""

    system: str
    code: str
    confidence: float = 1.0
    spans: tuple[SpanLike, ...] = ()

    @property
    def key(self) -> Key:
        return self.system, self.code


@dataclass(frozen=True)
class Scored:
    """One encounter. Both lists come out normalised and without repeats (first place kept, spans united).

    ``ordered``: the order of ``gold`` means something. ``failed``: the error code of a record that could not be
    coded; its list is empty and it counts like any other. ``stages``: the codes known after each stage. ``suggested``:
    codes not given but ranked below those given; only measures of ranking look at them.
    """

    gold: Sequence[GoldLike]
    predicted: Sequence[Predicted]
    ordered: bool = False
    failed: str = ""
    stages: Mapping[str, frozenset[Key]] = field(default_factory=dict)
    suggested: Sequence[Predicted] = ()

    def __post_init__(self) -> None:
        gold: dict[Key, Gold] = {}
        for label in self.gold:
            key = (str(label.system), normalised(label.code))
            before = gold.get(key)
            gold[key] = Gold(
                *key,
                primary=label.primary or (before is not None and before.primary),
                spans=(before.spans if before else ()) + tuple(label.spans),
                only_negated=label.only_negated and (before is None or before.only_negated),
            )
        predicted = _united(self.predicted)
        given = {one.key for one in predicted}
        object.__setattr__(self, "gold", tuple(gold.values()))
        object.__setattr__(self, "predicted", predicted)
        object.__setattr__(self, "suggested", tuple(one for one in _united(self.suggested) if one.key not in given))

    @property
    def labels(self) -> tuple[Gold, ...]:
        """The gold codes, normalised."""
        return self.gold  # type: ignore[return-value]  # __post_init__ made them Gold

    def gold_keys(self, system: str | None = None) -> frozenset[Key]:
        """The set of gold codes, of one system if named."""
        return frozenset(g.key for g in self.labels if system in (None, g.system))

    def predicted_keys(self, system: str | None = None) -> frozenset[Key]:
        """The set of predicted codes, of one system if named."""
        return frozenset(p.key for p in self.predicted if system in (None, p.system))

    def restricted(self, systems: Iterable[str]) -> Scored:
        """The same encounter with codes of these systems only."""
        kept = frozenset(systems)
        return Scored(
            [g for g in self.labels if g.system in kept],
            [p for p in self.predicted if p.system in kept],
            self.ordered,
            self.failed,
            {name: frozenset(k for k in keys if k[0] in kept) for name, keys in self.stages.items()},
            [p for p in self.suggested if p.system in kept],
        )


def _united(codes: Sequence[Predicted]) -> tuple[Predicted, ...]:
    """Normalised, each code once: first place, highest confidence, spans of all."""
    united: dict[Key, Predicted] = {}
    for system, code, confidence, spans in codes:
        key = (str(system), normalised(code))
        known = united.get(key)
        if known:
            confidence, spans = max(confidence, known.confidence), known.spans + tuple(spans)
        united[key] = Predicted(*key, confidence, tuple(spans))
    return tuple(united.values())


@lru_cache(maxsize=65536)
def normalised(code: str) -> str:
    """The form in which codes compare: NFKC, capitals, no dot, no blanks. ``x`` fillers and ``+…*`` stay."""
    return "".join(unicodedata.normalize("NFKC", code).upper().replace(".", "").split())


def category(key: Key) -> Key:
    """The first three characters (ICD-10), four (ICD-10-PCS) or two digits (ICD-9-CM-3) of a normalised code."""
    system, code = key
    return system, code[: {System.ICD10PCS.value: 4, System.ICD9CM3.value: 2}.get(system, 3)]


def kind_of(system: str) -> Kind:
    """Diagnosis or procedure; a system that we do not know counts as diagnoses."""
    return System(system).kind if system in set(System) else Kind.DIAGNOSIS


def predictions(record: CodedRecord) -> tuple[Predicted, ...]:
    """A coded record's list: diagnoses then procedures, each with the principal first, then by rank."""
    found: list[Predicted] = []
    for kind in Kind:
        principal = record.principal(kind)
        codes = record.of_kind(kind)
        if principal:
            codes = (principal, *(code for code in codes if code is not principal))
        found += [Predicted(c.system.value, c.code, c.confidence, tuple(c.evidence)) for c in codes]
    return tuple(found)


def suggestions(record: CodedRecord) -> tuple[Predicted, ...]:
    """A coded record's suggestions, in their order."""
    return tuple(Predicted(c.system.value, c.code, c.confidence) for c in record.suggestions)


def stages(record: CodedRecord) -> dict[str, frozenset[Key]]:
    """The codes each step left, where the trace tells: ``notes["codes"]`` = ``[[system, code], …]``."""
    found: dict[str, frozenset[Key]] = {}
    for step in record.trace:
        codes = step.notes.get("codes")
        if isinstance(codes, list) and all(isinstance(c, (list, tuple)) and len(c) == 2 for c in codes):
            found[step.step] = frozenset((str(system), normalised(str(code))) for system, code in codes)
    return found


def compliance(record: CodedRecord) -> tuple[int, int]:
    """(checks passed, checks that applied), summed over the steps whose trace counts them under these names:
    ``notes["passed"]`` and ``notes["applied"]``."""
    both = [
        (step.notes["passed"], step.notes["applied"])
        for step in record.trace
        if isinstance(step.notes.get("passed"), int) and isinstance(step.notes.get("applied"), int)
    ]
    return sum(passed for passed, _ in both), sum(applied for _, applied in both)
