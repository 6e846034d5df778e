"""The right half of the encounter page: codes in order, findings, what is open, what may be done and by whom.

    review_view(review, opened by …)  →  ReviewView: rows per kind, findings, open points, bulk acceptance

A view model holds values, no words: names, states and keys that templates turn into the reader's language. What the
model said of a code stays with its row whatever a person decided. Knows nothing of requests and pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jointcoder.desk import bands, poa
from jointcoder.desk.sheet import Said, effective
from jointcoder.desk.views_text import Place
from jointcoder.records import (
    Assertion,
    AssignedCode,
    Finding,
    Kind,
    PresentOnAdmission,
    Role,
    Severity,
    Span,
    System,
)

if TYPE_CHECKING:
    import datetime as dt

    from jointcoder.desk.decisions import Decided
    from jointcoder.desk.review import Item, Live, Review

CHINESE = frozenset({System.ICD10CN, System.ICD9CM3})
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.ADVICE: 2}


@dataclass(frozen=True, slots=True)
class Related:
    """The other side of a link between a procedure and a diagnosis. ``item``: its row."""

    item: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding and what became of it. ``items``: the rows it is about; ``blocks``: finishing waits for it."""

    key: str
    finding: Finding
    overridden: bool
    blocks: bool
    by: str
    reason: str
    items: tuple[str, ...]

    @property
    def id(self) -> str:
        """The id of its element on the page."""
        return _target("finding", self.key)

    @property
    def open(self) -> bool:
        return self.blocks and not self.overridden


@dataclass(frozen=True, slots=True)
class Row:
    """A code. ``confidence``: the model's, None for a code that a person added; ``model_code``: what the model had said
    where a person replaced it. ``conditions``: values of present-on-admission that may be chosen (none: procedures)."""

    id: str
    code: AssignedCode
    name: str
    rank: int
    principal: bool
    state: str
    stands: bool
    confidence: float | None
    band: str
    model_code: AssignedCode | None
    places: tuple[Place, ...]
    assertion: Assertion
    conditions: tuple[PresentOnAdmission, ...]
    links: tuple[Related, ...]
    findings: tuple[FindingView, ...]
    comments: tuple[Comment, ...]
    by: str
    at: dt.datetime | None
    reason: str

    @property
    def kind(self) -> Kind:
        return self.code.kind

    @property
    def chinese(self) -> bool:
        return self.code.system in CHINESE

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding about it that is not overridden."""
        open_ = [one.finding.severity for one in self.findings if not one.overridden]
        return min(open_, key=lambda severity: _ORDER[severity], default=None)


@dataclass(frozen=True, slots=True)
class Comment:
    """What a person wrote, about a code or (``item`` empty) the whole record; ``query``: a question to the
    physician."""

    by: str
    at: dt.datetime
    text: str
    item: str
    query: bool = False


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """Something finishing waits for: an ``item`` not decided upon or a ``finding``. ``target``: its element's id."""

    kind: str
    key: str
    target: str


@dataclass(frozen=True, slots=True)
class Bulk:
    """Acceptance of everything above a ``threshold`` (None: calibration supports none, ``reason`` says why);
    ``count``: how many codes it would accept now. ``ground``: what it rests on: how many codes of
    how many finished reviews of this house."""

    threshold: float | None
    reason: str
    count: int
    ground: bands.Bulk


@dataclass(frozen=True, slots=True)
class ReviewView:
    """Everything right of the text. ``etag`` is what a decision must send back. ``editable``: this person may decide
    now; else ``barrier`` says why not: ``older``, ``role``, ``finished`` or ``held``."""

    etag: str
    seq: int
    status: str
    diagnoses: tuple[Row, ...]
    procedures: tuple[Row, ...]
    gone: tuple[Row, ...]
    suggestions: tuple[AssignedCode, ...]
    findings: tuple[FindingView, ...]
    open: tuple[OpenPoint, ...]
    comments: tuple[Comment, ...]
    bulk: Bulk
    editable: bool
    barrier: str
    holder: str
    undo: str
    history: tuple[Decided, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.diagnoses, *self.procedures)

    @property
    def undecided(self) -> int:
        return sum(row.state == "proposed" for row in self.rows)

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(place for row in (*self.rows, *self.gone) for place in row.places)

    @property
    def severities(self) -> Mapping[Severity, int]:
        """How many findings of each severity are not overridden."""
        return {s: sum(f.finding.severity is s and not f.overridden for f in self.findings) for s in Severity}


