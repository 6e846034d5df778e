"""Plans: to workflows and back, in the JSON of a model, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import WorkflowError
from jointcoder.llm.grammar import gbnf
from jointcoder.llm.structured import lint_schema
from jointcoder.records import Kind
from jointcoder.search.grammar import draft_schema, plan_of, program_tools, settings_schema, shown_plan
from jointcoder.search.join import join
from jointcoder.search.plan import Node, Plan, to_toml
from jointcoder.search.space import Space
from jointcoder.search.space import settings as settings_of
from jointcoder.steps import registry
from jointcoder.workflow.spec import Workflow, library_names, load_workflow

from .bench import LEXICAL, draft

SPACE = Space.of(registry.signatures())
TOOL = {
    "role": "second reader",
    "purpose": "name what was missed",
    "input": "notes",
    "also": "codes",
    "output": "names",
}


def codes_of(error: pytest.ExceptionInfo[WorkflowError]) -> str:
    return error.value.code


@pytest.mark.parametrize("name", library_names())
def test_a_workflow_of_the_library_is_a_plan_and_the_plan_is_the_workflow(name: str):
    flow = load_workflow(name)
    again = Plan.of(flow).workflow(name, languages=flow.needs.languages)
    assert again.hash == flow.hash
    assert Workflow.from_toml(to_toml(again)).hash == flow.hash


@pytest.mark.parametrize("name", library_names())
def test_slots_alone_join_the_nodes_of_the_library_as_its_authors_did(name: str):
    flow = load_workflow(name)
    plan = Plan.of(flow)
    bare = plan.with_nodes(node.model_copy(update={"after": ()}) for node in plan.nodes)
    made = bare.workflow(name, languages=flow.needs.languages)
    assert {s.id: set(s.after or ()) for s in made.step} == {s.id: set(s.after or ()) for s in flow.step}


def test_a_plan_runs_in_its_order_and_branches_stay_apart():
    made = plan_of(draft("read", "extract", "standardise", "validate", "map_codes"), [], SPACE).workflow("x")
    after = {step.id: set(step.after or ()) for step in made.step}
    assert after["validate_diagnoses"] == {"standardise_diagnoses"}
    assert after["validate_procedures"] == {"standardise_procedures"}
    assert after["map_codes"] == {"validate_diagnoses", "validate_procedures"}
    assert [step.id for step in made.step][:3] == ["read", "extract", "standardise_diagnoses"]


def test_an_edge_adds_to_what_the_slots_imply():
    plan = plan_of(draft("read", "extract", "standardise", "map_codes", edges=[{"from": 2, "to": 4}]), [], SPACE)
    assert plan["map_codes"].after == ("extract",)
    made = plan.workflow("x")  # implied by the standardise steps already, so not drawn twice
    assert set(next(s for s in made.step if s.id == "map_codes").after or ()) == {
        "standardise_diagnoses",
        "standardise_procedures",
    }


def test_tools_become_agents_with_role_purpose_inputs_and_output():
    steps = [{"use": use, "kind": "both"} for use in ("read", "extract", "standardise")]
    steps += [{"use": "tool 1", "kind": "diagnosis"}, {"use": "tabular_index_search", "kind": "both"}]
    plan = plan_of({**draft("read"), "tools": [TOOL], "steps": steps}, [], SPACE)
    options = plan["tool_1"].options
    assert options == {
        "role": "second reader",
        "purpose": "name what was missed",
        "inputs": ["notes", "codes"],
        "output": "names",
        "kinds": ["diagnosis"],
    }
    assert plan.workflow("x").needs.model


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"steps": [{"use": "read", "kind": "both"}, {"use": "tool 1", "kind": "both"}]}, "JC436"),
        ({"edges": [{"from": 4, "to": 2}]}, "JC436"),
        ({"edges": [{"from": 1, "to": 17}]}, "JC436"),
        ({"steps": [{"use": "validate", "kind": "both"}, {"use": "read", "kind": "both"}]}, "JC402"),
        ({"steps": [{"use": "read", "kind": "both"}, {"use": "extract", "kind": "both"}]}, "JC402"),
        ({"idea": "code every cough as R05.9 outright"}, "JC437"),
        ({"tools": [{**TOOL, "purpose": "always add I10 to the list"}]}, "JC437"),
    ],
)
def test_what_a_schema_cannot_refuse_is_refused(change: dict[str, Any], code: str):
    written = {**draft(*LEXICAL), **change}
    if "tools" in change:
        written["steps"] = [*written["steps"], {"use": "tool 1", "kind": "both"}]
    with pytest.raises(WorkflowError) as caught:
        plan_of(written, [], SPACE).workflow("x")
    assert codes_of(caught) == code
    assert "R05.9" not in str(caught.value)
    assert "I10" not in str(caught.value)


def test_an_unknown_setting_is_refused_and_a_known_one_reaches_every_node_of_its_step():
    written = draft(*LEXICAL)
    plan = plan_of(written, ["3 standardise.k=12"], SPACE)
    assert plan["standardise_diagnoses"].options["k"] == plan["standardise_procedures"].options["k"] == 12
    for wrong in ("3 standardise.k=13", "2 standardise.k=12", "9 standardise.k=12"):
        with pytest.raises(WorkflowError) as caught:
            plan_of(written, [wrong], SPACE)
        assert codes_of(caught) == "JC436"


def test_a_node_whose_work_nobody_uses_is_named():
    nodes = Plan.of(load_workflow("lexical")).nodes
    useless = Node(id="desc_match", use="desc_match")
    assert Plan(nodes=nodes).idle() == []
    assert Plan(nodes=(*nodes, useless)).idle() == ["desc_match"]
    assert Plan(nodes=(nodes[0], useless, *nodes[1:])).idle() == ["desc_match"]


def test_whatever_the_grammar_lets_pass_is_made_to_join_up():
    uses = st.sampled_from([*SPACE, "tool 1"])
    step = st.fixed_dictionaries({"use": uses, "kind": st.sampled_from(["both", "diagnosis", "procedure"])})
    outputs = st.sampled_from(["names", "choice", "verdicts", "text"])

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(step, min_size=2, max_size=10), outputs, st.sampled_from(["nothing", "codes", "candidates", "text"])
    )
    def check(steps: list[Any], output: str, also: str) -> None:
        written = {**draft("read"), "tools": [{**TOOL, "output": output, "also": also}], "steps": steps}
        plan = plan_of(written, [], SPACE)
        joined, changes = join(plan, SPACE)
        joined.workflow("x")
        assert joined.idle() == []
        assert [node.id for node in joined.nodes][-1:] == ["reconcile"] or "reconcile" in str(steps)
        assert (joined == plan) == (not changes)
        assert join(joined, SPACE) == (joined, [])

    check()


def test_a_plan_that_joins_up_is_left_alone():
    for name in library_names():
        plan = Plan.of(load_workflow(name))
        if {"map_codes", "reconcile"} <= {node.component for node in plan.nodes} and not plan.idle():
            assert join(plan, SPACE) == (plan, [])


# ------------------------------------------------------------------------------------------------------- the grammar


def test_the_schemas_are_such_as_small_models_can_follow():
    for space in (SPACE, Space.of(registry.signatures(), model=False), Space.of(registry.signatures(), programs=True)):
        first = draft_schema(space)
        lint_schema(first)
        assert gbnf(first)
        second = settings_schema(draft(*LEXICAL), space)
        assert second is not None
        lint_schema(second)
        assert gbnf(second)
    assert draft_schema(Space.of(registry.signatures(), model=False))["properties"]["tools"]["maxItems"] == 0


def test_programs_are_offered_only_where_they_are_allowed():
    assert "documents" not in json.dumps(draft_schema(SPACE))
    allowed = Space.of(registry.signatures(), programs=True)
    written = {**draft("read", "extract"), "tools": [{**TOOL, "input": "mentions", "output": "diagnoses"}]}
    written["steps"] = [*written["steps"], {"use": "tool 1", "kind": "both"}]
    assert program_tools(written) == [1]
    with pytest.raises(WorkflowError) as caught:
        plan_of(written, [], allowed)
    assert codes_of(caught) == "JC436"  # no source
    source = "def run(inputs, tools):\n    return {'diagnoses': []}"
    node = plan_of(written, [], allowed, sources={1: source})["tool_1"]
    assert (node.use, node.options["writes"], node.options["source"]) == ("python", ["diagnoses"], source)


def test_every_plan_that_the_schema_lets_pass_has_a_meaning_or_a_coded_error():
    uses = st.sampled_from([*SPACE, "tool 1", "tool 2"])
    step = st.fixed_dictionaries({"use": uses, "kind": st.sampled_from(["both", "diagnosis", "procedure"])})
    edge = st.fixed_dictionaries({"from": st.integers(1, 18), "to": st.integers(1, 18)})

    refused: set[str] = set()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(step, min_size=2, max_size=10), st.lists(edge, max_size=3), st.booleans(), st.data())
    def check(steps: list[Any], edges: list[Any], tools: bool, data: st.DataObject) -> None:
        written = {"idea": "anything goes", "tools": [TOOL] if tools else [], "steps": steps, "edges": edges}
        schema = settings_schema(written, SPACE)
        choices = schema["properties"]["settings"]["items"]["enum"] if schema else []
        chosen = data.draw(st.lists(st.sampled_from(choices), max_size=4)) if choices else []
        try:
            plan = plan_of(written, list({one.partition("=")[0]: one for one in chosen}.values()), SPACE)
            made = plan.workflow("x")
        except WorkflowError as error:
            refused.add(error.code)
            return
        assert Workflow.from_toml(to_toml(made)).hash == made.hash
        assert shown_plan(plan).startswith("anything goes | 1 ")

    check()
    assert refused <= {"JC402", "JC436"}


@pytest.mark.parametrize("name", library_names())
def test_what_is_told_of_a_plan_names_every_step_and_what_differs(name: str):
    plan = Plan.of(load_workflow(name))
    told = shown_plan(plan)
    assert "\n" not in told
    for number, node in enumerate(plan.nodes, start=1):
        assert f"{number} {node.component}" in told or f"{number} tool" in told
        for option, value in node.options.items():
            if isinstance(value, (bool, int, float)):
                assert f"{option}={json.dumps(value)}" in told


# --------------------------------------------------------------------------------------------------------- the space


def test_every_setting_is_one_that_its_component_takes():
    for part in SPACE.values():
        for dial in part.dials.values():
            for value in dial.settings:
                options = {**part.kinds("both")[0], dial.name: list(value) if isinstance(value, tuple) else value}
                registry.build(part.name, options)


def test_no_dial_names_codes_places_or_adapters():
    turned = {dial for part in SPACE.values() for dial in part.dials}
    assert not turned & {"adapter", "within", "pack", "books", "label", "max_tokens"}
    by_name = {s.name: {o.name: o for o in s.options} for s in registry.signatures()}
    assert len(settings_of(by_name["is_descendant"]["within"])) < 2


def test_without_a_model_nothing_asks_one():
    space = Space.of(registry.signatures(), model=False)
    assert "judge" not in space
    for part in space.values():
        for options in part.kinds("both"):
            assert not registry.build(part.name, {**options, **part.forced}).asks
        assert "ask_model" not in part.dials


def test_labels_of_one_kind_leave_the_other_alone():
    space = Space.of(registry.signatures(), judged=[Kind.DIAGNOSIS])
    assert space.kinds == ("both", "diagnosis")
    assert not space.is_judged({"kind": "procedure"})
    assert space.is_judged({"kinds": ["procedure", "diagnosis"]})
    assert space.is_judged({})
