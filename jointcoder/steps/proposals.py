"""What models propose: names to look up, and texts for other steps to read. Never a code.

Two gathered slots of the state (see :data:`jointcoder.steps.base.GATHERED`): ``proposals`` and ``texts``. Steps that
propose run side by side and their proposals add up; ``tabular_index_search`` turns names into entries of the code
book, ``vote`` counts who proposed what. This module asks for names, reads the answers, finds each name's place in the
record and takes out codes that a model wrote all the same (JC421). Which names to ask for is the steps' business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jointcoder.llm.base import Generation
from jointcoder.records import Flag, Kind, Span, System
from jointcoder.steps.common import find_span
from jointcoder.steps.extract import FIELDS, list_schema
from jointcoder.steps.literals import bare_name

if TYPE_CHECKING:
    from jointcoder.steps.base import State
    from jointcoder.steps.prompting import Prompts
    from jointcoder.text.chunks import Chunk

LONGEST = 200  # characters of a name that are looked up: a name, not a sentence
REASONING = 600  # characters of thinking before the names, where a reading asks for it


@dataclass(frozen=True, slots=True)
class Proposed:
    """A name that is to be looked up. ``language``: of the name; ``by``: the step, and of several readings which
    (``propose:sections``, ``llm:physician``); ``span``: the words of the record behind it, None where none were found;
    ``score``: how sure the proposer is, 0 to 1; ``source``: what kind of proposer (``model``, ``dictionary``)."""

    name: str
    kind: Kind
    language: str
    by: str
    span: Span | None = None
    score: float = 1.0
    source: str = "model"

    @property
    def id(self) -> str:
        """The same for the same place, without a place for the same name; as the ids of mentions are."""
        letter = "d" if self.kind is Kind.DIAGNOSIS else "p"
        if self.span is not None:
            return f"{letter}{self.span.document}:{self.span.start}-{self.span.end}"
        return f"{letter}-{hashlib.sha256(self.levelled.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"

    @property
    def levelled(self) -> str:
        """The name as names are compared: case and blanks levelled."""
        return " ".join(self.name.casefold().split())


@dataclass(frozen=True, slots=True)
class Written:
    """A text for other steps. ``by``: who wrote it, as of :class:`Proposed`; ``about``: (system, code) of the drafts
    that it concerns, none where it concerns the whole record."""

    by: str
    text: str
    about: tuple[tuple[System, str], ...] = ()


@dataclass(frozen=True)
class Named:
    """The names of ``answers`` answers. ``coded``: names that were written with a code, which was taken out; ``cut``:
    answers that were cut at their limit; ``broken``: answers that gave nothing usable."""

    proposals: tuple[Proposed, ...] = ()
    answers: int = 0
    coded: int = 0
    cut: int = 0
    broken: int = 0

    def __add__(self, other: Named) -> Named:
        return Named(
            self.proposals + other.proposals,
            self.answers + other.answers,
            self.coded + other.coded,
            self.cut + other.cut,
            self.broken + other.broken,
        )

    def flags(self, step: str) -> tuple[Flag, ...]:
        """What a person should know of them: JC421, JC306, JC302."""
        said = {
            "JC421": (self.coded, f"{self.coded} names were written with codes, which were left out"),
            "JC306": (self.cut, f"{self.cut} of {self.answers} answers were cut"),
            "JC302": (self.broken, f"{self.broken} of {self.answers} parts gave no usable answer"),
        }
        return tuple(Flag(code=code, step=step, message=text) for code, (count, text) in said.items() if count)

    @property
    def notes(self) -> dict[str, int]:
        """Counts for the trace."""
        return {"names": len(self.proposals), "placed": sum(one.span is not None for one in self.proposals)}


def name_schema(prompts: Prompts, kinds: Sequence[Kind], max_items: int, *, reasoned: bool = False) -> dict[str, Any]:
    """Schema of an answer that lists names; pairs of {quote, name} where the names are in another language than the
    record. ``reasoned``: the model writes what it thinks before it lists."""
    schema = list_schema([FIELDS[kind] for kind in kinds], max_items, named=is_foreign(prompts))
    if not reasoned:
        return schema
    thought = {"reasoning": {"type": "string", "maxLength": REASONING}}
    return {
        **schema,
        "properties": thought | schema["properties"],
        "required": ["reasoning", *schema["required"]],
    }


def name_format(prompts: Prompts, kinds: Sequence[Kind]) -> str:
    """How the model is told to answer with names."""
    return prompts("agents", "both" if len(kinds) > 1 else FIELDS[kinds[0]])


def is_foreign(prompts: Prompts) -> bool:
    """Whether names are asked for in another language than that of the record."""
    return name_language(prompts) != prompts.language


def name_language(prompts: Prompts) -> str:
    """The language in which the record's language asks for names."""
    return str(prompts.raw("agents", "names"))


def read_names(
    state: State,
    parts: Sequence[Chunk | None],
    answers: Sequence[Generation],
    *,
    kinds: Sequence[Kind],
    by: str,
    language: str,
) -> Named:
    """The names of answers to :func:`name_schema`, one answer a part of the record (None: the whole of it), each name
    once a part and ``by``."""
    found: list[Proposed] = []
    coded = cut = broken = 0
    for part, answer in zip(parts, answers, strict=True):
        cut += answer.error == "JC306"
        broken += answer.value is None
        seen: set[tuple[Kind, str]] = set()
        for kind in kinds:
            for item in (answer.value or {}).get(FIELDS[kind], []):
                quote, written = (item, item) if isinstance(item, str) else (item["quote"], item["name"])
                name = bare_name(written)[:LONGEST]
                coded += name != written.strip()[:LONGEST]
                if not any(character.isalpha() for character in name):
                    continue
                span = place_of(quote, part, state)
                one = Proposed(name, kind, language, by, span)
                if (kind, one.levelled) not in seen:
                    seen.add((kind, one.levelled))
                    found.append(one)
    return Named(tuple(found), len(answers), coded, cut, broken)


def place_of(quote: str, part: Chunk | None, state: State) -> Span | None:
    """Where the words stand in the part, else anywhere in the record."""
    chunks = [*([part] if part else []), *(chunk for chunk in state.chunks if chunk is not part)]
    found = (find_span(quote, chunk, state.encounter.documents) for chunk in chunks if quote.strip())
    return next((span for span in found if span is not None), None)
