"""FHIR resources → encounters: the documents of each stay with its patient, its dates and the codes it came with.

    Bundle, Parameters, or one resource  →  Pool  →  stays()  →  incoming()  →  Incoming, one an encounter

A stay is an Encounter; one that is ``partOf`` another belongs to that. Its documents are the Compositions (a document a
section, as from the fields of a record), DocumentReferences, DiagnosticReports and Observations of words that refer to
it. A resource that names no Encounter goes to the only one of its patient; where there is none, a patient's resources
make one stay. Results that are numbers are not read, nor is what was entered in error, superseded or cancelled. The
same text coming twice (a report, and the document that carries it) counts once.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jointcoder.errors import InputError
from jointcoder.exchange.attached import narrative
from jointcoder.exchange.fhir_codes import came_with
from jointcoder.exchange.fhir_element import Element, Pool, Resource, plain
from jointcoder.exchange.fhir_terms import AGE, DOCUMENT, ENCOUNTER, ENCOUNTER_FIELD, LOINC, PATIENT_FIELD
from jointcoder.exchange.fhir_text import read_attachment
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.values import age_on
from jointcoder.records import Document, Encounter, Flag, Patient

DOCUMENTS = ("Composition", "DocumentReference", "DiagnosticReport", "Observation")
_VOID = ("entered-in-error", "superseded", "cancelled")
_SEXES = {"female": "female", "male": "male", "other": "unknown", "unknown": "unknown"}
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T.*)?)?)?")
_AGES = {"a": 1.0, "mo": 1 / 12, "wk": 7 / 365.25, "d": 1 / 365.25, "h": 1 / 8766}
_DEEPEST = 8  # sections within sections, stays within stays


@dataclass
class Stay:
    """The resources of one encounter. ``name``: the reference under which its resources know it, or that of their
    patient; ``encounter`` and ``patient`` where they are among what came."""

    name: str
    encounter: Resource | None = None
    patient: Resource | None = None
    documents: list[Resource] = field(default_factory=list)
    others: list[Resource] = field(default_factory=list)


def stays(pool: Pool) -> list[Stay]:
    """The stays in the order in which their first resource comes. InputError JC161."""
    found: dict[str, Stay] = {}
    homeless: list[Resource] = []
    for resource in pool.resources:
        if resource.type == "Encounter":
            root = _root(pool, resource)
            stay = found.setdefault(_name(root), Stay(_name(root)))
            stay.encounter = root
        elif resource.type == "Claim":
            homeless.append(resource)
        elif resource.type in (*DOCUMENTS, "Condition", "Procedure"):
            name = _stay_named(pool, resource)
            if not name:
                homeless.append(resource)
                continue
            _put(resource, found.setdefault(name, Stay(name)))
    for stay in found.values():
        stay.patient = _patient(pool, stay)
    for resource in homeless:
        _put(resource, _home(pool, resource, found))
    return [stay for stay in found.values() if stay.documents or stay.encounter is not None]


def incoming(pool: Pool, place: Place, notes: tuple[Flag, ...] = ()) -> Iterator[Incoming]:
    """One :class:`Incoming` a stay. InputError JC162 where nothing there holds text, JC161."""
    found = stays(pool)
    if not found:
        hint = "DocumentReference, Composition, DiagnosticReport and Observation are read"
        raise InputError("JC162", "no resource that holds a document", hint=hint)
    for number, stay in enumerate(found, start=1):
        at = place if len(found) == 1 else Place(place.file, line=place.line, record=number)
        yield of_stay(stay, pool, at, notes)


def of_stay(stay: Stay, pool: Pool, place: Place, notes: tuple[Flag, ...] = ()) -> Incoming:
    """The encounter of a stay. Errors: JC162 without text, else those of the document that could not be read."""
    flags: list[Flag] = list(notes)
    problems: list[InputError] = []
    documents: list[Document] = []
    id = _id(stay)
    try:
        for resource in stay.documents:
            for one in _documents(resource, pool, flags, problems):
                if all(one.text != before.text for before in documents):
                    documents.append(one)
        if not documents:
            raise problems[0] if problems else InputError("JC162", "the encounter has no document with text")
        flags += [place.flag(problem.code, f"{problem.message}; left out") for problem in problems]
        encounter = _encounter(stay, pool, id, documents, flags, place)
        codes = came_with(stay.encounter, stay.others, pool)
    except InputError as error:
        return failed(place, place.of(error), id=id)
    return Incoming(place, id=encounter.id, encounter=encounter, flags=tuple(flags), codes=codes)


# ------------------------------------------------------------------------------------------------------ what is whose


def _root(pool: Pool, encounter: Resource) -> Resource:
    for _ in range(_DEEPEST):
        parent = encounter.child("partOf")
        above = pool.behind(parent, within=encounter) if parent else None
        if above is None or above.type != "Encounter" or above == encounter:
            break
        encounter = above
    return encounter


def _name(resource: Resource) -> str:
    return resource.reference or resource.path


def _stay_named(pool: Pool, resource: Resource) -> str:
    """The name of the encounter that a resource refers to, "" where it refers to none."""
    if resource.type == "DocumentReference":
        references: Iterable[Element] = resource.child("context").children("encounter")
    else:
        references = [resource.child("encounter")]
    for reference in references:
        found = pool.behind(reference, within=resource)
        if found is not None and found.type == "Encounter":
            return _name(_root(pool, found))
        if name := reference.text("reference"):
            return plain(name)
    return ""


def _subject(pool: Pool, resource: Resource) -> tuple[str, Resource | None]:
    """The patient's reference and, if it is here, the patient."""
    reference = resource.child("patient" if resource.type == "Claim" else "subject")
    found = pool.behind(reference, within=resource)
    if found is not None and found.type == "Patient":
        return _name(found), found
    return plain(reference.text("reference")), None


