"""What is looked up as one: a wording, the places of the record where it stands, and who gave it.

Mentions (``extract`` found the words) and proposals (a model gave a name) come together here, and hits become draft
codes. The lookup itself is ``tabular_index_search``, the choice among its candidates ``select`` and ``llm``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from jointcoder.records import Assertion, AssignedCode, Candidate, Kind, Mention
from jointcoder.steps import confidence
from jointcoder.steps.extract import mention as mention_at
from jointcoder.steps.map_codes import unique
from jointcoder.steps.proposals import name_language

if TYPE_CHECKING:
    from jointcoder.codebook.model import Hit
    from jointcoder.steps.base import State, Tools
    from jointcoder.steps.proposals import Proposed

Source = Literal["mentions", "proposals"]
LONGEST_QUOTE = 80  # characters of the record's words that are looked up beside a name; longer ones are sentences
CODABLE = (Assertion.PRESENT, Assertion.POSSIBLE, Assertion.HISTORICAL)


@dataclass(frozen=True)
class Sought:
    """``ids``: of the mentions and proposals that are meant; ``names``: (wording, language), each once; ``mentions``:
    the places, none for a name without one; ``by``: who gave it, as stages of a draft; ``score``: how sure the surest
    of them was."""

    ids: tuple[str, ...]
    kind: Kind
    names: tuple[tuple[str, str], ...]
    mentions: tuple[Mention, ...] = ()
    by: tuple[str, ...] = ()
    score: float = 1.0

    @property
    def id(self) -> str:
        """The id that its candidates bear."""
        return self.ids[0]

    @property
    def wording(self) -> str:
        """What the record says, else the name."""
        return self.mentions[0].span.quote if self.mentions else self.names[0][0]


def sought(
    state: State,
    tools: Tools,
    kinds: Sequence[Kind],
    of: Iterable[Source],
    *,
    by: Sequence[str] = ("*",),
    codable: Sequence[Assertion] = CODABLE,
) -> list[Sought]:
    """One for each different wording and kind, in the order in which they were found. ``by``: patterns of the
    proposers that are heard. What the record only denies, or tells of relatives, is left out."""
    found: dict[tuple[Kind, str], Sought] = {}
    language = name_language(tools.prompts(state.language))
    if "mentions" in of:
        proposed = {proposal.id for proposal in state.proposals}
        for one in state.mentions:
            if one.kind in kinds:
                names = [(one.span.quote, state.language)]
                names += [(one.name, language)] if one.name != one.span.quote else []
                own = () if one.id in proposed else (f"extract:{one.source}",)
                _add(found, one.name, Sought((one.id,), one.kind, tuple(names), (one,), own))
    if "proposals" in of:
        for proposal in state.proposals:
            if proposal.kind in kinds and any(fnmatchcase(proposal.by, pattern) for pattern in by):
                _add(found, proposal.name, _proposed(proposal, state))
    return [kept for one in found.values() if (kept := _codable(one, codable))]


def mentions_of(terms: Iterable[Sought], state: State) -> tuple[Mention, ...]:
    """The state's mentions and those that proposals brought, in the order of the text."""
    every = {mention.id: mention for term in terms for mention in term.mentions}
    every |= {mention.id: mention for mention in state.mentions}
    return tuple(sorted(every.values(), key=lambda m: (m.span.document, m.span.start, m.kind, m.id)))


def as_candidates(term: Sought, hits: Iterable[Hit]) -> list[Candidate]:
    """The hits as candidates of the term."""
    return [
        Candidate(mention=term.id, system=h.system, code=h.code, name=h.name, score=h.score, sources=tuple(h.sources))
        for h in hits
    ]


def draft(term: Sought, hit: Hit, state: State, tools: Tools, *, probability: float, step: str) -> AssignedCode:
    """A draft code from a hit; its confidence by the table of *standardise*, its stages say who gave the name."""
    divided = confidence.is_divided(state.sections)
    return AssignedCode(
        system=hit.system,
        code=hit.code,
        name=tools.book.name(hit.system, hit.code, state.language) or hit.name,
        confidence=confidence.draft(term.mentions, hit, choice=probability, divided=divided) * term.score,
        evidence=tuple(dict.fromkeys(mention.span for mention in term.mentions)),
        assertion=confidence.strongest(term.mentions),
        mentions=tuple(dict.fromkeys(mention.id for mention in term.mentions)),
        stages=(*term.by, step),
    )


def merged(codes: Iterable[AssignedCode]) -> list[AssignedCode]:
    """Drafts that are one code joined: evidence, mentions and stages of all."""
    return unique(list(codes))


def terms_of(state: State, tools: Tools, kinds: Sequence[Kind]) -> Mapping[str, Sought]:
    """What candidates belong to, by the id that they bear: mentions and proposals of the state."""
    found: dict[str, Sought] = {}
    for term in sought(state, tools, kinds, ("mentions", "proposals"), codable=tuple(Assertion)):
        for identity in term.ids:
            found.setdefault(identity, term)
    return found


def _proposed(proposal: Proposed, state: State) -> Sought:
    mentions: tuple[Mention, ...] = ()
    names = [(proposal.name, proposal.language)]
    if proposal.span is not None:
        place = mention_at(state, proposal.kind, proposal.span, name=proposal.name, source=proposal.source)
        mentions = (place,)
        quote = " ".join(proposal.span.quote.split())
        other = quote.casefold() != proposal.levelled or proposal.language != state.language
        if other and len(quote) <= LONGEST_QUOTE:
            names.append((quote, state.language))
    return Sought((proposal.id,), proposal.kind, tuple(names), mentions, (proposal.by,), proposal.score)


def _add(found: dict[tuple[Kind, str], Sought], name: str, new: Sought) -> None:
    key = (new.kind, " ".join(name.casefold().split()))
    old = found.get(key)
    if old is None:
        found[key] = new
        return
    found[key] = replace(
        old,
        ids=tuple(dict.fromkeys((*old.ids, *new.ids))),
        names=tuple(dict.fromkeys((*old.names, *new.names))),
        mentions=tuple({mention.id: mention for mention in (*new.mentions, *old.mentions)}.values()),
        by=tuple(dict.fromkeys((*old.by, *new.by))),
        score=max(old.score, new.score),
    )


def _codable(term: Sought, codable: Sequence[Assertion]) -> Sought | None:
    kept = tuple(mention for mention in term.mentions if mention.assertion in codable)
    return replace(term, mentions=kept) if kept or not term.mentions else None
