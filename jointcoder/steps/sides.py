"""Sides: a code for an "unspecified" side gives way to the one whose side the record states.

    "Bilateral medial epicondylitis."    M77.00 → M77.01, M77.02   (no bilateral code: both sides are coded)
    "Ovarian cancer. … left ovary …"     C56.9  → C56.2

Looked for in the wording itself, then in its sentences, then beside the organ's name anywhere in the record; the first
place that states any side decides, if it states one. ICD-10-CM Official Guidelines, section I.B.13: "If no bilateral
code is provided and the condition is bilateral, assign separate codes for both the left and right side."
Which words state a side is data (``prompts/<language>/map_codes.toml``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jointcoder.records import AssignedCode, System
from jointcoder.steps.common import sentence_around
from jointcoder.steps.map_codes import family, states, unique

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.steps.base import State, Tools

SIDES = ("left", "right", "bilateral")
UNSPECIFIED = "unspecified"
REACH = 40  # characters of the sentence on either side of the evidence
LETTERS = 4  # of an organ's name that must be the same ("ovary", "ovarian")


def with_sides(codes: Sequence[AssignedCode], state: State, tools: Tools) -> list[AssignedCode]:
    """The codes with the sides that the record states; a condition of both sides becomes two codes where no bilateral
    one exists. Codes that became the same are joined."""
    words: dict[str, Any] = tools.prompts(state.language).raw("map_codes", "sides")
    found: list[AssignedCode] = []
    for code in codes:
        name = (tools.book.name(code.system, code.code, "en") or "").casefold()
        if code.system is not System.ICD10CM or UNSPECIFIED not in name:
            found.append(code)
            continue
        for place in _places(code, name, state, words):
            stated = [side for side in SIDES if states(place, words[side])]
            if not stated:
                continue
            sided = siblings(tools.book, code, name, stated)
            found += sided or [code]
            break
        else:
            found.append(code)
    return unique(found)


def siblings(book: CodeBook, code: AssignedCode, name: str, stated: Sequence[str]) -> list[AssignedCode]:
    """The code for the one side stated, or those for both; none where the classification knows no such sides or the
    record states different ones."""
    both = "bilateral" in stated
    if len(stated) > 1 and not both:
        return []
    known = {entry.name.casefold(): entry for entry in reversed(family(book, code.system, code.code)) if entry.billable}
    for wanted in (("bilateral",), ("right", "left")) if both else ((stated[0],),):
        found = [known[one] for side in wanted for one in _named(name, side) if one in known]
        if len(found) == len(wanted):
            return [code.with_(code=entry.code, name=entry.name) for entry in found]
    return []


def _named(name: str, side: str) -> list[str]:
    """How the name would read with the side stated: only the word that stood for the missing one changes."""
    return [name[: m.start()] + side + name[m.end() :] for m in re.finditer(rf"\b{UNSPECIFIED}\b", name)]


def _places(code: AssignedCode, name: str, state: State, words: dict[str, Any]) -> Iterator[str]:
    """Texts that may state the side, the nearest first."""
    documents = state.encounter.documents
    yield " ".join(span.quote for span in code.evidence)
    yield " ".join(sentence_around(span, documents, reach=REACH) for span in code.evidence)
    organs = {m[1][:LETTERS] for m in re.finditer(rf"\b{UNSPECIFIED}\s+([a-z]{{{LETTERS},}})", name)}
    sides = "|".join(re.escape(word) for side in SIDES for word in words[side] if word.isascii())
    if organs and sides:
        beside = re.compile(rf"(?<!\w)(?:{sides})(?!\w)(?:\W+\w+){{0,2}}?\W+(?:{'|'.join(organs)})", re.IGNORECASE)
        yield " ".join(m[0] for document in documents for m in beside.finditer(document.text))
