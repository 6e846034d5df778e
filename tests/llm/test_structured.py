"""Parsing, validation, salvage of cut answers, repair wording, schema lint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.llm.base import Context, Generation, Prompt
from jointcoder.llm.structured import (
    ANSWER_SHOWN,
    PROBLEM_SHOWN,
    checked,
    lint_schema,
    parsed,
    repair_prompt,
    salvaged,
    without_copies,
)

TERMS = {
    "type": "object",
    "properties": {
        "a": {"type": "array", "items": {"type": "string"}, "maxItems": 50},
        "b": {"type": "array", "items": {"type": "string"}, "maxItems": 50},
    },
    "required": ["a", "b"],
    "additionalProperties": False,
}
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize(
    "text",
    ['{"x": 1}', ' {"x": 1}\n\n', '```json\n{"x": 1}\n```', '```\n{"x": 1}\n```\n'],
)
def test_one_document_is_read_with_or_without_a_fence(text: str) -> None:
    assert parsed(text) == {"x": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        'Here: {"x": 1}',
        '{"x": 1} {"x": 2}',
        '{"x": NaN}',
        '{"x": "a\nb"}',
        '"\\ud800"',
        "[" * 100_000,
    ],
)
def test_anything_else_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match="not JSON") as raised:
        parsed(text)
    assert "Here" not in str(raised.value)


def test_a_valid_answer_carries_its_value() -> None:
    answer = checked(Generation('{"a": ["x"], "b": []}'), TERMS)
    assert (answer.value, answer.error) == ({"a": ["x"], "b": []}, None)


def test_a_violation_is_jc302_and_names_place_and_keyword_only() -> None:
    answer = checked(Generation('{"a": ["secret", 7], "b": []}'), TERMS)
    assert (answer.value, answer.error) == (None, "JC302")
    assert "a[1]" in answer.problem
    assert "type" in answer.problem
    assert "secret" not in answer.problem


def test_a_cut_answer_keeps_its_complete_items_and_stays_flagged() -> None:
    answer = checked(Generation('{"a": ["one", "two", "thr', finished=False), TERMS)
    assert (answer.value, answer.error) == ({"a": ["one", "two"], "b": []}, "JC306")


def test_a_cut_answer_that_violates_the_schema_has_no_value() -> None:
    answer = checked(Generation('{"a": [1, 2', finished=False), TERMS)
    assert (answer.value, answer.error) == (None, "JC306")


def test_half_an_item_is_dropped_as_a_whole() -> None:
    assert salvaged('[{"name": "x", "tags": ["p", "q"]}, {"name": "y", "tags": ["r", "s"') == [
        {"name": "x", "tags": ["p", "q"]}
    ]
    assert salvaged("[1, 2, 34") == [1, 2]


@pytest.mark.parametrize("text", ["", "   ", '{"a', '{"a": 1', "word", "[}", "]"])
def test_nothing_complete_gives_nothing(text: str) -> None:
    assert salvaged(text) is None


@given(items=st.lists(words, max_size=8), other=st.lists(words, max_size=4), data=st.data())
def test_wherever_it_is_cut_only_whole_items_remain_in_order(
    items: list[str], other: list[str], data: st.DataObject
) -> None:
    text = json.dumps({"a": items, "b": other}, ensure_ascii=data.draw(st.booleans()))
    cut = data.draw(st.integers(0, len(text)))
    value = checked(Generation(text[:cut], finished=False), TERMS).value
    if value is not None:
        assert value["a"] == items[: len(value["a"])]
        assert value["b"] == other[: len(value["b"])]
    if '"a": [' in text[:cut]:
        assert value is not None


@given(
    items=st.lists(st.fixed_dictionaries({"q": words, "n": st.integers(), "l": st.lists(words, max_size=3)})),
    data=st.data(),
)
def test_cut_lists_of_objects_keep_a_beginning(items: list[dict[str, Any]], data: st.DataObject) -> None:
    text = json.dumps(items)
    value = salvaged(text[: data.draw(st.integers(0, len(text)))])
    assert value is None or value == items[: len(value)]


def test_the_repair_prompt_keeps_the_context_and_is_bounded() -> None:
    prompt = Prompt(Context("note", "system"), "List.", '{"a":')
    broken = Generation("x" * 10_000, error="JC302", problem="y" * 10_000)
    again = repair_prompt(prompt, broken)
    assert (again.context, again.opening) == (prompt.context, prompt.opening)
    assert again.instruction.startswith("List.")
    assert len(again.instruction) < ANSWER_SHOWN + PROBLEM_SHOWN + 300


def test_the_repair_prompt_takes_braces_in_answers_as_they_are() -> None:
    again = repair_prompt(Prompt(Context(), "List."), Generation("{problem}", problem="{answer}"))
    assert "{problem}" in again.instruction
    assert "{answer}" not in again.instruction.replace("{problem}", "")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "a+"},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"anyOf": [{"type": "string"}]},
        {"type": ["string", "null"]},
        {"type": "object"},
        {"type": "array"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "number", "minimum": 0},
        {"type": "integer", "multipleOf": 2},
        {"type": "array", "items": {"type": "string", "format": "date"}},
        {"type": "integer", "x-copy": True},
        {"type": "string", "x-copy": "yes"},
        {"type": "string", "x-other": True},
        {"enum": ["a"], "x-copy": True},
    ],
)
def test_keywords_that_a_grammar_would_skip_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="schema"):
        lint_schema(schema)


def test_deep_schemas_are_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(4):
        schema = {"type": "array", "items": schema}
    with pytest.raises(ValueError, match="flat"):
        lint_schema(schema)
    lint_schema(TERMS)


COPIED = {
    "type": "object",
    "properties": {
        "rows": {"type": "array", "items": {"type": "object", "properties": {"q": {"type": "string", "x-copy": True}}}},
        "n": {"type": "string"},
    },
}


def test_copies_must_occur_in_the_text() -> None:
    lint_schema(COPIED)
    answer = Generation('{"rows": [{"q": "a \\"b\\""}, {}, {"q": "c\\nd"}], "n": "free"}')
    assert checked(answer, COPIED, text='x a "b"; c\nd').error is None
    wrong = checked(answer, COPIED, text='x a "b"; c d')
    assert (wrong.value, wrong.error) == (None, "JC302")
    assert "$.rows[2].q" in wrong.problem
    assert checked(Generation('{"rows": [{"q": "a?"}]}'), COPIED, text="a\ud800").error is None, "as models read it"
    cut = Generation('{"rows": [{"q": "made up"}, {"q', finished=False)
    assert checked(cut, COPIED, text="x").value is None
    assert checked(cut, COPIED, text="made up").value == {"rows": [{"q": "made up"}]}


def test_servers_get_the_schema_without_our_own_keyword() -> None:
    assert "x-copy" not in json.dumps(without_copies(COPIED))
    assert without_copies(TERMS) == TERMS
    named = {"type": "object", "properties": {"x-copy": {"type": "string", "x-copy": True}}}
    assert without_copies(named) == {"type": "object", "properties": {"x-copy": {"type": "string"}}}
