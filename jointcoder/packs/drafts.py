"""How sure the model workflow may be of its drafts: features of a draft in its record → calibrated probability.

    part = pack.part("drafts")
    view = View(encounter, language, sections, mentions, candidates, drafts)
    part.judge(view, "ICD-10-CM")                  # one Judgement a draft, in order

A draft is what the workflow proposes before the cut. Its features say where and how often it is written, by which
sources, how well the wording fits the entry, what kind of code it is, and what else the record holds; none of them
names a code. The weights replace the table set by hand (``steps/data/confidence.toml``) and are explained feature by
feature. Trained by :mod:`jointcoder.learn.drafts`; knows nothing of steps, lookup or models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import AssetError
from jointcoder.packs.combiner import Combiner
from jointcoder.records import Assertion, AssignedCode, Candidate, Encounter, Mention, Reason, Section
from jointcoder.text.problems import is_subordinate
from jointcoder.text.sections import section_kind

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.packs.pack import PackInfo

Array = NDArray[np.float64]
PART = "drafts"
FILE = "combiners.json"
DEFINITIVE = "definitive"
SOURCES = ("list", "problem", "model", "dictionary")
PAIN = ("G89", "M25.5", "M54", "M79.6", "R07", "R10", "R51", "R52")
WEAK = 0.6  # lookup score below which a hit is hardly one
PAST = ("Z8", "I25.2")  # codes that say that a condition is over
CLASSES: Mapping[str, tuple[str, ...]] = {  # by the first characters of the code; chapters of both ICD-10 editions
    "symptom": ("R",),
    "pain": PAIN,
    "injury": ("S", "T0", "T1", "T2", "T3"),
    "external": ("V", "W", "X", "Y"),
    "activity": ("Y93",),
    "factor": ("Z",),
}


@dataclass(frozen=True)
class View:
    """One record with its drafts: what the features are read from."""

    encounter: Encounter
    language: str
    sections: Sequence[Section]
    mentions: Sequence[Mention]
    candidates: Sequence[Candidate]
    drafts: Sequence[AssignedCode]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The calibrated probability that a draft is right, and why."""

    probability: float
    chosen: bool
    reasons: tuple[Reason, ...] = ()


class Drafts:
    """The part: for each code system that was learnt a combiner, a threshold, and what a verdict of the model adds."""

    def __init__(self, combiners: Mapping[str, Combiner], thresholds: Mapping[str, float]) -> None:
        self.combiners, self.thresholds = combiners, thresholds

    @classmethod
    def load(cls, folder: Path, info: PackInfo, lookup: Lookup | None = None) -> Self:
        """Raises AssetError JC212 where the part is damaged or of other features than this program's."""
        try:
            data = json.loads((folder / FILE).read_text("utf-8"))
            combiners = {str(system): Combiner.from_json(one, folder) for system, one in data.items()}
        except (OSError, ValueError, AttributeError) as error:
            raise AssetError("JC212", f"the part {PART} is damaged ({type(error).__name__})") from None
        for combiner in combiners.values():
            if unknown := sorted(set(combiner.names) - set(FEATURES)):
                raise AssetError("JC212", f"the part {PART} knows features that this program does not: {unknown}")
        thresholds = {system: info.thresholds.get(f"{PART}:{system}", 0.5) for system in combiners}
        return cls(combiners, thresholds)

    def knows(self, system: str) -> bool:
        """Whether drafts of the system can be judged."""
        return system in self.combiners

    def judge(self, view: View, system: str) -> list[Judgement]:
        """One judgement a draft, in the order of the drafts, all of ``system``."""
        if not view.drafts:
            return []
        combiner = self.combiners[system]
        rows = features(view, combiner.names)
        return [
            Judgement(float(p), bool(p >= self.thresholds[system]), combiner.contributions(row))
            for p, row in zip(combiner.probability(rows), rows, strict=True)
        ]


def features(view: View, names: Sequence[str] | None = None) -> Array:
    """Shape (drafts, names); by default all :data:`FEATURES`."""
    record = _Record(view)
    chosen = names if names is not None else tuple(FEATURES)
    rows = [[float(FEATURES[name](_Draft(record, draft))) for name in chosen] for draft in view.drafts]
    return np.array(rows, dtype=np.float64).reshape(len(view.drafts), len(chosen))


