"""What verdicts are worth is learnt on encounters that taught nothing, and stored in the pack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pycrfsuite")
pytest.importorskip("sklearn")
pytest.importorskip("lightgbm")

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.lookup import Lookup
from jointcoder.coder import Coder
from jointcoder.errors import InputError
from jointcoder.evaluation.scored import normalised
from jointcoder.learn import mentions as trainer
from jointcoder.learn.judged import compare, judge, teach
from jointcoder.learn.write import describe, draft
from jointcoder.llm.base import Context, Question
from jointcoder.packs import Pack, PackInfo
from jointcoder.records import System
from jointcoder.workflow.spec import load_workflow
from tests.packs.marked import corpus

SYSTEM = System.ICD10CM


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory, small_us: CodeBook) -> Path:
    """A pack from few notes, which leaves it unsure of much."""
    folder = tmp_path_factory.mktemp("packs") / "few"
    with draft(folder) as made:
        (made / "mentions").mkdir()
        report = trainer.train([corpus(12, seed=5)], made / "mentions", lookup=Lookup(small_us, dense="off"))
        thresholds = {f"mentions:{name}": value for name, value in report.thresholds.items()}
        info = PackInfo(
            id="few", languages=("en",), systems=(SYSTEM,), parts=("mentions",), headings=True, thresholds=thresholds
        )
        describe(made, info)
    return folder


def all_unsure() -> object:
    return load_workflow("learned-judged").with_options("learned", unsure=[0.0, 1.0])


def test_an_honest_judge_helps_and_its_weight_is_stored(
    pack: Path, coder: Callable[..., Coder], small_us: CodeBook
) -> None:
    # Half of these encounters were coded by someone who leaves hypertension out: the pack cannot know, the judge does.
    notes = [
        replace(item, gold=tuple(g for g in item.gold if g.code != "I10" or number % 2))
        for number, item in enumerate(corpus(30, seed=9).items)
    ]
    truth = {
        small_us.name(SYSTEM, g.code) or g.code: {i.encounter.documents[0].text for i in notes if g in i.gold}
        for item in notes
        for g in item.gold
    }
    right = {(item.encounter.id, normalised(g.code)) for item in notes for g in item.gold}
    now: list[str] = []

    def honest(asked: tuple[Context, Question]) -> str:
        text = asked[1].text
        named = [name for name in truth if name in text]
        return "yes" if named and any(asked[0].text.strip()[-30:] in note for note in truth[named[0]]) else "no"

    asking = coder(honest, workflow=all_unsure(), pack=str(pack))
    judged = judge(asking, notes, progress=lambda number: now.append("."))
    assert len(now) == len(notes) == len(judged.encounters)
    assert judged.rows
    assert judged.tokens > 0
    assert {(row.encounter, row.right) for row in judged.rows} & {(i, True) for i, _ in right}
    figures = compare(judged, SYSTEM)
    assert figures["with"] >= figures["without"]
    assert 0 < figures["asked"] <= figures["decisions"]
    before = Pack.open(pack)
    after = teach(pack, judged.rows)
    assert after.version != before.version
    assert "mentions/verdicts.json" in after.info.files
    assert after.part("mentions").verdicts is not None


def test_a_workflow_that_asks_nobody_is_refused(pack: Path, coder: Callable[..., Coder]) -> None:
    with pytest.raises(InputError) as caught:
        judge(coder(workflow="learned", pack=str(pack)), corpus(6).items)
    assert caught.value.code == "JC108"
