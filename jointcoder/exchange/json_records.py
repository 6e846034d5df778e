"""Encounters in JSON: one object, a list of them, or JSON lines (UTF-8 or what else the decoder knows); an object that
is a FHIR resource goes to :mod:`jointcoder.exchange.fhir`.

A record is what :func:`jointcoder.parsing.parse_encounter` reads, and may carry ``codes``. One that does is labelled
data: what else it holds (its source, a remark) is administrative where it is a word or a number, and left aside where
it is more. Lines stream; a broken one is an error of its own. A list is read whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jointcoder.errors import InputError
from jointcoder.exchange.coded import from_json
from jointcoder.exchange.fhir import is_resource, read_resources
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.rows import Seen
from jointcoder.exchange.source import Source, torn
from jointcoder.parsing import parse_encounter
from jointcoder.records import Encounter, Flag

_KNOWN = {*Encounter.model_fields, "text", "lang", "sections"}


def read_lines(source: Source, known: Seen | None = None) -> Iterator[Incoming]:
    """JSON lines; ``known``: ids that came before. Errors of a line are JC104, JC106 and those of :func:`record`.
    InputError for the whole file as :meth:`Source.lines` raises it, and JC101 for one without any record."""
    seen, empty = Seen() if known is None else known, True
    _, notes = source.encoding
    with source.lines(newline="\n") as lines:  # other separators may stand inside strings
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            empty = False
            place = Place(source.name, line=number)
            if torn(line):
                yield failed(place, place.error("JC106", "characters that the file's encoding does not have"))
                continue
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                yield failed(place, place.error("JC104", "not valid JSON", hint="one JSON object a line"))
                continue
            yield record(data, place, seen, notes)
    if empty:
        raise InputError("JC101", f"{source.name} holds no record")


def whole(text: str, name: str, flags: tuple[Flag, ...]) -> Iterator[Incoming]:
    """The records of a JSON text. InputError JC104, JC101 for an empty list, or what FHIR resources raise."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"{name}: line {error.lineno}, column {error.colno}: {error.msg}"
        raise InputError("JC104", problem) from None
    except RecursionError:
        raise InputError("JC104", f"{name}: nested too deeply") from None
    if is_resource(data):
        yield from read_resources(data, name=name, flags=flags)
        return
    if not isinstance(data, list):
        yield record(data, Place(name), Seen(), flags)
        return
    if not data:
        raise InputError("JC101", f"{name} holds no record")
    seen = Seen()
    for number, one in enumerate(data, start=1):
        yield record(one, Place(name, record=number), seen, flags)


def record(data: Any, place: Place, seen: Seen, flags: tuple[Flag, ...]) -> Incoming:
    """One object → encounter, or an error: JC104 (no object), JC123 (an id that came before) or as
    :func:`parse_encounter` raises."""
    if not isinstance(data, dict):
        return failed(place, place.error("JC104", "an encounter is a JSON object"))
    fields = dict(data)
    labelled, given = "codes" in fields, fields.pop("codes", None)
    if labelled:
        fields = _labelled(fields)
    id = fields.get("id")
    id = id if isinstance(id, str) else ""
    try:
        encounter = parse_encounter(fields)
    except InputError as error:
        return failed(place, place.of(error), id=id)
    if id and (before := seen.before(id, place)):
        return failed(place, place.error("JC123", f"the same id as in {before}"), id=id)
    codes, unread = from_json(given, place)
    return Incoming(place, id=encounter.id, encounter=encounter, flags=(*flags, *unread), codes=codes)


def _labelled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the encounter; other words and numbers are administrative."""
    own = {name: value for name, value in fields.items() if name in _KNOWN}
    others = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if name not in _KNOWN and isinstance(value, (str, int, float, bool))
    }
    if others and isinstance(own.get("fields", {}), dict):
        own["fields"] = {**others, **own.get("fields", {})}
    return own
