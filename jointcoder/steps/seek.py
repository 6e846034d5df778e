"""What is looked up for a wording, and how the hits are weighed: the part of *standardise* that knows languages.

A wording is sought as it is written and in its other forms (numbers in other scripts, grades in another order, without
cues of doubt); a hit counts less for every detail that its name adds to the wording and for a grade or kind that
contradicts it. Both are data of the text room; a language without them is sought as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from jointcoder.records import System
from jointcoder.text.bare import bare, unbracketed
from jointcoder.text.fit import fit, fits_names, kernel, same, spelling
from jointcoder.text.numerals import forms

if TYPE_CHECKING:
    from jointcoder.codebook.model import Hit
    from jointcoder.steps.base import Tools

POOL = 24  # hits that are weighed again where the language says how
AXES = "axes"  # source of hits whose every axis was compared with the wording
ALIKE = 0.97  # score of a name that differs from the wording in spelling and particles only
KERNEL, AS_WRITTEN = 0.55, 0.9  # of a name that says the condition without its details: none of them told, all told
MOST = 12  # further forms of one wording


def further(wordings: Sequence[str], language: str) -> list[str]:
    """Other forms of the wordings, each once, none of them among the wordings."""
    plain = [bare(wording, language) for wording in wordings]
    plain += [spelling(wording, language) for wording in plain]
    found = [*plain, *(form for wording in dict.fromkeys([*wordings, *plain]) for form in forms(wording, language))]
    return [form for form in dict.fromkeys(found) if form not in wordings][:MOST]


def looser(wording: str, language: str) -> list[str]:
    """Forms that say less than the wording, for one that the book does not hold as it is written."""
    shorter = unbracketed(bare(wording, language))
    return [shorter, *forms(shorter, language)] if fits_names(language) and shorter != wording else []


def seek(wording: str, language: str, tools: Tools, system: System, k: int) -> list[Hit]:
    """Assignable entries of ``system`` for one wording, best first; at least ``k`` where there are so many."""
    weigh = fits_names(language)
    hits = tools.lookup.search(
        wording, kind=system.kind, lang=language, k=max(k, POOL) if weigh else k, system=system, billable=True
    )
    if not weigh:
        return hits
    return sorted((weighed(hit, wording, language) for hit in hits), key=lambda hit: (-hit.score, hit.code))


def weighed(hit: Hit, wording: str, language: str) -> Hit:
    """The hit with its score after what its name adds and contradicts. One that was read axis by axis
    (``codebook.pcs_coding``) has been weighed already."""
    if hit.score >= ALIKE or AXES in hit.sources:
        return hit
    if same(wording, hit.term, language):
        return replace(hit, score=ALIKE)
    score = hit.score * fit(wording, hit.term, language)
    if share := kernel(wording, hit.term, language):
        score = max(score, KERNEL + (AS_WRITTEN - KERNEL) * share)
    return replace(hit, score=round(score, 4))


def place(hit: Hit, language: str) -> tuple[int, str]:
    """Order of equally good hits: by code; where the language weighs names, shorter codes first, because an edition
    that prints one name twice means the one without an extension (I21.103 before I21.100x002)."""
    return (len(hit.code) if fits_names(language) else 0, hit.code)
