"""A coded record → an HL7 v2.6 message: ADT^A08 (update of the stay) or BAR^P05 (update of the account).

    MSH, SFT, EVN, PID, PV1       who and when, as far as it came; what coded it
    DG1                           a diagnosis each: code, name, priority 1 for the principal one, present on admission
    DRG                           on wish, where the preview groups (jointcoder.exchange.drg); not approved
    PR1                           a procedure each: code, name, day, priority, the diagnosis that explains it

The same record at the same time gives the same message, and its control id (MSH-10) follows from what was coded alone.
A message is checked against hl7apy before it goes out; one that would not be valid is InputError JC179. The day of a
procedure (PR1-5) is required: where no field tells it, month or year of the stay stand there, if the stay lies within
one. Not carried: evidence, confidence, findings (`jointcoder code --json` has them).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from jointcoder.errors import InputError, UsageError
from jointcoder.exchange import hl7_stay as stay
from jointcoder.exchange.drg import HOME, drg
from jointcoder.exchange.frontpage import Given
from jointcoder.exchange.hl7_message import escape, words
from jointcoder.exchange.values import read_date
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Kind, PresentOnAdmission, Role, System

Structure = Literal["ADT", "BAR"]
VERSION = "2.6"
APPLICATION = "JOINTCODER"
SHOWN = 6  # problems that a message names
_TYPES: Mapping[str, tuple[str, str]] = {"ADT": ("ADT^A08^ADT_A01", "A08"), "BAR": ("BAR^P05^BAR_P05", "P05")}
_CHINESE = (System.ICD10CN, System.ICD9CM3)
_SEXES = {"female": "F", "male": "M"}
_IDENTIFIER = 5  # components of PID-3 that are kept: number, check digit and scheme, authority, type
_EXPLAINED = "explained_by"
_SAID = re.compile(r"(?:Missing required child|Child limit exceeded) [A-Z0-9_.]+")


@dataclass(frozen=True)
class MessageWriter:
    """Builds the message of one record; see :func:`coded_message` for the options."""

    record: CodedRecord
    encounter: Encounter | None
    recorded: dt.datetime
    structure: Structure = "ADT"
    group: bool = False

    def message(self) -> str:
        """The segments, each ended by a carriage return. UsageError JC002 where grouping needs what is missing."""
        return "".join(f"{segment}\r" for segment in self._segments())

    def _segments(self) -> Iterator[str]:
        type, event = _TYPES[self.structure]
        when = _moment(self.recorded)
        chinese = any(code.system in _CHINESE for code in self.record.codes)
        yield _segment("MSH", {
            2: r"^~\&", 3: APPLICATION, 7: when, 9: type, 10: self.control_id, 11: "P", 12: VERSION,
            17: "CHN" if chinese else "", 18: "UNICODE UTF-8", 19: escape(self.record.language),
        })  # fmt: skip
        versions = self.record.versions
        about = (("workflow", versions.workflow), ("model", versions.model), ("code book", versions.code_book))
        yield _segment("SFT", {
            1: "jointcoder", 2: escape(versions.program) or "unknown", 3: "jointcoder",
            4: escape(versions.workflow_hash or versions.program) or "unknown",
            5: escape("; ".join(f"{name} {value}" for name, value in about if value)),
        })  # fmt: skip
        yield _segment("EVN", {1: event, 2: when})
        fields = self.encounter.fields if self.encounter else {}
        sex = self.encounter.patient.sex if self.encounter else "unknown"
        yield _segment("PID", {
            1: "1", 3: self._patient(fields), 5: "^^^^^^U", 8: _SEXES.get(sex, "U"),
            18: _cx(fields, stay.ACCOUNT_FIELD),
        })  # fmt: skip
        yield self._visit(fields)
        diagnoses, procedures = _ordered(self.record, Kind.DIAGNOSIS), _ordered(self.record, Kind.PROCEDURE)
        for number, code in enumerate(diagnoses, start=1):
            yield self._diagnosis(code, number, _priority(diagnoses, number))
        if self.group and (grouped := self._grouped(fields)):
            yield grouped
        for number, code in enumerate(procedures, start=1):
            yield self._procedure(code, number, _priority(procedures, number), alone=len(procedures) == 1)

    @property
    def control_id(self) -> str:
        """MSH-10: of the encounter and what was coded."""
        told = [self.structure, self.record.encounter, self.record.versions.code_book, self.record.versions.edition]
        for code in (*_ordered(self.record, Kind.DIAGNOSIS), *_ordered(self.record, Kind.PROCEDURE)):
            told += [code.system, code.code, code.role, code.present_on_admission or ""]
        return hashlib.sha256("\x1f".join(told).encode("utf-8", "surrogatepass")).hexdigest()[:20]

    def _patient(self, fields: Mapping[str, str]) -> str:
        """PID-3 as it came; where it did not, the number of the visit."""
        return _cx(fields, stay.PATIENT_FIELD) or f"{escape(self.record.encounter)}^^^{APPLICATION}^VN"

    def _visit(self, fields: Mapping[str, str]) -> str:
        admitted = self.encounter.admitted if self.encounter else None
        discharged = self.encounter.discharged if self.encounter else None
        return _segment("PV1", {
            1: "1",
            2: escape(fields.get(stay.CLASS_FIELD, "")) or "U",
            19: _cx(fields, stay.VISIT_FIELD) or escape(self.record.encounter),
            36: escape(fields.get(stay.DISPOSITION_FIELD, "")),
            44: f"{admitted:%Y%m%d}" if admitted else "",
            45: f"{discharged:%Y%m%d}" if discharged else "",
        })  # fmt: skip

    def _diagnosis(self, code: AssignedCode, number: int, priority: int) -> str:
        poa = code.present_on_admission
        indicator = "" if poa is None else "E" if poa is PresentOnAdmission.EXEMPT else poa.value
        return _segment("DG1", {1: str(number), 3: self._coded(code), 6: "F", 15: str(priority), 26: indicator})

    def _procedure(self, code: AssignedCode, number: int, priority: int, *, alone: bool) -> str:
        explained = {link.code for link in code.links if link.relation == _EXPLAINED}
        reason = next((one for one in self.record.of_kind(Kind.DIAGNOSIS) if one.code in explained), None)
        return _segment("PR1", {
            1: str(number), 3: self._coded(code), 5: self._done_on(code, alone=alone), 14: str(priority),
            15: self._coded(reason) if reason else "",
        })  # fmt: skip

    def _coded(self, code: AssignedCode) -> str:
        parts = [code.code, code.name.strip(), words()["written"][code.system.value], "", "", ""]
        return "^".join(escape(part) for part in [*parts, self.record.versions.edition]).rstrip("^")

    def _done_on(self, code: AssignedCode, *, alone: bool) -> str:
        """The day that a field of the encounter tells; else month or year of the stay, if it lies within one."""
        if self.encounter is None:
            return ""
        told = Given(self.encounter.fields).of(code.code, alone=alone).get("date", "")
        try:
            day = read_date(told) if told else None
        except ValueError:
            day = None
        if day:
            return f"{day:%Y%m%d}"
        first, last = self.encounter.admitted, self.encounter.discharged
        if first and last and first.year == last.year:
            return f"{first:%Y%m}" if first.month == last.month else f"{first:%Y}"
        return ""

    def _grouped(self, fields: Mapping[str, str]) -> str:
        """The DRG of a US record that groups; "" for any other."""
        if not any(code.system is System.ICD10CM for code in self.record.codes):
            return ""
        told = fields.get(stay.DISPOSITION_FIELD, "")
        patient = self.encounter.patient if self.encounter else None
        discharged = self.encounter.discharged if self.encounter else None
        status = int(told) if told.isascii() and told.isdecimal() and len(told) <= 2 else HOME
        try:
            found = drg(self.record.codes, patient=patient, discharged=discharged, discharge_status=status)
        except InputError:
            return ""
        if found.status != "OK":
            return ""
        group = "^".join(
            (f"{found.drg:03d}", escape(found.title), words()["written"]["drg"], "", "", "", found.version)
        )
        return _segment("DRG", {1: group, 2: _moment(self.recorded), 3: "N"})


def coded_message(
    encounter: Encounter | None,
    record: CodedRecord,
    *,
    recorded: dt.datetime,
    structure: Structure = "ADT",
    group: bool = False,
) -> str:
    """The message of a coded record, valid for hl7apy. ``encounter`` gives patient, visit and days; ``recorded``: when;
    ``group``: with the DRG preview. InputError JC179 naming what would not be valid; UsageError JC002."""
    text = MessageWriter(record, encounter, recorded, structure, group).message()
    if problems := validate(text):
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        hint = ""
        if any("PR1_5" in one for one in problems):
            hint = "PR1-5 needs the day of the procedure, or a stay within one year: --encounters tells them"
        raise InputError("JC179", f"{'; '.join(problems[:SHOWN])}{more}", hint=hint)
    return text


def validate(text: str) -> list[str]:
    """What hl7apy says against a message, never a value; [] for a valid one. UsageError JC002 without it."""
    try:
        from hl7apy.consts import VALIDATION_LEVEL
        from hl7apy.exceptions import HL7apyException
        from hl7apy.parser import parse_message
    except ImportError:
        hint = "install it with `pip install jointcoder[hl7]`"
        raise UsageError("JC002", "HL7 v2 messages are checked by the package hl7apy", hint=hint) from None
    try:
        parse_message(text, validation_level=VALIDATION_LEVEL.STRICT).validate()
    except (HL7apyException, ValueError) as error:
        said = _SAID.match(str(error))
        return [said[0] if said else type(error).__name__]
    return []


def _ordered(record: CodedRecord, kind: Kind) -> list[AssignedCode]:
    """The principal code first, then by rank; codes without one keep their place behind."""
    codes = [code for code in record.codes if code.kind is kind]
    return sorted(codes, key=lambda code: (code.role is not Role.PRINCIPAL, code.rank == 0, code.rank))


def _priority(codes: list[AssignedCode], number: int) -> int:
    """1 is the principal one: without one, nothing is."""
    if codes[number - 1].role is Role.PRINCIPAL:
        return 1
    return number if codes[0].role is Role.PRINCIPAL else number + 1


def _segment(name: str, fields: Mapping[int, str]) -> str:
    """A segment of numbered fields; trailing ones that are empty are left out. MSH-1 is the separator itself."""
    first = 2 if name == "MSH" else 1
    row = [fields.get(number, "") for number in range(first, max(fields) + 1)]
    while row and not row[-1]:
        row.pop()
    return "|".join([name, *row])


def _cx(fields: Mapping[str, str], name: str) -> str:
    """An identifier that came with the stay, of its repetitions the components that say whose it is."""
    repetitions = ("^".join(one.split("^")[:_IDENTIFIER]).rstrip("^") for one in fields.get(name, "").split("~"))
    found = [one for one in repetitions if one]
    return "~".join(found if name == stay.PATIENT_FIELD else found[:1])


def _moment(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y%m%d%H%M%S}+0000"
