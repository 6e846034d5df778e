"""What the tests of the HTTP backend ask, of a real server and of others' formats."""

from __future__ import annotations

from jointcoder.llm.base import Context, Question

NOTE = Context(
    "Record:\n\nOn day 3 the patient had a temperature of 39 degrees and was given ceftriaxone.", "You code."
)
FEVER = Question("Does the patient have fever?", ("yes", "no"))
SCHEMA = {
    "type": "object",
    "properties": {
        "terms": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 2},
        "day": {"type": "integer", "minimum": 1, "maximum": 31},
        "kind": {"enum": ["acute", "慢性"]},
    },
    "required": ["terms", "day", "kind"],
    "additionalProperties": False,
}
