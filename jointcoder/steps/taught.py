"""What a pack's part ``terms`` says of wordings, for *standardise*: its candidates, and when to ask the model.

    part = part_of(tools, system)                       None where no pack in use names things of this system
    opened = doubts(terms, part, adapter)               terms of which the part is unsure, with its candidates
    answers = …                                         the step's own lettered question about those candidates
    found = entries(term, part, opened.get(i), answer)  what the term is said to hold, best first; often one entry

The part asks only the model, under the adapter, that it was weighed with. Its names are those of its training data;
what the code book in use does not hold under that name or code is left out. Knows no prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jointcoder.codebook.model import Hit
from jointcoder.evaluation.terms import plain
from jointcoder.records import System
from jointcoder.steps.base import Tools

if TYPE_CHECKING:
    from jointcoder.packs.terms import TermChoice, Terms

PART = "terms"
SOURCE = "pack"


@dataclass(frozen=True)
class Answered:
    """The model's log-probabilities in the order of the candidates, and that of "none of these"."""

    logprobs: tuple[float, ...]
    none: float


@dataclass(frozen=True)
class Entry:
    """An entry of the book that a wording is said to name, with calibrated probability."""

    hit: Hit
    probability: float


def part_of(tools: Tools, system: System | None) -> Terms | None:
    """The part of the pack in use that names things of this system, if there is one."""
    pack = tools.pack
    if system is None or pack is None or not pack.has(PART):
        return None
    part: Terms = pack.part(PART, tools.lookup)
    return part if system.value in part.systems else None


def doubts(wordings: Sequence[str], part: Terms, adapter: str) -> dict[int, list[TermChoice]]:
    """Place of a wording → the candidates to be put to the model that answers under ``adapter``, best first."""
    if part.voice is None or part.voice.adapter != adapter:
        return {}
    found = {place: part.open_question(wording) for place, wording in enumerate(wordings)}
    return {place: choices for place, choices in found.items() if choices}


def as_hit(choice: TermChoice, system: System, language: str) -> Hit:
    """A choice in the form of a search hit; its score is its probability."""
    return Hit(system, choice.code, choice.name, choice.name, language, round(choice.probability, 4), (SOURCE,))


def entries(
    wording: str,
    part: Terms,
    tools: Tools,
    system: System,
    language: str,
    *,
    opened: Sequence[TermChoice] = (),
    answer: Answered | None = None,
) -> list[Entry]:
    """The entries of the book in use that the wording is said to hold, best first."""
    choices = part.settled(opened, answer.logprobs, answer.none) if answer else part.normalise(wording)
    hits = [(in_book(as_hit(choice, system, language), tools), choice.probability) for choice in choices]
    return [Entry(hit, probability) for hit, probability in hits if hit is not None]


def in_book(hit: Hit, tools: Tools) -> Hit | None:
    """The hit as the code book in use holds it: under its code and name, else under its name; None where it is not."""
    book = tools.book
    name = book.name(hit.system, hit.code, hit.lang) if hit.code else None
    if name is not None and plain(name) == plain(hit.name):
        return hit
    same = tools.lookup.search(hit.name, kind=hit.system.kind, lang=hit.lang, k=1, system=hit.system, billable=True)
    if same and plain(same[0].name) == plain(hit.name):
        return replace(hit, code=same[0].code)
    own = tools.pack is not None and tools.pack.info.book == book.info.id  # another edition's codes mean other things
    return hit if own and name is not None and book.is_valid(hit.system, hit.code) else None
