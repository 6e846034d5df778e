"""A small search to test with: notes of our own invention, a small code book, models that answer from scripts.

In every note one diagnosis stands in the list and another one only in the text. The workflow ``lexical`` trusts the
list, so it misses half; one single edit (``extract.trust_lists = false``) finds the others. ``designing`` is a model
that designs, chooses edits and reflects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.corpora import Corpus, load
from jointcoder.llm.base import Prompt
from jointcoder.llm.cache import Store as Kept
from jointcoder.llm.scripted import Scripted
from jointcoder.search.coder import PlanCoder
from jointcoder.search.conditions import Budget, Conditions
from jointcoder.search.designer import Designer
from jointcoder.search.lab import Lab
from jointcoder.search.loop import Search
from jointcoder.search.nodes import NodeMemory
from jointcoder.search.prompting import Words
from jointcoder.search.proposing import Roles
from jointcoder.search.reflector import Reflector
from jointcoder.search.seeds import Seed
from jointcoder.search.sets import Sets, split
from jointcoder.search.space import Space
from jointcoder.settings import Settings
from jointcoder.steps import registry
from jointcoder.store.archive import Archive, Candidate, Run
from jointcoder.workflow.spec import load_workflow

NAMES = {
    "I10": "Hypertension",
    "I50.9": "Congestive heart failure",
    "J18.9": "Pneumonia",
    "R05.9": "Cough",
    "E11.9": "Type 2 diabetes",
    "M17.10": "Osteoarthritis of knee",
}
HELPS = "extract.trust_lists = false"


def notes(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Labelled notes as rows; no two are alike."""
    codes = list(NAMES)
    rows = []
    for number in range(first, first + count):
        listed, told = codes[number % 6], codes[(number + 1 + number // 6) % 6]
        text = f"HISTORY OF PRESENT ILLNESS\n\nDay {number} of the stay. {NAMES[told]} was treated.\n\n"
        text += f"DISCHARGE DIAGNOSES\n\n1. {NAMES[listed]}\n"
        labels = [{"system": "ICD-10-CM", "code": code} for code in dict.fromkeys((listed, told))]
        rows.append({"id": f"n{number}", "lang": "en", "text": text, "codes": labels})
    return rows


def corpus(folder: Path, rows: Sequence[Mapping[str, Any]], name: str = "notes.jsonl") -> Corpus:
    """The rows as a corpus, through the loader that a user meets."""
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return load(path)


def draft(*uses: str, idea: str = "look again at what the list leaves out", **more: Any) -> dict[str, Any]:
    """A plan as a model writes it."""
    steps = [{"use": use, "kind": "both"} for use in uses]
    return {"idea": idea, "tools": [], "steps": steps, "edges": [], **more}


LEXICAL = ("read", "extract", "standardise", "prioritise", "map_codes", "reconcile")


@dataclass
class Designing:
    """Answers of the designing model by what it is asked for; each list is used up, its last answer repeated."""

    plans: list[Any] = field(default_factory=lambda: [draft(*LEXICAL)])
    settings: list[Any] = field(default_factory=lambda: [{"settings": []}])
    critiques: list[Any] = field(default_factory=list)
    edit: Callable[[str], str] = lambda text: "A"

    def model(self, **options: Any) -> Scripted:
        return Scripted(self._answer, name="designing", **options)

    def _answer(self, asked: Any) -> Any:
        if not isinstance(asked, Prompt):
            return self.edit(asked[1].text)
        if "remedy" in asked.instruction:
            return _next(self.critiques) or {"critique": [{"stage": "extract", "finding": "missed", "advice": ""}]}
        if "Now choose the dials" in asked.instruction:
            return _next(self.settings)
        return _next(self.plans)


def wants(text: str) -> Callable[[str], str]:
    """An editor that takes the edit in whose line ``text`` stands, else the first."""

    def choose(question: str) -> str:
        lines = [line for line in question.splitlines() if text in line and line[1:2] == "."]
        return lines[0][0] if lines else "A"

    return choose


def search(
    book: CodeBook,
    archive: Archive,
    sets: Sets,
    folder: Path,
    *,
    meta: Scripted | None = None,
    conditions: Conditions | None = None,
    budget: Budget | None = None,
    start: str = "lexical",
    agents: Scripted | None = None,
    remember: bool = True,
    run: str = "run00001",
    tell: Callable[[Candidate], None] = lambda _: None,
) -> Search:
    """A search over the parts that need no agents' model, unless one is given; the run is begun if it is new."""
    conditions = conditions or Conditions(patience=50)
    flow = load_workflow(start)
    coder = Coder(Settings(cache=folder), model=agents, code_book=book, workflow=flow)
    memory = NodeMemory(Kept(folder / "nodes", 50_000_000), surroundings={"book": book.info.id}) if remember else None
    lab = Lab(coder, memory, systems=sets.systems)
    space = Space.of(registry.signatures(), model=agents is not None)
    words = Words("en")
    designer = Designer(meta, space, words, conditions.shows) if meta else None
    made = PlanCoder(designer, lab, languages=("en",), retries=conditions.retries) if designer else None
    known = {one.id: one for one in archive.runs()}
    begun = known.get(run) or archive.begin(Run(id=run, name="try", config=conditions.as_dict()))
    return Search(
        lab,
        archive,
        sets,
        space,
        Roles(designer, made, Reflector(meta if conditions.shows.text_feedback else None, words)),
        run=begun,
        seeds=[Seed(flow)],
        conditions=conditions,
        budget=budget or Budget(iterations=3),
        languages=("en",),
        tell=tell,
    )


def sets(folder: Path, count: int = 24, **options: Any) -> Sets:
    """The notes split in two."""
    return split([corpus(folder, notes(count))], **options)


def _next(answers: list[Any]) -> Any:
    return (answers.pop(0) if len(answers) > 1 else answers[0]) if answers else None
