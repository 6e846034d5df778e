"""The step kind ``python``: a generated program as a node of a workflow, over a small code book."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.errors import JointCoderError, WorkflowError
from jointcoder.records import CodedRecord, Encounter
from jointcoder.search.sandbox.jail import find
from jointcoder.settings import Settings
from jointcoder.steps import registry
from jointcoder.workflow.check import plan
from jointcoder.workflow.spec import Workflow
from tests.search.jails import isolated

NOTE = """ASSESSMENT AND PLAN

Hypertension. Osteoarthritis of the left knee.
"""
FLOW = """
name = "generated"
[[step]]
use = "read"
[[step]]
use = "extract"
options = { sources = ["list", "dictionary"] }
[[step]]
id = "standardise_diagnoses"
use = "standardise"
options = { kind = "diagnosis", ask_model = false }
[[step]]
id = "standardise_procedures"
use = "standardise"
options = { kind = "procedure", ask_model = false }
[[step]]
use = "python"
[step.options]
"""
Code = Callable[..., CodedRecord]


def flow(source: str, **options: Any) -> Workflow:
    """A workflow with the program behind its drafts."""
    values = {"reads": ["diagnoses"], "writes": ["diagnoses"], "source": source, **options}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return Workflow.from_toml(FLOW + "\n".join(lines))


@pytest.fixture
def code(small_us: CodeBook, tmp_path: Path) -> Code:
    """``code(source, **options)``: the note, coded by a workflow with that program."""

    def run(source: str, *, allow_python: bool = True, **options: Any) -> CodedRecord:
        settings = Settings(cache=tmp_path, dense="off", allow_python=allow_python)
        with Coder(settings, code_book=small_us, workflow=flow(source, **options)) as coder:
            return coder.code(Encounter.from_text(NOTE, language="en"))

    return run


def codes(record: CodedRecord) -> list[str]:
    return [code.code for code in record.codes]


KEEP = "def run(inputs, tools): return {'diagnoses': inputs['diagnoses']}"


@isolated
def test_a_program_sees_the_drafts_and_decides(code: Code) -> None:
    before = code(KEEP)
    assert len(before.codes) >= 2
    assert "python" in before.codes[0].stages
    reversed_ = code("def run(inputs, tools): return {'diagnoses': inputs['diagnoses'][::-1]}")
    assert codes(reversed_) == codes(before)[::-1]
    assert [(c.rank, c.role) for c in reversed_.codes][:2] == [(1, "principal"), (2, "secondary")]
    note = next(step for step in before.trace if step.component == "python").notes
    assert note["source"] == hashlib.sha256(KEEP.encode()).hexdigest()[:12]
    assert flow(KEEP).hash != flow(KEEP + "\n").hash, "what runs is what the hash names"


@isolated
def test_what_a_program_does_not_return_stays(code: Code) -> None:
    assert codes(code("def run(inputs, tools): return {}")) == codes(code(KEEP))
    assert codes(code("def run(inputs, tools): return {'diagnoses': []}")) == []


@isolated
def test_a_program_gets_what_it_declares_and_no_more(code: Code) -> None:
    source = """
def run(inputs, tools):
    fields = sorted(inputs)
    expected = ["admitted", "diagnoses", "discharged", "documents", "language", "mentions", "patient", "systems"]
    assert fields == expected, fields
    assert inputs["language"] == "en" and sorted(inputs["documents"][0]) == ["kind", "text", "title"]
    for one in inputs["mentions"]:
        span = one["span"]
        assert inputs["documents"][span["document"]]["text"][span["start"]:span["end"]] == span["quote"]
    return {}
"""
    record = code(source, reads=["documents", "mentions", "diagnoses"])
    assert not [flag for flag in record.flags if flag.step == "python"]


@isolated
def test_the_code_book_answers_by_the_names_of_the_paper(code: Code) -> None:
    source = """
def run(inputs, tools):
    first = inputs["diagnoses"][0]
    code, system = first["code"], first["system"]
    above = tools.get_parent(code)
    assert tools.get_ancestors(code, system=system)[0] == above
    assert code in tools.get_children(above) and code in tools.get_descendants(above)
    assert tools.is_ancestor(above, code) and tools.is_descendant(code, above)
    assert tools.get_nearest_common_ancestor(code, above) == above
    assert tools.is_leaf(code) and tools.is_valid_code(code) and not tools.is_valid_code(above)
    assert code in tools.text_to_codes(tools.code_to_text(code))
    hits = tools.search(first["name"], limit=3)
    assert hits[0]["code"] == code and len(hits) <= 3
    assert {hit["system"] for hit in tools.search("drainage", kind="procedure")} <= set(inputs["systems"])
    try:
        tools.get_parent("nothing")
    except ToolError as error:
        assert "JC501" in str(error)
        return {}
