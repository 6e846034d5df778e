"""The engine on the smallest real model: batching, reuse and order change nothing; errors leave it usable."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from jointcoder.errors import AssetError, ModelError, UsageError
from jointcoder.llm.base import Choice, Context, Prompt, Question
from jointcoder.llm.engine import Engine, Row, Run
from jointcoder.llm.llamacpp import LlamaCpp
from jointcoder.llm.options import EngineOptions
from jointcoder.llm.scoring import log_softmax
from tests.llm.conftest import forget

pytestmark = pytest.mark.engine

TOLERANCE = 0.05  # natural log-probability; what the interface promises
EXACT = 1e-6  # what steady kernels give
PLAIN = 0.25  # against kernels of another family

SENTENCE = "On day {day} the patient had a temperature of 38.{day} degrees and was given ceftriaxone. "
NOTE = Context("Record:\n\n" + "".join(SENTENCE.format(day=i) for i in range(12)), "You are a coder.")
OTHER = Context("Record:\n\n" + "".join(SENTENCE.format(day=i) for i in range(12, 20)), "You are a coder.")
FINDINGS = (
    "pneumonia",
    "a fracture of the left femur",
    "fever",
    "asthma",
    "a stroke",
    "anaemia",
    "sepsis",
    "gout",
)
YES_NO = [Question(f"Does the patient have {finding}?", ("yes", "no")) for finding in FINDINGS]
SCHEMA = {
    "type": "object",
    "properties": {
        "terms": {"type": "array", "items": {"type": "string", "maxLength": 30}, "maxItems": 3},
        "days": {"type": "integer", "minimum": 1, "maximum": 31},
        "kind": {"enum": ["acute", "chronic"]},
    },
    "required": ["terms", "days", "kind"],
    "additionalProperties": False,
}


def apart(a: Choice, b: Choice) -> float:
    return max(abs(x - y) for x, y in zip(a.logprobs, b.logprobs, strict=True))


def test_a_batch_equals_one_full_prompt_at_a_time(fresh: LlamaCpp) -> None:
    together = fresh.choose(NOTE, YES_NO)
    for question, choice in zip(YES_NO, together, strict=True):
        forget(fresh)
        alone = fresh.choose(NOTE, [question])[0]
        assert alone.usage.reused_tokens == 0
        assert apart(alone, choice) <= EXACT


def test_a_batch_equals_the_plain_engine_but_for_its_arithmetic(smallest: Path, fresh: LlamaCpp) -> None:
    """An independent way: each prompt in one piece, one sequence, no flash attention, single precision cache.

    Other kernels round otherwise, hence the wider bound; a wrong position, mask or token would be off by far more
    (checked by the last line: the questions' answers do differ).
    """
    choices = fresh.choose(NOTE, YES_NO)
    options = EngineOptions(flash_attention=False, steady=False, kv_type="f32")
    plain = Engine(smallest, context_tokens=1024, options=options, gpu_layers=0, threads=2)
    rows: list[list[float]] = []

    def take(run: int, offset: int, row: Row) -> None:
        scores = row[[plain.tokenize(option)[0] for option in ("yes", "no")]].astype(np.float64)
        rows.append(list(scores - np.logaddexp.reduce(scores)))

    try:
        for question, choice in zip(YES_NO, choices, strict=True):
            plain.clear()
            tokens = fresh._chat.prefix(NOTE) + fresh._chat.suffix(NOTE, question.text)
            plain.decode([Run(0, 0, tokens, "last")], on_logits=take)
            assert np.abs(np.array(rows[-1]) - choice.logprobs).max() < PLAIN
    finally:
        plain.close()
    assert max(apart(choices[0], other) for other in choices[1:]) > PLAIN


def test_the_order_of_questions_changes_nothing(fresh: LlamaCpp) -> None:
    forward = fresh.choose(NOTE, YES_NO)
    backward = fresh.choose(NOTE, YES_NO[::-1])[::-1]
    assert max(map(apart, forward, backward)) <= EXACT


def test_a_kept_prefix_changes_nothing(fresh: LlamaCpp) -> None:
    first = fresh.choose(NOTE, YES_NO)
    fresh.choose(OTHER, YES_NO)
    grown = Context(NOTE.text + "He also has gout. ", NOTE.system)
    with_part = fresh.choose(grown, YES_NO)
    assert with_part[0].usage.reused_tokens > 0
    again = fresh.choose(NOTE, YES_NO)
    assert again[0].usage.reused_tokens == first[1].usage.reused_tokens
    assert max(map(apart, first, again)) <= EXACT
    forget(fresh)
    assert max(map(apart, with_part, fresh.choose(grown, YES_NO))) <= EXACT


def test_a_context_that_is_the_beginning_of_a_kept_one(fresh: LlamaCpp) -> None:
    short = Context(NOTE.text[: len(NOTE.text) // 2], NOTE.system)
    alone = fresh.choose(short, YES_NO[:2])
    forget(fresh)
    fresh.choose(NOTE, YES_NO[:2])
    assert max(map(apart, alone, fresh.choose(short, YES_NO[:2]))) <= EXACT


def test_two_contexts_alternate_and_both_are_kept(fresh: LlamaCpp) -> None:
    alone = {}
    for context in (NOTE, OTHER):
        forget(fresh)
        alone[context] = fresh.choose(context, YES_NO[:3])
    forget(fresh)
    for turn in range(3):
        for context in (NOTE, OTHER):
            choices = fresh.choose(context, YES_NO[:3])
            assert (choices[0].usage.reused_tokens > 100) == (turn > 0)
            assert max(map(apart, choices, alone[context])) <= EXACT


def test_scores_are_log_probabilities(fresh: LlamaCpp) -> None:
    for choice in fresh.choose(NOTE, YES_NO):
        assert sum(map(math.exp, choice.logprobs)) == pytest.approx(1)
        assert 0 < choice.mass < 1


@pytest.mark.parametrize(
    "options",
    [
        tuple(str(i) for i in range(1, 13)),
        ("community-acquired pneumonia", "fracture of the femur", "no"),
        tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        tuple(f"option number {i}" for i in range(50)),
    ],
)
def test_longer_options_are_scored_alike_alone_and_in_a_crowd(fresh: LlamaCpp, options: tuple[str, ...]) -> None:
    questions = [Question(f"Which of these is {word}?", options) for word in ("right", "wrong", "first")]
    together = fresh.choose(NOTE, questions)
    for question, choice in zip(questions, together, strict=True):
        assert sum(map(math.exp, choice.logprobs)) == pytest.approx(1)
        assert apart(fresh.choose(NOTE, [question])[0], choice) <= EXACT


def test_a_longer_option_gets_the_product_of_its_tokens(fresh: LlamaCpp) -> None:
    """P(two tokens) = P(first) · P(second | first), each read off on its own."""
    engine = fresh._engine
    whole, other = "pneumonia", "no"
    first, *rest = engine.tokenize(whole)
    assert rest
    choice = fresh.choose(NOTE, [Question("What is it?", (whole, other))])[0]
    suffix = fresh._chat.suffix(NOTE, "What is it?")
    prefix = fresh._chat.prefix(NOTE)
    rows: list[float] = []
    wanted = [first, *rest]

    def take(run: int, offset: int, row: Row) -> None:
        at = offset - (len(suffix) - 1)
        if at >= 0:
            rows.append(float(log_softmax(row, [wanted[at]])[0]))

    forget(fresh)
    engine.prefill(0, 0, prefix)
    engine.decode([Run(0, len(prefix), [*suffix, *wanted[:-1]], "all")], on_logits=take)
    forget(fresh)
    assert len(rows) == len(wanted)
    assert math.log(choice.mass) + choice.logprobs[0] == pytest.approx(sum(rows), abs=1e-4)


def test_many_questions_go_in_waves(smallest: Path, fresh: LlamaCpp) -> None:
    questions = [Question(f"Is {i} the day of discharge?", ("yes", "no")) for i in range(30)]
    steps: list[tuple[int, int]] = []
    with LlamaCpp(smallest, context_tokens=512, options=EngineOptions(parallel=4)) as small:
        waves = small.choose(NOTE, questions, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (30, 30)
    assert steps == sorted(steps)
    assert len(steps) > 8
    assert max(map(apart, waves, fresh.choose(NOTE, questions))) <= TOLERANCE


def test_accounting_carries_the_prefill_once(fresh: LlamaCpp) -> None:
    choices = fresh.choose(NOTE, YES_NO)
    prefix = len(fresh._chat.prefix(NOTE))
    assert choices[0].usage.reused_tokens == 0
    assert {choice.usage.reused_tokens for choice in choices[1:]} == {prefix}
    answer = fresh.generate([Prompt(NOTE, "Summarise.")], max_tokens=4)[0]
    assert answer.usage.reused_tokens == prefix
    assert answer.usage.generated_tokens <= 4


def test_schema_bound_answers_validate_or_are_flagged(fresh: LlamaCpp) -> None:
    prompts = [Prompt(context, f"List {finding} as JSON.") for context in (NOTE, OTHER) for finding in FINDINGS]
    answers = fresh.generate(prompts, SCHEMA, max_tokens=90)
    assert len(answers) == len(prompts)
    assert any(answer.error is None for answer in answers)
    for answer in answers:
        if answer.value is not None:
            assert Draft202012Validator(SCHEMA).is_valid(answer.value)
        assert answer.error in (None, "JC306")
        assert answer.error is None or not answer.finished


def test_the_opening_is_part_of_the_answer_and_of_the_grammar(fresh: LlamaCpp) -> None:
    answer = fresh.generate([Prompt(NOTE, "JSON.", '{"terms": ["fever"')], SCHEMA, max_tokens=80)[0]
    assert answer.text.startswith('{"terms": ["fever"')
    with pytest.raises(ValueError, match="opening"):
        fresh.generate([Prompt(NOTE, "JSON.", "Sure!")], SCHEMA)
    assert fresh.choose(NOTE, YES_NO[:1])


def test_the_same_request_gives_the_same_answer(fresh: LlamaCpp) -> None:
    prompts = [Prompt(NOTE, f"Write about {finding}.") for finding in FINDINGS[:3]]
    first = [answer.text for answer in fresh.generate(prompts, max_tokens=20)]
    fresh.choose(OTHER, YES_NO)
    assert [answer.text for answer in fresh.generate(prompts, max_tokens=20)] == first
    forget(fresh)
    assert [answer.text for answer in fresh.generate(prompts, max_tokens=20)] == first


def test_a_limit_cuts_and_says_so(fresh: LlamaCpp) -> None:
    answer = fresh.generate([Prompt(NOTE, "Tell the whole story.")], max_tokens=5)[0]
    assert (answer.finished, answer.usage.generated_tokens) == (False, 5)


def test_a_runaway_is_stopped(fresh: LlamaCpp) -> None:
    schema = {"type": "array", "items": {"const": "again"}, "minItems": 400}
    answer = fresh.generate([Prompt(NOTE, "Go on.")], schema, max_tokens=400)[0]
    assert not answer.finished
    assert answer.usage.generated_tokens < 120
    assert answer.error == "JC306"


@pytest.mark.parametrize("kind", ["choose", "generate"])
def test_overflow_is_jc304_with_both_numbers_before_anything_is_decoded(fresh: LlamaCpp, kind: str) -> None:
    fresh.choose(NOTE, YES_NO[:1])
    long = Context("fever " * 2000)
    ask = {
        "choose": lambda: fresh.choose(long, YES_NO),
        "generate": lambda: fresh.generate([Prompt(NOTE, "Short."), Prompt(long, "Long.")]),
    }[kind]
    with pytest.raises(ModelError, match=r"JC304: .*\d{4} tokens.* 1024") as raised:
        ask()
    assert "fever" not in str(raised.value)
    assert fresh.choose(NOTE, YES_NO[:1])[0].usage.reused_tokens > 0


def test_a_request_may_fill_the_context_to_the_last_token(fresh: LlamaCpp) -> None:
    prompt = Prompt(Context("fever " * 700), "Go on.")
    used = fresh.generate([prompt], max_tokens=1)[0].usage.prompt_tokens
    answer = fresh.generate([prompt], max_tokens=1024 - used)[0]
    assert answer.usage.prompt_tokens == used
    with pytest.raises(ModelError, match="JC304"):
        fresh.generate([prompt], max_tokens=1025 - used)


@pytest.mark.parametrize("kind", ["choose", "generate"])
def test_an_interrupt_leaves_it_usable(fresh: LlamaCpp, kind: str) -> None:
    before = fresh.choose(NOTE, YES_NO)
    forget(fresh)
    calls = 0

    def interrupt(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    ask = {
        "choose": lambda: fresh.choose(NOTE, YES_NO, progress=interrupt),
        "generate": lambda: fresh.generate([Prompt(NOTE, "Write.")] * 3, SCHEMA, progress=interrupt),
    }[kind]
    with pytest.raises(KeyboardInterrupt):
        ask()
    assert max(map(apart, before, fresh.choose(NOTE, YES_NO))) <= EXACT


def test_a_second_thread_is_refused(fresh: LlamaCpp) -> None:
    errors: list[Exception] = []

    def intrude() -> None:
        try:
            fresh.choose(OTHER, YES_NO)
        except ModelError as error:
            errors.append(error)

    def between(done: int, total: int) -> None:
        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()

    choices = fresh.choose(NOTE, YES_NO, progress=between)
    assert errors
    assert all("another thread" in str(error) for error in errors)
    assert max(map(apart, choices, fresh.choose(NOTE, YES_NO))) <= EXACT


def test_bad_files_are_coded_errors(smallest: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="JC201"):
        LlamaCpp(tmp_path / "absent.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("no model", "utf-8")
    with pytest.raises(ModelError, match="JC301"):
        LlamaCpp(text)
    raw = smallest.read_bytes()
    for length in (4, 3000, len(raw) // 2, len(raw) - 1):
        cut = tmp_path / f"cut{length}.gguf"
        cut.write_bytes(raw[:length])
        with pytest.raises(ModelError, match="JC301"):
            LlamaCpp(cut)


def test_the_engine_says_nothing_on_its_own(smallest: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with LlamaCpp(smallest, context_tokens=256) as model:
        model.generate([Prompt(Context(), "Hi.")], max_tokens=2)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(smallest.read_bytes()[:3000])
    with pytest.raises(ModelError) as raised:
        LlamaCpp(cut)
    assert capfd.readouterr() == ("", "")
    assert str(raised.value.__cause__)  # the engine's own words, for --debug


def test_closing_twice_and_using_afterwards(smallest: Path) -> None:
    model = LlamaCpp(smallest, context_tokens=256)
    model.close()
    model.close()
    with pytest.raises(ModelError, match="closed"):
        model.choose(NOTE, YES_NO)
    with pytest.raises(ModelError, match="closed"):
        model.count_tokens("x")


def test_facts_and_counts(model: LlamaCpp) -> None:
    assert model.info.facts["architecture"] == "llama"
    assert model.info.facts["quantisation"] == "Q4_1"
    assert 130e6 < model.info.facts["n_params"] < 140e6
    assert model.info.context_tokens == 1024
    assert model.count_tokens("") == 0
    assert 0 < model.count_tokens("community-acquired pneumonia") < 12


def test_an_unknown_adapter_and_a_gpu_that_is_not_there(smallest: Path, fresh: LlamaCpp) -> None:
    with pytest.raises(UsageError, match="JC001"):
        fresh.choose(NOTE, YES_NO, adapter="nobody")
    if not fresh._engine.api.llama_supports_gpu_offload():
        with pytest.raises(ModelError, match="GPU"):
            LlamaCpp(smallest, gpu_layers=99)


def test_several_contexts_at_once_answer_as_one_after_the_other(fresh: LlamaCpp) -> None:
    asks = [
        (Context(f"Record {n}: " + "no fever, a cough for three days. " * (3 + 5 * n)), YES_NO[: 1 + n % 3])
        for n in range(12)
    ]
    asks.insert(4, (Context("Record without questions."), []))
    alone = [fresh.choose(context, questions) for context, questions in asks]
    forget(fresh)
    seen: list[tuple[int, int]] = []
    together = fresh.choose_all(asks, progress=lambda done, total: seen.append((done, total)))
    assert [[c.options for c in choices] for choices in together] == [[q.options for q in qs] for _, qs in asks]
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-6)
    total = sum(len(questions) for _, questions in asks)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    reused = [choice.usage.reused_tokens for choices in together for choice in choices]
    assert sum(tokens == 0 for tokens in reused) <= len(asks), "each record is read once"


def test_one_request_too_long_fails_the_call_and_leaves_the_model_usable(fresh: LlamaCpp) -> None:
    with pytest.raises(ModelError, match="JC304"):
        fresh.choose_all([(Context("short"), YES_NO), (Context("long " * 2000), YES_NO)])
    assert len(fresh.choose_all([(Context("short"), YES_NO)])[0]) == len(YES_NO)
