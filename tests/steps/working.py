"""One step at work on a state made for the test, with a scripted model: no workflow, no engine."""

from __future__ import annotations

from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.lookup import Lookup
from jointcoder.coder import guessed_tokens
from jointcoder.llm.base import LanguageModel, Prompt
from jointcoder.records import AssignedCode, Candidate, Encounter, Kind, Mention, Patient, Span, System
from jointcoder.steps import registry
from jointcoder.steps.base import State, Tools, Update
from jointcoder.steps.extract import mention as mention_at
from jointcoder.steps.prompting import Prompts
from jointcoder.steps.proposals import Proposed
from jointcoder.text.chunks import Chunk
from jointcoder.text.sections import find_sections
from jointcoder.workflow.run import answer

CM, PCS = System.ICD10CM, System.ICD10PCS
NOTE = (
    "HISTORY OF PRESENT ILLNESS\n\nShe denies pneumonia. Her sister has type 2 diabetes.\n\n"
    "ASSESSMENT AND PLAN\n\nCongestive heart failure. Hypertension. Osteoarthritis of the left knee, cough.\n"
)


def tools_of(book: CodeBook, *systems: System, context_tokens: int = 4096) -> Tools:
    """What a step may use, over a book."""
    return Tools(
        book=book,
        lookup=Lookup(book),
        prompts=Prompts,
        count_tokens=guessed_tokens,
        context_tokens=context_tokens,
        systems=systems or book.info.systems,
    )


def state_of(text: str = NOTE, *, language: str = "en", patient: Patient | None = None, **slots: Any) -> State:
    """The state after ``read``, in one part, with ``slots`` besides."""
    encounter = Encounter.from_text(text, language=language, patient=patient or Patient())
    sections = find_sections(encounter.documents, language)
    chunk = Chunk(((0, 0, len(text)),), tuple(section.name for section in sections))
    return State(encounter, language=language, sections=tuple(sections), chunks=(chunk,), **slots)


def run_step(name: str, state: State, tools: Tools, model: LanguageModel | None = None, **options: Any) -> Update:
    """What the step makes of the state; it keeps its declaration."""
    step = registry.build(name, options)
    assert step.asks or model is None, f"{name} does not ask"
    update: Update = answer(step.run(state, tools), model)
    assert set(update.values) <= step.writes
    return update


def after(state: State, update: Update) -> State:
    """The state as the runner would have it."""
    return state.updated(update)


def span(quote: str, text: str = NOTE) -> Span:
    start = text.index(quote)
    return Span(document=0, start=start, end=start + len(quote), quote=quote)


def draft(code: str, name: str = "", *, sure: float = 0.6, system: System = CM, **more: Any) -> AssignedCode:
    return AssignedCode(system=system, code=code, name=name or code, confidence=sure, **more)


def proposed(name: str, *, by: str = "propose:note", kind: Kind = Kind.DIAGNOSIS, **more: Any) -> Proposed:
    return Proposed(name, kind, more.pop("language", "en"), by, **more)


def mention(state: State, quote: str, *, kind: Kind = Kind.DIAGNOSIS, source: str = "model", name: str = "") -> Mention:
    """A mention of the first place where the quote stands, as ``extract`` makes it."""
    place = span(quote, state.encounter.documents[0].text)
    return mention_at(state, kind, place, name=name or quote, source=source)


def candidate(code: str, name: str, *, of: Mention, score: float = 0.8, system: System = CM) -> Candidate:
    return Candidate(mention=of.id, system=system, code=code, name=name, score=score, sources=("test",))


def instructions(requests: list[Any]) -> list[str]:
    """What the model was told, prompts and questions alike, without the shared context."""
    return [one.prompt.instruction if one.prompt else one.question.text for one in requests]


def codes(update: Update, slot: str = "diagnoses") -> list[str]:
    return [code.code for code in update.values[slot]]


def chooses(wanted: str) -> Any:
    """A script that chooses the option whose line holds ``wanted``, else the last one; yes where the question does;
    about nothing in particular it is undecided."""

    def answer_to(asked: Any) -> Any:
        if isinstance(asked, Prompt):
            raise AssertionError("no text was expected")
        question = asked[1]
        if "N/A" in question.text:
            return [1 / len(question.options)] * len(question.options)
        if question.options[0] in ("yes", "sí", "是"):
            return question.options[0] if wanted in question.text else question.options[1]
        lines = question.text.splitlines()
        held = [
            option for option in question.options for line in lines if line.startswith(f"{option}. ") and wanted in line
        ]
        return held[0] if held else question.options[-1]

    return answer_to
