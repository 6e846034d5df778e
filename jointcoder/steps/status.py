"""Candidates for a wording that names the state an operation left (阑尾炎术后): entries for states only.

Part of *standardise*. The wordings are data of the text room, the codes data of this one (``data/status.toml``). Says
nothing of whether the operation was done in this stay: :mod:`jointcoder.steps.joint` does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jointcoder.codebook.model import Hit
from jointcoder.records import System
from jointcoder.steps import seek
from jointcoder.steps.common import entry_at, step_data
from jointcoder.text.status import state

if TYPE_CHECKING:
    from jointcoder.steps.base import Tools

POOL = 300  # hits of one wording among which states are sought
OF_ORGAN = 0.9  # what the state of the organ is worth against that of the operation
ENOUGH = 0.45  # score below which the state has no entry of its own
OTHER = 0.5  # score of the entry for other states


def status_hits(written: str, language: str, tools: Tools, system: System, k: int) -> list[Hit]:
    """Up to ``k`` entries for the state that ``written`` names, best first; empty where it names none, or where this
    system has no such entries."""
    codes = tuple(step_data("status")["codes"].get(system, ()))
    named = state(written, language) if codes else None
    if named is None:
        return []
    best: dict[str, Hit] = {}
    for wording, weight in [*((one, 1.0) for one in named.wordings), *((one, OF_ORGAN) for one in named.organs)]:
        for hit in tools.lookup.search(wording, kind=system.kind, lang=language, k=POOL, system=system, billable=True):
            if hit.code.startswith(codes):
                found = seek.weighed(hit, wording, language)
                found = replace(found, score=round(found.score * weight, 4))
                if hit.code not in best or found.score > best[hit.code].score:
                    best[hit.code] = found
    ranked = sorted(best.values(), key=lambda hit: (-hit.score, hit.code))
    if not ranked or ranked[0].score < ENOUGH:
        ranked = [*_other(tools, system, language), *ranked]
    return ranked[:k]


def _other(tools: Tools, system: System, language: str) -> list[Hit]:
    entry = entry_at(tools.book, system, step_data("status")["other"][system])
    if entry is None:
        return []
    return [Hit(system, entry.code, entry.name, entry.name, language, OTHER, ("status",))]