"""
    record = code(source)
    assert not [flag.message for flag in record.flags if flag.step == "python"]


@isolated
def test_a_code_may_be_exchanged_for_one_that_a_tool_gave(code: Code) -> None:
    source = """
def run(inputs, tools):
    first = inputs["diagnoses"][0]
    other = next(c for c in tools.get_descendants(tools.get_ancestors(first["code"])[-1]) if c != first["code"]
                 and tools.is_leaf(c))
    return {"diagnoses": [{"system": first["system"], "code": other, "name": "any", "confidence": 0.5}]}
"""
    changed = code(source)
    (dx,) = [one for one in changed.codes if one.kind == "diagnosis"]
    assert dx.code not in codes(code(KEEP))
    assert dx.name != "any", "the name is the book's"


UNBELIEVED = {
    "a code from nowhere": "first['code'] = 'E' + '11' + '.9'",
    "a code of another system": "first['system'] = 'ICD-9-CM-3'",
    "evidence that is not in the note": "first['evidence'] = [dict(document=0, start=0, end=3, quote='ASX')]",
    "evidence outside the note": "first['evidence'] = [dict(document=7, start=0, end=3, quote='ASS')]",
    "an unknown field": "first['gold'] = 1",
    "more than certain": "first['confidence'] = 1.5",
    "no object": "inputs['diagnoses'] = ['x']",
    "no list": "inputs['diagnoses'] = {}",
    "too many": "inputs['diagnoses'] = [first] * 6000",
    "another slot": "inputs = {'diagnoses': [], 'procedures': []}",
}


@isolated
@pytest.mark.parametrize("name", UNBELIEVED)
def test_what_may_not_be_is_not_taken_over(name: str, code: Code) -> None:
    source = f"def run(inputs, tools):\n first = inputs['diagnoses'][0]\n {UNBELIEVED[name]}\n return inputs"
    source = source.replace(
        "return inputs", "return {k: v for k, v in inputs.items() if k not in ('language', 'systems')}"
    )
    record = code(source)
    (flag,) = [flag for flag in record.flags if flag.step == "python"]
    assert flag.code == "JC456"
    assert codes(record) == [c for c in codes(code(KEEP)) if c in codes(record)] != []


@isolated
def test_a_program_that_fails_leaves_a_flag_and_the_record_as_it_was(code: Code) -> None:
    kept = set(codes(code(KEEP)))
    for body, expected in {
        "return 1 / 0": "JC457",
        "import os; os.fork()": "JC455",
        "while True: pass": "JC453",
    }.items():
        record = code(f"def run(inputs, tools):\n {body}", seconds=0.5)
        (flag,) = [flag for flag in record.flags if flag.step == "python"]
        assert flag.code == expected
        assert set(codes(record)) == kept


def test_a_run_that_does_not_allow_python_refuses_before_it_begins(code: Code) -> None:
    with pytest.raises(WorkflowError, match="JC451"):
        code(KEEP, allow_python=False)
    assert Settings().allow_python is False
    assert plan(flow(KEEP)), "it may be looked at all the same"


def test_where_it_cannot_be_isolated_the_run_refuses(
    code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        with pytest.raises(WorkflowError, match="JC450"):
            code(KEEP)
    finally:
        find.cache_clear()


@isolated
def test_a_step_refuses_by_itself_too(small_us: CodeBook, tmp_path: Path) -> None:
    """Whoever runs a plan without the check before it: the tools say what is allowed, by default nothing."""
    from dataclasses import replace

    from jointcoder.workflow.run import run

    settings = Settings(cache=tmp_path, dense="off", allow_python=True)
    with Coder(settings, code_book=small_us, workflow=flow(KEEP)) as coder:
        tools = replace(coder.tools, allow_python=False)
        (outcome,) = run(coder.plan, [Encounter.from_text(NOTE, language="en")], tools, None)
    assert [flag.code for flag in outcome.state.flags if flag.step == "python"] == ["JC451"]


def test_the_source_is_the_one_declared(code: Code) -> None:
    with pytest.raises(JointCoderError, match=r"JC452|JC450"):
        code(KEEP, sha256="0" * 64)


def test_no_code_stands_in_a_program() -> None:
    with pytest.raises(WorkflowError, match="JC420"):
        plan(flow("def run(inputs, tools): return ['I10', 'E11.9']"))


def test_options_have_bounds_and_programs_know_them() -> None:
    (signature,) = [one for one in registry.signatures() if one.name == "python"]
    assert {"source", "writes"} == set(signature.required)
    for wrong in ({"writes": []}, {"writes": ["encounter"]}, {"reads": ["gold"]}, {"entry": "a.b"}, {"seconds": 9999}):
        with pytest.raises(WorkflowError, match="JC407"):
            plan(flow(KEEP, **wrong))
