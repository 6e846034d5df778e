"""A workflow is used only while an approval of exactly that workflow stands; nothing about approvals is lost."""

from __future__ import annotations

import pytest

from jointcoder.errors import UsageError, WorkflowError
from jointcoder.store.approvals import Approvals, require_approved
from jointcoder.store.engine import Store
from jointcoder.workflow.spec import Workflow, load_workflow


@pytest.fixture
def flow() -> Workflow:
    return load_workflow("lexical")


def changed(flow: Workflow) -> Workflow:
    """The same name, one option turned."""
    return flow.with_options("reconcile", drop_vague=False).model_copy(update={"name": flow.name})


def test_only_what_was_approved_passes_and_only_as_it_was(store: Store, flow: Workflow):
    with pytest.raises(WorkflowError) as caught:
        require_approved(flow, store)
    assert caught.value.code == "JC441"
    assert flow.hash[:12] in caught.value.hint
    Approvals(store).approve(flow, by="A. Meyer", text="…")
    require_approved(flow, store)
    require_approved(flow.model_copy(update={"name": "other", "summary": "other"}), store)
    with pytest.raises(WorkflowError):
        require_approved(changed(flow), store)


def test_rollback_brings_the_one_before_back(store: Store, flow: Workflow):
    approvals = Approvals(store)
    first = approvals.approve(flow, by="A. Meyer", text="one", note="dev set")
    second = approvals.approve(changed(flow), by="B. Schulz", text="two")
    assert approvals.current("lexical").id == second.id
    gone, now = approvals.rollback("lexical", by="A. Meyer")
    assert (gone.id, now.id if now else None) == (second.id, first.id)
    assert approvals.current("lexical").workflow == "one"
    require_approved(flow, store)
    with pytest.raises(WorkflowError):
        require_approved(changed(flow), store)
    gone, now = approvals.rollback("lexical", by="A. Meyer")
    assert now is None
    with pytest.raises(UsageError) as caught:
        approvals.rollback("lexical", by="A. Meyer")
    assert caught.value.code == "JC442"
    history = [(one.approved_by, one.withdrawn_by, one.withdrawn is not None) for one in approvals.all()]
    assert history == [("A. Meyer", "A. Meyer", True), ("B. Schulz", "A. Meyer", True)]


def test_lines_are_apart(store: Store, flow: Workflow):
    approvals = Approvals(store)
    approvals.approve(flow, by="A", text="", line="ward")
    approvals.approve(changed(flow), by="A", text="", line="clinic")
    approvals.rollback("ward", by="A")
    assert approvals.current("clinic").hash == changed(flow).hash
    with pytest.raises(UsageError, match="ward"):
        approvals.current("ward")


@pytest.mark.parametrize("name", ["", "  \n"])
def test_an_approval_needs_a_name(store: Store, flow: Workflow, name: str):
    with pytest.raises(UsageError) as caught:
        Approvals(store).approve(flow, by=name, text="")
    assert caught.value.code == "JC001"
    assert Approvals(store).all() == []