def _patient(pool: Pool, stay: Stay) -> Resource | None:
    holders = ([stay.encounter] if stay.encounter is not None else []) + stay.documents + stay.others
    return next((found for one in holders if (found := _subject(pool, one)[1]) is not None), None)


def _home(pool: Pool, resource: Resource, found: dict[str, Stay]) -> Stay:
    """Where a resource belongs that names no encounter: a Claim to that of its conditions or items; anything to the
    only stay of its patient, else to one of the patient's own."""
    if resource.type == "Claim" and (named := _claimed(pool, resource)) in found:
        return found[named]
    subject, patient = _subject(pool, resource)
    theirs = [stay for stay in found.values() if not subject or subject == _stays_patient(pool, stay)]
    if len(theirs) == 1:
        return theirs[0]
    name = subject or resource.path
    return found.setdefault(name, Stay(name, patient=patient))


def _claimed(pool: Pool, claim: Resource) -> str:
    for item in claim.children("item"):
        for reference in item.children("encounter"):
            return plain(reference.text("reference"))
    for name in ("diagnosis", "procedure"):
        for row in claim.children(name):
            coded = pool.behind(row.child(f"{name}Reference"), within=claim)
            if coded is not None and (named := _stay_named(pool, coded)):
                return named
    return ""


def _stays_patient(pool: Pool, stay: Stay) -> str:
    if stay.patient is not None:
        return _name(stay.patient)
    holders = ([stay.encounter] if stay.encounter is not None else []) + stay.documents
    return next((subject for one in holders if (subject := _subject(pool, one)[0])), "")


def _put(resource: Resource, stay: Stay) -> None:
    if _void(resource):
        return
    (stay.documents if resource.type in DOCUMENTS and not _is_age(resource) else stay.others).append(resource)


def _void(resource: Resource) -> bool:
    status = resource.data.get("status")
    return status in _VOID or resource.data.get("docStatus") in _VOID


def _is_age(resource: Resource) -> bool:
    return resource.type == "Observation" and (LOINC, AGE) in resource.codings("code")


# ----------------------------------------------------------------------------------------------------------- documents


def _documents(resource: Resource, pool: Pool, flags: list[Flag], problems: list[InputError]) -> Iterator[Document]:
    """The documents of a resource; what cannot be read goes to ``problems``."""
    if resource.type == "Composition":
        yield from _sections(resource)
        return
    if resource.type == "Observation":
        if (text := resource.text("valueString")).strip():
            yield Document(id=resource.reference, text=text, title=resource.words("code"))
        return
    attachments = (
        [content.child("attachment") for content in resource.children("content")]
        if resource.type == "DocumentReference"
        else resource.children("presentedForm")
    )
    title = resource.words("type" if resource.type == "DocumentReference" else "code")
    text = ""
    if attachments:
        try:
            read = read_attachment(attachments, pool, resource)
        except InputError as error:
            problems.append(error)
        else:
            flags += read.flags
            titles = (title, *(one.text("title") for one in attachments), resource.text("description"))
            named = {"id": _document_id(resource), "title": next((one for one in titles if one), "")}
            yield read.document.model_copy(update=named)
            text = read.document.text
    if resource.type == "DiagnosticReport":
        conclusion = resource.text("conclusion")
        if not conclusion.strip() and not attachments:
            conclusion = narrative(resource.child("text").text("div"))
        if conclusion.strip() and conclusion not in text:
            yield Document(id=f"{resource.reference}#conclusion", text=conclusion, title=title)


def _document_id(resource: Resource) -> str:
    """The id that a document of ours came with, else the reference to its resource."""
    master = resource.child("masterIdentifier") if isinstance(resource.data.get("masterIdentifier"), dict) else None
    if master is not None and master.text("system") == DOCUMENT:
        return master.text("value")
    return resource.reference


