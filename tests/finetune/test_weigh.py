"""What a pack leaves open becomes examples; what a model's answers to them are worth is measured before it is heard."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.lookup import Lookup
from jointcoder.coder import guessed_tokens
from jointcoder.errors import InputError, UsageError
from jointcoder.finetune.asking import DataOptions
from jointcoder.finetune.datasets import build
from jointcoder.finetune.examples import Example, Examples
from jointcoder.finetune.trial import Row
from jointcoder.finetune.weigh import keep_choices, keep_verdicts, weigh_choices, weigh_verdicts
from jointcoder.learn.pack import learn
from jointcoder.packs import Pack
from jointcoder.packs.terms.choosing import Choosing
from tests.finetune.conftest import CASES, row, write_lines
from tests.packs.marked import corpus
from tests.packs.term_pairs import pairs, write


def examples(agent: str, source: Path, book: CodeBook, out: Path, **more: Any) -> Examples:
    options = DataOptions(k=4, dev_share=0.4)
    build(agent, [str(source)], book, out, options=options, count_tokens=guessed_tokens, dense="off", **more)
    return Examples.load(out, agent=agent)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pack of invented Chinese operations, and what it would have said of each wording unseen."""
    folder = tmp_path_factory.mktemp("ranked")
    chance = random.Random(0)
    both = {code: name for _, given in pairs("zh") for name, code in given}

    def other(name: str, code: str) -> tuple[str, str]:
        """Now and then what was coded is the site's other operation: no pack can know which."""
        turned = code[:-1] + ("2" if code.endswith("1") else "1")
        return (both[turned], turned) if chance.random() < 0.35 else (name, code)

    rows = [(mention, [other(*one) for one in given]) for mention, given in pairs("zh")]
    data = write(folder / "pairs.jsonl", "zh", rows)
    learn([data], folder / "pack", unseen=folder / "unseen.jsonl")
    return folder / "pack", folder / "unseen.jsonl"


def test_open_choices_become_examples_with_the_packs_opinion(
    ranked: tuple[Path, Path], small_cn: CodeBook, tmp_path: Path
) -> None:
    _, unseen = ranked
    told = [json.loads(line) for line in unseen.read_text("utf-8").splitlines()]
    doubtful = [line for line in told if len(line["names"]) > 1 and line["probability"][0] < 0.97]
    made = examples("standardise_px", unseen, small_cn, tmp_path / "o")
    assert len(made.train) + len(made.dev) == len(doubtful)
    assert not {e.group for e in made.train} & {e.group for e in made.dev}
    by_text = {line["text"]: line for line in doubtful}
    for example in made.dev:
        line = by_text[example.id.partition(":")[2]]
        shown = example.facts["logodds"]
        assert sorted(shown) == sorted(line["logodds"][: len(shown)])
        assert all(name in example.question for name in line["names"][: len(shown)])
        if any(example.facts["right"]):
            assert example.facts["right"][example.right]
        else:
            assert example.right == len(shown)
        own = sorted(max(value, 0.001) for value in line["probability"][: len(shown)])
        assert sorted(np.exp(example.prior[:-1])) == pytest.approx(own, abs=0.001)


def test_lists_of_different_lengths_are_refused(small_cn: CodeBook, tmp_path: Path) -> None:
    line = {"group": "a", "text": "t", "names": ["x"], "codes": [], "probability": [0.5], "logodds": [0.1]}
    source = write_lines(tmp_path / "bad.jsonl", [line | {"right": [True], "gold": 1}])
    with pytest.raises(InputError) as caught:
        examples("standardise_px", source, small_cn, tmp_path / "o")
    assert (caught.value.code, "bad.jsonl, line 1" in caught.value.message) == ("JC108", True)


def scored(made: Examples, says: Any) -> list[Row]:
    """The held-out and the training examples together, answered by ``says(example)`` → option."""
    rows = []
    for example in (*made.dev, *made.train):
        place = example.options.index(says(example))
        own = tuple(-0.05 if i == place else -4.0 for i in range(len(example.options)))
        rows.append(Row(example, {"adapter": own}))
    return rows


