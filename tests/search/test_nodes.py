"""Results of nodes are taken only for the same work; a step cannot tell; both counts of tokens are right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.corpora import Labelled
from jointcoder.errors import ModelError
from jointcoder.llm.base import Prompt
from jointcoder.llm.cache import Cached
from jointcoder.llm.cache import Store as Kept
from jointcoder.llm.scripted import Scripted
from jointcoder.search.lab import Lab, Ran
from jointcoder.search.nodes import NodeMemory, canonical
from jointcoder.settings import Settings
from jointcoder.workflow.spec import Workflow, load_workflow

from . import bench

SYSTEMS = ("ICD-10-CM",)


def agree(asked: Any) -> Any:
    """Lists nothing and agrees with everything."""
    if isinstance(asked, Prompt):
        return {"diagnoses": [], "procedures": []} if "procedures" in asked.instruction else {"diagnoses": []}
    return asked[1].options[0]


@pytest.fixture
def item(tmp_path: Path) -> Labelled:
    return bench.corpus(tmp_path, bench.notes(1)).items[0]


@pytest.fixture
def lab(small_us: CodeBook, tmp_path: Path) -> Callable[..., Lab]:
    def make(model: Any = None, *, remember: bool = True, folder: str = "nodes", **surroundings: Any) -> Lab:
        coder = Coder(Settings(cache=tmp_path), model=model, code_book=small_us, workflow="lexical")
        memory = NodeMemory(Kept(tmp_path / folder, 10**7), surroundings=surroundings) if remember else None
        return Lab(coder, memory, systems=SYSTEMS)

    return make


def run(lab: Lab, flow: Workflow, item: Labelled) -> Ran:
    (ran,) = lab.run(flow, [(0, item)])
    return ran


def reused(ran: Ran) -> dict[str, bool]:
    return {trace.step: trace.reused for trace in ran.traces}


def test_watched_or_not_the_record_is_the_same(lab: Callable[..., Lab], item: Labelled):
    flow = load_workflow("jointcoder")
    plain = run(lab(Scripted(agree), remember=False), flow, item)
    first = run(lab(Scripted(agree)), flow, item)
    again = run(lab(Scripted(agree)), flow, item)
    assert not any(reused(first).values())
    assert all(reused(again).values())
    for other in (first, again):
        assert other.record.codes == plain.record.codes
        assert other.record.flags == plain.record.flags
        assert other.record.findings == plain.record.findings
        one, two = vars(plain.result), vars(other.result)
        assert {k: v for k, v in one.items() if k != "seconds"} == {k: v for k, v in two.items() if k != "seconds"}


def test_a_changed_node_runs_again_with_what_lies_below_it_and_nothing_else(lab: Callable[..., Lab], item: Labelled):
    bench_ = lab(Scripted(agree))
    flow = load_workflow("jointcoder")
    run(bench_, flow, item)
    taken = reused(run(bench_, flow.with_options("validate_diagnoses", keep=0.2, band=0.9), item))
    assert next(step for step, was in taken.items() if not was) == "validate_diagnoses"
    assert taken["validate_procedures"]
    assert taken["standardise_diagnoses"]


def test_a_change_without_effect_goes_no_further(lab: Callable[..., Lab], item: Labelled):
    bench_ = lab()
    flow = load_workflow("lexical")
    run(bench_, flow, item)
    taken = reused(run(bench_, flow.with_options("standardise_diagnoses", k=7), item))
    assert not taken["standardise_diagnoses"]
    assert taken["reconcile"]  # k = 7 chose the same entries as k = 6


@pytest.mark.parametrize("what", ["surroundings", "note", "folder"])
def test_other_surroundings_or_another_note_take_nothing(
    lab: Callable[..., Lab], item: Labelled, tmp_path: Path, what: str
):
    flow = load_workflow("lexical")
    run(lab(book="a"), flow, item)
    other = bench.corpus(tmp_path, bench.notes(1, first=3), "other.jsonl").items[0]
    taken = {
        "surroundings": lambda: run(lab(book="b"), flow, item),
        "note": lambda: run(lab(book="a"), flow, other),
        "folder": lambda: run(lab(book="a", folder="elsewhere"), flow, item),
    }[what]()
    assert not any(reused(taken).values())


def test_a_node_that_failed_is_not_kept(lab: Callable[..., Lab], item: Labelled):
    failing = [True]

    def answer(asked: Any) -> Any:
        if failing[0]:
            raise ModelError("JC305", "the engine failed while decoding")
        return agree(asked)

    bench_ = lab(Scripted(answer))
    flow = load_workflow("jointcoder")
    broken = run(bench_, flow, item)
    assert any(flag.code == "JC305" for flag in broken.record.flags)
    failing[0] = False
    mended = run(bench_, flow, item)
    assert not reused(mended)["extract"]
    assert not any(flag.code == "JC305" for flag in mended.record.flags)


def test_asked_is_what_the_workflow_asks_for_whatever_was_kept(lab: Callable[..., Lab], item: Labelled, tmp_path: Path):
    flow = load_workflow("jointcoder")
    inner = Scripted(agree)
    cached = Cached(inner, tmp_path / "answers", 10**7, identity="test")
    first = run(lab(cached, remember=False), flow, item)
    assert first.asked == first.spent
    assert first.asked.calls == len(inner.requests) > 0
    second = run(lab(cached, remember=False), flow, item)  # every answer from the cache, every node run
    assert second.asked == first.asked
    assert second.spent.all == second.spent.calls == 0
    third = run(lab(inner), flow, item)
    fourth = run(lab(inner), flow, item)  # every node from the memory
    assert third.asked == fourth.asked == first.asked
    assert fourth.spent.all == 0


def test_a_context_counts_once_a_node_and_the_transcript_is_whole(lab: Callable[..., Lab], item: Labelled):
    model = Scripted(agree)
    flow = load_workflow("jointcoder").with_options("validate_diagnoses", band=1.0)
    ran = run(lab(model), flow, item)
    by_step = {trace.step: trace for trace in ran.traces}
    judged = by_step["validate_diagnoses"]
    assert judged.calls == len(judged.transcript) > 1
    contexts = {line["context"] for line in judged.transcript}
    assert len(contexts) == 1
    asked = [
        r for r in model.requests if r.question and r.question.text in {line["prompt"] for line in judged.transcript}
    ]
    context = model.count_tokens(asked[0].context.system) + model.count_tokens(asked[0].context.text)
    assert judged.read == context + sum(model.count_tokens(line["prompt"]) for line in judged.transcript)
    assert all(line["answer"] and "scores" in line for line in judged.transcript)
    assert item.encounter.documents[0].text not in str(judged.transcript)


def test_values_without_a_written_form_are_refused():
    with pytest.raises(TypeError):
        canonical(object())
    assert canonical({"b": (1, 2), "a": {3, 1}}) == [["b", [1, 2]], ["a", [1, 3]]]
    assert canonical(True) is True
