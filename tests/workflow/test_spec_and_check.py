"""A workflow file that does not join up is refused before anything runs, with every reason at once."""

from __future__ import annotations

import pytest

from jointcoder.errors import WorkflowError
from jointcoder.workflow.check import plan, problems
from jointcoder.workflow.spec import Workflow, library_names, load_workflow


def flow(steps: str, *, model: bool = True) -> Workflow:
    return Workflow.from_toml(f'name = "t"\nneeds = {{ model = {str(model).lower()} }}\n{steps}')


@pytest.mark.parametrize("name", library_names())
def test_every_workflow_of_the_library_joins_up(name: str) -> None:
    assert problems(load_workflow(name)) == []


def test_default_branches_meet_in_reconcile() -> None:
    default = load_workflow("jointcoder")
    before = default.ancestors("reconcile")
    assert {"validate_diagnoses", "validate_procedures"} <= before
    assert "mine" not in default.ancestors("validate_diagnoses")


def test_step_that_reads_what_nobody_wrote() -> None:
    with pytest.raises(WorkflowError) as error:
        plan(flow('[[step]]\nuse = "extract"'))
    assert error.value.code == "JC402"
    assert "chunks" in error.value.message
    assert "sections" in error.value.message


def test_writer_in_a_side_branch_does_not_count() -> None:
    # standardise runs after read only; extract writes mentions in another branch.
    text = """
    [[step]]
    use = "read"
    [[step]]
    use = "extract"
    [[step]]
    use = "standardise"
    after = ["read"]
    options = { kind = "diagnosis" }
    """
    assert "standardise reads 'mentions'" in problems(flow(text))[0]


def test_two_branches_must_not_write_the_same_slot() -> None:
    text = """
    [[step]]
    use = "read"
    [[step]]
    use = "extract"
    [[step]]
    id = "one"
    use = "standardise"
    options = { kind = "diagnosis" }
    [[step]]
    id = "two"
    use = "standardise"
    after = ["extract"]
    options = { kind = "diagnosis", k = 4 }
    """
    assert "one and two run side by side and both write 'diagnoses'" in problems(flow(text))[0]


def test_model_must_be_declared() -> None:
    text = '[[step]]\nuse = "read"\n[[step]]\nuse = "extract"\n'
    text += '[[step]]\nuse = "standardise"\noptions = { kind = "diagnosis" }'
    assert "needs.model is false" in problems(flow(text, model=False))[0]


@pytest.mark.parametrize(
    ("steps", "code", "part"),
    [
        ('[[step]]\nuse = "nosuch"', "JC401", "known components"),
        ('[[step]]\nuse = "read"\noptions = { chunk_tokens = 1 }', "JC407", "chunk_tokens"),
        ('[[step]]\nuse = "read"\noptions = { wrong = 1 }', "JC407", "wrong"),
        ('[[step]]\nuse = "read"\nafter = ["later"]', "JC402", "does not precede"),
        ('[[step]]\nuse = "read"\n[[step]]\nuse = "read"', "JC402", "two steps"),
    ],
)
def test_mistakes_are_named(steps: str, code: str, part: str) -> None:
    with pytest.raises(WorkflowError) as error:
        plan(flow(steps))
    assert error.value.code == code
    assert part in error.value.message + error.value.hint


def test_unknown_workflow_lists_the_known() -> None:
    with pytest.raises(WorkflowError) as error:
        load_workflow("nosuch")
    assert error.value.code == "JC404"
    assert "jointcoder" in error.value.hint


def test_hash_follows_what_changes_results_only() -> None:
    text = '[[step]]\nuse = "read"\n[step.options]\nchunk_tokens = {n}'
    one, same, other = (flow(text.format(n=n)) for n in (500, 500, 600))
    renamed = Workflow.from_toml(f'name = "other"\nsummary = "x"\nneeds = {{ model = true }}\n{text.format(n=500)}')
    assert one.hash == same.hash == renamed.hash
    assert one.hash != other.hash


def test_broken_toml_is_a_coded_error() -> None:
    with pytest.raises(WorkflowError) as error:
        Workflow.from_toml("name = ")
    assert error.value.code == "JC407"


def test_a_step_left_out_leaves_the_others_joined() -> None:
    whole = load_workflow("jointcoder")
    without = whole.without("mine").without("validate_diagnoses")
    after = {spec.id: spec.after for spec in without.step}
    assert "mine" not in after
    assert after["standardise_procedures"] == ("extract",)
    assert after["map_codes"] == ("code_also_diagnoses", "validate_procedures")
    assert plan(without).workflow.hash != whole.hash
    with pytest.raises(WorkflowError, match="no step 'mime'"):
        whole.without("mime")


def test_options_of_one_step_change_alone() -> None:
    changed = load_workflow("jointcoder").with_options("standardise_diagnoses", ask_model=False)
    options = {spec.id: spec.options for spec in changed.step}
    assert options["standardise_diagnoses"] == {"kind": "diagnosis", "ask_model": False}
    assert options["standardise_procedures"] == {"kind": "procedure"}
