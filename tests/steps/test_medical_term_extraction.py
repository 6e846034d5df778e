"""Lead terms with the words of the record behind them."""

from __future__ import annotations

from jointcoder.codebook.book import CodeBook
from jointcoder.llm.scripted import Scripted
from jointcoder.records import Kind
from jointcoder.steps.prompting import LANGUAGES, Prompts
from tests.steps.working import instructions, run_step, span, state_of, tools_of

LISTED = {
    "diagnoses": [
        {"quote": "Congestive heart failure", "name": "Failure, heart, congestive"},
        {"quote": "swollen ankles", "name": "Edema, ankle R60.0"},
    ],
    "procedures": [],
}


def test_terms_bear_their_words(small_us: CodeBook) -> None:
    model = Scripted([LISTED])
    update = run_step("medical_term_extraction", state_of(), tools_of(small_us), model)
    heart, ankle = update.values["proposals"]
    assert (heart.name, heart.span) == ("Failure, heart, congestive", span("Congestive heart failure"))
    assert (ankle.name, ankle.span) == ("Edema, ankle", None)
    assert {heart.by, ankle.by} == {"medical_term_extraction"}
    assert update.notes == {"names": 2, "placed": 1}


def test_synonyms_are_asked_for_on_request(small_us: CodeBook) -> None:
    said = []
    for synonyms in (False, True):
        model = Scripted([LISTED])
        run_step("medical_term_extraction", state_of(), tools_of(small_us), model, synonyms=synonyms)
        said += instructions(model.requests)
    more = Prompts("en")("medical_term_extraction", "synonyms")
    assert [more in one for one in said] == [False, True]


def test_one_kind_alone(small_us: CodeBook) -> None:
    model = Scripted([{"procedures": [{"quote": "cough", "name": "Drainage, chest"}]}])
    update = run_step("medical_term_extraction", state_of(), tools_of(small_us), model, kinds=["procedure"])
    assert [p.kind for p in update.values["proposals"]] == [Kind.PROCEDURE]
    assert "- diagnoses" not in instructions(model.requests)[0]


def test_every_language_has_its_words() -> None:
    for language in LANGUAGES:
        said = Prompts(language)("medical_term_extraction", "instruction", lists="LISTS", more="MORE")
        assert "LISTS" in said
        assert "MORE" in said
        assert '"quote"' in said
