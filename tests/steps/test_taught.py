"""Standardise with a pack that learnt from term pairs: it names first, the model is heard where it was weighed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.lookup import Lookup
from jointcoder.coder import Coder
from jointcoder.learn.pack import learn
from jointcoder.learn.write import describe
from jointcoder.llm.scripted import Scripted
from jointcoder.packs import Pack, PackInfo
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.terms.choosing import Choosing
from jointcoder.packs.terms.rescore import VOICES
from jointcoder.packs.terms.voice import Voice
from jointcoder.records import Encounter, Kind, System
from jointcoder.settings import Settings
from jointcoder.workflow.spec import load_workflow

SITES = ["左前降支", "回旋支", "右冠", "左主干", "对角支", "钝缘支", "中间支", "后降支"]
WORDS = {"支架植入": "36.0700", "药架植入": "36.0700", "造影": "88.5500", "显影": "88.5500"}
NAMES = {"36.0700": "药物洗脱冠状动脉支架置入", "88.5500": "单根导管的冠状动脉造影术"}


@pytest.fixture(scope="module")
def packed(small_cn: CodeBook, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of invented wordings for two operations of the small book, some wordings holding both."""
    folder = tmp_path_factory.mktemp("taught")
    rows = [(f"{site}{word}", [code]) for site in SITES for word, code in WORDS.items()]
    rows += [(f"{site}造影+支架植入", ["88.5500", "36.0700"]) for site in SITES]
    lines = [
        {
            "id": str(number),
            "lang": "zh",
            "kind": "procedure",
            "mention": mention,
            "normalized": [NAMES[code] for code in codes],
            "codes": codes,
        }
        for number, (mention, codes) in enumerate(rows)
    ]
    data = folder / "pairs.jsonl"
    data.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    learn([data], folder / "pack", lookup=Lookup(small_cn, dense="off"))
    return folder / "pack"


def heard(packed: Path, adapter: str, weight: float) -> None:
    """Let the pack ask about everything, the model's answer counting so much."""
    weights = tuple(weight if name == "model" else 0.0 for name in VOICES)
    still = (0.0,) * len(VOICES)
    combiner = Combiner(VOICES, still, (1.0,) * len(VOICES), weights, bias=2.0)
    Voice(combiner, Choosing(0.5, 0.0), adapter, k=4, sure=1.01).save(packed / "terms")
    describe(packed, PackInfo.model_validate_json((packed / "pack.json").read_bytes()))


@pytest.fixture
def coding(small_cn: CodeBook, packed: Path, tmp_path: Path) -> Callable[..., Coder]:
    """``coding(answers, adapter="")``: a coder in whose standardise stage the pack is in use."""

    def make(answers: Any = None, *, adapter: str = "", workflow: str = "jointcoder") -> Coder:
        flow = load_workflow(workflow)
        if adapter:
            flow = flow.with_options("standardise_procedures", adapter=adapter)
        model = Scripted(answers, adapters=[adapter] if adapter else ()) if answers is not None else None
        return Coder(Settings(cache=tmp_path), model=model, code_book=small_cn, workflow=flow, pack=Pack.open(packed))

    return make


@pytest.fixture(autouse=True)
def _deaf(packed: Path) -> Any:
    yield
    (packed / "terms" / "choice.json").unlink(missing_ok=True)
    describe(packed, PackInfo.model_validate_json((packed / "pack.json").read_bytes()))


def test_the_pack_names_what_a_wording_holds_without_a_model(coding: Callable[..., Coder]) -> None:
    found = coding(workflow="lexical").normalise(
        ["房间支支架植入", "房间支造影", "房间支造影+支架植入"], kind=Kind.PROCEDURE, language="zh"
    )
    assert [{code for _, code in pairs} for pairs in found] == [{"36.0700"}, {"88.5500"}, {"36.0700", "88.5500"}]
    assert found[0] == [(NAMES["36.0700"], "36.0700")]


def test_where_the_pack_names_nothing_the_lookup_speaks(coding: Callable[..., Coder]) -> None:
    (found,) = coding(workflow="lexical").normalise(["两根血管操作"], kind=Kind.PROCEDURE, language="zh")
    assert ("两根血管操作", "00.4100") in found


def test_the_model_overrules_the_pack_where_it_was_weighed(coding: Callable[..., Coder], packed: Path) -> None:
    heard(packed, "standardise_px", weight=5.0)

    def answer(asked: Any) -> Any:
        _, question = asked
        return next(line[0] for line in question.text.splitlines() if line[1:2] == "." and NAMES["88.5500"] in line)

    with coding(answer, adapter="standardise_px") as coder:
        (found,) = coder.normalise(["房间支支架植入"], kind=Kind.PROCEDURE, language="zh")
        requests = coder.model.requests  # type: ignore[union-attr]
    assert found == [(NAMES["88.5500"], "88.5500")]
    (request,) = requests
    assert request.adapter == "standardise_px"
    assert "房间支支架植入" in request.question.text
    assert NAMES["36.0700"] in request.question.text


def test_another_model_than_the_one_weighed_is_not_asked(coding: Callable[..., Coder], packed: Path) -> None:
    heard(packed, "standardise_px", weight=5.0)

    def answer(asked: Any) -> Any:
        raise AssertionError("nobody may be asked")

    with coding(answer) as coder:
        (found,) = coder.normalise(["房间支支架植入"], kind=Kind.PROCEDURE, language="zh")
    assert found == [(NAMES["36.0700"], "36.0700")]


def test_codes_of_an_encounter_come_from_the_pack_with_its_probability(coding: Callable[..., Coder]) -> None:
    encounter = Encounter.from_sections({"手术名称": "1.房间支支架植入"}, language="zh")
    with coding(workflow="lexical") as coder:
        record = coder.code(encounter)
        (learnt,) = coder.pack.part("terms").normalise("房间支支架植入")  # type: ignore[union-attr]
    (code,) = [code for code in record.codes if code.system is System.ICD9CM3]
    assert code.code == "36.0700"
    assert code.evidence[0].quote == "房间支支架植入"
    assert learnt.probability > 0.5


def test_a_damaged_voice_is_a_coded_error(packed: Path) -> None:
    from jointcoder.errors import AssetError

    (packed / "terms" / "choice.json").write_text("{}", "utf-8")
    with pytest.raises(AssetError) as caught:
        Voice.load(packed / "terms")
    assert caught.value.code == "JC212"
