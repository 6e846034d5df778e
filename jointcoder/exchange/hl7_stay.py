"""The messages of one stay → its encounter: documents as they stand in the end, patient, days, codes that came along.

    stay_of([(place, message), …], id="V1", place=Place("night.hl7"))  →  Incoming

Messages count in the order of their time (MSH-7), or as they came where one has none. A later document of the same
number takes the place of an earlier one, a replacement that of its parent; what is wrong or deleted is taken away. An
admission that was cancelled (A11) makes the stay an error, unless it is admitted again; a discharge that was (A13) has
no day. The demographics of the last message that tells them count.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from jointcoder.errors import InputError
from jointcoder.exchange.hl7_codes import came_with, codes_of, numbered_days
from jointcoder.exchange.hl7_documents import Given, Key, documents_of
from jointcoder.exchange.hl7_message import Message, words
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.values import OLDEST, age_on, read_date, read_sex
from jointcoder.records import Document, Encounter, Flag, Kind, Patient

VISIT_FIELD, ACCOUNT_FIELD, PATIENT_FIELD = "hl7.visit", "hl7.account", "hl7.patient"
CLASS_FIELD, DISPOSITION_FIELD = "hl7.class", "hl7.disposition"
DATED_FIELD, CODE_FIELD, DAY_FIELD = "hl7.document.date{}", "hl7.procedure.code{}", "hl7.procedure.date{}"
"""Fields of an encounter: as they came; the day of a document and of a procedure by its number."""

_MOMENT = re.compile(r"(\d{8,14})")
_DAY = re.compile(r"(\d{8})(?:\d{2,6}(?:\.\d{1,6})?)?(?:[+-]\d{4})?")
_BORN = re.compile(r"(\d{4})(\d{2})?(\d{2})?(?:\d{2,6}(?:\.\d{1,6})?)?(?:[+-]\d{4})?")

Told = tuple[Place, Message]


@dataclass
class _State:
    """What is known of the stay after the messages so far; days and codes as they came."""

    told: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False
    documents: dict[Key, Given] = field(default_factory=dict)
    flags: list[Flag] = field(default_factory=list)


_TOLD = (  # name, segment, field
    ("born", "PID", 7),
    ("sex", "PID", 8),
    ("class", "PV1", 2),
    ("disposition", "PV1", 36),
    ("admitted", "PV1", 44),
    ("discharged", "PV1", 45),
)
_KEPT = ((VISIT_FIELD, "PV1", 19), (ACCOUNT_FIELD, "PID", 18), (PATIENT_FIELD, "PID", 3))


def stay_of(told: Sequence[Told], *, id: str, place: Place, notes: Sequence[Flag] = ()) -> Incoming:
    """The encounter. Errors: JC177 (two patients), JC178 (cancelled), JC174 (no document), else why none of the
    documents could be read."""
    told = in_time(told)
    try:
        _one_patient(told, place)
        state = _State(flags=list(notes))
        for at, message in told:
            _take(state, message, at)
        if state.cancelled:
            raise InputError("JC178", "the admission was cancelled (A11)")
        encounter = _encounter(state, told, id, place)
    except InputError as error:
        return failed(place, error if error.message.startswith(place.file) else place.of(error), id=id)
    codes = came_with([message for _, message in told])
    return Incoming(place, id=encounter.id, encounter=encounter, flags=tuple(state.flags), codes=codes)


def in_time(told: Sequence[Told]) -> list[Told]:
    """The messages by their time; as they came where one has none."""
    moments = [_MOMENT.match(message.value("MSH", 7)) for _, message in told]
    if not all(moments):
        return list(told)
    keys = [found[1].ljust(14, "0") if found else "" for found in moments]
    return [told[place] for place in sorted(range(len(told)), key=lambda place: keys[place])]


def patients_of(message: Message) -> list[str]:
    """The numbers of a message's patient (PID-3, in old messages PID-2): the medical record number first."""
    pid = message.first("PID")
    if pid is None:
        return []
    found = [(pid.component(one, 1), pid.component(one, 5)) for one in pid.repetitions(3) or pid.repetitions(2)]
    found.sort(key=lambda one: one[1] not in ("MR", "PI"))
    return [number for number, _ in found if number]


def read_day(text: str) -> dt.date | None:
    """A day as HL7 v2 writes it, or in any way that an export does. ValueError for what is none."""
    found = _DAY.fullmatch(text)
    return read_date(found[1] if found else text)


def iso_day(text: str) -> str:
    """The same as ISO 8601; "" for what is no day."""
    try:
        day = read_day(text)
    except ValueError:
        return ""
    return day.isoformat() if day else ""


# ------------------------------------------------------------------------------------------------------------ messages


def _one_patient(told: Sequence[Told], place: Place) -> None:
    known: set[str] = set()
    for at, message in told:
        numbers = set(patients_of(message))
        if known and numbers and not known & numbers:
            where = f"message {at.message}" if at.file == place.file else str(at)
            hint = "each visit number belongs to one patient; look at what sends them"
            raise InputError("JC177", f"{where} names another patient under the same visit number", hint=hint)
        known |= numbers


