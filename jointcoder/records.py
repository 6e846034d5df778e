"""The records, in the order in which they arise.

    Encounter → Document → Section → Mention → Candidate → Verdict → AssignedCode → CodedRecord

All are frozen and validated when built, and round-trip through JSON (``model_dump_json`` /
``model_validate_json``); :func:`json_schemas` exports their schemas. Offsets are Unicode code points into
``Document.text`` as it came in (never into a normalised copy), ``end`` exclusive. This module knows nothing of
files, models or code books.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jointcoder.errors import InputError

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Box = tuple[float, float, float, float]
Turn = Literal[0, 90, 180, 270]


class System(StrEnum):
    """A code system. Chinese editions (国家临床版, 医保版 …) are editions of ``ICD-10-CN`` / ``ICD-9-CM-3``."""

    ICD10CM = "ICD-10-CM"
    ICD10PCS = "ICD-10-PCS"
    ICD10CN = "ICD-10-CN"
    ICD9CM3 = "ICD-9-CM-3"

    @property
    def kind(self) -> Kind:
        return Kind.PROCEDURE if self in (System.ICD10PCS, System.ICD9CM3) else Kind.DIAGNOSIS


class Kind(StrEnum):
    DIAGNOSIS = "diagnosis"
    PROCEDURE = "procedure"


class Assertion(StrEnum):
    """What the text says of a mention (ConText, Harkema 2009)."""

    PRESENT = "present"
    NEGATED = "negated"
    POSSIBLE = "possible"
    HISTORICAL = "historical"
    FAMILY = "family"


class Role(StrEnum):
    PRINCIPAL = "principal"
    SECONDARY = "secondary"


class PresentOnAdmission(StrEnum):
    """UB-04 indicators; EXEMPT for codes on the exempt list."""

    YES = "Y"
    NO = "N"
    UNKNOWN = "U"
    CLINICALLY_UNDETERMINED = "W"
    EXEMPT = "1"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


class Record(BaseModel):
    """Base of all records: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# ------------------------------------------------------------------------------------------------ what comes in


class Page(Record):
    """A page that a document was read from, in points of 1/72 inch. ``source``: its own text layer, or recognised from
    its picture. ``turned``: by how many degrees clockwise the page as a viewer shows it was turned to be read; width,
    height and the boxes of its lines are those of the page so turned."""

    number: int = Field(ge=1)
    width: float = Field(gt=0)
    height: float = Field(gt=0)
    source: Literal["text", "ocr"] = "text"
    turned: Turn = 0


class Line(Record):
    """Where a stretch of a document's text stands: page and ``box`` (x0, y0, x1, y1 in points, origin top left).

    What stands on one line with a wide gap inside gives a line a side. ``confidence`` is the recogniser's, None for
    text that came as such.
    """

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    page: int = Field(ge=1)
    box: Box
    confidence: Probability | None = None

    @model_validator(mode="after")
    def _measured(self) -> Self:
        x0, y0, x1, y1 = self.box
        if self.start >= self.end or x0 > x1 or y0 > y1:
            raise ValueError("a line is empty or its box is turned inside out")
        return self


class Document(Record):
    """One document of the stay: a note, a report, or one field of a structured record.

    ``pages`` and ``lines`` say where the text was read from, for documents that came as pages: lines in the order of
    the text, none overlapping. Line ends, tabs and blanks that join lines belong to none.
    """

    id: str
    text: str
    title: str = ""
    kind: str = ""
    pages: tuple[Page, ...] = ()
    lines: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _laid_out(self) -> Self:
        numbers = {page.number for page in self.pages}
        if len(numbers) < len(self.pages):
            raise ValueError("two pages bear the same number")
        if not numbers.issuperset(line.page for line in self.lines):
            raise ValueError("a line stands on a page that is not there")
        ends = (0, *(line.end for line in self.lines))
        if any(line.start < end for line, end in zip(self.lines, ends, strict=False)) or ends[-1] > len(self.text):
            raise ValueError("lines overlap, are out of order or lie outside the text")
        return self