def review_view(
    review: Review,
    *,
    viewer: str,
    may_decide: bool,
    holder: str,
    names: Mapping[tuple[System, str], str] | None = None,
    older: bool = False,
) -> ReviewView:
    """What ``viewer`` sees. ``may_decide``: by role; ``holder``: who has the encounter now ("" nobody); ``names``: of
    codes in the viewer's language, where the book has them; ``older``: a newer version of the encounter came in."""
    names = names or {}
    items = list(review.items)
    by_id = {item.id: item for item in items}
    live = [_finding_view(one, items) for one in review.findings]
    live.sort(key=lambda one: (one.overridden, _ORDER[one.finding.severity]))
    everything = [said for item in items for said in item.comments]
    everything += [*review.comments, *(said for said in review.queries if not said.item)]
    comments = tuple(_said(one) for one in sorted(everything, key=lambda said: said.seq))
    about: dict[str, list[FindingView]] = {}
    for one in live:
        for item in one.items:
            about.setdefault(item, []).append(one)
    rows = {
        item.id: _row(item, by_id, names, about.get(item.id, ()), [c for c in comments if c.item == item.id])
        for item in items
    }
    standing = {kind: tuple(rows[item.id] for item in review.standing(kind)) for kind in Kind}
    barrier = "older" if older else _barrier(review, viewer=viewer, may_decide=may_decide, holder=holder)
    bulk = review.bulk
    above = [
        item for item in review.undecided if bulk.threshold is not None and (item.confidence or 0) >= bulk.threshold
    ]
    held = {(item.code.system, item.code.code) for item in items if item.stands}
    return ReviewView(
        etag=review.etag,
        seq=review.seq,
        status=str(review.status),
        diagnoses=standing[Kind.DIAGNOSIS],
        procedures=standing[Kind.PROCEDURE],
        gone=tuple(rows[item.id] for item in items if not item.stands),
        suggestions=tuple(one for one in review.record.suggestions if (one.system, one.code) not in held),
        findings=tuple(live),
        open=tuple(OpenPoint(str(one.kind), one.key, _target(str(one.kind), one.key)) for one in review.open),
        comments=comments,
        bulk=Bulk(bulk.threshold, bulk.reason, len(above), bulk),
        editable=not barrier,
        barrier=barrier,
        holder=holder,
        undo=_undoable(review, viewer) if not barrier else "",
        history=tuple(reversed(review.decided)),
    )


def _row(
    item: Item,
    by_id: Mapping[str, Item],
    names: Mapping[tuple[System, str], str],
    findings: Iterable[FindingView],
    comments: Sequence[Comment],
) -> Row:
    code, proposed = item.code, item.proposed
    replaced = proposed is not None and (proposed.system, proposed.code) != (code.system, code.code)
    spans = code.evidence or (proposed.evidence if proposed else ())
    name = names.get((code.system, code.code), code.name)
    return Row(
        id=item.id,
        code=code,
        name=name,
        rank=item.rank,
        principal=item.stands and code.role is Role.PRINCIPAL,
        state=str(item.state),
        stands=item.stands,
        confidence=item.confidence,
        band=str(item.band or ""),
        model_code=proposed if replaced else None,
        places=tuple(places_of(item.id, code, name, spans, dropped=not item.stands)),
        assertion=code.assertion,
        conditions=tuple(poa.indicators(code.system)) if item.kind is Kind.DIAGNOSIS else (),
        links=tuple(
            Related(other, by_id[other].code.code, names.get(_key(by_id[other].code), by_id[other].code.name))
            for other in item.links
            if other in by_id and by_id[other].stands
        ),
        findings=tuple(findings),
        comments=tuple(comments),
        by=item.by,
        at=item.at,
        reason=item.reason,
    )


def places_of(
    item: str, code: AssignedCode, name: str, spans: Sequence[Span], *, dropped: bool = False
) -> Iterable[Place]:
    """The evidence of a row, in the order of the text."""
    ordered = sorted(spans, key=lambda span: (span.document, span.start, span.end))
    for number, span in enumerate(ordered, start=1):
        yield Place(f"e-{item}-{number}", item, number, span, code.code, name, code.kind, code.assertion, dropped)


def _key(code: AssignedCode) -> tuple[System, str]:
    return code.system, code.code


def _finding_view(live: Live, items: Sequence[Item]) -> FindingView:
    concerned = {code.casefold() for code in live.finding.codes}
    return FindingView(
        key=live.key,
        finding=live.finding,
        overridden=live.state == "overridden",
        blocks=live.blocks,
        by=live.by,
        reason=live.reason,
        items=tuple(item.id for item in items if item.stands and item.code.code.casefold() in concerned),
    )


def _said(one: Said) -> Comment:
    return Comment(one.by, one.at, one.text, one.item, one.kind == "query")


def _target(kind: str, key: str) -> str:
    return f"f-{key}" if kind == "finding" else f"i-{key}"


def _barrier(review: Review, *, viewer: str, may_decide: bool, holder: str) -> str:
    if not may_decide:
        return "role"
    if str(review.status) == "finished":
        return "finished"
    return "held" if holder not in ("", viewer) else ""


def _undoable(review: Review, viewer: str) -> str:
    """The kind of the viewer's own last decision, if it is the last of all and can be taken back."""
    last = next(reversed(effective(review.decided)), None)
    if last is None or last.by != viewer or last.decision.kind in ("finish", "reopen"):
        return ""
    return str(last.decision.kind)
