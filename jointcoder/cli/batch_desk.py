"""Where the night run and the desk meet: records that need a person become lines of the worklist.

How a record stands that nobody decided on, and what a question is, are the desk's own; the batch only hands over.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

from jointcoder.errors import UsageError

if TYPE_CHECKING:
    from jointcoder.batch.routing import Routed
    from jointcoder.batch.work import CoderSpec
    from jointcoder.batch.worklist import Worklist
    from jointcoder.desk.service import Desk
    from jointcoder.records import CodedRecord, Encounter
    from jointcoder.settings import Settings
    from jointcoder.store.reviews import Standing


@contextmanager
def worklist(settings: Settings, spec: CoderSpec) -> Iterator[Worklist]:
    """The worklist of the desk that the settings name. Raises AssetError JC430, UsageError JC002, as the desk does."""
    from jointcoder.batch.worklist import Worklist
    from jointcoder.codebook.editions import Editions
    from jointcoder.desk.service import open_desk
    from jointcoder.store.audit import listen
    from jointcoder.store.encryption import sealer_from

    sealer = sealer_from(settings)
    desk = open_desk(settings, sealer=sealer, audit=listen, editions=Editions.open(settings, spec.code_book))
    systems = [system.value for system in spec.systems or desk.editions.main.info.systems]
    try:
        yield Worklist(
            desk.store,
            judge=lambda encounter, record: _standing(desk, encounter, record),
            conditions=lambda encounter, record: conditions(record, systems),
            settle=lambda version, record, routed: _ask(desk, version, record, routed),
            sealer=sealer,
            audit=listen,
        )
    finally:
        desk.close()


def conditions(record: CodedRecord, systems: list[str]) -> str:
    """As ``desk.coding.conditions_of`` names them, from the record instead of the coder."""
    said = {**record.versions.model_dump(mode="json"), "systems": systems}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _standing(desk: Desk, encounter: Encounter, record: CodedRecord) -> Standing:
    from jointcoder.desk.kept import standing_of
    from jointcoder.desk.review import begin

    return standing_of(begin(record, desk.ground(encounter, record)))


def _ask(desk: Desk, version: str, record: CodedRecord, routed: Routed) -> None:
    """Put the question of a record to the physician, in the desk's own terms."""
    from jointcoder.batch.routing import Route
    from jointcoder.batch.worklist import ACTOR
    from jointcoder.desk.decisions import parse_decision

    if routed.route is not Route.QUERY:
        return
    words = _questions("zh" if record.language == "zh" else "en")
    text = "\n".join(words[key] for key in routed.why if key in words)
    try:
        review = desk.review(version)
        if review.decided or not text:
            return
        desk.decide(version, parse_decision({"kind": "query", "text": text}), expected=review.etag, by=ACTOR)
        desk.release(version, by=ACTOR)
    except UsageError as error:
        if error.code not in ("JC461", "JC462"):  # a coder was faster
            raise


def _questions(language: str) -> dict[str, str]:
    text = resources.files("jointcoder.batch").joinpath("data", f"questions.{language}.toml").read_text("utf-8")
    return {key: str(value) for key, value in tomllib.loads(text).items()}
