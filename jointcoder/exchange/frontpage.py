"""The coding part of the Chinese front page (住院病案首页): a coded record → diagnoses and procedures as the page has
them.

    main diagnosis first, the others in order, each with its condition on admission (入院病情 1–4)
    external causes and morphology codes apart, where the page has places of their own for them
    procedures in order, with grade (手术级别) and category where the code book's table holds them

Administrative items (离院方式 …) come from :attr:`Encounter.fields` and are passed through untouched. Date, surgeon and
the like of a procedure are taken from there too, where a field names the same code or the page has one operation only;
nothing is guessed. Numbers and words are data (``data/zh/frontpage.toml``). This module knows no layout and no file.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from pydantic import Field

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Finding, Flag, Kind, Record, Role, System

STEP = "export"
COMPANION = "companion_of"
"""The link of a code to the one whose note asks for it (steps/code_also.py)."""
PLACES = ("main", "other", "external", "pathology")
"""The places a diagnosis may have."""


class PageDiagnosis(Record):
    """A diagnosis of the page. ``place``: one of :data:`PLACES`; ``admission``: 入院病情 as "1" … "4", "" where the
    record does not say."""

    place: str
    system: System
    code: str
    name: str
    admission: str = ""
    confidence: float = 1.0


class PageProcedure(Record):
    """A procedure of the page; the first is the main one. ``grade`` 1–4 and ``category`` as the code book has them;
    ``given``: what the encounter's fields say of it (``date``, ``surgeon`` … of ``frontpage.toml``)."""

    main: bool
    system: System
    code: str
    name: str
    grade: int | None = None
    category: str = ""
    given: dict[str, str] = Field(default_factory=dict)
    confidence: float = 1.0


class FrontPage(Record):
    """One stay's page. ``fields`` as they came with the encounter, ``about`` what the encounter says of itself
    (``id``, ``sex``, ``age``, ``admitted``, ``discharged``); ``taken``: the fields that told of a procedure. Flags and
    findings are the record's, and this module's."""

    encounter: str
    edition: str = ""
    diagnoses: tuple[PageDiagnosis, ...] = ()
    procedures: tuple[PageProcedure, ...] = ()
    fields: dict[str, str] = Field(default_factory=dict)
    about: dict[str, str] = Field(default_factory=dict)
    taken: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    findings: tuple[Finding, ...] = ()

    def at(self, *places: str) -> tuple[PageDiagnosis, ...]:
        """The diagnoses that have one of the places, in order."""
        return tuple(one for one in self.diagnoses if one.place in places)


@cache
def page_data() -> Mapping[str, Any]:
    """``data/zh/frontpage.toml``; read once, never changed."""
    file = resources.files("jointcoder.exchange").joinpath("data", "zh", "frontpage.toml")
    return tomllib.loads(file.read_text("utf-8"))


def front_page(
    record: CodedRecord,
    *,
    encounter: Encounter | None = None,
    book: CodeBook | None = None,
    language: str | None = "zh",
) -> FrontPage:
    """The page of a coded record.

    ``encounter`` gives the administrative fields. ``book`` gives grades, categories and the names in ``language``
    (None: the names as the record has them); a book that does not hold a code's system says nothing of it. Flags:
    JC144 without a main diagnosis.
    """
    fields = dict(encounter.fields) if encounter else {}
    given = Given(fields)
    codes = [_named(code, book, language) for code in record.codes]
    diagnoses = _diagnoses([code for code in _ordered(codes) if code.kind is Kind.DIAGNOSIS])
    procedures = [code for code in _ordered(codes) if code.kind is Kind.PROCEDURE]
    flags = record.flags
    if not any(one.place == "main" for one in diagnoses):
        message = "the front page has no main diagnosis"
        flags += (Flag(code="JC144", step=STEP, message=message),)
    return FrontPage(
        encounter=record.encounter,
        edition=record.versions.edition,
        diagnoses=diagnoses,
        procedures=_procedures(procedures, book, given),
        fields=fields,
        about=_about(record.encounter, encounter),
        taken=tuple(sorted(given.taken)),
        flags=flags,
        findings=record.findings,
    )


def _ordered(codes: Sequence[AssignedCode]) -> list[AssignedCode]:
    """The principal code first, then by rank; codes without one keep their place behind."""
    return sorted(codes, key=lambda code: (code.role is not Role.PRINCIPAL, code.rank == 0, code.rank))


