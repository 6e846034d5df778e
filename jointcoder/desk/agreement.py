"""How far coders and model agree, and what a review costs: figures of finished reviews, each with its n and interval.

    report = agreement(history(reviews, encounters, finished_only=True))
    report.as_dict()

- agreement: the model's codes against those that stand in the end (precision, recall, F1; the principal ones exactly)
- edits of a record: codes added, removed, replaced, moved (as few moves as give the coder's order), principal changed,
  indicators on admission changed
- minutes of a record: from taking it to finishing it; pauses longer than ``idle`` are left out
- precision of the model's codes by band and by tenth of confidence: whether confidence means what it says. Codes that
  were accepted together with others were not looked at one by one and are left out
- between coders: :mod:`jointcoder.desk.twice`

The coder's word is what is counted against; it was given with the model's proposal in sight, so that agreement here is
higher than between people who code apart. Intervals: percentile bootstrap over records. Persons are compared only
where that is asked for (``by_coder``), in the order of their names.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.desk.bands import Band, band_of_code
from jointcoder.desk.history import Handled
from jointcoder.desk.sheet import ItemState, Sheet
from jointcoder.desk.twice import Twice, twice
from jointcoder.errors import InputError
from jointcoder.evaluation.bootstrap import interval as f1_interval
from jointcoder.evaluation.bootstrap import interval_of, ratio_interval
from jointcoder.evaluation.metrics import Counts, total
from jointcoder.records import AssignedCode, Kind, System

IDLE = dt.timedelta(minutes=10)
EDITS = ("added", "removed", "replaced", "moved", "principal", "on_admission")
"""The kinds of edits; ``principal`` and ``on_admission`` count beside what moved or was replaced, not in the sum."""
SUMMED = EDITS[:4]
TENTHS = 10
Key = tuple[str, str]


@dataclass(frozen=True)
class Figure:
    """A figure of ``n`` records (or codes), with its 95 % interval where there are enough to say."""

    value: float | None
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class Agreed:
    """The model against the coders, over the codes of a kind or of both."""

    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True)
class Edits:
    """Edits of a record: the mean of each kind; of their sum mean, median and 90th percentile; the share of records
    that left as the model made them."""

    mean: Mapping[str, Figure]
    total: Figure
    median: float
    p90: float
    untouched: Figure


@dataclass(frozen=True)
class Minutes:
    """Time of a record. ``only_pauses``: records left out because every pause in them was a long one."""

    median: Figure
    p90: Figure
    only_pauses: int


@dataclass(frozen=True)
class Stated:
    """The model's codes of one band or tenth: ``low`` ≤ confidence < ``high`` (the last one: ≤)."""

    name: str
    low: float
    high: float
    confidence: float | None
    precision: Figure


@dataclass(frozen=True)
class Coder:
    """One coder's finished records."""

    name: str
    records: int
    f1: Figure
    edits: Figure
    minutes: Figure


