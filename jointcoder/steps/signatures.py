"""What a component is, in a form that programs read: its purpose, slots and options, with types, ranges and defaults.

    for signature in registry.signatures():
        signature.as_dict()                  # ready for ``json.dumps``, for a prompt or a grammar

A plan that is made by a program (a search, a mutation) picks a component by ``name`` and gives it options within the
bounds stated here; ``reads`` and ``writes`` say what may come before and after it. They are those of the default
options, over all kinds of codes; :func:`jointcoder.steps.registry.build` gives those of particular options, and
:func:`jointcoder.workflow.check.plan` is the judge of a whole plan. What an option means is read off the docstring of
the ``Options`` class, so that this listing and the code cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from jointcoder.records import Kind
from jointcoder.steps.base import Step, StepOptions

_HEAD = re.compile(r"(?:^|(?<=[;.] ))(``\w+``(?:(?:, | and )``\w+``)*):? ")  # ``a`` and ``b``: what they mean
_NAME = re.compile(r"``(\w+)")
_BOUNDS = {
    **{"minimum": "minimum", "minLength": "minimum", "minItems": "minimum"},
    **{"maximum": "maximum", "maxLength": "maximum", "maxItems": "maximum"},
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option. ``type``: boolean, integer, number, string, or array of one of them; ``choices``: the values (of an
    array its items) that are taken, none: any; ``minimum`` and ``maximum``: of a number, both inclusive, of a string or
    array the length; ``nullable``: whether None is taken; ``default``: None where ``required``."""

    name: str
    type: str
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    required: bool = False
    default: Any = None
    what: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """One component. ``asks_model``: whether it asks the model with its default options; ``required``: names of options
    without a default; ``aliases``: further names under which a plan may use it."""

    name: str
    purpose: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    asks_model: bool
    options: tuple[Option, ...]
    aliases: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(option.name for option in self.options if option.required)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; what does not apply to an option is left out."""
        options = [
            {k: v for k, v in asdict(one).items() if v is not None and v is not False and v not in ("", ())}
            for one in self.options
        ]
        for one, shown in zip(self.options, options, strict=True):
            shown |= {} if one.required else {"default": one.default}
        return {**asdict(self), "options": options}


def describe(step: type[Step], *, name: str = "", aliases: tuple[str, ...] = ()) -> Signature:
    """The signature of a step class; ``name``: under which it is registered."""
    options = tuple(_options(step.Options))
    built = [step(step.Options(**given)) for given in _least(step.Options, options)]
    return Signature(
        name=name or step.name,
        purpose=step.purpose,
        reads=tuple(sorted(frozenset().union(*(one.reads for one in built)) - {"encounter"})),
        writes=tuple(sorted(frozenset().union(*(one.writes for one in built)))),
        asks_model=any(one.asks for one in built),
        options=options,
        aliases=aliases,
    )


def _least(model: type[StepOptions], options: tuple[Option, ...]) -> Iterator[dict[str, Any]]:
    """The options that must be given: one set for each kind of codes, where a kind must be."""
    given = {one.name: _some(one) for one in options if one.required}
    for kind in Kind if "kind" in given else (None,):
        chosen = {**given, **({"kind": kind} if kind else {})}
        texts = {one.name: "x" for one in options if one.type == "string" and not one.choices}
        for tried in (chosen, {**texts, **chosen}):  # some options go together with a text
            try:
                model(**tried)
            except ValidationError:
                continue
            yield tried
            break


def _some(option: Option) -> Any:
    """A value that the option takes."""
    plain = {"boolean": False, "integer": 0, "number": 0.0, "string": "x" * int(option.minimum or 1)}
    if option.choices:
        return (option.choices[0],) if option.type.startswith("array") else option.choices[0]
    return plain.get(option.type, ())


def _options(model: type[StepOptions]) -> Iterator[Option]:
    schema = model.model_json_schema()
    said = _meanings(model)
    required = schema.get("required", ())
    for name, raw in schema.get("properties", {}).items():
        part = _resolved(raw, schema.get("$defs", {}))
        forms = part.get("anyOf", [part])
        form = next(one for one in forms if one.get("type") != "null")
        items = _resolved(form["items"], schema.get("$defs", {})) if isinstance(form.get("items"), dict) else form
        if "prefixItems" in form:  # a pair
            items = _resolved(form["prefixItems"][0], schema.get("$defs", {}))
        kind = form.get("type", "string")
        yield Option(
            name=name,
            type=f"array of {items.get('type', 'string')}" if kind == "array" else kind,
            choices=tuple(items.get("enum", ()) or ([items["const"]] if "const" in items else [])),
            **_bounds(form),
            nullable=len(forms) > 1,
            required=name in required,
            default=_plain(raw.get("default")),
            what=said.get(name, ""),
        )


def _bounds(form: Mapping[str, Any]) -> dict[str, Any]:
    return {target: form[key] for key, target in _BOUNDS.items() if key in form}


def _resolved(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = part.get("$ref") or next((one["$ref"] for one in part.get("allOf", ()) if "$ref" in one), "")
    return definitions[reference.rpartition("/")[2]] if reference else part


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def _meanings(model: type[StepOptions]) -> dict[str, str]:
    """Option → what its class's docstring (else that of a base class) says after the option's name in double
    backquotes; for the few that every step shares, the table of this package."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        text = " ".join((one.__dict__.get("__doc__") or "").split())
        heads = list(_HEAD.finditer(text))
        for place, head in enumerate(heads):
            end = heads[place + 1].start() if place + 1 < len(heads) else len(text)
            said = text[head.end() : end].replace("``", "").strip(" .;,")
            named = _NAME.findall(head.group(1))
            told = [name for name in _NAME.findall(text[head.end() : end]) if name not in found]
            found |= dict.fromkeys((name for name in (*told, *named) if name in model.model_fields and said), said)
    return {**_common(), **found}


@cache
def _common() -> dict[str, str]:
    import tomllib

    table = tomllib.loads((files("jointcoder.steps") / "data" / "options.toml").read_text("utf-8"))
    return dict(table["options"])
