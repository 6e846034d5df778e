"""What may be decided on a review as it stands; and decisions as they are kept, with the code book's words in them.

:func:`settled` is the door: it returns the decision with what it must remember (the name of a code as the book prints
it, the codes that a bulk accept concerned, the decision that an undo takes back), or raises. No code is taken that the
book does not hold or that is not valid on the encounter's day. Messages name codes, rules and ids, never what was
written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from jointcoder.codebook.model import Entry as BookEntry
from jointcoder.desk import poa
from jointcoder.desk.decisions import (
    Accept,
    Add,
    BulkAccept,
    Finish,
    LinkCodes,
    Move,
    Override,
    Poa,
    Principal,
    Query,
    Reject,
    Remark,
    Reopen,
    Replace,
    Stretch,
    Undo,
    UnlinkCodes,
)
from jointcoder.desk.review import Item, Review
from jointcoder.desk.sheet import ItemState, effective
from jointcoder.errors import CodeBookError, UsageError, name_list
from jointcoder.records import Kind, PresentOnAdmission, System
from jointcoder.store.lines import Status


def settled(review: Review, decision: Any, *, by: str, lead: bool = False) -> Any:
    """The decision as it is to be kept. Raises as :func:`jointcoder.desk.review.decide` does."""
    if review.status is Status.FINISHED and not isinstance(decision, Reopen):
        raise UsageError("JC464", "the record is finished", hint="a lead can reopen it")
    if isinstance(decision, Reopen):
        return _reopen(review, decision, lead=lead)
    if isinstance(decision, Undo):
        return _undo(review, by)
    return _CHECKS[type(decision)](review, decision)


# -------------------------------------------------------------------------------------------------------- single codes


def _accept(review: Review, decision: Accept) -> Accept:
    item = _item(review, decision.item)
    code = item.proposed or item.code
    if not item.stands or code.code != item.code.code:
        _require_single(review, code.system, code.code, but=item.id)
    return decision


def _reject(review: Review, decision: Reject) -> Reject:
    _standing(review, decision.item)
    return decision


def _replace(review: Review, decision: Replace) -> Replace:
    item = _item(review, decision.item)
    if decision.system.kind is not item.kind:
        raise _unfit(f"{decision.item} is a {item.kind}; a code of {decision.system} cannot replace it")
    entry = _held(review, decision.system, decision.code)
    if item.stands and (entry.system, entry.code) == (item.code.system, item.code.code):
        raise _unfit(f"{decision.item} is {entry.code} already")
    _require_single(review, entry.system, entry.code, but=item.id)
    return decision.model_copy(update={"code": entry.code, "name": _name(review, entry)})


def _add(review: Review, decision: Add) -> Add:
    entry = _held(review, decision.system, decision.code)
    _require_single(review, entry.system, entry.code)
    kind = entry.system.kind
    if decision.to > len(review.standing(kind)) + 1:
        raise _unfit(f"rank {decision.to} is beyond the {len(review.standing(kind)) + 1} places of its kind")
    _require_indicator(entry.system, decision.present_on_admission)
    for stretch in decision.evidence:
        _require_place(review, stretch)
    return decision.model_copy(update={"code": entry.code, "name": _name(review, entry)})


def _poa(review: Review, decision: Poa) -> Poa:
    _require_indicator(_standing(review, decision.item).code.system, decision.value)
    return decision


# --------------------------------------------------------------------------------------------------- order and links


def _move(review: Review, decision: Move) -> Move:
    item = _standing(review, decision.item)
    places = len(review.standing(item.kind))
    if decision.to > places:
        raise _unfit(f"rank {decision.to} is beyond the {places} places of its kind")
    return decision


def _principal(review: Review, decision: Principal) -> Principal:
    _standing(review, decision.item)
    return decision


def _link(review: Review, decision: LinkCodes) -> LinkCodes:
    procedure = _of_kind(review, decision.procedure, Kind.PROCEDURE)
    _of_kind(review, decision.diagnosis, Kind.DIAGNOSIS)
    if decision.diagnosis in procedure.links:
        raise _unfit(f"{decision.procedure} and {decision.diagnosis} are linked already")
    return decision


def _unlink(review: Review, decision: UnlinkCodes) -> UnlinkCodes:
    if decision.diagnosis not in _item(review, decision.procedure).links:
        raise _unfit(f"{decision.procedure} and {decision.diagnosis} are not linked")
    return decision


# ------------------------------------------------------------------------------------------------------- the record


def _say(review: Review, decision: Remark | Query) -> Remark | Query:
    if decision.item:
        _item(review, decision.item)
    return decision


def _override(review: Review, decision: Override) -> Override:
    if not any(live.key == decision.finding for live in review.findings):
        raise _unfit("there is no such finding on the codes as they stand")
    return decision


def _bulk(review: Review, decision: BulkAccept) -> BulkAccept:
    supported = review.bulk.threshold
    if supported is None:
        raise _unfit(f"codes cannot be accepted together here: {review.bulk.reason}")
    if decision.threshold < supported:
        raise _unfit(f"codes can be accepted together from confidence {supported:g} on")
    items = tuple(
        item.id for item in review.undecided if item.confidence is not None and item.confidence >= decision.threshold
    )
    if not items:
        raise _unfit(f"no undecided code has confidence {decision.threshold:g} or more")
    return decision.model_copy(update={"items": items})


def _finish(review: Review, decision: Finish) -> Finish:
    if review.open:
        codes = [one.label for one in review.open if one.kind == "item"]
        rules = [one.label for one in review.open if one.kind == "finding"]
        said = [f"undecided codes: {name_list(codes)}"] * bool(codes) + [f"findings: {name_list(rules)}"] * bool(rules)
        hint = "accept, reject or replace the codes; resolve the findings or override them with a reason"
        raise UsageError("JC465", f"the record cannot be finished yet; {'; '.join(said)}", hint=hint)
    return decision


def _reopen(review: Review, decision: Reopen, *, lead: bool) -> Reopen:
    if review.status is not Status.FINISHED:
        raise _unfit("the record is not finished")
    if not lead:
        raise UsageError("JC464", "the record is finished", hint="a lead can reopen it")
    return decision


def _undo(review: Review, by: str) -> Undo:
    last = next(reversed(effective(review.decided)), None)
    if last is None:
        raise _unfit("there is nothing to undo")
    if last.by != by:
        raise _unfit(f"the last decision is {last.by}'s")
    if isinstance(last.decision, Finish | Reopen):
        raise _unfit(f"{last.decision.kind} cannot be undone")
    return Undo(of=last.seq)


_CHECKS: Mapping[type, Callable[[Review, Any], Any]] = MappingProxyType(
    {
        Accept: _accept,
        Reject: _reject,
        Replace: _replace,
        Add: _add,
        Move: _move,
        Principal: _principal,
        Poa: _poa,
        LinkCodes: _link,
        UnlinkCodes: _unlink,
        Remark: _say,
        Query: _say,
        Override: _override,
        BulkAccept: _bulk,
        Finish: _finish,
    }
)


# ----------------------------------------------------------------------------------------------------------- helpers


def _unfit(message: str) -> UsageError:
    return UsageError("JC463", message)


def _item(review: Review, item: str) -> Item:
    found = review.by_id(item)
    if found is None:
        raise UsageError("JC463", f"the record has no code {item}", hint=name_list(one.id for one in review.items))
    return found


def _standing(review: Review, item: str) -> Item:
    found = _item(review, item)
    if found.state is ItemState.REJECTED:
        raise UsageError("JC463", f"{item} was rejected", hint="accept it first")
    return found


def _of_kind(review: Review, item: str, kind: Kind) -> Item:
    found = _standing(review, item)
    if found.kind is not kind:
        raise _unfit(f"{item} is no {kind}")
    return found


def _held(review: Review, system: System, code: str) -> BookEntry:
    """The book's entry, if it may be assigned on the day. CodeBookError JC501, JC503."""
    ground = review.ground
    entry = ground.book.get(system, code)
    if entry is None:
        raise CodeBookError("JC501", f"{ground.book.info.id} holds no such code of {system}", hint="search for it")
    valid = ground.book.is_valid(system, entry.code, ground.valid_on)
    if not valid and not (ground.headings and ground.book.is_stem(system, entry.code)):
        why = "is a heading" if not entry.billable else f"is not valid on {ground.valid_on}"
        raise CodeBookError("JC501", f"{entry.code} {why}", hint="choose a code of full length, valid on that day")
    return entry


def _name(review: Review, entry: BookEntry) -> str:
    return entry.names.get(review.record.language, entry.name)


def _require_single(review: Review, system: System, code: str, *, but: str = "") -> None:
    """A diagnosis stands once. A procedure may be done twice, and is coded twice then (ICD-10-PCS guideline B3.2)."""
    if system.kind is Kind.PROCEDURE:
        return
    for item in review.standing(Kind.DIAGNOSIS):
        if item.id != but and (item.code.system, item.code.code) == (system, code):
            raise _unfit(f"{code} stands already, as {item.id}")


def _require_indicator(system: System, value: PresentOnAdmission | None) -> None:
    allowed = poa.indicators(system)
    if value is not None and value not in allowed:
        raise UsageError("JC463", f"a code of {system} takes no indicator {value}", hint=name_list(allowed))


def _require_place(review: Review, stretch: Stretch) -> None:
    documents = review.ground.encounter.documents
    inside = stretch.document < len(documents) and stretch.start < stretch.end
    if not inside or stretch.end > len(documents[stretch.document].text):
        raise _unfit("the evidence lies outside the documents")