@dataclass(frozen=True)
class Agreement:
    """Everything; see the module. ``scores``: confidence and whether the code stood, by system, for a picture;
    ``missed``: codes that the model did not propose."""

    records: int
    coders: int
    first: dt.datetime
    last: dt.datetime
    agreed: Mapping[str, Agreed]
    principal: Mapping[str, Figure]
    edits: Edits
    minutes: Minutes
    bands: tuple[Stated, ...]
    tenths: tuple[Stated, ...]
    calibration_error: float | None
    together: int
    twice: Twice
    by_coder: tuple[Coder, ...] = ()
    scores: Mapping[str, list[tuple[float, bool]]] = field(default_factory=dict, repr=False)
    missed: Mapping[str, int] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: without the scores; persons only where they were asked for."""
        found = asdict(self)
        del found["scores"], found["missed"]
        found |= {"first": self.first.isoformat(), "last": self.last.isoformat()}
        if not self.by_coder:
            del found["by_coder"]
        return found


@dataclass(frozen=True)
class _Record:
    """What is counted of one finished review."""

    handled: Handled
    model: frozenset[Key]
    coder: frozenset[Key]
    edits: Counter[str]
    minutes: float | None
    stated: tuple[tuple[str, float, bool], ...]
    together: int

    @property
    def changed(self) -> int:
        return sum(self.edits[name] for name in SUMMED)


def agreement(found: Iterable[Handled], *, idle: dt.timedelta = IDLE, by_coder: bool = False) -> Agreement:
    """The figures of the finished ones among ``found``. InputError JC166 where there is none."""
    records = [_counted(one, idle) for one in found if one.finished is not None]
    if not records:
        hint = "figures are of records that a coder finished"
        raise InputError("JC166", "no record was finished in this time", hint=hint)
    stated = [row for record in records for row in record.stated]
    moments = [one.handled.finished.at for one in records if one.handled.finished is not None]
    bands = [(band.value, *_limits(band)) for band in Band]
    tenths = [(f"{i / TENTHS:.1f}–{(i + 1) / TENTHS:.1f}", i / TENTHS, (i + 1) / TENTHS) for i in range(TENTHS)]
    return Agreement(
        records=len(records),
        coders=len({record.handled.finisher for record in records}),
        first=min(moments),
        last=max(moments),
        agreed={"joint": _agreed(records)} | {kind.value: _agreed(records, kind) for kind in Kind},
        principal={kind.value: _principal(records, kind) for kind in Kind},
        edits=_edits(records),
        minutes=_minutes(records),
        bands=tuple(_precision(records, *one) for one in bands),
        tenths=tuple(_precision(records, *one) for one in tenths),
        calibration_error=_calibration_error(stated),
        together=sum(record.together for record in records),
        twice=twice([record.handled for record in records]),
        by_coder=_by_coder(records) if by_coder else (),
        scores=_scores(stated),
        missed=Counter(system for record in records for system, _ in record.coder - record.model),
    )


# -------------------------------------------------------------------------------------------------------- one record


def _counted(one: Handled, idle: dt.timedelta) -> _Record:
    together = one.in_bulk
    judged = [
        (entry.proposed.system.value, entry.proposed.confidence, entry.state is ItemState.ACCEPTED)
        for entry in one.sheet.entries.values()
        if entry.proposed is not None and entry.id not in together and entry.state is not ItemState.PROPOSED
    ]
    return _Record(
        handled=one,
        model=frozenset(map(_key, one.record.codes)),
        coder=frozenset(map(_key, one.sheet.codes())),
        edits=edits(one.sheet),
        minutes=minutes(one, idle),
        stated=tuple(judged),
        together=len(together),
    )


def edits(sheet: Sheet) -> Counter[str]:
    """How often each of :data:`EDITS` lies between the model's record and this sheet."""
    found: Counter[str] = Counter()
    for entry in sheet.entries.values():
        before = entry.proposed
        found["added"] += before is None and entry.stands
        found["removed"] += entry.state is ItemState.REJECTED and before is not None
        found["replaced"] += entry.state is ItemState.REPLACED
        found["on_admission"] += (
            before is not None and entry.stands and before.present_on_admission != entry.code.present_on_admission
        )
    for kind in Kind:
        standing = sheet.standing(kind)
        proposed = [id for id in sheet.entries if id.startswith("p") and sheet.entries[id].kind is kind]
        kept = [int(id[1:]) for id in standing if id.startswith("p")]
        found["moved"] += len(kept) - _longest_rising(kept)
        first, now = proposed[:1], list(standing[:1])
        found["principal"] += _first_code(sheet, first, before=True) != _first_code(sheet, now, before=False)
    return found


def _first_code(sheet: Sheet, ids: Sequence[str], *, before: bool) -> Key | None:
    codes = [sheet.entries[id].proposed if before else sheet.entries[id].code for id in ids]
    return _key(codes[0]) if codes and codes[0] is not None else None


def minutes(one: Handled, idle: dt.timedelta) -> float | None:
    """Minutes from taking the record to finishing it, without pauses longer than ``idle``; None where only those are
    left."""
    assert one.finished is not None
    moments = sorted(decided.at for decided in one.decided if decided.at <= one.finished.at)
    opened = one.stored.opened
    if opened is not None and opened <= moments[0]:
        moments = [opened, *moments]
    pauses = [after - before for before, after in pairwise(moments)]
    worked = [pause for pause in pauses if dt.timedelta() < pause <= idle]
    return sum(worked, dt.timedelta()).total_seconds() / 60 if worked else None


def _longest_rising(numbers: Sequence[int]) -> int:
    """Length of the longest rising subsequence: what need not move."""
    ends: list[int] = []
    for number in numbers:
        place = bisect_left(ends, number)
        ends[place : place + 1] = [number]
    return len(ends)


def _key(code: AssignedCode) -> Key:
    return code.system.value, code.code


# ------------------------------------------------------------------------------------------------------------ figures


