"""What designer, coder and reflector are shown, what is cut to make it fit, and what goes back when a plan fails."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.errors import ModelError, UsageError, WorkflowError
from jointcoder.llm.base import Prompt
from jointcoder.llm.scripted import Scripted
from jointcoder.search.coder import Failed, Made, PlanCoder
from jointcoder.search.designer import Designer, Record, Shows, View, Written
from jointcoder.search.lab import Lab
from jointcoder.search.losses import Loss
from jointcoder.search.mutate import draw
from jointcoder.search.plan import Plan
from jointcoder.search.prompting import LANGUAGES, Way, Words, fitted
from jointcoder.search.reflector import Finding, Reflector, Seen, said
from jointcoder.search.score import Weights, score
from jointcoder.search.sets import Sets
from jointcoder.search.space import Space
from jointcoder.settings import Settings
from jointcoder.steps import registry
from jointcoder.steps.literals import code_literals
from jointcoder.store.archive import Result
from jointcoder.workflow.spec import load_workflow

from . import bench
from .bench import LEXICAL, draft

SPACE = Space.of(registry.signatures())
REMARK = "[extract] the list is trusted too much -> turn trust_lists off. "


def records(count: int, *, critique: str = REMARK) -> tuple[Record, ...]:
    flow = load_workflow("lexical")
    found = []
    for number in range(1, count + 1):
        own = score([Result(place=0, encounter="e", tp=number, fp=1, fn=1)], Weights())
        found.append(Record(number, Plan.of(flow).model_copy(update={"idea": f"idea {number}"}), own, critique))
    return tuple(found)


def designer(shows: Shows | None = None, *, language: str = "en", answers: Any = None, **model: Any) -> Designer:
    answers = answers or (lambda asked: draft(*LEXICAL) if isinstance(asked, Prompt) else "A")
    return Designer(Scripted(answers, **model), SPACE, Words(language), shows or Shows())


def prompt_of(one: Designer) -> str:
    request = one.model.requests[-1]  # type: ignore[attr-defined]
    return "\n".join((request.context.system, request.context.text, request.prompt.instruction))


# ---------------------------------------------------------------------------------------------------------- designer


def test_the_designer_sees_the_five_best_the_three_latest_and_all_that_helps():
    one = designer()
    every = records(8)
    written = one.design(View(best=every[:5], recent=every[5:]))
    assert written.draft == draft(*LEXICAL)
    shown = prompt_of(one)
    for number in range(1, 9):
        assert f"idea {number}" in shown
    assert "turn trust_lists off" in shown
    assert f"{every[0].score.objective:.3f}" in shown  # type: ignore[union-attr]
    for part in ("medical_term_extraction", "GUIDELINES", "AN EXAMPLE", "FORM OF A PLAN"):
        assert part in shown


@pytest.mark.parametrize(
    ("left_out", "gone", "kept"),
    [
        ("top-k", "idea 1", "idea 8"),
        ("recent", "idea 8", "idea 1"),
        ("score", "Score 0.", "idea 1"),
        ("text-feedback", "trust_lists off", "Score 0."),
        ("guideline", "principal diagnosis is the condition", "trust_lists off"),
        ("exemplar", "AN EXAMPLE", "GUIDELINES"),
    ],
)
def test_each_ablation_leaves_out_what_it_says_and_nothing_else(left_out: str, gone: str, kept: str):
    every = records(8)
    view = View(best=every[:5], recent=every[5:])
    whole, without = designer(), designer(Shows.without([left_out]))
    whole.design(view)
    without.design(view)
    assert gone in prompt_of(whole)
    assert gone not in prompt_of(without)
    assert kept in prompt_of(without)
    assert Shows.without([left_out]).left_out == (left_out,)


def test_an_unknown_ablation_lists_the_known_ones():
    with pytest.raises(UsageError) as caught:
        Shows.without(["everything"])
    assert "top-k" in caught.value.hint


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_prompts_of_every_language_are_whole_and_hold_no_code(language: str):
    one = designer(language=language)
    one.design(View(best=records(3)))
    one.fix(draft(*LEXICAL), "JC402: it does not join up")
    one.pick(Plan.of(load_workflow("lexical")), REMARK, edits(), random.Random(1))
    texts = [prompt_of_request(r) for r in one.model.requests]  # type: ignore[attr-defined]
    assert len(texts) == 4
    for text in texts:
        assert code_literals(text) == []
    assert {"plan", "error"}.isdisjoint(unfilled(texts))


def prompt_of_request(request: Any) -> str:
    instruction = request.prompt.instruction if request.prompt else request.question.text
    return "\n".join((request.context.system, request.context.text, instruction))


def unfilled(texts: list[str]) -> set[str]:
    import re

    return {name for text in texts for name in re.findall(r"\{(\w+)\}", text)}


def edits(count: int = 6) -> Any:
    return draw(Plan.of(load_workflow("lexical")), SPACE, random.Random(3), count=count)


def test_a_plan_that_never_ran_is_shown_with_its_error_and_without_its_codes():
    one = designer()
    failed = Record(9, Plan.of(load_workflow("lexical")), error="JC438: read: dropped E11.9 on the way")
    one.design(View(recent=(failed,)))
    assert "dropped on the way" in prompt_of(one)
    assert "E11.9" not in prompt_of(one)


@pytest.mark.parametrize(("context", "leaves_out"), [(20_000, ""), (6500, "remarks"), (6000, "dials")])
def test_what_does_not_fit_is_cut_in_order_and_never_silently(context: int, leaves_out: str):
    one = designer(context_tokens=context)
    written = one.design(View(best=records(5, critique=REMARK * 9), recent=records(8)[5:]))
    assert leaves_out in written.leaves_out
    assert bool(written.leaves_out) == bool(leaves_out)
    if leaves_out:
        assert "shortened" in prompt_of(one) or "trust_lists off" not in prompt_of(one)
    request = one.model.requests[-1]  # type: ignore[attr-defined]
    assert one.model.count_tokens(prompt_of_request(request)) + request.max_tokens <= context


def test_a_context_too_small_for_any_prompt_is_a_coded_error_with_the_arithmetic():
    with pytest.raises(ModelError) as caught:
        designer(context_tokens=1200).design(View(best=records(5)))
    assert caught.value.code == "JC440"
    assert "1200" in caught.value.message
    model = Scripted(["x"], context_tokens=200)
    with pytest.raises(ModelError):
        fitted(model, [Way("", lambda: Prompt(bench_context(), "word " * 300))], max_tokens=10)


def bench_context() -> Any:
    from jointcoder.llm.base import Context

    return Context()


def test_an_answer_that_is_no_plan_is_said_to_be_none():
    written = designer(answers=lambda asked: "I would rather not").design(View())
    assert written.draft is None
    assert "JC302" in written.problem


def test_an_edit_is_picked_by_what_it_says_not_by_its_letter():
    several = edits(6)
    wanted = several[3].text

    def answer(asked: Any) -> Any:
        _, question = asked
        line = next(line for line in question.text.splitlines() if line.endswith(wanted))
        weights = {"A": 0.5}  # a strong pull to the first letter
        weights[line[0]] = weights.get(line[0], 0.0) + 0.4
        return weights

    for seed in range(4):
        place, asked = designer(answers=answer).pick(
            Plan.of(load_workflow("lexical")), "", several, random.Random(seed)
        )
        assert several[place].text == wanted
        assert asked.calls == 2


# ------------------------------------------------------------------------------------------------------------- coder


@pytest.fixture
def coding(small_us: CodeBook, tmp_path: Path, sets: Sets) -> Callable[..., tuple[PlanCoder, Scripted]]:
    def make(plans: list[Any], settings: list[Any] | None = None, **options: Any) -> tuple[PlanCoder, Scripted]:
        agents = Scripted(
            lambda asked: {"diagnoses": [], "procedures": []} if isinstance(asked, Prompt) else asked[1].options[0]
        )
        coder = Coder(Settings(cache=tmp_path), model=agents, code_book=small_us, workflow="lexical")
        meta = bench.Designing(plans=plans, settings=settings or [{"settings": []}]).model()
        one = Designer(meta, SPACE, Words("en"), Shows())
        return PlanCoder(one, Lab(coder, None, systems=sets.systems), languages=("en",), **options), meta

    return make


GOOD = draft(*LEXICAL, idea="a plan that runs as it stands")
UNJOINED = draft("validate", "read", "desc_match", idea="a plan without candidates, and one for nothing")
BACKWARDS = draft(*LEXICAL, idea="a plan that turns back", edges=[{"from": 5, "to": 2}])
CODED = draft(*LEXICAL, idea="look for I50.9 above all")


def test_a_plan_that_runs_needs_no_mending_and_gets_its_settings(coding: Any, sets: Sets):
    made, _ = coding([], [{"settings": ["3 standardise.k=12", "3 standardise.k=3"]}])
    found = made.realise(Written(GOOD), "x-1", trial=sets.search[0])
    assert isinstance(found, Made)
    assert found.attempts == 0
    assert found.plan["standardise_diagnoses"].options["k"] == 3  # of two settings of one dial the last counts
    assert found.workflow.needs.languages == ("en",)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (BACKWARDS, "which is no later step"),
        (CODED, "holds 1 codes"),
        (None, "no plan could be read"),
    ],
)
def test_what_is_wrong_goes_back_in_words_until_the_plan_runs(coding: Any, sets: Sets, broken: Any, told: str):
    made, meta = coding([broken or GOOD, GOOD])
    found = made.realise(Written(broken, "JC302: not JSON"), "x-1", trial=sets.search[0])
    assert isinstance(found, Made)
    fixes = [r.prompt.instruction for r in meta.requests if "It does not work" in r.prompt.instruction]
    assert fixes
    assert told in fixes[0]
    assert found.attempts == len(fixes)
    assert code_literals("\n".join(fixes).replace(json.dumps(CODED["idea"]), "")) in ([], ["I50.9"])


def test_a_plan_that_never_runs_is_given_up_after_the_retries(coding: Any, sets: Sets):
    made, meta = coding([BACKWARDS], retries=2)
    found = made.realise(Written(BACKWARDS), "x-1", trial=sets.search[0])
    assert isinstance(found, Failed)
    assert found.error.code == "JC436"
    assert (found.attempts, len(found.problems)) == (2, 3)
    assert sum("It does not work" in r.prompt.instruction for r in meta.requests) == 2


def test_what_does_not_join_up_is_joined_without_asking(coding: Any, sets: Sets):
    made, meta = coding([])
    found = made.realise(Written(UNJOINED), "x-1", trial=sets.search[0])
    assert isinstance(found, Made)
    assert found.attempts == 0
    ids = [node.id for node in found.plan.nodes]
    assert ids[:3] == ["read", "extract", "standardise_diagnoses"]
    assert {"+ extract", "+ map_codes", "+ reconcile", "read earlier"} <= set(found.joined)
    assert "tabular_index_search" in ids  # what desc_match proposes is looked up
    assert not any("does not work" in r.prompt.instruction for r in meta.requests)


def test_a_plan_that_is_known_is_to_be_changed(coding: Any, sets: Sets):
    made, _ = coding([draft(*LEXICAL, "validate", idea="with a verdict before the end of it all")])
    first = made.realise(Written(GOOD), "x-1", trial=sets.search[0])
    again = made.realise(Written(GOOD), "x-2", trial=sets.search[0], known={first.workflow.hash: 4}.get)
    assert "plan 4 again" in again.problems[0]


def test_who_repeats_a_plan_must_leave_one_of_its_steps(coding: Any, sets: Sets):
    """A small model writes the same plan however often it is told not to: the menu takes a step of it away."""
    stubborn = [GOOD] * 9
    made, meta = coding(stubborn)
    first = made.realise(Written(GOOD), "x-1", trial=sets.search[0])
    made.realise(
        Written(GOOD), "x-2", trial=sets.search[0], known={first.workflow.hash: 4}.get, random_=random.Random(1)
    )
    told = [r.prompt.instruction for r in meta.requests if "plan 4 again" in r.prompt.instruction]
    menus = [one.partition("only these components: ")[2].partition(". One")[0].split(", ") for one in told]
    assert menus
    assert all(not set(LEXICAL) <= set(menu) for menu in menus)


def test_a_workflow_that_fails_on_a_note_does_not_run(coding: Any, sets: Sets, monkeypatch: pytest.MonkeyPatch):
    from jointcoder.steps.prioritise import Prioritise

    def broken(self: Any, state: Any, tools: Any) -> Any:
        yield from ()
        raise RuntimeError("the patient's name is in this text")

    monkeypatch.setattr(Prioritise, "run", broken)
    made, meta = coding([draft("read", "extract", "standardise", "map_codes", "reconcile")])
    found = made.realise(Written(GOOD), "x-1", trial=sets.search[0])
    assert isinstance(found, Made)
    assert "RuntimeError" in found.problems[0]
    assert "patient's name" not in str([r.prompt.instruction for r in meta.requests])


def test_an_engine_that_is_gone_is_no_plan_that_failed(coding: Any, sets: Sets):
    made, _ = coding([])

    def gone(*_: Any, **__: Any) -> Any:
        raise ModelError("JC301", "the engine could not load the model")

    made.designer.model._complete = gone
    with pytest.raises(ModelError):
        made.realise(Written(None, "x"), "x-1", trial=sets.search[0])


# --------------------------------------------------------------------------------------------------------- reflector


LOSSES = (
    Loss("never", "", "Heart failure, unspecified"),
    Loss("dropped", "reconcile", "Cough, unspecified"),
    Loss("near", "map_codes", "Unilateral primary osteoarthritis, left knee", "Unilateral primary osteoarthritis"),
    Loss("spurious", "extract", "Pneumonia, unspecified organism", "family history of pneumonia (J18.9)"),
)


def test_the_reflector_names_stages_and_never_codes():
    answers = [
        {"critique": [{"stage": "reconcile", "finding": "it drops R05.9 too soon", "advice": "keep R05.9 there"}]}
    ]
    model = Scripted(answers)
    found, asked = Reflector(model, Words("en")).reflect(Plan.of(load_workflow("lexical")), Seen((), LOSSES))
    assert found == (Finding("reconcile", "it drops too soon", "keep there"),)
    assert asked.calls == 1
    shown = prompt_of_request(model.requests[0])
    assert code_literals(shown) == []
    assert "Heart failure, unspecified" in shown
    assert code_literals(said(found)) == []
    stages = model.requests[0].schema["properties"]["critique"]["items"]["properties"]["stage"]["enum"]
    assert set(stages) == {"whole", *(node.id for node in Plan.of(load_workflow("lexical")).nodes)}


@pytest.mark.parametrize("model", [None, Scripted(lambda asked: "no idea at all")])
def test_without_a_usable_answer_the_figures_speak(model: Any):
    found, _ = Reflector(model, Words("en")).reflect(Plan.of(load_workflow("lexical")), Seen((), LOSSES))
    assert len(found) == 3
    assert {one.stage for one in found} <= {"whole", "reconcile", "map_codes", "extract"}
    assert all("1 of" in one.finding for one in found)


def test_a_workflow_that_loses_nothing_is_not_reflected_on():
    model = Scripted([])
    assert Reflector(model, Words("en")).reflect(Plan.of(load_workflow("lexical")), Seen((), ()))[0] == ()
    assert model.requests == []


def test_a_lab_says_that_a_workflow_does_not_run_without_a_word_of_the_note(
    small_us: CodeBook, tmp_path: Path, sets: Sets
):
    coder = Coder(Settings(cache=tmp_path), code_book=small_us, workflow="lexical")
    lab = Lab(coder, None, systems=sets.systems)
    with pytest.raises(WorkflowError) as caught:
        lab.trial(load_workflow("jointcoder"), sets.search[0])  # it asks a model, and there is none
    assert caught.value.code == "JC403"
