"""What a coder may say about a coded record: decisions, as frozen values and as JSON.

    parse_decision({"kind": "replace", "item": "p3", "system": "ICD-10-CM", "code": "I50.22"})

``kind`` tells them apart. A decision names codes of the record by the ids of :class:`jointcoder.desk.review.Item`. What
it means is in ``review.py``; this module only says what can be written down. Comments, reasons and questions may quote
the note: they are kept where notes are, and never logged.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from jointcoder.errors import InputError
from jointcoder.records import PresentOnAdmission, Record, System

ItemId = Annotated[str, Field(pattern=r"^[pa][0-9]{1,6}$")]
Words = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"\S")]
MaybeWords = Annotated[str, Field(max_length=4000)]
Code = Annotated[str, Field(min_length=1, max_length=40)]


class Stretch(Record):
    """A place in a document, in code points; the words there are taken from the encounter."""

    document: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=1)


class Accept(Record):
    """The code as the model proposed it is right; takes a rejection or a replacement back."""

    kind: Literal["accept"] = "accept"
    item: ItemId


class Reject(Record):
    """The code does not belong to the record."""

    kind: Literal["reject"] = "reject"
    item: ItemId
    reason: MaybeWords = ""


class Replace(Record):
    """Another code of the same kind in its place. ``name`` is filled in from the code book."""

    kind: Literal["replace"] = "replace"
    item: ItemId
    system: System
    code: Code
    name: str = ""
    reason: MaybeWords = ""


class Add(Record):
    """A code that the model did not propose. ``to``: its rank, 0 the last; ``name`` is filled in from the book."""

    kind: Literal["add"] = "add"
    system: System
    code: Code
    name: str = ""
    evidence: tuple[Stretch, ...] = Field(default=(), max_length=50)
    to: int = Field(default=0, ge=0)
    present_on_admission: PresentOnAdmission | None = None


class Move(Record):
    """Another rank among the codes of its kind that stand, counted from 1."""

    kind: Literal["move"] = "move"
    item: ItemId
    to: int = Field(ge=1)


class Principal(Record):
    """The principal diagnosis or procedure: it goes first."""

    kind: Literal["principal"] = "principal"
    item: ItemId


class Poa(Record):
    """Presence on admission of a diagnosis; None takes the indicator off. ``poa.py`` knows the Chinese form."""

    kind: Literal["poa"] = "poa"
    item: ItemId
    value: PresentOnAdmission | None


class LinkCodes(Record):
    """The diagnosis explains the procedure."""

    kind: Literal["link"] = "link"
    procedure: ItemId
    diagnosis: ItemId


class UnlinkCodes(Record):
    """It does not."""

    kind: Literal["unlink"] = "unlink"
    procedure: ItemId
    diagnosis: ItemId


class Remark(Record):
    """A remark on a code, or on the whole record."""

    kind: Literal["comment"] = "comment"
    text: Words
    item: ItemId | Literal[""] = ""


class Override(Record):
    """A finding of the rules that shall not hold up the record, and why."""

    kind: Literal["override"] = "override"
    finding: Annotated[str, Field(pattern=r"^[0-9a-f]{12}(-[0-9]{1,4})?$")]
    reason: Words


class BulkAccept(Record):
    """Accept what is proposed with at least this confidence. ``items`` is filled in with those that it concerned."""

    kind: Literal["bulk_accept"] = "bulk_accept"
    threshold: float = Field(ge=0, le=1)
    items: tuple[ItemId, ...] = ()


class Query(Record):
    """A question to the physician, about a code or the whole record."""

    kind: Literal["query"] = "query"
    text: Words
    item: ItemId | Literal[""] = ""


class Finish(Record):
    """The record is done."""

    kind: Literal["finish"] = "finish"


class Reopen(Record):
    """It is not, after all; a lead says so."""

    kind: Literal["reopen"] = "reopen"
    reason: Words


class Undo(Record):
    """Take one's own last decision back. ``of`` is filled in with its number."""

    kind: Literal["undo"] = "undo"
    of: int = Field(default=0, ge=0)


Decision = Annotated[
    Accept
    | Reject
    | Replace
    | Add
    | Move
    | Principal
    | Poa
    | LinkCodes
    | UnlinkCodes
    | Remark
    | Override
    | BulkAccept
    | Query
    | Finish
    | Reopen
    | Undo,
    Field(discriminator="kind"),
]
_DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)


class Decided(Record):
    """A decision that was taken: its number, by whom, when."""

    seq: int = Field(ge=1)
    by: str
    at: dt.datetime
    decision: Decision


def parse_decision(data: Mapping[str, Any]) -> Decision:
    """A JSON object → Decision. Raises InputError JC108 that names the fields, never what stands in them."""
    try:
        return _DECISION.validate_python(data)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        said = "; ".join(f"{_place(problem['loc'])}: {_plain(problem)}" for problem in problems)
        raise InputError("JC108", said, hint="a decision has a kind and that kind's fields") from None


def _place(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in loc if str(part).replace("_", "").isalnum())[:60] or "decision"


def _plain(problem: Mapping[str, Any]) -> str:
    """What is wrong, without the value: a wrong ``kind`` would be quoted otherwise."""
    return "unknown kind" if problem["type"] == "union_tag_invalid" else str(problem["msg"])
