"""What a labelled corpus is, and how one line of a JSON-lines file becomes an encounter with its gold codes.

    file ──► lines() ──► row ──► labelled() ──► Labelled(encounter, gold, unscored, meta) ──► Corpus

A row is ``{"id", "lang", "text" | "sections" | "documents", "codes": [{"system", "code", "primary"?, "spans"?,
"mentions"?, …}]}``; what no field of ours takes is kept in ``meta``. Messages name file, line and field, never
their content: the content is note text. This module knows no corpus by name, and nothing of measures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jointcoder.errors import InputError
from jointcoder.parsing import parse_encounter
from jointcoder.records import Encounter, System

Row = Mapping[str, Any]

# Editions that data sets write as systems of their own.
_SYSTEMS = {system.value: system.value for system in System} | {"ICD-9-CM-3-CN": System.ICD9CM3.value}
_ENCOUNTER_FIELDS = (
    "id",
    "lang",
    "language",
    "text",
    "sections",
    "documents",
    "patient",
    "admitted",
    "discharged",
    "fields",
)


@dataclass(frozen=True, slots=True)
class GoldSpan:
    """Evidence that an annotator marked: from the first to the last character of the mention (``end`` exclusive).

    A discontinuous mention has several ``fragments``; ``quote`` is the mention as published, else the text
    between ``start`` and ``end`` (for CodiEsp: the fragments joined by a blank).
    """

    document: int
    start: int
    end: int
    quote: str
    fragments: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class GoldCode:
    """One label. ``primary``: the principal of its kind. ``only_negated``: all its evidence is negated
    (a heuristic of the data set). ``status``: how the code stands in later lists, as the data set says."""

    system: str
    code: str
    primary: bool = False
    spans: tuple[GoldSpan, ...] = ()
    status: str = ""
    only_negated: bool = False
    name: str = ""

    @property
    def partial(self) -> bool:
        """A procedure code shorter than the seven characters of ICD-10-PCS."""
        return self.system == System.ICD10PCS and len(self.code) < 7


@dataclass(frozen=True, slots=True)
class Labelled:
    """An encounter with its gold codes. ``unscored`` holds labels of systems that we do not code (CPT …)."""

    encounter: Encounter
    gold: tuple[GoldCode, ...]
    unscored: tuple[GoldCode, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Corpus:
    """A loaded file.

    ``systems``: the systems it labels at all; a prediction in another system can be neither right nor wrong.
    ``ordered``: the order of the gold codes means something. ``closed``: labels come from a small closed set,
    so a code outside it is unlabelled rather than wrong. ``slack``: characters by which a predicted span may
    exceed the gold one a side; None asks for exact spans. ``skipped``: rows left out, for want of a text.
    """

    name: str
    path: Path
    items: tuple[Labelled, ...]
    systems: tuple[str, ...] = ()
    ordered: bool = False
    closed: bool = False
    slack: int | None = None
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.items)

    @property
    def codes(self) -> int:
        """Gold codes in all, those of systems we do not code left out."""
        return sum(len(item.gold) for item in self.items)


@dataclass(frozen=True, slots=True)
class Where:
    """A line of a file, for messages."""

    path: Path
    line: int

    def error(self, problem: str, *, code: str = "JC108", hint: str = "") -> InputError:
        return InputError(code, f"{self.path.name}, line {self.line}: {problem}", hint=hint)


def lines(path: Path) -> Iterator[tuple[Where, Row]]:
    """The objects of a JSON-lines file; blank lines are passed over.

    Raises InputError JC107 (cannot be read), JC102 (not UTF-8), JC104 (a line is not a JSON object) or JC101
    (no line at all).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError("JC107", f"{path} cannot be read ({type(error).__name__})") from None
    except UnicodeDecodeError:
        raise InputError("JC102", f"{path.name} is not UTF-8 text", hint="corpora are JSON lines in UTF-8") from None
    empty = True
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines would cut at U+2028 inside strings
        if not line.strip():
            continue
        where = Where(path, number)
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise where.error("not valid JSON", code="JC104", hint="one JSON object a line") from None
        if not isinstance(row, dict):
            raise where.error("not a JSON object", code="JC104", hint="one JSON object a line")
        empty = False
        yield where, row
    if empty:
        raise InputError("JC101", f"{path.name} holds no record")


def labelled(row: Row, where: Where) -> Labelled:
    """One row → encounter and gold codes. Raises InputError JC101, JC103 or JC108 naming file and line."""
    encounter = encounter_of({name: row[name] for name in _ENCOUNTER_FIELDS if name in row}, where)
    codes = gold_codes(row, encounter, where)
    meta = {name: value for name, value in row.items() if name not in _ENCOUNTER_FIELDS and name != "codes"}
    return Labelled(encounter, *apart(codes), meta=meta)


