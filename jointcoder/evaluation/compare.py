"""Two runs over the same encounters, paired: quality, principal code, cost and rule findings, each difference with its
interval (percentile bootstrap over encounters, both runs drawn together).

    found = compare(pairs, systems)         # [(scored, record) of the first, of the second] for each encounter
    table(found)                            # a rich renderable

Every measure is a ratio of sums over encounters, so that one bootstrap serves all. A measure that does not apply to
both runs is absent. Knows neither coders nor files: `run.py` makes the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jointcoder.evaluation import bootstrap, metrics
from jointcoder.evaluation.report import Report
from jointcoder.evaluation.scored import Scored
from jointcoder.records import CodedRecord, Kind, Severity

if TYPE_CHECKING:
    from rich.table import Table

Coded = tuple[Scored, CodedRecord]
Part = Callable[[Scored, CodedRecord], tuple[float, float]]  # (numerator, denominator) of one encounter
COSTS = ("seconds", "calls", "prompt_tokens", "generated_tokens")
PLACES = {"seconds": 1, "prompt_tokens": 0, "generated_tokens": 0, "calls": 1}  # decimals shown; others three


def compare(
    pairs: Sequence[tuple[Coded, Coded]],
    systems: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = bootstrap.RESAMPLES,
) -> Report:
    """Measure → {first, second, difference, interval, p}; difference is second minus first.

    Keys: ``micro_f1``, ``precision``, ``recall`` (all systems jointly), the same below each system where there are
    several, ``principal_diagnosis`` …, ``errors`` and ``findings`` a record, ``seconds``, ``calls``, ``prompt_tokens``,
    ``generated_tokens`` a record.
    """
    found: Report = {}
    for name, part in _measures(systems):
        first, second = (_array(part, [pair[side] for pair in pairs]) for side in (0, 1))
        difference = bootstrap.paired_ratio(first, second, resamples=resamples, seed=seed)
        if difference is not None:
            found[name] = {
                "first": _value(first),
                "second": _value(second),
                "difference": difference.difference,
                "interval": list(difference.interval),
                "p": difference.p,
            }
    return found


def table(found: Report, names: tuple[str, str], *, title: str = "", words: Callable[[str], str] = str) -> Table:
    """The comparison for a person at a terminal; differences whose interval leaves out zero are bold. ``words``: each
    label in the person's language."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title or None, title_justify="left")
    shown.add_column("")
    for name in names:
        shown.add_column(Text(name), justify="right")
    for head in ("difference [95 %]", "p"):
        shown.add_column(words(head).replace("[", r"\["), justify="right")
    for name, row in found.items():
        places = PLACES.get(name, 3)
        low, high = row["interval"]
        difference = f"{row['difference']:+.{places}f} [{low:+.{places}f}, {high:+.{places}f}]"
        shown.add_row(
            Text(words(name.replace("_", " "))),
            f"{row['first']:.{places}f}",
            f"{row['second']:.{places}f}",
            Text(difference, style="bold" if low > 0 or high < 0 else ""),
            f"{row['p']:.3f}",
        )
    return shown


def _measures(systems: Sequence[str]) -> Iterator[tuple[str, Part]]:
    for system in (None, *(systems if len(systems) > 1 else ())):
        before = f"{system} " if system else ""
        yield f"{before}micro_f1", partial(_f1, system=system)
        yield f"{before}precision", partial(_precision, system=system)
        yield f"{before}recall", partial(_recall, system=system)
    for kind in Kind:
        yield f"principal_{kind.value}", partial(_principal, kind=kind)
    yield "errors", _errors
    yield "findings", lambda _, record: (float(len(record.findings)), 1.0)
    for name in COSTS:
        yield name, partial(_spent, name=name)


def _f1(scored: Scored, _: CodedRecord, *, system: str | None) -> tuple[float, float]:
    (counts,) = metrics.per_encounter([scored], system)
    return 2.0 * counts.tp, 2.0 * counts.tp + counts.fp + counts.fn


def _precision(scored: Scored, _: CodedRecord, *, system: str | None) -> tuple[float, float]:
    (counts,) = metrics.per_encounter([scored], system)
    return float(counts.tp), float(counts.tp + counts.fp)


def _recall(scored: Scored, _: CodedRecord, *, system: str | None) -> tuple[float, float]:
    (counts,) = metrics.per_encounter([scored], system)
    return float(counts.tp), float(counts.tp + counts.fn)


def _principal(scored: Scored, _: CodedRecord, *, kind: Kind) -> tuple[float, float]:
    right = metrics.principal_accuracy([scored], kind)
    return (0.0, 0.0) if right is None else (right, 1.0)


def _errors(_: Scored, record: CodedRecord) -> tuple[float, float]:
    return float(sum(finding.severity is Severity.ERROR for finding in record.findings)), 1.0


def _spent(_: Scored, record: CodedRecord, *, name: str) -> tuple[float, float]:
    return float(getattr(record.cost, name)), 1.0


def _array(part: Part, coded: Sequence[Coded]) -> NDArray[np.float64]:
    return np.array([part(*one) for one in coded], dtype=np.float64).reshape(-1, 2)


def _value(parts: NDArray[np.float64]) -> float:
    numerator, denominator = parts.sum(axis=0)
    return float(numerator / denominator)
