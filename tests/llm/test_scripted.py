"""The scripted model, and through it what all backends share: validation, one repair, counting."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from jointcoder.errors import AssetError, ModelError
from jointcoder.llm.base import Context, Prompt, Question
from jointcoder.llm.load import Opening
from jointcoder.llm.scripted import Scripted

SCHEMA = {
    "type": "object",
    "properties": {"terms": {"type": "array", "items": {"type": "string"}}},
    "required": ["terms"],
    "additionalProperties": False,
}
NOTE = Context("Pneumonia. No fever.", "You code.")
LIST = Prompt(NOTE, "List the terms.")
FEVER = Question("Is there fever?", ("yes", "no"))


def test_a_list_answers_in_order_and_requests_are_kept() -> None:
    model = Scripted([{"terms": ["pneumonia"]}, "no"])
    assert model.generate([LIST], SCHEMA, adapter="x")[0].value == {"terms": ["pneumonia"]}
    assert model.choose(NOTE, [FEVER])[0].best == "no"
    first, second = model.requests
    assert (first.prompt, first.adapter, first.max_tokens) == (LIST, "x", 512)
    assert (second.context, second.question) == (NOTE, FEVER)


def test_a_mapping_looks_into_the_question_before_the_context() -> None:
    model = Scripted({"Pneumonia": "yes", "fever": "no"})
    other = Question("Anything else?", ("yes", "no"))
    assert [choice.best for choice in model.choose(NOTE, [FEVER, other])] == ["no", "yes"]


def test_a_function_sees_the_request() -> None:
    def answer(asked: object) -> object:
        return "text" if isinstance(asked, Prompt) else (0.2, 0.8)

    model = Scripted(answer)
    assert model.generate([LIST])[0].text == "text"
    choice = model.choose(NOTE, [FEVER])[0]
    assert choice.probability("no") == pytest.approx(0.8)
    assert sum(map(math.exp, choice.logprobs)) == pytest.approx(1)


def test_a_broken_answer_is_asked_for_once_more_with_the_problem() -> None:
    model = Scripted(["no JSON", {"terms": []}])
    answer = model.generate([LIST], SCHEMA)[0]
    assert (answer.value, answer.error, answer.repaired) == ({"terms": []}, None, True)
    again = model.requests[1].prompt
    assert again is not None
    assert again.context == NOTE
    assert "not JSON" in again.instruction
    one = Scripted([{"terms": []}]).generate([LIST], SCHEMA)[0]
    assert answer.usage.prompt_tokens > one.usage.prompt_tokens


def test_an_answer_broken_twice_is_flagged_not_raised() -> None:
    answer = Scripted(["no", "no"]).generate([LIST], SCHEMA)[0]
    assert (answer.value, answer.error, answer.repaired) == (None, "JC302", True)


def test_only_the_broken_ones_of_several_are_asked_for_again() -> None:
    model = Scripted([{"terms": ["a"]}, "no", {"terms": ["c"]}, {"terms": ["b"]}])
    values = [answer.value["terms"] for answer in model.generate([LIST, LIST, LIST], SCHEMA)]
    assert values == [["a"], ["b"], ["c"]]


def test_a_cut_answer_is_flagged_and_not_asked_for_again() -> None:
    model = Scripted([{"terms": ["first", "second", "third"]}])
    answer = model.generate([LIST], SCHEMA, max_tokens=12)[0]
    assert (answer.error, answer.finished, answer.value) == ("JC306", False, {"terms": ["first"]})
    assert answer.usage.generated_tokens == 12
    assert len(model.requests) == 1


def test_no_room_for_the_repair_leaves_the_first_answer() -> None:
    needed = sum(map(Scripted([]).count_tokens, (NOTE.system, NOTE.text, LIST.instruction)))
    model = Scripted(["no"], context_tokens=needed + 30)
    answer = model.generate([LIST], SCHEMA, max_tokens=30)[0]
    assert (answer.error, answer.repaired) == ("JC302", False)


def test_overflow_is_jc304_before_anything_is_answered() -> None:
    model = Scripted(["x", "no"], context_tokens=20)
    with pytest.raises(ModelError, match="JC304"):
        model.generate([LIST], max_tokens=20)
    with pytest.raises(ModelError, match="JC304"):
        model.choose(Context("word " * 30), [FEVER])
    assert model.requests == []


@pytest.mark.parametrize(("answers", "match"), [([], "none left"), ({"sepsis": "no"}, "none of the script")])
def test_an_unanswered_request_says_so_without_quoting_the_note(answers: object, match: str) -> None:
    with pytest.raises(ModelError, match=match) as raised:
        Scripted(answers).choose(NOTE, [FEVER])  # type: ignore[arg-type]
    assert "Pneumonia" not in str(raised.value)


@pytest.mark.parametrize("answer", ["maybe", {"maybe": 1.0}, (0.5,), (0.0, 0.0), (-1.0, 2.0)])
def test_an_answer_that_does_not_fit_the_question_is_an_error(answer: object) -> None:
    with pytest.raises(ModelError, match="JC305"):
        Scripted([answer]).choose(NOTE, [FEVER])


def test_the_context_is_counted_once_in_a_choice() -> None:
    first, second = Scripted(["no", "no"]).choose(NOTE, [FEVER, FEVER])
    assert first.usage.reused_tokens == 0
    assert second.usage.prompt_tokens == first.usage.prompt_tokens
    assert 0 < second.usage.reused_tokens < second.usage.prompt_tokens


def test_no_questions_and_no_prompts_ask_nothing() -> None:
    model = Scripted([])
    assert model.choose(NOTE, []) == []
    assert model.generate([], SCHEMA) == []


def test_unsupported_schemas_are_refused_by_every_backend() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Scripted(["a"]).generate([LIST], {"type": "string", "pattern": "a"})


def test_a_script_opens_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"fever": "no"}), "utf-8")
    assert Scripted.open(Opening(path, "s")).choose(NOTE, [FEVER])[0].best == "no"
    path.write_text("no", "utf-8")
    with pytest.raises(ModelError, match="JC301"):
        Scripted.open(Opening(path, "s"))
    with pytest.raises(AssetError, match="JC201"):
        Scripted.open(Opening(tmp_path / "absent.json", "s"))