def _named(code: AssignedCode, book: CodeBook | None, language: str | None) -> AssignedCode:
    if book is None or language is None or code.system not in book.info.systems:
        return code
    name = book.name(code.system, code.code, language)
    return code.with_(name=name) if name and name != code.name else code


def _diagnoses(codes: Sequence[AssignedCode]) -> tuple[PageDiagnosis, ...]:
    found: list[PageDiagnosis] = []
    admission = page_data()["admission"]
    for code in codes:
        indicator = code.present_on_admission
        place = place_of(code.code)
        if place == "other" and not any(one.place == "main" for one in found):
            place = "main"
        found.append(
            PageDiagnosis(
                place=place,
                system=code.system,
                code=code.code,
                name=code.name,
                admission=admission.get(indicator.value, ("",))[0] if indicator else "",
                confidence=code.confidence,
            )
        )
    return tuple(found)


def place_of(code: str) -> str:
    """Where a diagnosis code stands: ``external``, ``pathology`` or ``other``."""
    places = page_data()["places"]
    key = normalise_code(code)
    return next((place for place in ("external", "pathology") if re.fullmatch(places[place], key)), "other")


def _procedures(codes: Sequence[AssignedCode], book: CodeBook | None, given: Given) -> tuple[PageProcedure, ...]:
    found = []
    alone = _one_operation(codes)
    for place, code in enumerate(codes):
        known = book is not None and code.system in book.info.systems
        operation = book.operation(code.system, code.code) if book is not None and known else None
        found.append(
            PageProcedure(
                main=place == 0,
                system=code.system,
                code=code.code,
                name=code.name,
                grade=operation.grade if operation else None,
                category=operation.category if operation else "",
                given=given.of(code.code, alone=alone),
                confidence=code.confidence,
            )
        )
    return tuple(found)


def _one_operation(codes: Sequence[AssignedCode]) -> bool:
    """Whether all are codes of one operation: the first, and companions that a "code also" note of it asks for."""
    first = codes[0].code if codes else ""
    return all(any(link.relation == COMPANION and link.code == first for link in code.links) for code in codes[1:])


def _about(id: str, encounter: Encounter | None) -> dict[str, str]:
    """What the encounter itself says, as the page writes it."""
    if encounter is None:
        return {"id": id}
    age, sex = encounter.patient.age_years, page_data()["sex"].get(encounter.patient.sex, "")
    values = {
        "id": id,
        "sex": sex,
        "age": "" if age is None else str(int(age)),
        "admitted": encounter.admitted.isoformat() if encounter.admitted else "",
        "discharged": encounter.discharged.isoformat() if encounter.discharged else "",
    }
    return {name: value for name, value in values.items() if value}


class Given:
    """What an encounter's fields say of procedures: by code where they number them, else of the only operation.
    ``taken``: the names of the fields that answered."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.taken: set[str] = set()
        self._table: Mapping[str, list[str]] = page_data()["given"]
        self._fields = {level(name): (name, value.strip()) for name, value in fields.items() if value.strip()}
        self._rows: dict[str, str] = {}  # code → its number among the fields
        for number in self._numbers(self._table["code"]):
            self._rows.setdefault(normalise_code(self._value("code", number)[1]), number)

    def of(self, code: str, *, alone: bool) -> dict[str, str]:
        """The details of a code; ``alone``: there is one operation only; unnumbered fields can mean no other."""
        number = self._rows.get(normalise_code(code), "" if alone and not self._rows else None)
        if number is None:
            return {}
        found = {what: self._value(what, number) for what in self._table}
        self.taken.update(name for name, value in found.values() if value)
        return {what: value for what, (_, value) in found.items() if value and what != "code"}

    def _value(self, what: str, number: str) -> tuple[str, str]:
        """The field that says it, and its value."""
        keys = (level(form.format(number)) for form in self._table[what])
        return next((self._fields[key] for key in keys if key in self._fields), ("", ""))

    def _numbers(self, forms: Sequence[str]) -> list[str]:
        patterns = [re.compile(re.escape(level(form.format(""))) + r"(\d{1,3})") for form in forms]
        found = {match[1] for name in self._fields for pattern in patterns if (match := pattern.fullmatch(name))}
        return sorted(found, key=int)


def level(name: str) -> str:
    """A field's name without what does not matter: width, case, blanks, punctuation."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in text if letter.isalnum() or letter == "_")