def _take(state: _State, message: Message, at: Place) -> None:
    """What a message changes."""
    events = words()["events"]
    for name, segment_name, number in _TOLD:
        segment = message.first(segment_name)
        if segment is None:
            continue
        if value := segment.value(number):
            state.told[name] = value
        elif segment.is_null(number):
            state.told.pop(name, None)
    for name, segment_name, number in _KEPT:
        segment = message.first(segment_name)
        if segment is not None and (value := segment.plain(number)):
            state.told[name] = value
    if message.type == "ADT":
        if message.event in events["cancel_admission"]:
            state.cancelled = True
        elif message.event in events["admission"]:
            state.cancelled = False
        elif message.event in events["cancel_discharge"]:
            state.told.pop("discharged", None)
            state.told.pop("disposition", None)
    if message.broken_lines and message.type in ("ORU", "MDM"):
        problem = f"{message.broken_lines} line breaks stood within fields and were taken as part of the text"
        state.flags.append(at.flag("JC175", problem))
    for given in documents_of(message, str(at)):
        _put(state, given)


def _put(state: _State, given: Given) -> None:
    if given.void:
        state.documents.pop(given.key, None)
        return
    if given.replaces and given.whole:
        state.documents.pop(given.replaces, None)
    state.flags += given.flags
    if given.whole:
        state.documents[given.key] = given


# ----------------------------------------------------------------------------------------------------------- encounter


def _encounter(state: _State, told: Sequence[Told], id: str, place: Place) -> Encounter:
    documents, problems, fields = _documents(state)
    if not documents:
        hint = "TX, FT and ST of ORU and MDM are read, and files (ED)"
        raise problems[0] if problems else InputError("JC174", "the messages hold no document with text", hint=hint)
    for problem in problems:
        state.flags.append(Flag(code=problem.code, step="exchange", message=f"{problem.message}; left out"))
    admitted, discharged = _days(state, place)
    on = admitted or discharged or min(map(dt.date.fromisoformat, fields.values()), default=None)
    fields |= {name: state.told[name] for name, _, _ in _KEPT if name in state.told}
    named = ((CLASS_FIELD, "class"), (DISPOSITION_FIELD, "disposition"))
    fields |= {name: state.told[key] for name, key in named if key in state.told}
    for number, code, day in numbered_days(codes_of([message for _, message in told], Kind.PROCEDURE)):
        if written := iso_day(day):
            fields |= {CODE_FIELD.format(number): code, DAY_FIELD.format(number): written}
    return Encounter.from_documents(
        documents,
        id=id,
        patient=_person(state, on, place),
        admitted=admitted,
        discharged=discharged,
        fields=fields,
    )


def _documents(state: _State) -> tuple[list[Document], list[InputError], dict[str, str]]:
    """The documents that stand, each text once; why others could not be read; the days of those whose day is told."""
    documents: list[Document] = []
    problems: list[InputError] = []
    dated: dict[str, str] = {}
    texts: set[str] = set()
    ids: set[str] = set()
    for given in state.documents.values():
        problems += given.problems
        for one in given.documents:
            if one.text in texts:
                continue
            texts.add(one.text)
            id = one.id if one.id and one.id not in ids else f"{one.id or 'document'}-{len(documents) + 1}"
            ids.add(id)
            documents.append(one.model_copy(update={"id": id}))
            if day := iso_day(given.dated):
                dated[DATED_FIELD.format(len(documents))] = day
    return documents, problems, dated


def _days(state: _State, place: Place) -> tuple[dt.date | None, dt.date | None]:
    days: list[dt.date | None] = []
    for name, where in (("admitted", "PV1-44"), ("discharged", "PV1-45")):
        try:
            days.append(read_day(state.told.get(name, "")))
        except ValueError:
            state.flags.append(place.flag("JC125", f"{where} is no day; left out"))
            days.append(None)
    if days[0] and days[1] and days[1] < days[0]:
        state.flags.append(place.flag("JC125", "PV1-45 lies before PV1-44; both are left out"))
        return None, None
    return days[0], days[1]


def _person(state: _State, on: dt.date | None, place: Place) -> Patient:
    told, sexes = state.told.get("sex", ""), words()["sexes"]
    try:
        sex = sexes.get(told.upper()) or read_sex(told) or "unknown"
    except ValueError:
        state.flags.append(place.flag("JC125", "PID-8 is no sex that can be read; left out"))
        sex = "unknown"
    born, age = state.told.get("born", ""), None
    if born and on is not None:
        age = _age(born, on)
        if age is None:
            state.flags.append(place.flag("JC125", "PID-7 gives no age; left out"))
    return Patient(age_years=age, sex=sex)


def _age(born: str, on: dt.date) -> float | None:
    """Age on a day; a birth date without day or month counts from the middle of what it leaves open."""
    try:
        if found := _BORN.fullmatch(born):
            day = dt.date(int(found[1]), int(found[2] or 7), int(found[3] or (15 if found[2] else 1)))
        else:
            read = read_date(born)
            if read is None:
                return None
            day = read
        age = age_on(day, on)
    except ValueError:
        return None
    return age if age <= OLDEST else None
