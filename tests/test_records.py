"""Records are frozen, validated and survive JSON; offsets give the quotes back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jointcoder.errors import CATALOGUE, InputError, JointCoderError
from jointcoder.parsing import parse_encounter
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Cost,
    Encounter,
    Kind,
    Role,
    Span,
    System,
    Versions,
    json_schemas,
)

texts = st.text(min_size=1, max_size=80).filter(lambda text: text.strip())


def surrogate_free(text: str) -> str:
    return text.encode("utf-8", "ignore").decode() or "x"


@given(st.dictionaries(texts.map(surrogate_free), texts.map(surrogate_free).filter(str.strip), min_size=1, max_size=4))
def test_encounter_survives_json(sections: dict[str, str]) -> None:
    encounter = Encounter.from_sections(sections, discharged=dt.date(2026, 3, 1))
    assert Encounter.model_validate_json(encounter.model_dump_json()) == encounter
    assert [document.title for document in encounter.documents] == list(sections)


@given(texts.map(surrogate_free), st.data())
def test_span_reproduces_its_quote(text: str, data: st.DataObject) -> None:
    encounter = Encounter.from_text("ab" + text)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text) + 2))
    whole = encounter.documents[0].text
    span = Span(document=0, start=start, end=end, quote=whole[start:end])
    assert span.reproduces(encounter)
    assert not Span(document=1, start=start, end=end, quote=whole[start:end]).reproduces(encounter)


def test_same_text_same_id() -> None:
    assert Encounter.from_text("abc").id == Encounter.from_text("abc").id != Encounter.from_text("abd").id


def test_records_are_frozen() -> None:
    encounter = Encounter.from_text("abc")
    with pytest.raises(ValidationError):
        encounter.id = "other"  # type: ignore[misc]


def test_with_validates_again() -> None:
    code = AssignedCode(system=System.ICD10CM, code="I10", name="Essential (primary) hypertension", confidence=0.5)
    assert code.with_(rank=2).rank == 2
    with pytest.raises(ValidationError):
        code.with_(confidence=1.5)


def test_coded_record_round_trip_and_order() -> None:
    codes = tuple(
        AssignedCode(
            system=system,
            code=code,
            name=code,
            confidence=0.9,
            rank=rank,
            role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
        )
        for system, code, rank in [(System.ICD10CM, "J18.9", 2), (System.ICD10CM, "I10", 1), (System.ICD10PCS, "0", 1)]
    )
    record = CodedRecord(encounter="e", language="en", codes=codes, versions=Versions(program="0"))
    assert CodedRecord.model_validate_json(record.model_dump_json()) == record
    assert [code.code for code in record.of_kind(Kind.DIAGNOSIS)] == ["I10", "J18.9"]
    principal = record.principal(Kind.PROCEDURE)
    assert principal is not None
    assert principal.code == "0"


def test_costs_add_up() -> None:
    one, two = Cost(seconds=1, calls=2, prompt_tokens=3), Cost(seconds=0.5, generated_tokens=7)
    assert one + two == Cost(seconds=1.5, calls=2, prompt_tokens=3, generated_tokens=7)


@pytest.mark.parametrize(
    ("data", "code", "part"),
    [
        ({"text": "a", "colour": 1}, "JC103", "field 2 of the encounter is unknown; 1 unknown"),
        ({"txt": "a"}, "JC103", "'txt' (is it text?)"),
        ({"Discharge": "a", "text": "b"}, "JC103", "'Discharge' (is it discharged?)"),
        ({"text": "  "}, "JC101", "no text"),
        ({"sections": {"x": " "}}, "JC101", "no text"),
        ({}, "JC101", "no text"),
        ({"text": "a", "patient": {"age_years": -1}}, "JC108", "age_years"),
        ({"text": "a", "admitted": "2026-02-02", "discharged": "2026-02-01"}, "JC108", "before"),
        ({"text": 5}, "JC108", ""),
        (
            {
                "id": "e",
                "documents": [{"id": "0", "text": "a"}],
                "sections": [{"name": "x", "document": 3, "start": 0, "end": 1}],
            },
            "JC108",
            "section",
        ),
    ],
)
def test_bad_encounters_are_coded_errors(data: dict[str, object], code: str, part: str) -> None:
    with pytest.raises(InputError) as error:
        parse_encounter(data)
    assert error.value.code == code
    assert part in error.value.message
    assert error.value.exit_code == 4


def test_messages_never_hold_note_text() -> None:
    secret = "Mrs Secretname has syphilis"
    with pytest.raises(InputError) as error:
        parse_encounter({"text": "a", "patient": secret, "id": "e"})
    assert "Secretname" not in str(error.value) + error.value.hint


@pytest.mark.parametrize(
    "data",
    [
        {"text": "a", "Secretname": 1},
        {"text": "a", "Secretname, Mary": 1, "patient Secretname": 2},
        {"text": "a", "patient": {"Secretname": 1}},
        {"text": "a", "fields": {"Secretname": 5}},
        {"documents": [{"id": "0", "text": "a", "Secretname": "b"}]},
        {"text": "a", 7: "Secretname"},
    ],
)
def test_a_name_that_is_none_of_ours_is_told_by_its_place(data: dict[Any, Any]) -> None:
    with pytest.raises(InputError) as error:
        parse_encounter(data)
    assert error.value.code in ("JC103", "JC108")
    assert "Secretname" not in str(error.value) + error.value.hint
    assert "field 2" in error.value.message or "(unknown)" in error.value.message


def test_of_many_unknown_fields_some_are_named_and_all_are_counted() -> None:
    with pytest.raises(InputError) as error:
        parse_encounter({"text": "a", **{f"word {number}": number for number in range(40)}})
    assert "40 unknown in all" in error.value.message
    assert len(error.value.message) < 300


def test_schemas_name_their_fields() -> None:
    schemas = json_schemas()
    assert set(schemas) == {"Encounter", "CodedRecord"}
    assert {"documents", "patient", "discharged"} <= set(schemas["Encounter"]["properties"])


def test_every_error_code_is_in_the_catalogue() -> None:
    with pytest.raises(KeyError):
        JointCoderError("JC000", "no such code")
    assert all(code.startswith("JC") and len(code) == 5 for code in CATALOGUE)
