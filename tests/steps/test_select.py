"""For each wording the entry it means, chosen among its candidates."""

from __future__ import annotations

from pathlib import Path

from jointcoder.codebook.book import CodeBook
from jointcoder.llm.scripted import Scripted
from jointcoder.steps.literals import code_literals
from tests.codebook.ruled import us_book
from tests.steps.working import (
    CM,
    candidate,
    chooses,
    codes,
    instructions,
    mention,
    proposed,
    run_step,
    state_of,
    tools_of,
)


def state(*, best: float = 0.7) -> object:
    bare = state_of()
    heart, knee = mention(bare, "Congestive heart failure"), mention(bare, "Osteoarthritis of the left knee")
    found = (
        candidate("I11.0", "Hypertensive heart disease with heart failure", of=heart, score=best),
        candidate("I50.9", "Heart failure, unspecified", of=heart, score=0.6),
        candidate("M17.11", "osteoarthritis, right knee", of=knee, score=0.5),
        candidate("M17.12", "osteoarthritis, left knee", of=knee, score=0.4),
    )
    return state_of(mentions=(heart, knee), diagnosis_candidates=found, procedure_candidates=())


def test_the_model_chooses_for_each_wording(small_us: CodeBook) -> None:
    model = Scripted(lambda asked: chooses("left knee" if 'Wording: "Osteo' in asked[1].text else "unspecified")(asked))
    update = run_step("select", state(), tools_of(small_us), model)  # type: ignore[arg-type]
    assert codes(update) == ["I50.9", "M17.12"]
    heart = update.values["diagnoses"][0]
    assert [span.quote for span in heart.evidence] == ["Congestive heart failure"]
    assert heart.stages == ("extract:model", "select")
    assert update.notes == {"terms": 2, "asked": 2}


def test_none_of_these_leaves_a_wording_uncoded(small_us: CodeBook) -> None:
    model = Scripted(chooses("none of these"))
    assert codes(run_step("select", state(best=0.6), tools_of(small_us), model)) == []  # type: ignore[arg-type]


def test_without_a_model_the_best_is_taken(small_us: CodeBook) -> None:
    update = run_step("select", state(), tools_of(small_us), ask_model=False)  # type: ignore[arg-type]
    assert codes(update) == ["I11.0", "M17.11"]


def test_what_lookup_is_sure_of_is_not_asked(small_us: CodeBook) -> None:
    model = Scripted(chooses("left knee"))
    update = run_step("select", state(best=0.99), tools_of(small_us), model, sure=0.95)  # type: ignore[arg-type]
    assert codes(update) == ["I11.0", "M17.12"]
    assert update.notes["asked"] == 1


def test_notes_stand_beside_the_names_without_codes(tmp_path: Path) -> None:
    book = us_book(tmp_path / "ruled")
    bare = state_of()
    heart = mention(bare, "Hypertension")
    found = (candidate("I10", "Essential hypertension", of=heart), candidate("I15.0", "Renovascular", of=heart))
    asked = state_of(mentions=(heart,), diagnosis_candidates=found)
    model = Scripted(chooses("Essential"))
    update = run_step("select", asked, tools_of(book, CM), model, notes=True, kinds=["diagnosis"])
    (said,) = instructions(model.requests)
    assert "Essential hypertension [not: hypertensive disease of a lung.]" in said
    assert code_literals(said) == []
    assert codes(update) == ["I10"]


def test_the_record_is_shown_on_request(small_us: CodeBook) -> None:
    for record in (False, True):
        model = Scripted(chooses("left knee"))
        run_step("select", state(), tools_of(small_us), model, record=record)  # type: ignore[arg-type]
        assert ("denies pneumonia" in model.requests[0].context.text) == record  # type: ignore[union-attr]


def test_a_name_without_a_place_can_be_chosen_for(small_us: CodeBook) -> None:
    name = proposed("heart failure")
    found = candidate("I50.9", "Heart failure, unspecified", of=mention(state_of(), "cough")).model_copy(
        update={"mention": name.id}
    )
    asked = state_of(proposals=(name,), mentions=(), diagnosis_candidates=(found,), procedure_candidates=())
    update = run_step("select", asked, tools_of(small_us), Scripted(chooses("Heart failure")))
    (code,) = update.values["diagnoses"]
    assert (code.code, code.evidence, code.stages) == ("I50.9", (), ("propose:note", "select"))
