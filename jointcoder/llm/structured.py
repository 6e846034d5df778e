"""Structured answers: parse, validate, salvage, ask again. The same for every backend.

Schemas are flat and written in the few keywords of :data:`KEYWORDS`, because grammar converters (llama.cpp's and
servers') skip what they do not know *silently*: :func:`lint_schema` refuses it aloud. A grammar shapes an answer
but does not prove it, so :func:`checked` validates every answer again with ``jsonschema`` (Draft 2020-12).

This module knows nothing of engines or prompts' words (the repair wording is ``data/repair.txt``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jointcoder.llm.base import Generation, Prompt

COPY = "x-copy"  # of a string: it must occur in the request's context (copying.py enforces it where an engine lets it)
ANNOTATIONS = frozenset({"title", "description", "$schema"})
KEYWORDS: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", COPY}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
MAX_DEPTH = 4  # object → array → object → scalar; deeper answers are beyond a small model
ANSWER_SHOWN = 400  # characters of a refused answer that the repair prompt repeats
PROBLEM_SHOWN = 200

_FENCED = re.compile(r"\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*\Z", re.DOTALL)


def lint_schema(schema: Mapping[str, Any], *, path: str = "$", depth: int = 1) -> None:
    """Refuse what an engine's grammar would skip. Raises ValueError naming the place and the known keywords.

    ``enum`` and ``const`` may stand in place of ``type``; objects must list their ``properties`` and may only set
    ``additionalProperties: false``; arrays must state ``items``. The one keyword of our own is ``x-copy: true``.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"schema {path}: nested deeper than {MAX_DEPTH} levels; keep schemas flat")
    keys = frozenset(schema) - ANNOTATIONS
    if keys & {"enum", "const"}:
        allowed = frozenset({"enum", "const", "type"})
    else:
        kind = schema.get("type")
        if not isinstance(kind, str) or kind not in KEYWORDS:
            raise ValueError(f"schema {path}: type {kind!r}; known types: {', '.join(sorted(KEYWORDS))}")
        allowed = KEYWORDS[kind] | {"type"}
    if unknown := keys - allowed:
        raise ValueError(
            f"schema {path}: {', '.join(sorted(unknown))} would be skipped silently by the grammar; "
            f"known here: {', '.join(sorted(allowed))}"
        )
    if not isinstance(schema.get(COPY, False), bool):
        raise ValueError(f"schema {path}: {COPY} may only be true or false")
    if schema.get("type") == "object" and "properties" not in schema:
        raise ValueError(f"schema {path}: an object must list its properties")
    if schema.get("additionalProperties", False) is not False:
        raise ValueError(f"schema {path}: additionalProperties may only be false")
    if schema.get("type") == "array" and "items" not in schema:
        raise ValueError(f"schema {path}: an array must state its items")
    for name, part in schema.get("properties", {}).items():
        lint_schema(part, path=f"{path}.{name}", depth=depth + 1)
    if "items" in schema:
        lint_schema(schema["items"], path=f"{path}[]", depth=depth + 1)


