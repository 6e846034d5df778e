"""A complication without the type of its disease becomes one of the type that the record names.

    2型糖尿病, 糖尿病性周围神经病     E11.900, E14.400x023+G63.2*  →  E11.401+G63.2*
    冠心病, 支架植入术后              I25.103, Z95.800x004         →  Z95.501

Part of *code_also*. Rules are data (``data/<language>/typed.toml``); the new entry is the one of the typed category
that bears the same name with the type in it, so that a pair of dagger and asterisk stays a pair. The disease itself,
coded without complications, gives way in *reconcile*. Likewise what a wording leaves open and its neighbours tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jointcoder.records import AssignedCode, Finding, Severity
from jointcoder.steps.common import has_data, step_data
from jointcoder.text.fit import same

if TYPE_CHECKING:
    from jointcoder.codebook.model import Entry
    from jointcoder.steps.base import Tools

STAGE = "code_also"


def typed(codes: Sequence[AssignedCode], tools: Tools, language: str) -> list[AssignedCode]:
    """The codes, untyped complications replaced where the record names one type and the book has them of it."""
    if not has_data(f"{language}/typed"):
        return list(codes)
    table = step_data(f"{language}/typed")
    result = [_in_context(code, codes, table["context"], tools, language) for code in codes]
    for row in table["row"]:
        known = [(code, word) for category, word in row["types"] for code in result if code.code.startswith(category)]
        if len({word for _, word in known}) != 1:
            continue
        (typing, word), *_ = known
        for place, code in enumerate(result):
            if code.system == row["system"] and code.code.startswith(tuple(row["from"])):
                entry = _entry(code, row["word"], word, typing.code[:3], tools, language)
                result[place] = _changed(code, entry, row["citation"]) if entry else code
    return result


def _in_context(
    code: AssignedCode, codes: Sequence[AssignedCode], rows: Sequence[Mapping[str, Any]], tools: Tools, language: str
) -> AssignedCode:
    """The code, or the one that its wording means in this record."""
    for row in rows:
        if code.system != row["system"] or not code.code.startswith(tuple(row["from"])) or code.name != row["name"]:
            continue
        others = [other.code for other in codes if other is not code]
        told = any(other.startswith(tuple(row["beside"])) for other in others)
        if told and not any(other.startswith(tuple(row["unless"])) for other in others):
            below = tools.book.completions(code.system, row["within"])
            entry = next((one for one in below if same(row["becomes"], one.name, language)), None)
            return _changed(code, entry, row["citation"]) if entry else code
    return code


def _entry(code: AssignedCode, word: str, typed_word: str, category: str, tools: Tools, language: str) -> Entry | None:
    """The entry of the category whose name is that of ``code`` with its type."""
    name = tools.book.name(code.system, code.code, language) or code.name
    if word not in name:
        return None
    wanted = name.replace(word, typed_word, 1)
    below = tools.book.completions(code.system, category)
    exact = [entry for entry in below if entry.name == wanted]
    return next(iter(exact or [entry for entry in below if same(wanted, entry.name, language)]), None)


def _changed(code: AssignedCode, entry: Entry, citation: str) -> AssignedCode:
    finding = Finding(
        rule="code_also.typed",
        severity=Severity.ADVICE,
        codes=(code.code, entry.code),
        message=citation,
        citation=citation,
    )
    return code.with_(
        code=entry.code,
        name=entry.name,
        checks=(*code.checks, finding),
        stages=(*code.stages, STAGE),
    )
