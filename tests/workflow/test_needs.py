"""What a workflow needs is checked before it runs; what is gathered may be written side by side."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jointcoder.coder import Coder
from jointcoder.errors import WorkflowError
from jointcoder.llm.scripted import Scripted
from jointcoder.records import Encounter, Kind
from jointcoder.steps.base import State, Update
from jointcoder.steps.proposals import Proposed, Written
from jointcoder.workflow.check import plan, problems
from jointcoder.workflow.spec import Workflow

Make = Callable[..., Coder]
STEPS = [
    {"use": "read"},
    {"use": "extract", "options": {"sources": ["dictionary"]}},
    {"use": "standardise", "options": {"kind": "diagnosis", "ask_model": False}},
]


def flow(**needs: object) -> Workflow:
    return Workflow.from_plan({"name": "t", "needs": needs, "step": STEPS})


@pytest.mark.parametrize(
    ("needs", "part"),
    [
        ({"systems": ["ICD-10-CN"]}, "needs ICD-10-CN"),
        ({"pack": True}, "needs a learned pack"),
    ],
)
def test_an_unmet_need_is_an_error_before_the_run(coder: Make, needs: dict[str, object], part: str) -> None:
    with pytest.raises(WorkflowError) as error:
        coder(workflow=flow(**needs)).code(Encounter.from_text("Assessment: pneumonia."))
    assert error.value.code == "JC403"
    assert part in error.value.message
    assert error.value.hint


def test_adapters_that_are_needed_must_be_there() -> None:
    checked = plan(Workflow.from_plan({"name": "t", "needs": {"model": True, "adapters": ["mine"]}, "step": STEPS}))
    assert checked.adapters == ("mine",)
    from jointcoder.workflow.check import require_adapters

    require_adapters(checked, Scripted([], adapters=["mine"]))
    with pytest.raises(WorkflowError, match="mine"):
        require_adapters(checked, Scripted([]))


def test_a_met_need_changes_nothing(coder: Make) -> None:
    record = coder(workflow=flow(systems=["ICD-10-CM"])).code(Encounter.from_text("Assessment: pneumonia."))
    assert [code.code for code in record.codes] == ["J18.9"]


def test_needs_count_in_the_hash_only_where_they_are_stated() -> None:
    assert flow().hash == flow(systems=[], pack=False, adapters=[]).hash
    assert len({flow().hash, flow(systems=["ICD-10-CM"]).hash, flow(pack=True).hash, flow(adapters=["a"]).hash}) == 4


def test_a_plan_is_what_toml_would_hold() -> None:
    text = 'name = "t"\n[[step]]\nuse = "read"\n[[step]]\nuse = "desc_match"\nafter = ["read"]\noptions = { k = 3 }'
    table = {"name": "t", "step": [{"use": "read"}, {"use": "desc_match", "options": {"k": 3}}]}
    assert Workflow.from_toml(text) == Workflow.from_plan(table)
    for broken in ({"name": "t", "step": []}, {"name": "t", "step": [{"use": "read", "then": 1}]}, {1: 2}):
        with pytest.raises(WorkflowError, match="JC407"):
            Workflow.from_plan(broken)  # type: ignore[arg-type]


def test_gathered_slots_add_up_and_may_be_written_side_by_side() -> None:
    name = Proposed("x", Kind.DIAGNOSIS, "en", "propose:note")
    state = State(Encounter.from_text("x"), proposals=(name,), texts=(Written("a", "1"),))
    after = state.updated(Update({"proposals": (name, name), "texts": (Written("b", "2"),)}))
    assert len(after.proposals) == 3
    assert [one.text for one in after.texts] == ["1", "2"]
    steps = [
        {"use": "read"},
        {"id": "one", "use": "propose", "after": ["read"]},
        {"id": "two", "use": "desc_match", "after": ["read"]},
        {"use": "tabular_index_search", "after": ["one", "two"]},
    ]
    assert problems(Workflow.from_plan({"name": "t", "needs": {"model": True}, "step": steps})) == []
    assert (
        "reads 'proposals'"
        in problems(Workflow.from_plan({"name": "t", "step": [{"use": "read"}, {"use": "tabular_index_search"}]}))[0]
    )
