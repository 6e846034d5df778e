"""What is known of a record, as it is shown to the model: its parts as contexts, everything else as lists in words.

| input | what the model sees |
|---|---|
| ``notes`` | the record, part by part: one request a part |
| ``sections`` | the record, by what its sections are (history, course, conclusions …): one request each |
| ``mentions`` | the wordings found so far |
| ``candidates`` | for each wording the entries it may mean, by name |
| ``codes`` | the draft codes, by name, with the words they rest on |
| ``text`` | what other steps wrote |

Codes are shown by their names alone. Lists that are too long for their share of the context are shortened, and the
record is flagged (JC422).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jointcoder.llm.base import Context
from jointcoder.records import AssignedCode, Flag, Kind
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, State, Tools
from jointcoder.steps.common import record_context
from jointcoder.text.chunks import Chunk
from jointcoder.text.sections import section_kind

Input = Literal["notes", "sections", "mentions", "candidates", "codes", "text"]
LISTS: tuple[Input, ...] = ("mentions", "candidates", "codes", "text")
SHARE = 0.2  # of the context, for all lists together
QUOTE = 80  # characters of evidence shown beside a code
OFFERED = 10  # entries shown for one wording


def read_slots(inputs: Iterable[Input], kinds: Iterable[Kind]) -> frozenset[str]:
    """The slots that must have been written for these inputs."""
    kinds = tuple(kinds)
    table: Mapping[str, tuple[str, ...]] = {
        "notes": ("chunks",),
        "sections": ("sections", "chunks"),
        "mentions": ("mentions",),
        "candidates": tuple(CANDIDATE_SLOTS[kind] for kind in kinds),
        "codes": tuple(CODE_SLOTS[kind] for kind in kinds),
        "text": ("texts",),
    }
    return frozenset({"encounter", "language"}).union(*(table[one] for one in inputs))


@dataclass(frozen=True)
class Shown:
    """Lists in words; ``left_out``: how many lines did not fit."""

    text: str
    left_out: int = 0

    def flags(self, step: str) -> tuple[Flag, ...]:
        """The flag that says so (JC422)."""
        if not self.left_out:
            return ()
        return (Flag(code="JC422", step=step, message=f"{self.left_out} lines were not shown to the model"),)


def parts(state: State, inputs: Sequence[Input]) -> list[Chunk | None]:
    """The parts of the record that get a request each; one None where the record itself is not shown."""
    if "sections" in inputs:
        return list(section_parts(state))
    return list(state.chunks) if "notes" in inputs else [None]


def context(state: State, part: Chunk | None, tools: Tools) -> Context:
    """What a request begins with: the part of the record, or the system message alone."""
    if part is None:
        return Context(system=tools.prompts(state.language)("shared", "system"))
    return record_context(state, part, tools)


def section_parts(state: State) -> Iterator[Chunk]:
    """Neighbouring sections of one kind as one part, never more than a chunk; parts without words are left out."""
    for chunk in state.chunks:
        grouped: dict[str, list[tuple[int, int, int]]] = {}
        for index, start, end in chunk.pieces:
            for section in state.sections:
                first, last = max(start, section.start), min(end, section.end)
                if section.document == index and first < last:
                    grouped.setdefault(section_kind(section.name), []).append((index, first, last))
        for kind, pieces in grouped.items():
            part = Chunk(tuple(pieces), (kind,))
            if any(character.isalnum() for character in part.text(state.encounter.documents)):
                yield part


def listing(state: State, tools: Tools, inputs: Sequence[Input], kinds: Sequence[Kind]) -> Shown:
    """Everything of ``inputs`` but the record itself, each list under its heading."""
    prompts = tools.prompts(state.language)
    writers: Mapping[str, Callable[[], Iterable[str]]] = {
        "mentions": lambda: wordings(state, kinds),
        "candidates": lambda: offers(state, kinds),
        "codes": lambda: (code_line(code) for kind in kinds for code in getattr(state, CODE_SLOTS[kind])),
        "text": lambda: (one.text.strip() for one in state.texts),
    }
    budget = int(tools.context_tokens * SHARE)
    blocks: list[str] = []
    left_out = 0
    for name in LISTS:
        if name not in inputs:
            continue
        lines = [line for line in writers[name]() if line]
        kept: list[str] = []
        for line in lines:
            budget -= tools.count_tokens(line)
            if budget < 0:
                break
            kept.append(line)
        left_out += len(lines) - len(kept)
        blocks.append("\n".join([prompts("agents", f"shown_{name}"), *(kept or [prompts("agents", "nothing")])]))
    return Shown("\n\n".join(blocks), left_out)


def wordings(state: State, kinds: Sequence[Kind]) -> Iterator[str]:
    """The wordings of mentions and the names proposed so far, each once."""
    said = [*((m.kind, m.name) for m in state.mentions), *((p.kind, p.name) for p in state.proposals)]
    seen: set[str] = set()
    for kind, name in said:
        if kind in kinds and name.casefold() not in seen:
            seen.add(name.casefold())
            yield f"- {name}"


def offers(state: State, kinds: Sequence[Kind]) -> Iterator[str]:
    """For each wording the names of the entries it may mean."""
    named = {p.id: p.name for p in state.proposals} | {m.id: m.name for m in state.mentions}
    for kind in kinds:
        by_mention: dict[str, list[str]] = {}
        for candidate in getattr(state, CANDIDATE_SLOTS[kind]):
            by_mention.setdefault(candidate.mention, []).append(candidate.name)
        for mention, names in by_mention.items():
            yield f"- {named.get(mention, names[0])}: {'; '.join(names[:OFFERED])}"


def code_line(code: AssignedCode) -> str:
    """A draft code by its name and the words it rests on."""
    quote = " ".join(code.evidence[0].quote.split())[:QUOTE] if code.evidence else ""
    return f'- {code.name} ("{quote}")' if quote else f"- {code.name}"