class _Record:
    """What all drafts of a record share."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.mentions = {mention.id: mention for mention in view.mentions}
        self.divided = any(section_kind(section.name) == DEFINITIVE for section in view.sections)
        by_wording: dict[str, list[Candidate]] = {}  # mentions of one wording were looked up once
        for candidate in view.candidates:
            if candidate.mention in self.mentions:
                by_wording.setdefault(_wording(self.mentions[candidate.mention]), []).append(candidate)
        self.candidates = {m.id: by_wording.get(_wording(m), []) for m in view.mentions}
        self.headings = _headings([m for m in view.mentions if m.source == "problem"])
        self.best_of: dict[str, float] = {}  # heading → best score under it
        for draft in view.drafts:
            for mention in draft.mentions:
                heading = self.headings.get(mention)
                if heading:
                    self.best_of[heading] = max(self.best_of.get(heading, 0.0), self.score(draft, mention))
        self.injured = any(d.code.startswith(CLASSES["injury"]) and self.heads(d) for d in view.drafts)
        self.length = sum(len(document.text) for document in view.encounter.documents)

    def sources_at(self, mentions: Sequence[Mention]) -> set[str]:
        """The sources of mentions that hold one of ``mentions`` within them: a longer reading of the same place."""
        return {
            other.source
            for mention in mentions
            for other in self.view.mentions
            if other.kind is mention.kind
            and other.span.document == mention.span.document
            and other.span.start <= mention.span.start
            and mention.span.end <= other.span.end
        }

    def score(self, draft: AssignedCode, mention: str) -> float:
        """The lookup score under which a mention led to the draft."""
        found = self.candidates.get(mention, [])
        same = [c.score for c in found if c.code == draft.code]
        return same[0] if same else max((c.score for c in found), default=0.0)

    def subordinate(self, mention: Mention) -> bool:
        """Whether a part of a heading is not its equal member."""
        heading = self.mentions[self.headings[mention.id]].span
        text = self.view.encounter.documents[heading.document].text
        span = mention.span
        return is_subordinate(text, (heading.start, heading.end), (span.start, span.end), self.view.language)

    def heads(self, draft: AssignedCode) -> bool:
        return any(mention in self.headings for mention in draft.mentions)


def _wording(mention: Mention) -> str:
    return f"{mention.kind} {' '.join(mention.name.casefold().split())}"


def _headings(problems: Sequence[Mention]) -> dict[str, str]:
    """Mention → the widest heading that holds it."""
    held: dict[str, str] = {}
    for mention in problems:
        around = [
            other
            for other in problems
            if other.span.document == mention.span.document
            and other.span.start <= mention.span.start
            and mention.span.end <= other.span.end
        ]
        held[mention.id] = max(around, key=lambda m: (m.span.end - m.span.start, m.id)).id
    return held


class _Draft:
    """One draft within its record; the features are read from here."""

    def __init__(self, record: _Record, draft: AssignedCode) -> None:
        self.record, self.draft = record, draft
        self.mentions = [record.mentions[m] for m in draft.mentions if m in record.mentions]
        self.sources = {mention.source for mention in self.mentions} | record.sources_at(self.mentions)
        self.kinds = {section_kind(mention.section) for mention in self.mentions}
        self.headings = {record.headings[m.id] for m in self.mentions if m.id in record.headings}

    @cached_property
    def score(self) -> float:
        return max((self.record.score(self.draft, mention.id) for mention in self.mentions), default=0.0)

    @cached_property
    def margin(self) -> float:
        """How far the best wording stands above the best entry of another category."""
        widest = 0.0
        for mention in self.mentions:
            found = self.record.candidates.get(mention.id, [])
            others = [c.score for c in found if c.code[:3] != self.draft.code[:3]]
            if found and self.record.score(self.draft, mention.id) == self.score:
                widest = max(widest, self.score - max(others, default=0.0))
        return widest

    @cached_property
    def gap(self) -> float:
        """How far the draft lies under the best draft of its own heading (the best of its headings counts)."""
        gaps = [
            self.record.best_of[self.record.headings[m.id]] - self.record.score(self.draft, m.id)
            for m in self.mentions
            if m.id in self.record.headings
        ]
        return min(gaps, default=0.0)

    def exact(self) -> bool:
        return any(
            c.code == self.draft.code and "exact" in c.sources
            for mention in self.mentions
            for c in self.record.candidates.get(mention.id, [])
        )

    def place(self) -> float:
        """Where in the assessment the draft is first written, 0 (first) to 1; 1 outside."""
        spans = [m.span for m in self.mentions if section_kind(m.section) == DEFINITIVE or m.id in self.record.headings]
        first = min(((s.document, s.start) for s in spans), default=None)
        if first is None:
            return 1.0
        for section in self.record.view.sections:
            if section.document == first[0] and section.start <= first[1] < section.end:
                return (first[1] - section.start) / max(1, section.end - section.start)
        return 1.0

    def rivals(self) -> list[_Draft]:
        """Other drafts of the same category."""
        return [
            _Draft(self.record, other)
            for other in self.record.view.drafts
            if other is not self.draft and other.code[:3] == self.draft.code[:3]
        ]

    def outdone(self) -> bool:
        """Whether a draft of the same category stands in a heading, or scores higher, where this one does not."""
        mine = (bool(self.headings), self.score)
        return any((bool(rival.headings), rival.score) > mine for rival in self.rivals())

    def companion(self) -> bool:
        return any(link.relation == "companion_of" for link in self.draft.links)

    def subordinate(self) -> bool:
        """Whether the draft stands in headings only as the cause, sign or doubt of something else."""
        own = [m for m in self.mentions if m.id in self.record.headings]
        return bool(own) and all(self.record.subordinate(m) for m in own)

    def explained(self) -> bool:
        """Whether a symptom shares its heading with a disease that is not in doubt. ICD-10-CM Official Guidelines,
        sections I.B.4 and I.B.5."""
        if not (self.is_a("symptom") or self.is_a("pain")):
            return False
        return any(
            heading in self.headings
            for other in self.record.view.drafts
            if not other.code.startswith((*CLASSES["symptom"], *PAIN)) and other.assertion is Assertion.PRESENT
            for mention in other.mentions
            if (heading := self.record.headings.get(mention))
            and self.record.score(other, mention) >= WEAK
            and self.record.mentions[mention].assertion is Assertion.PRESENT
        )

    def vague(self) -> bool:
        """Whether the draft says only "unspecified injury" of a region of which another injury is drafted."""
        return (
            self.is_a("injury")
            and self.draft.code[2:3] == "9"
            and any(
                other.code[:2] == self.draft.code[:2] and other.code[2:3] != "9" for other in self.record.view.drafts
            )
        )

    def over(self) -> bool:
        """Whether a history code is proposed in this draft's place."""
        return any(
            link.code == self.draft.code and other.code.startswith(PAST)
            for other in self.record.view.drafts
            for link in other.links
        )

    def is_a(self, kind: str) -> bool:
        return self.draft.code.startswith(CLASSES[kind])

    def said(self, assertion: Assertion) -> bool:
        return self.draft.assertion is assertion

    def only(self, kind: str) -> bool:
        return bool(self.kinds) and self.kinds == {kind}