class Section(Record):
    """A typed part of a document. ``name`` is canonical (``principal_complaint`` …), ``heading`` as written."""

    name: str
    heading: str = ""
    document: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class Patient(Record):
    age_years: Annotated[float, Field(ge=0, le=130)] | None = None
    sex: Annotated[str, Field(pattern="^(female|male|unknown)$")] = "unknown"


class Encounter(Record):
    """One stay or visit: everything that is to be coded together.

    ``fields`` are administrative (ward, way of discharge …): passed through untouched, never read by a step.
    """

    id: str
    documents: tuple[Document, ...] = Field(min_length=1)
    sections: tuple[Section, ...] = ()
    patient: Patient = Patient()
    admitted: dt.date | None = None
    discharged: dt.date | None = None
    language: str | None = None
    fields: dict[str, str] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for section in self.sections:
            if section.document >= len(self.documents):
                raise ValueError("a section points to a document that is not there")
            if not section.start <= section.end <= len(self.documents[section.document].text):
                raise ValueError("a section's offsets lie outside its document")
        if self.admitted and self.discharged and self.discharged < self.admitted:
            raise ValueError("discharged lies before admitted")
        return self

    @classmethod
    def from_text(cls, text: str, *, id: str = "", language: str | None = None, **fields: Any) -> Self:
        """One document. Without ``id`` a content hash serves, so that the same text has the same id."""
        return cls.from_documents((Document(id="0", text=text),), id=id, language=language, **fields)

    @classmethod
    def from_sections(
        cls, sections: Mapping[str, str], *, id: str = "", language: str | None = None, **fields: Any
    ) -> Self:
        """A structured record: each named field becomes a document of its own, titled by the field's name."""
        documents = tuple(
            Document(id=str(i), text=text, title=name)
            for i, (name, text) in enumerate(sections.items())
            if text.strip()
        )
        return cls.from_documents(documents, id=id, language=language, **fields)

    @classmethod
    def from_documents(
        cls, documents: Sequence[Document], *, id: str = "", language: str | None = None, **fields: Any
    ) -> Self:
        """Documents as they are; the id as in :meth:`from_text`. Raises InputError JC101 where none holds text."""
        if not any(document.text.strip() for document in documents):
            raise InputError("JC101", "the encounter holds no text", hint="check the export that produced it")
        if not id:
            digest = hashlib.sha256("\x00".join(d.text for d in documents).encode("utf-8", "surrogatepass"))
            id = digest.hexdigest()[:16]
        return cls(id=id, documents=tuple(documents), language=language, **fields)

    @property
    def characters(self) -> int:
        return sum(len(document.text) for document in self.documents)


# ------------------------------------------------------------------------------------------- what the stages add


class Span(Record):
    """A place in a document, with the words found there: ``documents[document].text[start:end] == quote``."""

    document: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    quote: str

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.end - self.start != len(self.quote):
            raise ValueError("a span's offsets and its quote differ in length")
        return self

    def reproduces(self, encounter: Encounter) -> bool:
        """Whether the offsets give the quote back."""
        if self.document >= len(encounter.documents):
            return False
        return encounter.documents[self.document].text[self.start : self.end] == self.quote


class Mention(Record):
    """A condition or procedure as the text words it. ``name`` is the wording to look up (expanded, canonical)."""

    id: str
    kind: Kind
    span: Span
    name: str
    assertion: Assertion = Assertion.PRESENT
    section: str = ""
    source: str = ""


class Candidate(Record):
    """A code-book entry that may name a mention. ``score`` is comparable within one mention only."""

    mention: str
    system: System
    code: str
    name: str
    score: float
    sources: tuple[str, ...] = ()


class Verdict(Record):
    """One judgement about a code: by whom (``step``), on what question, with what probability of yes."""

    step: str
    question: str
    answer: str
    probability: Probability
    by: str = "model"