def _sections(composition: Resource) -> Iterator[Document]:
    """A document a section, titled by the titles on the way to it; the narrative of all where there are no sections."""
    number = 0
    for title, text in _titled(composition, "", 0):
        if text.strip():
            yield Document(id=f"{composition.reference}#{number}", text=text, title=title)
            number += 1
    if not number and (text := narrative(composition.child("text").text("div"))).strip():
        yield Document(id=composition.reference, text=text, title=composition.text("title"))


def _titled(holder: Element, above: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth >= _DEEPEST:
        raise InputError("JC161", f"{holder.path}: sections nested too deeply")
    for section in holder.children("section"):
        own = section.text("title") or section.words("code")
        title = f"{above} / {own}" if above and own else above or own
        yield title, narrative(section.child("text").text("div"))
        yield from _titled(section, title, depth + 1)


# ------------------------------------------------------------------------------------------------------ administrative


def _encounter(
    stay: Stay, pool: Pool, id: str, documents: list[Document], flags: list[Flag], place: Place
) -> Encounter:
    admitted, discharged = _period(stay.encounter, flags, place)
    named = {document.id for document in documents}
    if len(named) < len(documents) or "" in named:
        documents = [one.model_copy(update={"id": one.id or str(n)}) for n, one in enumerate(documents)]
    fields = {}
    if stay.encounter is not None and not _ours(stay.encounter):
        fields[ENCOUNTER_FIELD] = stay.encounter.reference
    elif stay.name.startswith("Encounter/") and stay.encounter is None:
        fields[ENCOUNTER_FIELD] = stay.name
    if subject := _stays_patient(pool, stay):
        fields[PATIENT_FIELD] = subject
    if stay.encounter is not None and _ours(stay.encounter):
        fields.pop(PATIENT_FIELD, None)
    return Encounter.from_documents(
        documents,
        id=id,
        patient=_person(stay, admitted or discharged, flags, place),
        admitted=admitted,
        discharged=discharged,
        fields={name: value for name, value in fields.items() if value},
    )


def _id(stay: Stay) -> str:
    """The encounter's id: of one we wrote that which it came with, else the id of the resource; "" where none is known
    (the text then gives one)."""
    if stay.encounter is not None:
        return _ours(stay.encounter) or stay.encounter.id or stay.encounter.url.removeprefix("urn:uuid:")
    return stay.name.partition("/")[2] if stay.name.startswith("Encounter/") else ""


def _ours(encounter: Resource) -> str:
    """The id of an encounter that this program wrote."""
    found = (one.text("value") for one in encounter.children("identifier") if one.text("system") == ENCOUNTER)
    return next(found, "")


def _period(encounter: Resource | None, flags: list[Flag], place: Place) -> tuple[dt.date | None, dt.date | None]:
    if encounter is None:
        return None, None
    period = encounter.child("period") or encounter.child("actualPeriod")
    days: list[dt.date | None] = []
    for name in ("start", "end"):
        text = period.text(name)
        day = _day(text)
        if text and day is None:
            flags.append(place.flag("JC125", f"{period.path}.{name} is no day; left out"))
        days.append(day)
    if days[0] and days[1] and days[1] < days[0]:
        flags.append(place.flag("JC125", f"{period.path} ends before it begins; left out"))
        return None, None
    return days[0], days[1]


def _day(text: str) -> dt.date | None:
    """The day of a date or instant as it is written (in the time zone of the one who wrote it)."""
    found = _DATE.fullmatch(text)
    try:
        return dt.date(int(found[1]), int(found[2]), int(found[3])) if found and found[3] else None
    except ValueError:
        return None


def _person(stay: Stay, on: dt.date | None, flags: list[Flag], place: Place) -> Patient:
    sex, age = "unknown", _stated_age(stay.others)
    if stay.patient is not None:
        told = stay.patient.text("gender")
        sex = _SEXES.get(told, "unknown")
        if told and told not in _SEXES:
            flags.append(place.flag("JC125", f"{stay.patient.path}.gender is no code of FHIR; left out"))
        born = stay.patient.text("birthDate")
        if age is None and born and on is not None:
            age = _age(born, on)
            if age is None:
                flags.append(place.flag("JC125", f"{stay.patient.path}.birthDate gives no age; left out"))
    return Patient(age_years=age, sex=sex)


def _age(born: str, on: dt.date) -> float | None:
    """Age on a day; a birth date without day or month counts from the middle of what it leaves open."""
    found = _DATE.fullmatch(born)
    if found is None:
        return None
    try:
        age = age_on(dt.date(int(found[1]), int(found[2] or 7), int(found[3] or (15 if found[2] else 1))), on)
    except ValueError:
        return None
    return age if age <= 130 else None


def _stated_age(observations: Iterable[Resource]) -> float | None:
    for one in observations:
        if _is_age(one):
            quantity = one.child("valueQuantity")
            value, unit = quantity.number("value"), _AGES.get(quantity.text("code") or "a")
            if value is not None and unit is not None and 0 <= value * unit <= 130:
                return value * unit
    return None
