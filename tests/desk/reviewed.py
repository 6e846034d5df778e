"""Invented stays that coders reviewed, in a real store: what the tests of feedback and agreement begin with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.desk.decisions import parse_decision
from jointcoder.desk.history import Handled, history
from jointcoder.desk.kept import standing_of
from jointcoder.desk.review import Review, begin
from jointcoder.desk.service import Desk
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Role, Span, System, Versions
from jointcoder.store.engine import Store
from jointcoder.store.sealing import PLAIN, Sealer

START = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
PROPOSED = (("J18.9", "pneumonia", 0.97), ("I10", "hypertension", 0.8), ("E11.9", "diabetes", 0.3))
TEXT = "He has pneumonia. Known hypertension. His mother had diabetes. A chest film was taken after an appendectomy."


def no_coder() -> Any:
    raise AssertionError("these tests hand coded records in; nothing is coded")


class Coders:
    """A desk on a store whose records come as they are given, and people who decide at given times."""

    def __init__(self, store: Store, book: CodeBook, *, sealer: Sealer = PLAIN) -> None:
        self.desk = Desk(store, editions=Editions([book]), make_coder=no_coder, sealer=sealer)
        self.now = START

    def coded(
        self,
        id: str,
        *,
        text: str = TEXT,
        proposed: Sequence[tuple[str, str, float]] = PROPOSED,
        codes: Iterable[AssignedCode] | None = None,
        encounter: Encounter | None = None,
    ) -> Review:
        """An encounter with its coded record, before the coders."""
        stay = encounter or Encounter.from_text(text, id=id, language="en")
        made = tuple(codes) if codes is not None else _proposed(stay, proposed)
        record = CodedRecord(encounter=stay.id, language="en", codes=made, versions=Versions(program="0", model="m"))
        self.desk.submit([stay])
        claimed = self.desk.queue.claim("worker")
        assert claimed is not None
        standing = standing_of(begin(record, self.desk.ground(stay, record)))
        assert self.desk.queue.finish(claimed, record, conditions=f"c{self.now.timestamp()}", standing=standing)
        return self.desk.review(stay.id)

    def decide(self, id: str, by: str, *decisions: dict[str, Any], minutes: float = 1) -> Review:
        """One decision after the other, so many minutes apart."""
        review = self.desk.review(id)
        for decision in decisions:
            review = self.desk.decide(
                id,
                parse_decision(decision),
                expected=review.etag,
                by=by,
                at=self.now,
                lead=decision["kind"] == "reopen",
            )
            self.now += dt.timedelta(minutes=minutes)
        return review

    def finish(self, id: str, by: str, *decisions: dict[str, Any], minutes: float = 1) -> Review:
        """The decisions; then what is left is accepted, every finding overridden, and the record finished."""
        self.decide(id, by, *decisions, minutes=minutes)
        rest = [{"kind": "accept", "item": item.id} for item in self.desk.review(id).undecided]
        self.decide(id, by, *rest, minutes=minutes)
        passed = [
            {"kind": "override", "finding": live.key, "reason": "seen"}
            for live in self.desk.review(id).findings
            if live.blocks
        ]
        return self.decide(id, by, *passed, {"kind": "finish"}, minutes=minutes)

    def history(self, **options: Any) -> list[Handled]:
        return list(history(self.desk.reviews, self.desk.encounters, **options))


def _proposed(stay: Encounter, proposed: Sequence[tuple[str, str, float]]) -> tuple[AssignedCode, ...]:
    text = stay.documents[0].text
    codes = []
    for rank, (code, words, confidence) in enumerate(proposed, start=1):
        start = text.index(words)
        codes.append(
            AssignedCode(
                system=System.ICD10CM,
                code=code,
                name=words,
                rank=rank,
                role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
                confidence=confidence,
                evidence=(Span(document=0, start=start, end=start + len(words), quote=words),),
            )
        )
    return tuple(codes)
