"""Schema → grammar: what the engine's own grammar matcher accepts is what the schema says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jointcoder.llm.grammar import Constraint, gbnf
from jointcoder.llm.llamacpp import LlamaCpp

pytestmark = pytest.mark.engine

PAIRS = {
    "type": "object",
    "properties": {
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"诊断": {"type": "string", "maxLength": 20}, "n": {"type": "integer"}},
                "required": ["诊断", "n"],
            },
            "maxItems": 3,
        },
        "kind": {"enum": ['a"b', "c\\d", "手术", 7, None, True]},
    },
    "required": ["rows", "kind"],
}


def accepts(model: LlamaCpp, schema: dict[str, Any], text: str) -> bool:
    """Whether the grammar takes ``text`` token by token and then the end of the answer."""
    constraint = Constraint(model._engine, gbnf(schema))
    try:
        for token in model._engine.tokenize(text):
            if not constraint.allows(token):
                return False
            constraint.accept(token)
        return constraint.allows(model._engine.end_token)
    finally:
        constraint.close()


@pytest.mark.parametrize(
    "text",
    [
        '{"rows": [], "kind": 7}',
        '{"rows":[{"诊断":"肺炎","n":-3},{"诊断": "a\\nb \\"c\\"", "n": 0}],"kind":"手术"}',
        '{ "rows": [ ], "kind": "a\\"b" }',
        '{"rows": [], "kind": null}',
        '{"rows": [], "kind": "c\\\\d"}',
    ],
)
def test_valid_answers_pass(model: LlamaCpp, text: str) -> None:
    assert Draft202012Validator(PAIRS).is_valid(json.loads(text))
    assert accepts(model, PAIRS, text)


@pytest.mark.parametrize(
    "text",
    [
        '{"rows": [], "kind": 8}',
        '{"rows": [], "kind": "\\u624b\\u672f"}',
        '{"rows": [], "kind": 7',
        '{"rows": []}',
        '{"rows": [{"诊断": "x\ny", "n": 1}], "kind": 7}',
        '{"rows": [{"诊断": "x", "n": 01}], "kind": 7}',
        '{"rows": [{"诊断": "x", "n": 1.5}], "kind": 7}',
        '{"rows": [{"诊断": "' + "x" * 21 + '", "n": 1}], "kind": 7}',
        '{"rows": [' + ",".join(['{"诊断": "x", "n": 1}'] * 4) + '], "kind": 7}',
    ],
)
def test_invalid_answers_do_not(model: LlamaCpp, text: str) -> None:
    assert not accepts(model, PAIRS, text)


@given(low=st.integers(-30, 600), span=st.integers(0, 400), value=st.integers(-50, 1100))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_integer_bounds_are_kept(model: LlamaCpp, low: int, span: int, value: int) -> None:
    schema = {"type": "integer", "minimum": low, "maximum": low + span}
    assert accepts(model, schema, str(value)) == (low <= value <= low + span)


@given(low=st.integers(0, 4), span=st.integers(0, 4), count=st.integers(0, 9))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_item_counts_are_kept(model: LlamaCpp, low: int, span: int, count: int) -> None:
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": low, "maxItems": low + span}
    assert accepts(model, schema, json.dumps([True] * count)) == (low <= count <= low + span)


def test_copies_are_plain_strings_to_the_grammar() -> None:
    plain = {"type": "array", "items": {"type": "string", "maxLength": 9}}
    assert gbnf(plain | {"items": plain["items"] | {"x-copy": True}}) == gbnf(plain)  # type: ignore[operator]


def test_the_shortlist_changes_nothing(model: LlamaCpp) -> None:
    """The likeliest allowed token is found whether it stands first, on the shortlist or far behind."""
    random = np.random.default_rng(7)
    for _ in range(20):
        constraint = Constraint(model._engine, gbnf(PAIRS))
        row = random.normal(size=model._engine.vocabulary).astype(np.float32)
        allowed = [t for t in range(len(row)) if row[t] > 2.5 and constraint.allows(t)]
        chosen = constraint.choose(row)
        assert chosen is not None
        assert constraint.allows(chosen)
        assert not allowed or row[chosen] >= max(row[t] for t in allowed)
        constraint.close()
