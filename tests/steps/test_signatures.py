"""What components declare is what they take: every signature can be built from, and its bounds are those that hold."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from jointcoder.errors import WorkflowError
from jointcoder.records import Kind
from jointcoder.steps import registry
from jointcoder.steps.base import SLOTS
from jointcoder.steps.signatures import Option, Signature

OWN = {signature.name: signature for signature in registry.signatures() if signature.name in registry.BUILT_IN}


def options_of(signature: Signature, **more: Any) -> dict[str, Any]:
    """Options with which the component can be built."""
    given: dict[str, Any] = {"kind": Kind.DIAGNOSIS} if "kind" in signature.required else {}
    return given | ({"role": "coder"} if signature.name == "llm" else {}) | more


@pytest.mark.parametrize("name", list(registry.BUILT_IN))
def test_every_component_says_what_it_is(name: str) -> None:
    signature = OWN[name]
    assert signature.purpose
    assert set(signature.reads) | set(signature.writes) <= SLOTS
    assert [option.name for option in signature.options if not option.what] == []
    step = registry.build(name, options_of(signature))
    assert step.name == name
    assert set(signature.reads) >= step.reads - {"encounter"}
    assert set(signature.writes) >= step.writes
    json.dumps(signature.as_dict())


def outside(option: Option) -> list[Any]:
    """Values that the signature rules out."""
    numbers = option.type in ("integer", "number")
    below = [option.minimum - 1] if numbers and option.minimum is not None else []
    above = [option.maximum + 1] if numbers and option.maximum is not None else []
    other = ["nosuch"] if option.choices and option.type == "string" else []
    items = [["nosuch"]] if option.choices and option.type.startswith("array") else []
    return [*below, *above, *other, *items]


@pytest.mark.parametrize("name", list(registry.BUILT_IN))
def test_bounds_are_those_that_hold(name: str) -> None:
    signature = OWN[name]
    for option in signature.options:
        for value in outside(option):
            with pytest.raises(WorkflowError) as error:
                registry.build(name, options_of(signature, **{option.name: value}))
            assert (error.value.code, option.name in error.value.message) == ("JC407", True), (name, option, value)
        for value in (option.minimum, option.maximum) if option.type in ("integer", "number") else ():
            if value is not None:
                number = int(value) if option.type == "integer" else value
                registry.build(name, options_of(signature, **{option.name: number}))
        for value in option.choices if option.type == "string" else ():
            registry.build(name, options_of(signature, **{option.name: value}))


def test_defaults_are_those_that_hold() -> None:
    for name, signature in OWN.items():
        given = options_of(signature)
        plain = registry.build(name, given).options
        stated = {o.name: o.default for o in signature.options if not o.required and o.name not in given}
        assert registry.build(name, given | stated).options == plain, name


def test_options_are_explained_by_their_class() -> None:
    by_name = {option.name: option for option in OWN["vote"].options}
    assert by_name["least"] == Option(
        "least", "number", minimum=0, maximum=1, default=0.5, what="the share of readings from which a code is kept"
    )
    assert by_name["kinds"].choices == ("diagnosis", "procedure")
    assert OWN["vote"].as_dict()["options"][2] == {
        "name": "least",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.5,
        "what": "the share of readings from which a code is kept",
    }
    nullable = next(option for option in OWN["validate"].options if option.name == "sentences")
    assert (nullable.type, nullable.nullable, nullable.default) == ("integer", True, None)


def test_who_asks() -> None:
    assert OWN["judge"].asks_model
    assert not OWN["vote"].asks_model
    assert not registry.build("select", {"ask_model": False}).asks


def test_aliases_are_other_names_of_the_same() -> None:
    assert registry.component("reconciler") is registry.component("reconcile")
    assert {"reconciler", "Reconciler"} == set(OWN["reconcile"].aliases)
    assert registry.build("TabularIndexSearch", {"k": 3}).name == "tabular_index_search"
    assert not set(registry.ALIASES) & set(registry.component_names())


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(WorkflowError) as error:
        registry.build("nosuch", {})
    assert error.value.code == "JC401"
    assert "debate" in error.value.hint


@pytest.mark.parametrize(
    ("value", "part"),
    [("jointcoder.nowhere:Thing", "cannot be loaded"), ("jointcoder.steps.base:State", "is not a step")],
)
def test_a_plug_in_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, value: str, part: str) -> None:
    point = EntryPoint("odd", value, "jointcoder.steps")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert "odd" in registry.component_names()
    with pytest.raises(WorkflowError) as error:
        registry.component("odd")
    assert error.value.code == "JC401"
    assert part in error.value.message


def test_a_plug_in_is_listed_and_built(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("tally", "jointcoder.steps.vote:Vote", "jointcoder.steps")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    (plugged,) = [signature for signature in registry.signatures() if signature.name not in registry.BUILT_IN]
    assert (plugged.name, plugged.writes) == ("tally", ("diagnoses", "procedures"))
    assert registry.build("tally", {"least": 0.2}).options.least == 0.2  # type: ignore[attr-defined]
