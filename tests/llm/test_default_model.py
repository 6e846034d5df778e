"""A handful on the default model: does it read, choose and write what its name promises?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jointcoder.llm.base import Context, Prompt, Question
from jointcoder.llm.llamacpp import LlamaCpp
from jointcoder.settings import Settings
from tests.llm.conftest import forget, weights

pytestmark = pytest.mark.default_model

ENGLISH = Context(
    "Record:\n\nA 72-year-old woman with type 2 diabetes was admitted with pneumonia. No fracture was seen on the "
    "chest film. Bronchoscopy was performed.",
    "You are an experienced clinical coder.",
)
CHINESE = Context("病历：患者男，45岁，急性阑尾炎，行腹腔镜阑尾切除术。")
SCHEMA = {
    "type": "object",
    "properties": {
        "diagnoses": {"type": "array", "items": {"type": "string"}, "maxItems": 8},
        "procedures": {"type": "array", "items": {"type": "string"}, "maxItems": 8},
    },
    "required": ["diagnoses", "procedures"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def default() -> Iterator[LlamaCpp]:
    with LlamaCpp(weights(Settings().model), context_tokens=2048) as opened:
        yield opened


def test_it_tells_what_the_record_says_from_what_it_does_not(default: LlamaCpp) -> None:
    ask = "Does the patient have {}? Answer yes or no."
    there, not_there = default.choose(
        ENGLISH, [Question(ask.format(x), ("yes", "no")) for x in ("pneumonia", "a broken femur")]
    )
    assert there.probability("yes") > not_there.probability("yes")
    assert (there.best, not_there.best) == ("yes", "no")


def test_batch_and_single_agree(default: LlamaCpp) -> None:
    letters = ("A", "B", "C")
    questions = [Question(f"Which is {i}? A one B two C three. Answer with a letter.", letters) for i in range(1, 8)]
    together = default.choose(ENGLISH, questions)
    for question, choice in zip(questions, together, strict=True):
        forget(default)
        alone = default.choose(ENGLISH, [question])[0]
        assert max(abs(a - b) for a, b in zip(alone.logprobs, choice.logprobs, strict=True)) <= 0.05


def test_it_lists_in_english_and_chinese_at_once(default: LlamaCpp) -> None:
    english, chinese = default.generate(
        [
            Prompt(ENGLISH, "List diagnoses and procedures as JSON, copied word for word."),
            Prompt(CHINESE, "列出诊断和手术，逐字照抄，用JSON。"),
        ],
        SCHEMA,
        max_tokens=120,
    )
    assert (english.error, chinese.error) == (None, None)
    assert any("pneumonia" in item.lower() for item in english.value["diagnoses"])
    assert any("阑尾" in item for item in chinese.value["diagnoses"] + chinese.value["procedures"])
