"""A desk whose coder gives records written by hand, and an application over it, for tests of the encounter page.

The record of an encounter is made from lines ``(code, confidence, words)``: the words are its evidence, wherever they
stand. Everything behind the record is the program's own: queue, review, rules, audit, pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.coder import Coder
from jointcoder.desk.bands import Bulk
from jointcoder.desk.service import Desk
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Cost,
    Document,
    Encounter,
    Kind,
    Patient,
    Reason,
    Role,
    Span,
    StepTrace,
    System,
    Verdict,
    Versions,
)
from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from jointcoder.steps.base import State
from jointcoder.store.accounts import Accounts
from jointcoder.store.audit import listen
from jointcoder.store.engine import Store, open_store
from jointcoder.store.keys import Keys

Line = tuple[str, float, str]
SYSTEMS = (System.ICD10CM, System.ICD10PCS)
SYSTEMS_ZH = (System.ICD10CN, System.ICD9CM3)


def encounter_of(*texts: str, id: str = "stay", language: str = "en", **more: Any) -> Encounter:
    """An encounter with one document a text."""
    documents = tuple(Document(id=str(n), text=text) for n, text in enumerate(texts))
    return Encounter(id=id, documents=documents, language=language, patient=Patient(age_years=71, sex="female"), **more)


def spans_of(encounter: Encounter, words: str) -> tuple[Span, ...]:
    """Every place where the words stand."""
    return tuple(
        Span(document=number, start=found.start(), end=found.end(), quote=words)
        for number, document in enumerate(encounter.documents)
        for found in re.finditer(re.escape(words), document.text)
        if words
    )


def record_of(
    encounter: Encounter,
    book: CodeBook,
    diagnoses: Sequence[Line],
    procedures: Sequence[Line] = (),
    suggestions: Sequence[Line] = (),
    **more: Any,
) -> CodedRecord:
    """The record as if the model had made it."""
    systems = SYSTEMS_ZH if encounter.language == "zh" else SYSTEMS

    def code(line: Line, system: System, rank: int) -> AssignedCode:
        name, confidence, words = line
        return AssignedCode(
            system=system,
            code=name,
            name=book.name(system, name) or name,
            role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
            rank=rank,
            confidence=confidence,
            evidence=spans_of(encounter, words),
            reasons=(
                Reason(feature="lookup_score", value=1.0, weight=1.5),
                Reason(feature="far", value=2.0, weight=-0.5),
            ),
            verdicts=(Verdict(step="validate", question="supported?", answer="yes", probability=confidence),),
            stages=("extract:text", "standardise", "validate"),
        )

    codes = [
        code(line, system, rank)
        for system, lines in zip(systems, (diagnoses, procedures), strict=True)
        for rank, line in enumerate(lines, 1)
    ]
    return CodedRecord(
        encounter=encounter.id,
        language=encounter.language or "en",
        codes=tuple(codes),
        suggestions=tuple(code(line, systems[0], 9) for line in suggestions),
        trace=(
            StepTrace(
                step="map_codes",
                component="map_codes",
                cost=Cost(seconds=0.5, calls=3),
                notes={"codes": [[c.system, c.code] for c in codes]},
            ),
        ),
        versions=Versions(program="0", workflow="by hand", workflow_hash="ab" * 32, code_book=book.info.id),
        **more,
    )


class ByHand(Coder):
    """A coder that knows the answers: ``told`` maps the id of an encounter to its record. It tells its observer of two
    stages before it answers, and waits for ``gate`` between them where there is one."""

    told: Callable[[Encounter], CodedRecord]
    gate: Callable[[], None] | None = None

    def code(self, encounter: Encounter, *, observer: Any = None) -> CodedRecord:
        record = self.told(encounter)
        state = State(encounter)
        if observer:
            observer(state, StepTrace(step="read", component="read"))
            diagnoses = record.of_kind(Kind.DIAGNOSIS)
            state = State(encounter, diagnoses=diagnoses)
            observer(state, StepTrace(step="standardise", component="standardise", wrote={"diagnoses": len(diagnoses)}))
            if self.gate:
                self.gate()
        return record


@contextmanager
def desk_of(
    folder: Path,
    book: CodeBook,
    told: Callable[[Encounter], CodedRecord],
    *,
    gate: Callable[[], None] | None = None,
    bulk: Bulk | None = None,
) -> Iterator[Desk]:
    """A desk at work over an SQLite store in ``folder``; ``bulk``: what calibration is said to support."""
    settings = Settings(cache=folder, store=str(folder / "desk.sqlite"))

    def make() -> ByHand:
        coder = ByHand(settings, code_book=book, workflow="lexical")
        coder.told, coder.gate = told, gate
        return coder

    with open_store(settings.store_place) as store:
        kind = type("Calibrated", (Desk,), {"_bulk": lambda self, record: bulk}) if bulk else Desk
        desk: Desk = kind(store, editions=Editions([book]), make_coder=make, settings=settings, audit=listen)
        with desk:
            yield desk


def coded(desk: Desk, encounter: Encounter) -> str:
    """Have an encounter coded; its version."""
    version = desk.receive(encounter).version
    desk.submit([encounter])
    for event in desk.stages.subscribe(version, timeout_s=60):
        if event is None or event.last:
            break
    return version


class Person:
    """Somebody at the pages of a desk, as htmx would ask: sends the token and the state that was last seen."""

    def __init__(self, client: TestClient, version: str, key: str = "") -> None:
        self.client, self.url = client, f"/encounters/{version}"
        self.headers = {"Accept": "text/html", **({"Authorization": f"Bearer {key}"} if key else {})}
        self.etag = ""
        self.token = ""

    def look(self) -> str:
        """The page, which is then what this person knows."""
        answer = self.client.get(self.url, headers=self.headers)
        assert answer.status_code == 200, answer.text
        self._learn(answer.text)
        return answer.text

    def get(self, path: str) -> Any:
        return self.client.get(self.url + path, headers=self.headers | {"HX-Request": "true"})

    def post(self, path: str, **fields: Any) -> Any:
        """Send a form; learns the new state where it was taken."""
        headers = self.headers | {"HX-Request": "true", "X-CSRF-Token": self.token, "Origin": "http://127.0.0.1"}
        answer = self.client.post(self.url + path, data=fields, headers=headers)
        if answer.status_code == 200:
            self._learn(answer.text)
        return answer

    def decide(self, kind: str, **fields: Any) -> Any:
        """A decision on the state that this person last saw."""
        return self.post("/decisions", **{"etag": self.etag, **fields, "kind": kind})

    def _learn(self, text: str) -> None:
        if found := re.search(r'data-etag="([^"]+)"', text):
            self.etag = found.group(1)
        if found := re.search(r'name="csrf-token" content="([^"]+)"', text):
            self.token = found.group(1)


@contextmanager
def client_of(desk: Desk) -> Iterator[TestClient]:
    """The application over the desk, without a socket."""
    app = create_app(desk.settings, desk=desk)
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        yield client


def key_of(store: Store, name: str, roles: Sequence[str]) -> str:
    """An account with an API key, which signs in without a password: the key."""
    if name not in {account.name for account in Accounts(store).all()}:
        Accounts(store).add(name, roles=list(roles), by="test")
    return Keys(store).add(name, by="test")[1]
