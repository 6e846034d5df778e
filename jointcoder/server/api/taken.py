"""The JSON that comes in, as the OpenAPI document tells it.

Bodies are not read by these: the functions that the command line reads files with do that, so that errors are the same.
"""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jointcoder.desk.decisions import Decision
from jointcoder.records import Document, Patient, PresentOnAdmission, Role, Section, System


class EncounterIn(BaseModel):
    """One stay or visit. Give `text`, or `sections` as an object {heading: text}, or `documents`."""

    model_config = ConfigDict(title="EncounterIn", extra="forbid")

    id: str | None = Field(None, description="Default: a hash of the text.")
    text: str | None = None
    sections: dict[str, str] | list[Section] | None = None
    documents: list[Document] | None = None
    patient: Patient | None = None
    admitted: dt.date | None = None
    discharged: dt.date | None = Field(None, description="Decides the edition of the code book.")
    language: str | None = Field(None, description="en, es or zh; detected by default.")
    lang: str | None = Field(None, description="The same as language.")
    fields: dict[str, str] | None = Field(None, description="Administrative; passed through.")


class CodeIn(BaseModel):
    """A code to check."""

    model_config = ConfigDict(extra="forbid")

    code: str
    system: System | None = None
    role: Role | None = None
    rank: int = Field(0, ge=0)
    present_on_admission: PresentOnAdmission | None = None
    name: str = ""


class CheckIn(BaseModel):
    """Codes given together. A list of codes alone will do, and a coded record too."""

    model_config = ConfigDict(extra="forbid")

    id: str = ""
    codes: list[str | CodeIn]
    patient: Patient | None = None
    discharged: dt.date | None = None
    inpatient: bool | None = None


class DecisionIn(RootModel[Decision]):
    """A decision; `kind` says which."""


class DecisionsIn(BaseModel):
    """Decisions in their order."""

    model_config = ConfigDict(extra="forbid")

    decisions: list[Decision] = Field(min_length=1, max_length=500)
