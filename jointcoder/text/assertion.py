"""What the text says of a finding: present, negated, possible, historical, or a relative's.

A small ConText of our own (Harkema et al. 2009, after NegEx, Chapman et al. 2001): within the finding's sentence,
cues reach forward or backward to a terminator, a clause mark or their greatest distance. The cues are data
(``data/<language>/assertion.toml``). Looks at no other sentence, and does not know what a finding means: negation
inside a name ("painless", 无痛性) is kept out by pseudo-cues.

>>> text = "The patient denies chest pain but has dyspnea."
>>> [str(assert_span(text, *span, lang="en")) for span in ((19, 29), (38, 45))]
['negated', 'present']
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from jointcoder.records import Assertion
from jointcoder.text.cues import Cue, CueTable, Found, cue_table
from jointcoder.text.normalise import normalise
from jointcoder.text.segment import sentences

# Where several categories reach a finding: "no family history of", "mother had a possible stroke".
_PRIORITY = (Assertion.NEGATED, Assertion.FAMILY, Assertion.POSSIBLE, Assertion.HISTORICAL)
FINDINGS = "assertion"  # the table of cues for findings
_DIGIT = re.compile(r"\d")


def assert_span(text: str, start: int, end: int, *, lang: str, section: str | None = None) -> Assertion:
    """Assertion of the mention ``text[start:end]``; ``section`` is the canonical name of the section it stands in.

    For several mentions of one text use :func:`assert_spans`. Raises InputError JC105 for an unknown language,
    ValueError for offsets outside the text.
    """
    return assert_spans(text, [(start, end)], lang=lang, sections=[section])[0]


def assert_spans(
    text: str,
    spans: Sequence[tuple[int, int]],
    *,
    lang: str,
    sections: Sequence[str | None] | None = None,
    cues: str = FINDINGS,
) -> list[Assertion]:
    """Assertions of mentions, in order; ``sections``, if given, has one name (or None) for each. ``cues`` names the
    table: findings are read with the default one, procedures with one of what was done (:mod:`.told`)."""
    table = cue_table(lang, cues)
    bounds = sentences(text, lang)
    starts = [start for start, _ in bounds]
    read: dict[tuple[int, int], _Sentence] = {}
    results = []
    for (start, end), section in zip(spans, sections or [None] * len(spans), strict=True):
        if not 0 <= start <= end <= len(text):
            raise ValueError("a mention's offsets lie outside the text")
        place = bisect_right(starts, start) - 1
        found = Assertion.PRESENT
        if place >= 0:
            first, last = (
                bounds[place][0],
                max(bounds[place][1], end),
            )  # a mention may run over the sentence's end
            if (first, last) not in read:
                read[first, last] = _read(text[first:last], lang, cues)
            found = read[first, last].assertion(start - first, end - first)
        results.append(_with_section(found, table, section))
    return results


def _with_section(found: Assertion, table: CueTable, section: str | None) -> Assertion:
    """What the section says where the sentence does not: a relative's finding, or one from before."""
    default = table.section_defaults.get(section or "")
    if default is Assertion.FAMILY and found is not Assertion.NEGATED:
        return default
    return default if default and found is Assertion.PRESENT else found


@dataclass(frozen=True)
class _Reaching:
    cue: Cue
    found: Found


def _inside(span: tuple[int, int], found: Found) -> bool:
    return found.start <= span[0] and span[1] <= found.end and span != (found.start, found.end)


@lru_cache(maxsize=512)
def _read(sentence: str, lang: str, cues: str) -> _Sentence:
    """A sentence with its cues: several steps ask about the mentions of the same one."""
    return _Sentence(sentence, cue_table(lang, cues))


class _Sentence:
    """One sentence with its cues."""

    def __init__(self, text: str, table: CueTable) -> None:
        self._table = table
        self._normal = normalise(text, accents=True)
        self._text = self._normal.text
        self._ends: dict[Assertion, list[tuple[int, int]]] = {}

    @cached_property
    def _found(self) -> list[Found]:
        return self._table.find(self._text)

    def _terminators(self, category: Assertion) -> list[tuple[int, int]]:
        """Terminators that are not merely part of a cue or pseudo-cue, as the "has" of "has not had"."""
        if category not in self._ends:
            spans = self._table.find_terminators(self._text, category)
            self._ends[category] = [span for span in spans if not any(_inside(span, f) for f in self._found)]
        return self._ends[category]

    def assertion(self, start: int, end: int) -> Assertion:
        """Assertion of the mention at these offsets into the sentence as it came in."""
        first, last = self._normal.normalised_span(start, end)
        reaching = [
            _Reaching(cue, found)
            for found in self._found
            for cue in found.cues
            if self._reaches(cue, found, first, last)
        ]
        categories = {r.cue.category for r in reaching if not self._is_taken_over(r, reaching)}
        return next((category for category in _PRIORITY if category in categories), Assertion.PRESENT)

    def _reaches(self, cue: Cue, found: Found, first: int, last: int) -> bool:
        if cue.final and self._text[found.end :].lstrip()[:1] not in (
            "",
            ",",
            ";",
            ".",
            "。",
            "、",
            ")",
            "!",
        ):
            return False
        if first <= found.start and found.end <= last:  # the mention was copied with its cue: "肺炎待排"
            at_edge = found.start == first if cue.forward else found.end == last
            return at_edge and found.end - found.start < last - first
        between = (found.end, first) if cue.forward else (last, found.start)
        if between[0] > between[1]:
            return False
        return self._is_open(cue, found, *between)

    def _is_open(self, cue: Cue, found: Found, start: int, end: int) -> bool:
        """Whether nothing between cue and mention ends the cue's scope."""
        between = self._text[start:end]
        distance = len(between.split()) if self._table.by_words else len(between)
        if distance > cue.reach or any(mark in between for mark in cue.stop):
            return False
        if any(start <= first and last <= end for first, last in self._terminators(cue.category)):
            return False
        marks = [place for place, char in enumerate(between) if char in self._table.clause_marks]
        if not marks or cue.crosses:
            return True
        return cue.runs_on and cue.forward and self._is_list(start + marks[0], end)

    def _is_list(self, start: int, end: int) -> bool:
        """Whether a list that was cut by a comma goes on past the mention: 否认肝炎,结核等传染病史."""
        marks = self._table.clause_marks
        tail = next((i for i in range(end, len(self._text)) if self._text[i] in marks), len(self._text))
        clause = self._text[start:tail].strip(" ,;.。")
        return clause.endswith(self._table.list_ends) and not _DIGIT.search(clause)

    def _is_taken_over(self, earlier: _Reaching, reaching: Sequence[_Reaching]) -> bool:
        """Whether a nearer cue of another kind begins a new member of the list: "no fever, possible pneumonia"."""
        if not earlier.cue.forward or earlier.cue.category is Assertion.FAMILY:
            return False
        for later in reaching:
            if not later.cue.forward or later.found.start < earlier.found.end:
                continue
            between = self._text[earlier.found.end : later.found.start]
            other = later.cue.category is not earlier.cue.category
            if other and any(mark in between for mark in self._table.list_marks):
                return True
        return False