class Reason(Record):
    """Why a score is what it is: a feature, its value, and what it adds to the log-odds."""

    feature: str
    value: float
    weight: float


class Link(Record):
    """A relation to another code of the record (``explains``, ``code_also``, ``laterality`` …)."""

    relation: str
    system: System
    code: str


class Finding(Record):
    """What a rule found: its id, the codes concerned, the source it cites, and a remedy."""

    rule: str
    severity: Severity
    codes: tuple[str, ...] = ()
    message: str
    citation: str = ""
    remedy: str = ""


class AssignedCode(Record):
    """One code of the coded record. ``rank`` counts from 1 within its kind. ``reasons``: why a learned confidence is
    what it is; ``order``: what speaks for and against the code as the principal one, which gives its rank."""

    system: System
    code: str
    name: str
    role: Role = Role.SECONDARY
    rank: int = Field(default=0, ge=0)
    confidence: Probability
    evidence: tuple[Span, ...] = ()
    assertion: Assertion = Assertion.PRESENT
    present_on_admission: PresentOnAdmission | None = None
    mentions: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    checks: tuple[Finding, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    reasons: tuple[Reason, ...] = ()
    order: tuple[Reason, ...] = ()
    stages: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        return self.system.kind

    def with_(self, **changes: Any) -> Self:
        """A changed copy, validated again (``model_copy`` does not validate)."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


# -------------------------------------------------------------------------------------------------- what goes out


class Flag(Record):
    """Something a person should know of this record; ``code`` is one of :data:`jointcoder.errors.CATALOGUE`."""

    code: str
    step: str = ""
    message: str


class Cost(Record):
    """What was spent: requests to the model, tokens read (``reused_tokens`` of them from a cache), tokens written."""

    seconds: float = Field(default=0.0, ge=0)
    calls: int = Field(default=0, ge=0)
    prompt_tokens: int = Field(default=0, ge=0)
    reused_tokens: int = Field(default=0, ge=0)
    generated_tokens: int = Field(default=0, ge=0)

    def __add__(self, other: Cost) -> Cost:
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class StepTrace(Record):
    """One step of the run: what it cost and how many of each thing it read and wrote. Holds no note text."""

    step: str
    component: str
    cost: Cost = Cost()
    read: dict[str, int] = {}
    wrote: dict[str, int] = {}
    notes: dict[str, Any] = {}


class Versions(Record):
    """What produced a record, by name and hash: enough to produce it again."""

    program: str
    workflow: str = ""
    workflow_hash: str = ""
    model: str = ""
    model_hash: str = ""
    adapters: dict[str, str] = {}
    code_book: str = ""
    code_book_hash: str = ""
    edition: str = ""
    search: str = ""
    pack: str = ""


class CodedRecord(Record):
    """The result for one encounter: codes ranked, evidence, flags, trace and versions. ``suggestions`` are not coded:
    the next likely codes, for a coder to look at; their confidence is below the threshold."""

    encounter: str
    language: str
    codes: tuple[AssignedCode, ...] = ()
    suggestions: tuple[AssignedCode, ...] = ()
    flags: tuple[Flag, ...] = ()
    findings: tuple[Finding, ...] = ()
    cost: Cost = Cost()
    trace: tuple[StepTrace, ...] = ()
    versions: Versions

    def of_kind(self, kind: Kind) -> tuple[AssignedCode, ...]:
        """The codes of one kind, by rank."""
        return tuple(sorted((c for c in self.codes if c.kind is kind), key=lambda code: code.rank))

    def principal(self, kind: Kind = Kind.DIAGNOSIS) -> AssignedCode | None:
        """The principal diagnosis or procedure, if there is one."""
        return next((c for c in self.of_kind(kind) if c.role is Role.PRINCIPAL), None)


def json_schemas() -> dict[str, dict[str, Any]]:
    """The JSON schemas of what comes in and what goes out."""
    return {model.__name__: model.model_json_schema() for model in (Encounter, CodedRecord)}