def test_a_model_that_knows_is_heard_and_one_that_guesses_is_not(
    ranked: tuple[Path, Path], small_cn: CodeBook, tmp_path: Path
) -> None:
    pack, unseen = ranked
    made = examples("standardise_px", unseen, small_cn, tmp_path / "o")
    knows = weigh_choices(scored(made, lambda example: example.answer), Choosing(0.5, 0.0))
    assert knows.helps
    assert knows.accuracy[1] > knows.accuracy[0]
    assert knows.put_right > knows.put_wrong
    chance = random.Random(0)
    guesses = weigh_choices(scored(made, lambda example: chance.choice(example.options)), Choosing(0.5, 0.0))
    assert not guesses.helps
    kept = keep_choices(pack, knows, adapter="standardise_px", sure=0.97)
    assert kept.part("terms").voice.adapter == "standardise_px"
    assert Pack.open(pack).info.metrics["terms"]["with standardise_px"]["n"] == knows.n


def test_choices_without_a_packs_opinion_are_refused() -> None:
    example = Example("i", "g", "standardise_px", "zh", "", "", "q", "A", ("A", "B"))
    with pytest.raises(InputError) as caught:
        weigh_choices([Row(example, {"adapter": (-0.1, -2.0)})], Choosing())
    assert caught.value.code == "JC108"


@pytest.fixture(scope="module")
def doubts(tmp_path_factory: pytest.TempPathFactory, small_us: CodeBook) -> tuple[Path, Path, Path]:
    """A pack of invented encounters, what it says of them unseen, and the encounters."""
    pytest.importorskip("pycrfsuite")
    folder = tmp_path_factory.mktemp("doubts")
    rows = [
        {
            "id": item.encounter.id,
            "lang": "en",
            "text": item.encounter.documents[0].text,
            "codes": [
                {"system": g.system, "code": g.code, "spans": [[s.start, s.end] for s in g.spans]}
                for g in item.gold
                if number % 3 or g.code != "I10"  # what coders leave out makes a pack unsure
            ],
        }
        for number, item in enumerate(corpus(40).items)
    ]
    data = write_lines(folder / "coded.jsonl", rows)
    learn([data], folder / "pack", unseen=folder / "unseen.jsonl", lookup=Lookup(small_us, dense="off"))
    return folder / "pack", folder / "unseen.jsonl", data


def test_what_is_said_unseen_holds_places_but_no_words(doubts: tuple[Path, Path, Path]) -> None:
    _, unseen, data = doubts
    texts = {row["id"]: row["text"] for row in map(json.loads, data.read_text("utf-8").splitlines())}
    lines = [json.loads(line) for line in unseen.read_text("utf-8").splitlines()]
    assert {line["encounter"] for line in lines} <= set(texts)
    for line in lines:
        assert set(line) == {"encounter", "source", "system", "code", "probability", "known", "right", "spans"}
        for document, start, end in line["spans"]:
            assert document == 0
            assert 0 <= start < end <= len(texts[line["encounter"]])
    assert any(line["right"] for line in lines)


def test_doubts_become_verdicts_and_are_weighed(
    doubts: tuple[Path, Path, Path], small_us: CodeBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jointcoder.finetune import verdicts

    monkeypatch.setattr(verdicts, "BAND", (0.0, 1.0))  # invented notes leave few doubts
    pack, unseen, data = doubts
    made = examples("validate_dx", data, small_us, tmp_path / "o", unseen=unseen)
    told = [json.loads(line) for line in unseen.read_text("utf-8").splitlines()]
    right = {(line["encounter"], line["code"]): line["right"] for line in told}
    for example in made.dev:
        assert (example.right == 0) is right[example.group, example.facts["code"]]
        assert example.options == ("yes", "no")
    rows = scored(made, lambda example: example.answer)
    found = weigh_verdicts(rows, 0.5)
    assert found.accuracy[1] >= found.accuracy[0]
    kept = keep_verdicts(pack, found, adapter="validate_dx")
    assert kept.part("mentions", Lookup(small_us, dense="off")).verdicts is not None


def test_doubts_are_for_verdicts_only(doubts: tuple[Path, Path, Path], small_us: CodeBook, tmp_path: Path) -> None:
    _, unseen, data = doubts
    with pytest.raises(UsageError):
        examples("standardise_dx", data, small_us, tmp_path / "o", unseen=unseen)


def test_verdicts_on_other_drafts_are_not_weighed(small_us: CodeBook, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "cases.jsonl", [row(*case) for case in CASES])
    made = examples("validate_dx", data, small_us, tmp_path / "o")
    with pytest.raises(InputError) as caught:
        weigh_verdicts(scored(made, lambda example: example.answer), 0.5)
    assert caught.value.code == "JC108"
