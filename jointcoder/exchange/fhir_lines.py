"""FHIR resources as JSON lines (bulk export, ``application/fhir+ndjson``) → encounters, one by one.

The resources of a stay may stand anywhere in the file, so it is read twice: once to note of every line what it is and
whose, then a stay at a time, its lines alone. Memory grows with the number of lines, not with their length. A line that
is a Bundle is a record of its own. Broken lines are errors with their number; the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from jointcoder.errors import InputError
from jointcoder.exchange.fhir_element import Pool, Resource, is_resource
from jointcoder.exchange.fhir_read import incoming, of_stay, stays
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.rows import Seen
from jointcoder.exchange.source import Source

_HOLDERS = ("Bundle", "Parameters")
_NOTED = {  # what of a resource tells whose it is; the rest stays in the file
    "Encounter": ("id", "partOf", "subject", "identifier"),
    "Patient": ("id", "identifier"),
    "Binary": ("id",),
}
_ROWS = ("diagnosis", "procedure", "item")  # of a Claim: what it claims tells whose it is
_OTHERS = ("id", "encounter", "context", "subject", "patient", "status", "docStatus", "code", *_ROWS)
_READ = ("Composition", "DocumentReference", "DiagnosticReport", "Observation", "Condition", "Procedure", "Claim")


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    start: int
    size: int


def begins(first: str) -> bool:
    """Whether the first line of a file of JSON lines is a FHIR resource."""
    if '"resourceType"' not in first:
        return False
    try:
        return is_resource(json.loads(first))
    except (ValueError, RecursionError):
        return False


def read_lines(source: Source) -> Iterator[Incoming]:
    """The encounters of the file. Errors: JC104 (a line is no JSON), JC160 to JC164; InputError JC101 for a file
    without any line, JC107."""
    seen = Seen()
    with source.open() as file:
        known: dict[str, _Line] = {}
        pool = Pool()
        empty = True
        for line, data in _lines(file):
            empty = False
            place = Place(source.name, line=line.number)
            if data is None:
                yield failed(place, place.error("JC104", "not valid JSON", hint="one FHIR resource a line"))
                continue
            try:
                given = Pool.of(data)
                if data["resourceType"] in _HOLDERS:
                    for one in incoming(given, place):
                        yield _once(one, seen)
                    continue
                brief = _checked(_brief(data, f"line {line.number}: {data['resourceType']}"))
            except InputError as error:
                yield failed(place, place.of(error))
                continue
            known[brief.path] = line
            pool.add(brief)
        if empty:
            raise InputError("JC101", f"{source.name} holds no record")
        if pool.resources:
            for one in _stays(file, pool, known, Place(source.name)):
                yield _once(one, seen)


def _stays(file: IO[bytes], pool: Pool, known: dict[str, _Line], place: Place) -> Iterator[Incoming]:
    """The stays of the lines that were noted, each read whole when its turn comes."""
    found = stays(pool)
    if not found:
        yield failed(place, place.error("JC162", "no resource that holds a document"))
        return
    binaries = {one.reference: one for one in pool.of_type("Binary")}
    for number, stay in enumerate(found, start=1):
        at = Place(place.file, record=number)
        whole = Pool()

        def again(brief: Resource, whole: Pool = whole) -> Resource:
            resource = _whole(file, brief, known)
            whole.add(resource)
            return resource

        stay.encounter = again(stay.encounter) if stay.encounter is not None else None
        stay.patient = again(stay.patient) if stay.patient is not None else None
        stay.documents = [again(one) for one in stay.documents]
        stay.others = [again(one) for one in stay.others]
        for url in {url for one in stay.documents for url in _urls(one)}:
            if (binary := pool.find(url)) is not None and binary.reference in binaries:
                again(binary)
        yield of_stay(stay, whole, at)


def _lines(file: IO[bytes]) -> Iterator[tuple[_Line, Any]]:
    """Every line that is not blank, where it stands, and its object (None: it is none)."""
    start = 0
    for number, raw in enumerate(file, start=1):
        if raw.strip():
            try:
                data = json.loads(raw.decode("utf-8-sig"))
            except (ValueError, RecursionError):
                data = None
            yield _Line(number, start, len(raw)), data if isinstance(data, dict) else None
        start += len(raw)


def _brief(data: dict[str, Any], path: str) -> Resource:
    """A resource with what tells whose it is."""
    type = data["resourceType"]
    names = _NOTED.get(type, _OTHERS if type in _READ else ("id",))
    kept = {name: data[name] for name in names if name in data}
    if type != "Claim":
        kept = {name: value for name, value in kept.items() if name not in _ROWS}
    return Resource({"resourceType": type, **kept}, path, type, "")


def _checked(brief: Resource) -> Resource:
    """The resource, if what tells whose it is can be read: a broken one must not cost the others. InputError JC161."""
    alone = Pool()
    alone.add(brief)
    stays(alone)
    return brief


def _whole(file: IO[bytes], brief: Resource, known: dict[str, _Line]) -> Resource:
    line = known[brief.path]
    file.seek(line.start)
    data = json.loads(file.read(line.size).decode("utf-8-sig"))
    return Resource(data, brief.path, brief.type, "")


def _urls(resource: Resource) -> Iterator[str]:
    """The URLs of a resource's attachments; what is malformed is said when the stay is read."""
    try:
        holders = [one.child("attachment") for one in resource.children("content")]
        holders += resource.children("presentedForm")
        yield from filter(None, (one.text("url") for one in holders))
    except InputError:
        return


def _once(one: Incoming, seen: Seen) -> Incoming:
    """An error instead of an encounter whose id came before."""
    if one.encounter is not None and one.id and (before := seen.before(one.id, one.place)):
        return failed(one.place, one.place.error("JC123", f"the same id as in {before}"), id=one.id)
    return one