def encounter_of(fields: Row, where: Where) -> Encounter:
    """Parse the encounter's own fields; errors gain file and line."""
    if "id" in fields and (not isinstance(fields["id"], str) or not fields["id"]):
        raise where.error("id must be a string that is not empty")
    try:
        return parse_encounter(fields)
    except InputError as error:
        raise where.error(error.message, code=error.code, hint=error.hint) from None


def gold_codes(row: Row, encounter: Encounter, where: Where, *, document: int = 0) -> tuple[GoldCode, ...]:
    """The row's ``codes``; pairs of offsets point into ``documents[document]``. Raises InputError JC108."""
    entries = row.get("codes")
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise where.error("codes must be a list")
    return tuple(
        _gold_code(entry, encounter, where, f"codes[{i}]", document=document) for i, entry in enumerate(entries)
    )


def apart(codes: Sequence[GoldCode]) -> tuple[tuple[GoldCode, ...], tuple[GoldCode, ...]]:
    """Codes of the systems we code, and the others."""
    ours = tuple(code for code in codes if code.system in _SYSTEMS)
    return ours, tuple(code for code in codes if code.system not in _SYSTEMS)


def systems_of(items: Sequence[Labelled]) -> tuple[str, ...]:
    """The systems that some gold code uses, in the order of :class:`System`."""
    used = {code.system for item in items for code in item.gold}
    return tuple(system.value for system in System if system.value in used)


def checked_limit(limit: int | None) -> int | None:
    """Raises InputError JC108 for a limit below one."""
    if limit is not None and limit < 1:
        raise InputError("JC108", "limit must be 1 or more")
    return limit


def _gold_code(entry: Any, encounter: Encounter, where: Where, place: str, *, document: int) -> GoldCode:
    if not isinstance(entry, dict):
        raise where.error(f"{place} must be an object")
    values: dict[str, Any] = {}
    for name, kind, default in (
        ("system", str, None),
        ("code", str, None),
        ("primary", bool, False),
        ("only_negated_heur", bool, False),
        ("status", str, ""),
        ("name", str, ""),
    ):
        value = entry.get(name, default)
        if not isinstance(value, kind) or (default is None and not str(value).strip()):
            raise where.error(f"{place}.{name} must be a {'true or false' if kind is bool else 'string'}")
        values[name] = value
    values["only_negated"] = values.pop("only_negated_heur")
    values["system"] = _SYSTEMS.get(values["system"].strip(), values["system"].strip())
    values["code"] = values["code"].strip()
    return GoldCode(**values, spans=_spans(entry, encounter, where, place, document))


def _spans(entry: Row, encounter: Encounter, where: Where, place: str, document: int) -> tuple[GoldSpan, ...]:
    mentions = entry.get("mentions")
    if mentions is not None and not isinstance(mentions, list):
        raise where.error(f"{place}.mentions must be a list")
    if mentions and all(isinstance(mention, dict) and "fragments" in mention for mention in mentions):
        return tuple(
            _span(mention["fragments"], encounter, where, f"{place}.mentions[{i}]", document, mention.get("quote"))
            for i, mention in enumerate(mentions)
        )
    spans = entry.get("spans")
    if spans is None:
        return ()
    if not isinstance(spans, list):
        raise where.error(f"{place}.spans must be a list")
    found = []
    for i, span in enumerate(spans):
        pointed, pair = document, span
        if isinstance(span, dict):
            pointed, pair = span.get("document", document), [span.get("start"), span.get("end")]
        elif isinstance(span, list) and len(span) == 3:
            pointed, pair = span[0], span[1:]
        found.append(_span([pair], encounter, where, f"{place}.spans[{i}]", pointed, None))
    return tuple(found)


def _span(fragments: Any, encounter: Encounter, where: Where, place: str, document: Any, quote: Any) -> GoldSpan:
    if type(document) is not int or not 0 <= document < len(encounter.documents):
        raise where.error(f"{place} points to a document that is not there")
    text = encounter.documents[document].text
    pairs: list[tuple[int, int]] = []
    for pair in fragments if isinstance(fragments, list) and fragments else [None]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(value) is int for value in pair)):
            raise where.error(f"{place} must hold pairs of offsets [start, end]")
        if not 0 <= pair[0] < pair[1] <= len(text):
            raise where.error(f"{place} lies outside the text")
        pairs.append((pair[0], pair[1]))
    start, end = min(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
    words = quote if isinstance(quote, str) else text[start:end]
    return GoldSpan(document, start, end, words, tuple(pairs))
