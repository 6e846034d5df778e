"""extract with quotes that are held to the record's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jointcoder.coder import Coder
from jointcoder.llm.base import Prompt
from jointcoder.records import CodedRecord, Encounter
from jointcoder.steps.extract import list_schema
from jointcoder.workflow.spec import Workflow

NOTE = "ASSESSMENT AND PLAN\n\nCongestive heart failure. Hypertension.\n"


def flow(verbatim: bool) -> Workflow:
    options = f'sources = ["model"], verbatim = {str(verbatim).lower()}'
    return Workflow.from_toml(
        'name = "t"\n[needs]\nmodel = true\n[[step]]\nuse = "read"\n'
        f'[[step]]\nuse = "extract"\noptions = {{ {options} }}\n'
        '[[step]]\nuse = "standardise"\noptions = { kind = "diagnosis", ask_model = false }\n'
    )


def coded(coder: Callable[..., Coder], verbatim: bool, *answers: list[str]) -> tuple[CodedRecord, list[Any]]:
    """The record, and what the model was asked about diagnoses; it gives ``answers`` in turn, the last one again."""
    left = list(answers)

    def say(asked: Any) -> Any:
        assert isinstance(asked, Prompt)
        fields = [field for field in ("diagnoses", "procedures") if f"- {field}" in asked.instruction]
        diagnoses = (left.pop(0) if len(left) > 1 else left[0]) if "diagnoses" in fields else []
        return {field: diagnoses if field == "diagnoses" else [] for field in fields}

    program = coder(say, workflow=flow(verbatim))
    record = program.code(Encounter.from_text(NOTE))
    requests = program.model.requests  # type: ignore[union-attr]
    return record, [r for r in requests if "diagnoses" in r.schema["properties"]]


def test_made_up_quotes_are_asked_for_again(coder: Callable[..., Coder]) -> None:
    record, requests = coded(coder, True, ["tropical sprue", "Hypertension"], ["Hypertension"])
    assert len(requests) == 2
    assert not any(flag.code in ("JC302", "JC602") for flag in record.flags)
    assert [code.name for code in record.codes]


def test_quotes_that_stay_made_up_are_flagged(coder: Callable[..., Coder]) -> None:
    record, requests = coded(coder, True, ["tropical sprue", "Hypertension"])
    assert len(requests) == 2
    assert [flag.code for flag in record.flags if flag.step == "extract"] == ["JC302"]


def test_by_default_they_are_dropped_one_by_one(coder: Callable[..., Coder]) -> None:
    record, requests = coded(coder, False, ["tropical sprue", "Hypertension"])
    assert len(requests) == 1
    assert [flag.code for flag in record.flags if flag.step == "extract"] == ["JC602"]
    assert "x-copy" not in str(requests[0].schema)
    assert record.codes


@pytest.mark.parametrize("named", [False, True])
def test_only_quotes_are_copies_not_names(named: bool) -> None:
    schema = list_schema(["diagnoses"], 3, named=named, verbatim=True)
    item = schema["properties"]["diagnoses"]["items"]
    quote = item["properties"]["quote"] if named else item
    assert quote == {"type": "string", "x-copy": True}
    assert str(schema).count("x-copy") == 1


def test_a_list_written_as_sentences_is_coded_name_by_name(coder: Callable[..., Coder]) -> None:
    note = "Discharge diagnosis: congestive heart failure. Type 2 diabetes. Osteoarthritis of left knee.\n"
    with coder(workflow="lexical") as machine:
        record = machine.code(Encounter.from_text(note, language="en"))
    quotes = {span.quote for code in record.codes for span in code.evidence}
    assert quotes == {"congestive heart failure", "Type 2 diabetes", "Osteoarthritis of left knee"}