def share(pairs: Sequence[tuple[float, float]]) -> Figure:
    """A ratio of sums over records; ``n`` is the sum of the denominators."""
    counts = np.array([pair for pair in pairs if pair[1]], dtype=np.float64).reshape(-1, 2)
    top, below = (float(value) for value in counts.sum(axis=0))
    return Figure(top / below if below else None, ratio_interval(counts), round(below))


def _agreed(records: Sequence[_Record], kind: Kind | None = None) -> Agreed:
    inside = {system.value for system in System if kind in (None, system.kind)}
    counts = [
        Counts.of(
            frozenset(key for key in record.coder if key[0] in inside),
            frozenset(key for key in record.model if key[0] in inside),
        )
        for record in records
    ]
    rows = np.array(counts, dtype=np.int64).reshape(-1, 3)
    used = sum(bool(sum(one)) for one in counts)
    return Agreed(
        precision=share([(one.tp, one.tp + one.fp) for one in counts]),
        recall=share([(one.tp, one.tp + one.fn) for one in counts]),
        f1=Figure(total(counts).f1, f1_interval(rows) if used > 1 else None, used),
    )


def _principal(records: Sequence[_Record], kind: Kind) -> Figure:
    rows = []
    for record in records:
        sheet = record.handled.sheet
        now = _first_code(sheet, sheet.standing(kind)[:1], before=False)
        if now is not None:
            before = record.handled.record.principal(kind)
            rows.append((float(before is not None and _key(before) == now), 1.0))
    return share(rows)


def _edits(records: Sequence[_Record]) -> Edits:
    totals = [record.changed for record in records]
    return Edits(
        mean={name: share([(record.edits[name], 1) for record in records]) for name in EDITS},
        total=share([(number, 1) for number in totals]),
        median=float(np.median(totals)),
        p90=float(np.percentile(totals, 90)),
        untouched=share([(float(not any(record.edits.values())), 1) for record in records]),
    )


def _minutes(records: Sequence[_Record]) -> Minutes:
    values = np.array([record.minutes for record in records if record.minutes is not None], dtype=np.float64)
    return Minutes(
        median=_percentile(values, 50), p90=_percentile(values, 90), only_pauses=len(records) - int(values.size)
    )


def _percentile(values: NDArray[np.float64], which: float) -> Figure:
    if not values.size:
        return Figure(None, None, 0)

    def statistic(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([np.percentile(np.repeat(values, row), which) for row in weights])

    return Figure(float(np.percentile(values, which)), interval_of(statistic, values.size), int(values.size))


def _limits(band: Band) -> tuple[float, float]:
    """From where to where a band reaches, found on a grid of thousandths."""
    inside = [i / 1000 for i in range(1001) if band_of_code(i / 1000) is band]
    return inside[0], (1.0 if inside[-1] == 1.0 else inside[-1] + 0.001)


def _precision(records: Sequence[_Record], name: str, low: float, high: float) -> Stated:
    def inside(confidence: float) -> bool:
        return low <= confidence < high or (confidence == high == 1.0)

    rows = [[(c, right) for _, c, right in record.stated if inside(c)] for record in records]
    codes = [one for row in rows for one in row]
    mean = sum(c for c, _ in codes) / len(codes) if codes else None
    return Stated(name, low, high, mean, share([(sum(right for _, right in row), len(row)) for row in rows]))


def _calibration_error(stated: Sequence[tuple[str, float, bool]]) -> float | None:
    """Σ share of a tenth · |precision in it − mean confidence in it| (Naeini et al. 2015)."""
    if not stated:
        return None
    confidence = np.array([c for _, c, _ in stated])
    right = np.array([float(r) for _, _, r in stated])
    place = np.minimum((confidence * TENTHS).astype(np.int64), TENTHS - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=TENTHS)
    return float(np.abs(gap).sum() / len(stated))


def _scores(stated: Sequence[tuple[str, float, bool]]) -> dict[str, list[tuple[float, bool]]]:
    found: dict[str, list[tuple[float, bool]]] = {}
    for system, confidence, right in sorted(stated):
        found.setdefault(system, []).append((confidence, right))
    return found


def _by_coder(records: Sequence[_Record]) -> tuple[Coder, ...]:
    found = []
    for name in sorted({record.handled.finisher for record in records}):
        own = [record for record in records if record.handled.finisher == name]
        found.append(Coder(name, len(own), _agreed(own).f1, _edits(own).total, _minutes(own).median))
    return tuple(found)