Feature = Callable[[_Draft], float]

FEATURES: Mapping[str, Feature] = {
    "score": lambda d: d.score,
    "margin": lambda d: d.margin,
    "exact": lambda d: d.exact(),
    "weak": lambda d: d.score < WEAK and bool(d.mentions),
    "heading": lambda d: bool(d.headings),
    "heading_gap": lambda d: d.gap,
    "heading_poor": lambda d: (1 - d.score) if d.headings else 0.0,
    "subordinate": lambda d: d.subordinate(),
    "explained": lambda d: d.explained(),
    "vague": lambda d: d.vague(),
    "heading_part": lambda d: bool(d.headings) and not any(m.id in d.headings for m in d.mentions),
    "no_heading_but_others": lambda d: bool(d.record.headings) and not d.headings,
    "model": lambda d: "model" in d.sources,
    "dictionary": lambda d: "dictionary" in d.sources,
    "listed": lambda d: "list" in d.sources,
    "sources": lambda d: len(d.sources),
    "mentions": lambda d: math.log2(1 + sum(m.source != "problem" for m in d.mentions)),
    "definitive": lambda d: DEFINITIVE in d.kinds,
    "outside": lambda d: d.record.divided and DEFINITIVE not in d.kinds and not d.headings,
    "place": lambda d: d.place(),
    "complaint": lambda d: any(m.section == "chief_complaint" for m in d.mentions),
    "history": lambda d: d.only("history"),
    "exam": lambda d: d.only("exam"),
    "possible": lambda d: d.said(Assertion.POSSIBLE),
    "historical": lambda d: d.said(Assertion.HISTORICAL),
    "symptom": lambda d: d.is_a("symptom"),
    "pain": lambda d: d.is_a("pain"),
    "injury": lambda d: d.is_a("injury"),
    "external": lambda d: d.is_a("external"),
    "external_of_injury": lambda d: d.is_a("external") and d.record.injured,
    "factor": lambda d: d.is_a("factor"),
    "companion": lambda d: d.companion(),
    "companion_external": lambda d: d.companion() and d.is_a("external"),
    "companion_past": lambda d: d.companion() and d.draft.code.startswith(PAST),
    "companion_pain": lambda d: d.companion() and d.is_a("pain"),
    "over": lambda d: d.over(),
    "outdone": lambda d: d.outdone(),
    "words": lambda d: min(6, max((len(m.name.split()) for m in d.mentions), default=0)),
}
"""Name → how it is read from a draft."""