def without_copies(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without our own keyword, for servers, which may refuse what they do not know."""
    plain = {key: value for key, value in schema.items() if key != COPY}
    if "properties" in plain:
        plain["properties"] = {name: without_copies(part) for name, part in plain["properties"].items()}
    if "items" in plain:
        plain["items"] = without_copies(plain["items"])
    return plain


def checked(answer: Generation, schema: Mapping[str, Any], *, text: str = "") -> Generation:
    """The answer with ``value`` set, or with ``error`` and ``problem``. ``text`` is what copies must occur in.

    A finished answer must be one JSON document (a surrounding code fence and white space are tolerated, nothing
    more) that satisfies the schema, else JC302. A cut one gets JC306 in any case; its ``value`` is what stood
    complete before the cut (see :func:`salvaged`), with empty lists for required lists it never came to, where
    that satisfies the schema, else None. The error stays visible so that the caller flags the record.
    """
    if not answer.finished:
        value = _with_lists(salvaged(answer.text), schema)
        if value is not None and _problem(value, schema, text) is not None:
            value = None
        return replace(answer, value=value, error="JC306")
    try:
        value = parsed(answer.text)
    except ValueError as error:
        return replace(answer, value=None, error="JC302", problem=str(error))
    problem = _problem(value, schema, text)
    if problem is not None:
        return replace(answer, value=None, error="JC302", problem=problem)
    return replace(answer, value=value, error=None)


def parsed(text: str) -> Any:
    """The one JSON document in ``text``. Raises ValueError with a message free of the text's words."""
    fenced = _FENCED.match(text)
    try:
        value = json.loads(fenced.group(1) if fenced else text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except UnicodeEncodeError:
        raise ValueError("not JSON: a lone surrogate") from None
    except RecursionError:
        raise ValueError("not JSON: nested too deep") from None
    return value


def salvaged(text: str) -> Any:
    """What stands complete in a JSON answer that was cut: the answer up to its last complete item of an outermost
    array, closed. None if there is no such place.

    Only whole items are kept: an object cut in the middle goes as a whole, since half an item is a wrong item.
    """
    start = re.match(r"\s*(?:```(?:json)?[ \t]*\n)?", text)
    body = text[start.end() :] if start else text
    stack: list[str] = []  # closing brackets owed
    safe: tuple[int, str] | None = None
    in_string = escaped = False
    for i, char in enumerate(body):
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
                if _in_outermost_array(stack):
                    safe = i + 1, "".join(reversed(stack))
            continue
        if char == '"':
            in_string = True
        elif char in "[{":
            stack.append("]" if char == "[" else "}")
            if char == "[" and _in_outermost_array(stack):
                safe = i + 1, "".join(reversed(stack))
        elif char in "]}":
            if not stack or stack.pop() != char:
                return None
            if _in_outermost_array(stack):
                safe = i + 1, "".join(reversed(stack))
        elif char == "," and _in_outermost_array(stack):
            safe = i, "".join(reversed(stack))  # numbers and words end only here
    if not stack:  # cut after its end, in white space or in the closing fence
        safe = len(body.rstrip().removesuffix("```").rstrip()), ""
    if safe is None:
        return None
    end, closing = safe
    try:
        return parsed(body[:end] + closing)
    except ValueError:
        return None


def repair_prompt(prompt: Prompt, answer: Generation) -> Prompt:
    """The same request with the refused answer's beginning and its problem stated below. It grows by a bounded
    number of characters; the context stays as it was, so that its kept prefix serves again."""
    shown = answer.text[:ANSWER_SHOWN]
    wording = _repair_wording().replace("{problem}", answer.problem[:PROBLEM_SHOWN])
    return replace(prompt, instruction=prompt.instruction + wording.replace("{answer}", shown).rstrip("\n"))


def _with_lists(value: Any, schema: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict) or schema.get("type") != "object":
        return value
    lists = (name for name, part in schema["properties"].items() if part.get("type") == "array")
    required = schema.get("required", ())
    return value | {name: [] for name in lists if name in required and name not in value}


def _in_outermost_array(stack: list[str]) -> bool:
    return bool(stack) and stack[-1] == "]" and stack.count("]") == 1


def _problem(value: Any, schema: Mapping[str, Any], text: str) -> str | None:
    violation = _violation(value, schema)
    if violation is not None:
        return violation
    path = _miscopied(value, schema, text.encode("utf-8", "replace").decode("utf-8"))  # as models read lone surrogates
    return None if path is None else f"at {path}: not copied word by word from the text"


def _miscopied(value: Any, schema: Mapping[str, Any], text: str, path: str = "$") -> str | None:
    """The place of the first copy that does not occur in ``text``. ``value`` satisfies the schema."""
    if schema.get(COPY):
        return None if value in text else path
    parts: list[tuple[Any, Mapping[str, Any], str]] = []
    if isinstance(value, dict):
        parts = [(value[k], part, f"{path}.{k}") for k, part in schema.get("properties", {}).items() if k in value]
    elif isinstance(value, list) and "items" in schema:
        parts = [(item, schema["items"], f"{path}[{i}]") for i, item in enumerate(value)]
    found = (_miscopied(part, below, text, place) for part, below, place in parts)
    return next((place for place in found if place is not None), None)


def _violation(value: Any, schema: Mapping[str, Any]) -> str | None:
    """The first violation as place, keyword and the schema's side of it: no words of the answer."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    worst = best_match(Draft202012Validator(dict(schema)).iter_errors(value))
    if worst is None:
        return None
    wanted = json.dumps(worst.validator_value, ensure_ascii=False)
    return f"at {worst.json_path}: {worst.validator} {wanted}"


def _no_constant(name: str) -> Any:
    raise ValueError(f"not JSON: the constant {name}")


@cache
def _repair_wording() -> str:
    return (files("jointcoder.llm") / "data" / "repair.txt").read_text("utf-8")
