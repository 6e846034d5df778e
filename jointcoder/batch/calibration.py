"""From which confidence on records may go out by themselves.

    from_pack(0.98, errors)                # what the pack's own held-out figures support
    from_records(0.98, judged)             # measured on labelled encounters of the house

By a pack: among codes of confidence t or more at least t of them are expected to be right; the calibration error that
was measured on held-out data (ECE, Naeini 2015) is added to what is asked for. By labelled encounters: the lowest
confidence from which on the codes of whole records that would go out are right often enough, by the lower bound of
their share (Wilson 1927). What a record lacks is not seen by precision; how much of what it should hold it holds is
told beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointcoder.batch.routing import Policy, Route, figures, route, weakest
from jointcoder.errors import InputError, UsageError
from jointcoder.packs.pack import sha256_of
from jointcoder.records import CodedRecord

if TYPE_CHECKING:
    from jointcoder.batch.executor import Executor
    from jointcoder.packs.pack import Pack

CALIBRATED = ("mentions", "labels", "drafts")
"""Parts of a pack that give the codes of an encounter a calibrated probability."""


@dataclass(frozen=True)
class Calibration:
    """``threshold``: None where nothing may go out. ``reason``: ``pack``, ``measured``, or why there is none:
    ``no_calibration``, ``calibration_too_weak``, ``too_few_codes``, ``precision_not_reached``. ``records`` and
    ``codes``: how many would have gone out; ``precision``, ``lower``, ``recall``: of those codes; ``data``: hash of the
    labelled encounters."""

    asked: float
    threshold: float | None
    reason: str
    learned: bool = False
    records: int = 0
    codes: int = 0
    precision: float | None = None
    lower: float | None = None
    recall: float | None = None
    data: str = ""

    def policy(self, base: Policy) -> Policy:
        """The policy that lets out what this supports."""
        return replace(
            base,
            precision=self.asked,
            threshold=self.threshold,
            reason=self.reason,
            learned=self.learned,
            calibration=self.as_dict(),
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def checked(precision: float) -> float:
    """A precision to ask for. UsageError JC001 unless it lies between 0.5 and 1."""
    if not 0.5 <= precision < 1:
        raise UsageError("JC001", "--auto-precision takes a share from 0.5 to below 1", hint="e.g. 0.98")
    return precision


def errors_of(pack: Pack | None) -> tuple[float, ...]:
    """Every calibration error that a pack's figures hold for codes of encounters."""
    if pack is None:
        return ()
    return tuple(error for part in CALIBRATED if pack.has(part) for error in _errors(pack.info.metrics.get(part)))


def from_pack(asked: float, errors: Sequence[float]) -> Calibration:
    """By the calibration errors of a pack."""
    if not errors:
        return Calibration(asked, None, "no_calibration")
    threshold = math.ceil((asked + max(errors)) * 1000) / 1000
    if threshold >= 1:
        return Calibration(asked, None, "calibration_too_weak", learned=True)
    return Calibration(asked, threshold, "pack", learned=True)


def from_records(asked: float, judged: Iterable[tuple[CodedRecord, frozenset[tuple[str, str]]]]) -> Calibration:
    """By coded records beside the (system, code) pairs that they should hold. Records that would go to a person at any
    confidence do not count."""
    open_policy = Policy(threshold=0.0)
    seen = sorted(
        (_outcome(record, gold) for record, gold in judged if route(record, open_policy).route is Route.AUTO),
        key=lambda one: -one[0],
    )
    limits = figures()["auto"]
    if sum(codes for _, _, codes, _ in seen) < limits["fewest"]:
        return Calibration(asked, None, "too_few_codes", records=len(seen))
    found = Calibration(asked, None, "precision_not_reached", records=len(seen))
    right = codes = gold = 0
    for place, (confidence, own_right, own_codes, own_gold) in enumerate(seen, start=1):
        right, codes, gold = right + own_right, codes + own_codes, gold + own_gold
        ends = place == len(seen) or seen[place][0] != confidence
        lower = lower_bound(right, codes, limits["z"])
        if ends and codes >= limits["fewest"] and lower >= asked:
            recall = right / gold if gold else None
            found = Calibration(asked, confidence, "measured", False, place, codes, right / codes, lower, recall)
    return found


def measured_on(asked: float, data: Path, executor: Executor, conditions: str, *, batch: int) -> Calibration:
    """Code labelled encounters and measure (:func:`from_records`). Raises InputError JC709 where there are none."""
    from jointcoder.batch.executor import Group
    from jointcoder.batch.inputs import Origin
    from jointcoder.batch.work import Terms, Work
    from jointcoder.exchange.reading import read

    gold: dict[str, frozenset[tuple[str, str]]] = {}
    works: list[Work] = []
    for one in read(data):
        if one.encounter is not None and one.codes and one.codes_whole:
            gold[one.encounter.id] = frozenset((code.system, code.code) for code in one.codes)
            works.append(Work(one.encounter, "", Origin(str(data)), one.flags))
    if not works:
        raise InputError("JC709", f"{data} holds no encounter with codes", hint="--calibrate takes labelled encounters")
    groups = iter([Group(at, tuple(works[at : at + batch])) for at in range(0, len(works), batch)])
    judged = [
        (CodedRecord.model_validate_json(done.line), gold[done.id])
        for result in executor.map(lambda: next(groups, None), Terms(conditions, Policy(threshold=0.0)))
        for done in result.done
        if done.failure is None
    ]
    return replace(from_records(asked, judged), data=sha256_of(data))


def lower_bound(right: int, total: int, z: float) -> float:
    """Of a share (Wilson 1927)."""
    share = right / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (centre - spread) / (1 + z * z / total)


def _outcome(record: CodedRecord, gold: frozenset[tuple[str, str]]) -> tuple[float, int, int, int]:
    """Weakest confidence, right codes, codes, codes there should be."""
    given = {(code.system.value, code.code) for code in record.codes}
    return weakest(record), len(given & gold), len(given), len(gold)


def _errors(metrics: Any) -> list[float]:
    if not isinstance(metrics, Mapping):
        return []
    own = [float(metrics["ece"])] if isinstance(metrics.get("ece"), int | float) else []
    return own + [found for value in metrics.values() for found in _errors(value)]
