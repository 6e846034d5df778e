"""The hierarchy tools as a listing: name, purpose and signature as JSON, and the call behind each.

What may be shown to a model that designs a workflow or walks the hierarchy itself. Arguments and results are JSON
values; purposes, parameters and results are read off the methods of :class:`Taxonomy`, so that the listing cannot
differ from what is called. Where a book holds several systems, the ``system`` of a call is, unless named, the first
one that knows all its codes. This module knows nothing of workflows or models.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jointcoder.codebook.taxonomy import Taxonomy, load_taxonomy
from jointcoder.errors import UsageError, name_list
from jointcoder.records import System

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook

NAMES = (
    "load_taxonomy",
    "get_parent",
    "get_children",
    "get_ancestors",
    "get_descendants",
    "is_ancestor",
    "is_descendant",
    "get_nearest_common_ancestor",
    "is_leaf",
    "is_valid_code",
    "code_to_text",
    "text_to_codes",
)
PCS_NAMES = ("pcs_next", "pcs_complete")

_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "dt.date": {"type": "string", "format": "date"},
    "list[str]": {"type": "array", "items": {"type": "string"}},
}
_CODES = ("code", "a", "b")  # the parameters that hold a code
_MEANINGS = {
    "code": "a code or range, with or without its dot",
    "a": "a code or range, with or without its dot",
    "b": "a code or range, with or without its dot",
    "text": "a name or wording, as printed",
    "lang": "language of the words: en, zh, es",
    "on": "a day; then the code must be assignable on it",
    "prioritize_blocks": "whether a category that is a block of its own means the block",
    "prioritize_blocks_a": "the same for a",
    "prioritize_blocks_b": "the same for b",
    "prefix": "the characters known, from the left; none to six",
    "axes": "axis title or position → character or label; or a pattern of a code, 0FT4?ZZ",
    "system": "the code system; by default the first of the book that knows the codes",
}


@dataclass(frozen=True)
class Tool:
    """One tool: ``parameters`` and ``returns`` are JSON schemas; ``call`` takes the parameters by name."""

    name: str
    purpose: str
    parameters: Mapping[str, Any]
    returns: Mapping[str, Any]
    call: Callable[..., Any]

    def signature(self) -> dict[str, Any]:
        """All but the call, ready for ``json.dumps``."""
        return {
            "name": self.name,
            "purpose": self.purpose,
            "parameters": dict(self.parameters),
            "returns": dict(self.returns),
        }

    def use(self, arguments: Mapping[str, Any]) -> Any:
        """The result for arguments from outside, checked against the signature. UsageError JC001 where they do not
        fit, CodeBookError JC501 for an unknown code."""
        from jsonschema import Draft202012Validator

        error = next(iter(Draft202012Validator(self.parameters).iter_errors(dict(arguments))), None)
        if error is not None:
            place = "".join(f" {part}" for part in error.absolute_path)
            raise UsageError(
                "JC001",
                f"{self.name}: argument{place} does not fit ({error.validator})",
                hint=f"parameters of {self.name}: {name_list(self.parameters['properties'])}",
            )
        return self.call(**arguments)


def tools(book: CodeBook) -> Mapping[str, Tool]:
    """The tools over ``book`` by name: the twelve of the hierarchy, and those of ICD-10-PCS where the book holds it."""
    found = {name: _tool(book, name) for name in NAMES}
    if System.ICD10PCS in book.info.systems:
        found |= _pcs_tools(book)
    return MappingProxyType(found)


def _tool(book: CodeBook, name: str) -> Tool:
    function = _facts if name == "load_taxonomy" else getattr(Taxonomy, name)
    purpose, parameters, returns = _described(function, {"system": {"enum": list(book.info.systems)}})
    if name == "load_taxonomy":
        return Tool(name, purpose, parameters, {"type": "object"}, lambda system=None: _facts(book, system))

    def call(*, system: str | None = None, **arguments: Any) -> Any:
        if arguments.get("on"):
            arguments["on"] = _day(name, arguments["on"])
        codes = [arguments[parameter] for parameter in _CODES if parameter in arguments]
        return getattr(_taxonomy(book, system, codes, str(arguments.get("text", ""))), name)(**arguments)

    return Tool(name, purpose, parameters, returns, call)


def _taxonomy(book: CodeBook, system: str | None, codes: Sequence[str], text: str) -> Taxonomy:
    """That of the system named; else the first that knows all the codes, or the wording; else the book's first."""
    if system:
        return Taxonomy(book, System(system))
    held = [Taxonomy(book, one) for one in book.info.systems]
    if codes:
        return next((one for one in held if all(one.node(code) is not None for code in codes)), held[0])
    return next((one for one in held if text and one.text_to_codes(text)), held[0])


def _facts(book: CodeBook, system: str | None) -> dict[str, Any]:
    """What the book holds: its edition, and for each code system the number of entries and of assignable codes."""
    held = {one: load_taxonomy(book, one).tree for one in ([System(system)] if system else book.info.systems)}
    systems = {one.value: {"entries": len(tree), "assignable": sum(tree.billable)} for one, tree in held.items()}
    return {"book": book.info.id, "edition": book.info.edition, "systems": systems}


def _described(function: Callable[..., Any], more: Mapping[str, Any]) -> tuple[str, dict[str, Any], Mapping[str, Any]]:
    """Purpose (the docstring's first sentence), parameters and result of a function."""
    purpose = " ".join((inspect.getdoc(function) or "").split()).partition(". ")[0].rstrip(".").replace("``", "")
    signature = inspect.signature(function)
    properties: dict[str, Any] = {}
    required = []
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "book", "system"):
            continue
        properties[parameter.name] = _schema(parameter.annotation, _MEANINGS.get(parameter.name, ""))
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
    for name, schema in more.items():
        properties[name] = {"type": "string", **schema, "description": _MEANINGS[name]}
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return purpose, parameters, _schema(signature.return_annotation, "")


def _schema(annotation: str, meaning: str) -> dict[str, Any]:
    """The JSON schema of an annotation as written in the source; anything unknown is left open."""
    plain = str(annotation).removesuffix(" | None")
    schema = _SCHEMAS.get(plain, {})
    if not schema and plain.startswith("Mapping"):
        schema = {"type": ["object", "string"] if plain.endswith("| str") else "object"}
    if not schema and plain.startswith(("Sequence", "list", "tuple")):
        schema = {"type": "array"}
    return {**schema, "description": meaning} if meaning else dict(schema)


def _day(name: str, text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError("JC001", f"{name}: argument on is no date", hint="write it as 2026-03-31") from None


def _pcs_tools(book: CodeBook) -> dict[str, Tool]:
    from jointcoder.codebook.pcs import Pcs

    axes = Pcs(book)
    found = {}
    for name in PCS_NAMES:
        method = getattr(axes, name)
        purpose, parameters, returns = _described(method, {})

        def call(method: Callable[..., Any] = method, **arguments: Any) -> Any:
            return _plain(method(**arguments))

        found[name] = Tool(name, purpose, parameters, returns, call)
    return found


def _plain(value: Any) -> Any:
    """As JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    return value
