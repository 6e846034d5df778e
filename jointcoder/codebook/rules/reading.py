"""A record as people hand it in for checking → codes the oracle can judge.

Taken are a coded record as `jointcoder code --json` prints it, and a light form:

    {"codes": ["E11.9", {"system": "ICD-10-PCS", "code": "0ft44zz", "role": "principal"}],
     "patient": {"age_years": 70, "sex": "female"}, "discharged": "2026-03-01", "inpatient": true}

A list of codes alone will do. Codes may stand with or without dots, in small letters, in full width. Where no code of
a kind has a role, the first of the kind is principal; where a system is missing, the book that knows the code decides,
then the shape of the code. Messages name fields, never what stands in them: a misplaced field may hold note text.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.rules.oracle import oracle
from jointcoder.errors import InputError
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Finding,
    Kind,
    Patient,
    PresentOnAdmission,
    Record,
    Role,
    System,
)

FIELDS = ("id", "codes", "patient", "discharged", "inpatient")
_CODE = re.compile(r"(?=[^0-9]{0,2}[0-9])[A-Za-z0-9][A-Za-z0-9.+*/†∗×-]{1,39}|(?i:[A-HJ-NP-Z]{3}[0-9A-HJ-NP-Z]{4})")
_NAME = re.compile(r"[a-z_]{1,30}")
_DIAGNOSIS = re.compile(r"[A-Z][0-9][0-9A-Z].*")


class Written(BaseModel):
    """One code as it was handed in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    system: System | None = None
    role: Role | None = None
    rank: int = Field(default=0, ge=0)
    present_on_admission: PresentOnAdmission | None = None
    name: str = ""


class _Light(Record):
    id: str = ""
    codes: tuple[Written, ...] = ()
    patient: Patient = Patient()
    discharged: dt.date | None = None
    inpatient: bool | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """A record handed in: ``codes`` in its order; ``discharged`` None where it names no day."""

    id: str
    codes: tuple[Written, ...]
    patient: Patient
    discharged: dt.date | None
    inpatient: bool | None

    def assigned(self, book: CodeBook) -> list[AssignedCode]:
        """The codes as the book files them. A code that it does not hold stays as written, in capitals."""
        systems = [one.system or _system(book, one.code) for one in self.codes]
        with_role = {system.kind for system, one in zip(systems, self.codes, strict=True) if one.role is not None}
        seen: set[Kind] = set()
        found = []
        for system, one in zip(systems, self.codes, strict=True):
            kind = system.kind
            first = kind not in seen and kind not in with_role
            seen.add(kind)
            entry = book.get(system, one.code) if system in book.info.systems else None
            found.append(
                AssignedCode(
                    system=system,
                    code=entry.code if entry else _plain(one.code),
                    name=entry.name if entry else one.name,
                    role=one.role or (Role.PRINCIPAL if first else Role.SECONDARY),
                    rank=one.rank,
                    confidence=1.0,
                    present_on_admission=one.present_on_admission,
                )
            )
        return found


def read_record(data: Any) -> Submitted:
    """A parsed JSON value → the record. InputError JC103 for an unknown field, JC108 for a value that cannot be."""
    if isinstance(data, CodedRecord):
        return _from_coded(data)
    if isinstance(data, list | tuple):
        data = {"codes": data}
    if not isinstance(data, Mapping):
        raise InputError("JC108", "a record is an object with codes, or a list of codes", hint=_hint())
    if "versions" in data:
        try:
            return _from_coded(CodedRecord.model_validate(data))
        except ValidationError as error:
            raise InputError("JC108", "; ".join(_problems(error)), hint="see `jointcoder schema`") from None
    unknown = [name for name in data if name not in FIELDS]
    if unknown:
        raise InputError("JC103", f"unknown field {_field(unknown[0])} in the record", hint=_hint())
    if not isinstance(data.get("codes"), list | tuple):
        raise InputError("JC108", "codes: a list of codes is needed", hint=_hint())
    codes = [{"code": one} if isinstance(one, str) else one for one in data["codes"]]
    for place, one in enumerate(codes):
        if isinstance(one, Mapping) and (strange := [name for name in one if name not in Written.model_fields]):
            known = ", ".join(Written.model_fields)
            raise InputError(
                "JC103", f"codes.{place}: unknown field {_field(strange[0])}", hint=f"known fields: {known}"
            )
    try:
        light = _Light.model_validate({**data, "codes": codes})
    except ValidationError as error:
        raise InputError("JC108", "; ".join(_problems(error)), hint=_hint()) from None
    _readable(light.codes)
    return Submitted(light.id, light.codes, light.patient, light.discharged, light.inpatient)


def check_record(
    book: CodeBook,
    record: CodedRecord | Mapping[str, Any] | Sequence[Any],
    *,
    on: dt.date | None = None,
    patient: Patient | None = None,
    inpatient: bool | None = None,
) -> list[Finding]:
    """Findings about a record in any form that :func:`read_record` takes, whose errors it raises.

    ``on``, ``patient`` and ``inpatient`` go before what the record says. CodeBookError JC503 when the book does not
    hold a code's system.
    """
    read = read_record(record)
    return oracle(book).check(
        read.assigned(book),
        on=on or read.discharged,
        patient=patient or read.patient,
        inpatient=read.inpatient if inpatient is None else inpatient,
    )


def _from_coded(record: CodedRecord) -> Submitted:
    codes = tuple(
        Written(
            code=one.code,
            system=one.system,
            role=one.role,
            rank=one.rank,
            present_on_admission=one.present_on_admission,
            name=one.name,
        )
        for one in record.codes
    )
    _readable(codes)
    return Submitted(record.encounter, codes, Patient(), None, None)


def _readable(codes: Sequence[Written]) -> None:
    for place, one in enumerate(codes):
        if len(one.code.split()) != 1 or not _CODE.fullmatch(_plain(one.code)):
            raise InputError("JC108", f"codes.{place}.code: not a code", hint="a code is letters, digits and . + * / -")


def _system(book: CodeBook, code: str) -> System:
    """The system that the book files the code under; else by the shape of the code."""
    entry = book.find(code)
    if entry is not None:
        return entry.system
    kind = Kind.DIAGNOSIS if _DIAGNOSIS.fullmatch(normalise_code(code)) else Kind.PROCEDURE
    return next(iter((*book.systems(kind), *book.info.systems)))


def _plain(code: str) -> str:
    """As written, in half width and without blanks; capitals, but for the filler x of the Chinese editions."""
    text = "".join(unicodedata.normalize("NFKC", code).replace("。", ".").split())
    return text if "x" in text else text.upper()


def _problems(error: ValidationError) -> Iterable[str]:
    """Which field is wrong and why, without its value."""
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        place = ".".join(str(part) if not isinstance(part, str) else _field(part) for part in problem["loc"])
        yield f"{place or 'record'}: {problem['msg']}"


def _field(name: Any) -> str:
    return str(name) if _NAME.fullmatch(str(name)) else "(not a name)"


def _hint() -> str:
    return f"known fields: {', '.join(FIELDS)}; or the record that `jointcoder code --json` prints"
