"""Any sequence of decisions: what always holds of a review."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.bands import Bulk
from jointcoder.desk.decisions import Decided, parse_decision
from jointcoder.desk.review import Review, decide, replay
from jointcoder.errors import JointCoderError
from jointcoder.records import Kind, Role
from jointcoder.store.lines import Status

from .review_stays import AT, fresh

ITEMS = st.sampled_from([*(f"p{number}" for number in range(1, 8)), *(f"a{number}" for number in range(1, 30, 3))])
CODES = st.sampled_from(
    [
        *(("ICD-10-CM", code) for code in ("I10", "I11.0", "E11.9", "E11.22", "E11", "A99", "W19.XXXA", "Z79.4")),
        *(("ICD-10-PCS", code) for code in ("0DTJ4ZZ", "0W9B3ZZ", "0W9", "ZZZZZZZ")),
        ("ICD-10-CN", "J18.900"),
    ]
)
WHO = st.sampled_from([("ana", False), ("bo", False), ("lea", True)])


def code(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(CODES, st.fixed_dictionaries(fields)).map(
        lambda drawn: {"kind": kind, "system": drawn[0][0], "code": drawn[0][1], **drawn[1]}
    )


def said(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"kind": st.just(kind), **fields})


DECISIONS = st.one_of(
    said("accept", item=ITEMS),
    said("reject", item=ITEMS),
    code("replace", item=ITEMS),
    code("add", to=st.integers(0, 4)),
    said("move", item=ITEMS, to=st.integers(1, 6)),
    said("principal", item=ITEMS),
    said("poa", item=ITEMS, value=st.sampled_from([None, "Y", "N", "1"])),
    said("link", procedure=ITEMS, diagnosis=ITEMS),
    said("unlink", procedure=ITEMS, diagnosis=ITEMS),
    said("comment", text=st.just("a remark"), item=st.one_of(st.just(""), ITEMS)),
    said("query", text=st.just("a question")),
    said("override", finding=st.integers(0, 5), reason=st.just("seen")),
    said("bulk_accept", threshold=st.sampled_from([0.5, 0.9, 0.95])),
    said("finish"),
    said("reopen", reason=st.just("again")),
    said("undo"),
    st.just({"kind": "everything"}),
)


def ready(review: Review, data: dict[str, Any]) -> list[Any]:
    """The decision; of an override, on a finding that there is; and now and then whatever finishing needs."""
    if data["kind"] == "everything":
        accepts = [{"kind": "accept", "item": item.id} for item in review.undecided]
        passed = [{"kind": "override", "finding": live.key, "reason": "all"} for live in review.findings if live.blocks]
        return [parse_decision(one) for one in (*accepts, *passed, {"kind": "finish"})]
    if data["kind"] == "override":
        if not review.findings:
            return []
        data = {**data, "finding": review.findings[data["finding"] % len(review.findings)].key}
    return [parse_decision(data)]


@given(script=st.lists(st.tuples(DECISIONS, WHO), max_size=25))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_decided(small_us: CodeBook, script: list[tuple[dict[str, Any], tuple[str, bool]]]):
    review = fresh(small_us, bulk=Bulk(0.9, "supported"))
    refusals: set[str] = set()
    for data, (by, lead) in script:
        for decision in ready(review, data):
            try:
                after = decide(review, decision, by=by, at=AT, lead=lead)
            except JointCoderError as error:
                refusals.add(error.code)
                continue
            assert after.seq == review.seq + 1
            assert review.status is not Status.FINISHED or after.decided[-1].decision.kind == "reopen"
            review = after
            holds(review)
    assert refusals <= {"JC463", "JC464", "JC465", "JC501", "JC503"}
    again = replay(
        review.record,
        [Decided.model_validate_json(one.model_dump_json()) for one in review.decided],
        review.ground,
    )
    assert (again.sheet, again.items, again.findings) == (review.sheet, review.items, review.findings)
    assert again.coded() == review.coded()


def holds(review: Review) -> None:
    """What is true of every review."""
    proposed = [f"p{number}" for number in range(1, 7)]
    ids = [item.id for item in review.items]
    assert len(set(ids)) == len(ids)
    assert [one for one in sorted(ids) if one[0] == "p"] == proposed
    coded = review.coded()
    for kind in Kind:
        standing = review.standing(kind)
        assert [item.rank for item in standing] == list(range(1, len(standing) + 1))
        roles = [one.role for one in coded.of_kind(kind)]
        assert roles == [Role.PRINCIPAL, *[Role.SECONDARY] * (len(standing) - 1)][: len(standing)]
    book = review.ground.book
    for one in coded.codes:
        assert book.is_valid(one.system, one.code, review.ground.valid_on)
        present = {(other.system, other.code) for other in coded.codes}
        assert all((link.system, link.code) in present for link in one.links)
    for item in review.items:
        assert (item.proposed is None) == (item.id[0] == "a")
        if item.proposed is not None:
            assert item.confidence == review.record.codes[int(item.id[1:]) - 1].confidence
    diagnoses = [one.code for one in coded.of_kind(Kind.DIAGNOSIS)]
    assert len(set(diagnoses)) == len(diagnoses)
    if review.status is Status.FINISHED:
        assert review.open == ()
