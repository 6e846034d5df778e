"""What plans are made of: the components that a search may use, and their options as dials with a few settings each.

    space = Space.of(registry.signatures())
    space["validate"].dials["keep"].settings          (0.0, 0.2, 0.35, 0.5, …)

Every setting lies within the range that the component declares, so whatever is drawn from here is valid. Options that
are no dials (names, limits, branches of the code book) keep their defaults. Knows no workflow and no model.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from jointcoder.records import Kind
from jointcoder.steps import registry
from jointcoder.steps.signatures import Option, Signature

UNIT_SETTINGS = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)  # of shares and probabilities
NEAR = 0.06  # settings nearer to the default than this are left out
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the default, for other numbers
EVERY_KIND = "both"
KINDS = (EVERY_KIND, *(kind.value for kind in Kind))


@dataclass(frozen=True)
class Dial:
    """One option that a search may turn. ``settings`` hold the default; lists are tuples."""

    name: str
    settings: tuple[Any, ...]
    default: Any
    what: str = ""

    def __post_init__(self) -> None:
        if self.default is not None and self.default not in self.settings:
            raise ValueError(f"{self.name}: the default is none of the settings")


@dataclass(frozen=True)
class Part:
    """A component as plans see it. ``per_kind``: it works on one kind of codes at a time (option ``kind``), or on those
    it is given (``kinds``), or on the record as a whole (""). ``forced``: options that every node of it has."""

    name: str
    purpose: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    asks: bool
    per_kind: str = ""
    dials: Mapping[str, Dial] = field(default_factory=dict)
    forced: Mapping[str, Any] = field(default_factory=dict)

    def kinds(self, kind: str) -> list[dict[str, Any]]:
        """The options of the nodes that the component becomes for ``kind``: one node, or one a kind."""
        if self.per_kind == "kind":
            return [{"kind": one} for one in (KINDS[1:] if kind == EVERY_KIND else (kind,))]
        if self.per_kind == "kinds" and kind != EVERY_KIND:
            return [{"kinds": [kind]}]
        return [{}]


class Space(Mapping[str, Part]):
    """The components of a search by name. ``tools``: whether tools may be invented; ``programs``: whether one may be a
    program; ``judged``: the kinds of codes that labels judge, what works on others alone is left as it is."""

    def __init__(
        self,
        parts: Iterable[Part],
        *,
        tools: bool = True,
        programs: bool = False,
        judged: Sequence[Kind] = tuple(Kind),
    ) -> None:
        self._parts = {part.name: part for part in parts}
        self.tools, self.programs, self.judged = tools, programs, tuple(judged)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of codes for which a step may be added."""
        return KINDS if len(self.judged) == len(Kind) else (EVERY_KIND, *(kind.value for kind in self.judged))

    def is_judged(self, options: Mapping[str, Any]) -> bool:
        """Whether labels can tell what becomes of a node with these options."""
        own = [options["kind"]] if "kind" in options else options.get("kinds") or [kind.value for kind in Kind]
        return bool({str(one) for one in own} & {kind.value for kind in self.judged})

    @classmethod
    def of(
        cls,
        signatures: Iterable[Signature],
        *,
        model: bool = True,
        pack: bool = False,
        programs: bool = False,
        judged: Sequence[Kind] = tuple(Kind),
    ) -> Space:
        """The space of these components. Without a ``model`` those that cannot do without one are left out, and dials
        that would ask it; without a ``pack`` what works by one."""
        data = table()
        out = {*data["left_out"], data["program"], data["tool"], *(() if pack else ("learned",))}
        parts = [_part(one, model=model) for one in signatures if one.name not in out]
        fit = (part for part in parts if part is not None)
        return cls(fit, tools=model, programs=programs and model, judged=judged)

    def __getitem__(self, name: str) -> Part:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


@cache
def table() -> dict[str, Any]:
    """``data/space.toml``."""
    return tomllib.loads((files("jointcoder.search") / "data" / "space.toml").read_text("utf-8"))


def settings(option: Option) -> tuple[Any, ...]:
    """The settings of an option within its range, smallest first where they are numbers; none where it is no dial."""
    if option.type == "boolean":
        return (True, False)
    if option.type == "array of string":
        return _lists(option)
    if option.type == "string":
        return option.choices
    if option.type in ("integer", "number") and not option.required:
        return _numbers(option)
    return ()


def shown(value: Any) -> str:
    """A setting as plans write it: JSON, without blanks or quotation marks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace('"', "")


def _part(signature: Signature, *, model: bool) -> Part | None:
    names = {option.name for option in signature.options}
    per_kind = next((name for name in ("kind", "kinds") if name in names), "")
    forced = {} if model else {name: value for name, value in table()["without_model"].items() if name in names}
    if set(signature.required) - {"kind"}:
        return None  # it needs what no plan gives
    if not model:
        kind = {"kind": KINDS[1]} if per_kind == "kind" else {}
        if registry.build(signature.name, {**kind, **forced}).asks:
            return None
    fixed = {"kind", "kinds", *table()["fixed"], *forced, *(() if model else table()["idle_without_model"])}
    dials = {}
    for option in signature.options:
        if option.name not in fixed and len(values := settings(option)) > 1:
            dials[option.name] = Dial(option.name, values, _plain(option.default), option.what)
    asks = signature.asks_model and model
    return Part(signature.name, signature.purpose, signature.reads, signature.writes, asks, per_kind, dials, forced)


def _lists(option: Option) -> tuple[Any, ...]:
    """Besides the default: all items, one fewer, one more; of a default of one item each other one."""
    default, whole = tuple(option.default or ()), option.choices
    found = [default, whole]
    found += [tuple(one for one in default if one != gone) for gone in default]
    found += [(*default, more) for more in whole if more not in default]
    found += [(one,) for one in whole] if len(default) == 1 else []
    kept = (one for one in found if len(one) >= max(1, int(option.minimum or 0)) or one == default)
    return tuple({frozenset(one): one for one in reversed(list(kept))}.values())[::-1]


def _numbers(option: Option) -> tuple[Any, ...]:
    low, high, default = option.minimum, option.maximum, option.default
    if option.type == "number" and low is not None and high is not None and high - low <= 1.01:
        values = {share for share in UNIT_SETTINGS if default is None or abs(share - default) > NEAR} | {high}
    elif default:
        values = {default * factor for factor in FACTORS}
    elif high is not None:
        values = {low or 0, *(2**power for power in range(4))}
    else:
        return ()
    if default is not None:
        values.add(default)
    within = [v for v in values if (low is None or v >= low) and (high is None or v <= high)]
    if option.type == "integer":
        return tuple(sorted({round(value) for value in within}))
    return tuple(sorted({round(float(value), 3) for value in within}))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
