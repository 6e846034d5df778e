"""Every workflow of the library plans and runs to the end on a short note of each language it names, whatever the model
answers: with one that answers anything valid, and with one that answers rubbish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.llm.base import LanguageModel
from jointcoder.records import CodedRecord, Encounter
from jointcoder.settings import Settings
from jointcoder.steps import registry
from jointcoder.steps.literals import code_literals
from jointcoder.workflow.check import plan
from jointcoder.workflow.spec import library_names, load_workflow
from tests.answering import Rubbish, Valid
from tests.steps.working import instructions

Make = Callable[..., Coder]
NOTES = {
    "en": (
        "us",
        "CHIEF COMPLAINT\n\nCough.\n\nASSESSMENT AND PLAN\n\nCongestive heart failure. Hypertension. Osteoarthritis of "
        "the left knee.\nA drainage of the right pleural cavity was performed.\n",
        ("Congestive heart failure", "Hypertension", "drainage of the right pleural cavity"),
    ),
    "es": (
        "us",
        "Paciente con insuficiencia cardíaca, tos e hipertensión arterial. Niega neumonía. Se drenó la pleura.",
        ("insuficiencia cardíaca", "hipertensión arterial", "tos"),
    ),
    "zh": (
        "cn",
        "主诉：反复胸痛3年。\n现病史：否认糖尿病，咳嗽。\n手术名称：药物洗脱冠状动脉支架置入\n"
        "出院诊断：\n1.不稳定型心绞痛\n2.肺炎\n",
        ("不稳定型心绞痛", "肺炎", "药物洗脱冠状动脉支架置入"),
    ),
}
WITHOUT_PACK = [name for name in library_names() if not plan(load_workflow(name)).learns]
RUNS = [(name, language) for name in WITHOUT_PACK for language in load_workflow(name).needs.languages]
SEEDS = {
    *("cot", "cot_sc", "self_refine", "multi_debate", "quality_diversity", "judge", "mner", "tabular_similarity"),
    *("reconcile", "clh", "rrs", "mac", "meddcr_best", "jointcoder"),
}


@pytest.fixture
def coder(small_us: CodeBook, small_cn: CodeBook, tmp_path: Path) -> Make:
    """``coder(model, workflow, book="us")``: a Coder with any model over a small code book."""

    def make(model: LanguageModel, workflow: str, book: str = "us") -> Coder:
        books = {"us": small_us, "cn": small_cn}
        return Coder(Settings(cache=tmp_path), model=model, code_book=books[book], workflow=workflow)

    return make


def run(coder: Make, name: str, language: str, model: LanguageModel) -> tuple[Coder, CodedRecord]:
    book, text, _ = NOTES[language]
    program = coder(model, name, book)
    return program, program.code(Encounter.from_text(text, id="e", language=language))


def failures(record: CodedRecord) -> list[str]:
    return [f"{flag.code}@{flag.step}: {flag.message}" for flag in record.flags if flag.code in ("JC406", "JC304")]


def test_all_expert_workflows_are_there() -> None:
    assert set(library_names()) >= SEEDS


@pytest.mark.parametrize(("name", "language"), RUNS)
def test_with_a_model_that_answers_anything_valid(coder: Make, name: str, language: str) -> None:
    _, text, named = NOTES[language]
    model = Valid(named=named)
    program, record = run(coder, name, language, model)
    assert failures(record) == []
    assert record.codes or name not in SEEDS
    encounter = Encounter.from_text(text, id="e", language=language)
    assert all(program.is_assignable(encounter, code.system, code.code) for code in record.codes)
    assert all(span.reproduces(encounter) for code in record.codes for span in code.evidence)
    assert [step.step for step in record.trace] == [spec.id for spec in program.workflow.step]
    assert record.cost.calls == len(model.requests)
    assert (record.cost.calls > 0) == program.plan.asks
    asked = [text for text in instructions(model.requests) if code_literals(text)]
    assert asked == []  # no code is ever shown to the model


@pytest.mark.parametrize(("name", "language"), RUNS)
def test_with_a_model_that_answers_rubbish(coder: Make, name: str, language: str) -> None:
    program, record = run(coder, name, language, Rubbish())
    assert failures(record) == []
    encounter = Encounter.from_text(NOTES[language][1], id="e", language=language)
    assert all(program.is_assignable(encounter, code.system, code.code) for code in record.codes)
    if program.plan.asks and not record.codes:
        assert {"JC302", "JC603"} <= {flag.code for flag in record.flags}


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_the_record_is_the_same_every_time(coder: Make, name: str) -> None:
    one, other = (run(coder, name, "en", Valid(named=NOTES["en"][2]))[1] for _ in range(2))
    assert one.codes == other.codes


def test_each_says_where_it_comes_from() -> None:
    for name in library_names():
        flow = load_workflow(name)
        assert (flow.name, bool(flow.summary), bool(flow.source)) == (name, True, True)
        assert all(spec.use in registry.component_names() or spec.use in registry.ALIASES for spec in flow.step)


def test_a_long_record_is_read_in_parts_by_each_proposer(coder: Make) -> None:
    filler = "The patient slept well and walked in the corridor. " * 400
    text = f"HISTORY\n\n{filler}\n\nASSESSMENT\n\nPneumonia.\n\n{filler}\n\nIMPRESSION\n\nOsteoarthritis of left knee."
    for name in ("cot", "meddcr_best", "multi_debate"):
        model = Valid(named=("Pneumonia", "Osteoarthritis of left knee"))
        record = coder(model, name).code(Encounter.from_text(text))
        assert {"J18.9", "M17.12"} <= {code.code for code in record.codes}, name
        assert "JC111" in {flag.code for flag in record.flags}
        assert failures(record) == []


def test_what_judges_heard_stands_in_the_record(coder: Make) -> None:
    _, record = run(coder, "meddcr_best", "en", Valid(named=NOTES["en"][2]))
    heart = next(code for code in record.codes if code.code == "I50.9")
    assert {"evidence_linker", "judge"} <= {verdict.step for verdict in heart.verdicts}
    assert {"tabular_index_search", "judge", "rerank", "reconcile"} <= set(heart.stages)
    assert any(stage.startswith("propose:") for stage in heart.stages)
