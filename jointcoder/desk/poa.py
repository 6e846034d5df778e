"""The condition on admission of the Chinese front page ↔ present-on-admission indicators.

Inside, both are :class:`PresentOnAdmission`; the numbers 1 to 4 are the front page's way of writing Y, W, U and N, with
words of its own (``exchange/data/zh/frontpage.toml``). "1" is ambiguous, being the US sign for exempt codes: a number
is turned into an indicator where it comes in.
"""

from __future__ import annotations

from jointcoder.errors import InputError
from jointcoder.exchange.frontpage import page_data
from jointcoder.records import PresentOnAdmission, System


def conditions() -> dict[str, tuple[PresentOnAdmission, str]]:
    """Number → indicator and word of the front page, in the order of the numbers."""
    rows = page_data()["admission"]
    return {number: (PresentOnAdmission(letter), word) for letter, (number, word) in sorted(rows.items(), key=_number)}


def condition_of(indicator: PresentOnAdmission | None) -> str:
    """The number of an indicator, "" where the front page has none."""
    return next((number for number, (one, _) in conditions().items() if one is indicator), "")


def indicator_of(number: str) -> PresentOnAdmission:
    """The indicator of a number. Raises InputError JC108."""
    found = conditions().get(number)
    if found is None:
        raise InputError("JC108", "the condition on admission is 1, 2, 3 or 4")
    return found[0]


def indicators(system: System) -> tuple[PresentOnAdmission, ...]:
    """What may be said of a diagnosis of this system, in the order of the form; nothing of procedures."""
    if system is System.ICD10CN:
        return tuple(indicator for indicator, _ in conditions().values())
    return tuple(PresentOnAdmission) if system is System.ICD10CM else ()


def _number(row: tuple[str, list[str]]) -> str:
    return row[1][0]
