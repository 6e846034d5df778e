"""Training on a made-up model of two layers: the loss is the engine's measure, it falls, and a crash costs nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import AssetError, InputError, ModelError, UsageError
from jointcoder.finetune.base_model import Base, Tokens, load_model, open_tokens, resolve_base
from jointcoder.finetune.examples import Example, write
from jointcoder.finetune.recipe import GrpoRecipe, Recipe
from jointcoder.settings import Settings
from tests.finetune.conftest import require_training

pytestmark = pytest.mark.usefixtures("tiny")
NAMES = ("fever", "cough", "anaemia", "gout", "asthma", "fracture")


def example(number: int, *, options: Sequence[str] = ("A", "B", "C"), agent: str = "standardise_dx") -> Example:
    """The wanted name stands in the question; where it is among the options has no pattern but this."""
    names = [NAMES[(number * 5 + place * (1 + number % 2)) % len(NAMES)] for place in range(3)]
    right = (number * 7) % 3
    lines = "\n".join(f"{letter}. {name}" for letter, name in zip(("A", "B", "C"), names, strict=True))
    return Example(
        id=str(number),
        group=str(number),
        agent=agent,
        language="en",
        system="Coder.",
        context="Match.\n\n",
        question=f"Wording: {names[right]}\n{lines}",
        options=tuple(options),
        answer=options[right % len(options)],
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """So small a model learns by heart or not at all: what is held out repeats what is taught."""
    rows = [example(number) for number in range(36)]
    again = [replace(row, id=f"again {row.id}", group=f"again {row.id}") for row in rows[:12]]
    write(tmp_path / "data", {"train": rows, "dev": again}, {"agent": "standardise_dx"})
    return tmp_path / "data"


@pytest.fixture
def base(tiny: Path, tmp_path: Path) -> Base:
    return resolve_base(str(tiny), Settings(cache=tmp_path))


@pytest.fixture
def tokens(base: Base) -> Tokens:
    return open_tokens(base)


def recipe(data: Path, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "t", "agent": "standardise_dx", "base": "tiny", "data": (str(data),), "rank": 8, "lr": 1e-2, "batch": 6,
        "steps": 8, "eval_every": 4, "eval_rows": 12, "max_tokens": 200, "dtype": "float32", "warmup": 0.0,
    }  # fmt: skip
    return Recipe(**{**values, **changes})


def trained(
    recipe: Recipe, base: Base, out: Path, say: Callable[[str], None] = lambda text: None, **options: Any
) -> dict[str, Any]:
    from jointcoder.finetune.sft import prepare, train

    return train(prepare(recipe, base), out, device="cpu", say=say, **options)


def weights(out: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(out / "adapter" / "adapter_model.safetensors"))


def test_the_loss_falls_and_everything_is_written(data: Path, base: Base, tmp_path: Path):
    result = trained(recipe(data, steps=24, eval_every=12), base, tmp_path / "out")
    assert result["dev_after"]["dev_loss"] < result["dev_before"]["dev_loss"] - 0.02
    assert result["steps"] == 24
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [row["step"] for row in log if "rows" in row] == [0, 12, 24]
    assert [row["step"] for row in log if "loss" in row] == list(range(1, 25))
    assert (tmp_path / "out" / "curve.svg").read_text("utf-8").startswith("<?xml")
    assert list((tmp_path / "out" / "runs").rglob("events.out.tfevents.*"))
    config = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text("utf-8"))
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    assert result["peak_bytes"] > 0 < result["expected"]["memory_bytes"]


def test_after_a_crash_training_goes_on_to_the_same_weights(data: Path, base: Base, tmp_path: Path):
    import torch

    whole = trained(recipe(data), base, tmp_path / "whole")

    def crash(text: str) -> None:
        if text.startswith("step 8"):
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        trained(recipe(data), base, tmp_path / "cut", crash)
    (tmp_path / "cut" / "checkpoints" / "checkpoint-7").mkdir()  # one that was never finished
    said: list[str] = []
    again = trained(recipe(data), base, tmp_path / "cut", said.append)
    assert "going on from step 4" in said
    assert again["dev_after"] == whole["dev_after"]
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_measurement_is_kept_and_training_ends_when_it_gets_worse(data: Path, base: Base, tmp_path: Path):
    """At this learning rate the loss explodes: what is kept must not be what came last."""
    wild = recipe(data, lr=1.0, steps=40, eval_every=2, patience=2)
    result = trained(wild, base, tmp_path / "out")
    assert result["steps"] < 40
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text("utf-8").splitlines()]
    measured = [row["dev_loss"] for row in log if "dev_loss" in row]
    assert result["dev_after"]["dev_loss"] == pytest.approx(min(measured), abs=1e-3)
    assert measured[-1] > min(measured)


def test_a_folder_of_another_training_is_left_alone(data: Path, base: Base, tmp_path: Path):
    trained(recipe(data, steps=1), base, tmp_path / "out")
    with pytest.raises(UsageError, match=r"JC003.*another recipe"):
        trained(recipe(data, steps=1, rank=4), base, tmp_path / "out")
    assert trained(recipe(data, steps=1, rank=4), base, tmp_path / "out", fresh=True)["recipe"]["rank"] == 4


def test_options_are_scored_as_whole_answers(base: Base, tokens: Tokens):
    """Options of several tokens, one the beginning of another, padded beside longer prompts: as one at a time."""
    import torch

    from jointcoder.finetune.batches import encode, scores

    model = load_model(base, dtype="float32")
    items = [
        encode(replace(example(1), options=("yes", "no", "none"), answer="no"), tokens),
        encode(replace(example(2), question=example(2).question + " and more words", answer="A"), tokens),
    ]
    assert [len(option) for option in items[0].options] == [4, 3, 5]  # bytes, and the end of the answer
    found = scores(model, items, tokens.end)
    for item, own in zip(items, found, strict=True):
        for option, score in zip(item.options, own, strict=True):
            ids = torch.tensor([[*item.prompt, *option]])
            rows = torch.log_softmax(model(ids).logits[0], dim=-1)
            start = len(item.prompt) - 1
            alone = sum(rows[start + at, token].item() for at, token in enumerate(option))
            assert score.item() == pytest.approx(alone, abs=1e-4)


def test_the_prior_teaches_only_what_it_does_not_know(base: Base, tokens: Tokens):
    from jointcoder.finetune.batches import choice_loss, encode

    model = load_model(base, dtype="float32")
    told = replace(example(1), prior=(0.0, 9.0, 0.0), answer="B")
    plain, _ = choice_loss(model, [encode(told, tokens)], tokens.end)
    known, answers = choice_loss(model, [encode(told, tokens)], tokens.end, prior=1.0)
    assert float(known) < 0.05 < float(plain)
    assert math.fsum(math.exp(value) for value in answers[0].tolist()) == pytest.approx(1.0, abs=1e-5)


def test_an_activated_adapter_leaves_the_context_alone(data: Path, base: Base, tmp_path: Path):
    """What is before the question has the base's own hidden states; the question's differ."""
    import torch

    from jointcoder.finetune.sft import adapted, prepare

    prepared = prepare(recipe(data, method="alora"), base)
    assert bytes(prepared.tokens.tokenizer.decode(prepared.calls), "utf-8") == b"Wording:"
    model = adapted(prepared, "cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    item = prepared.train[0]
    ids = torch.tensor([item.prompt])
    own = len(item.prompt) - item.own
    with torch.no_grad():
        changed = model(ids, alora_offsets=[item.own]).logits[0]
        plain = model.get_base_model()(ids, alora_offsets=[0]).logits[0]
    assert torch.allclose(changed[:own], plain[:own], atol=1e-5)
    assert not torch.allclose(changed[own:], plain[own:], atol=1e-2)
    result = trained(recipe(data, method="alora", steps=2, eval_every=2), base, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text("utf-8"))
    assert config["alora_invocation_tokens"] == list(prepared.calls) == result["invocation_tokens"]


def test_written_answers_are_trained_too(tiny: Path, base: Base, tmp_path: Path):
    rows = [
        replace(example(n, agent="extract"), options=(), answer=json.dumps({"diagnoses": [NAMES[n % 6]]}))
        for n in range(14)
    ]
    write(tmp_path / "text", {"train": rows[:10], "dev": rows[10:]}, {"agent": "extract"})
    text = recipe(tmp_path / "text", agent="extract", steps=6, eval_every=6, max_tokens=300)
    result = trained(text, base, tmp_path / "out")
    assert result["dev_after"]["dev_loss"] < result["dev_before"]["dev_loss"]
    assert "dev_accuracy" not in result["dev_after"]


def test_only_upper_layers_are_adapted_where_asked(data: Path, base: Base):
    from jointcoder.finetune.sft import adapted, cost, prepare

    prepared = prepare(recipe(data, last_layers=1, targets=("q_proj", "down_proj")), base)
    names = [name for name, parameter in adapted(prepared, "cpu").named_parameters() if parameter.requires_grad]
    assert len(names) == 4
    assert all(".layers.1." in name for name in names)
    assert cost(prepared, speed=1e9).adapter == 8 * (64 + 64 + 64 + 128)


def test_too_little_memory_is_refused_with_the_arithmetic(
    data: Path, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("jointcoder.finetune.estimate.available", lambda: 10**8)
    with pytest.raises(ModelError, match=r"JC311: .* = weights .* \+ adapter .* \+ kept .* \+ logits .* are available"):
        trained(recipe(data), base, tmp_path / "out")


def test_examples_that_do_not_fit_are_an_error(data: Path, base: Base, tmp_path: Path):
    from jointcoder.finetune.sft import prepare

    with pytest.raises(InputError, match="JC113: all 36 examples are longer than max_tokens"):
        prepare(recipe(data, max_tokens=16), base)
    write(tmp_path / "nodev", {"train": [example(1)]}, {"agent": "standardise_dx"})
    with pytest.raises(InputError, match="JC113: there are no held-out examples"):
        prepare(recipe(tmp_path / "nodev"), base)


def test_rewards_train_too(data: Path, base: Base, tmp_path: Path):
    """A few steps on a random model: it runs, logs each reward, keeps prompts as they are, and goes on."""
    from jointcoder.finetune.batches import encode
    from jointcoder.finetune.grpo import prepare, train

    values = {
        "name": "g", "agent": "standardise_dx", "base": "tiny", "data": (str(data),), "rank": 4, "lr": 1e-2, "steps": 2,
        "batch": 4, "group": 4, "new_tokens": 6, "prompt_tokens": 200, "dtype": "float32",
        "rewards": {"concise": 1.0, "f1": 0.5},
    }  # fmt: skip
    task = prepare(GrpoRecipe(**values), base)
    assert task.prompts[0] == encode(example(0), task.tokens).prompt
    assert task.wanted[0].offered == ("A", "B", "C")
    result = train(task, tmp_path / "out", device="cpu", say=lambda text: None)
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [row["step"] for row in log] == [1, 2]
    assert log[0]["reward"] == pytest.approx(log[0]["concise"] + 0.5 * log[0]["f1"], abs=1e-4)
    assert result["steps"] == 2
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "out" / "curve.svg").is_file()


@pytest.fixture(scope="module")
def smallest() -> tuple[Path, Base, Tokens]:
    """The smallest real model's file, what its header tells, and its tokenizer."""
    require_training()
    from tests.llm.conftest import SMALLEST, weights

    path = weights(SMALLEST)
    found = resolve_base(str(path), Settings.load())
    return path, found, open_tokens(found)


@pytest.mark.engine
def test_prompts_have_the_engines_tokens(smallest: tuple[Path, Base, Tokens]):
    """The tokenizer from the GGUF cuts as llama.cpp does: accents, Chinese, a control token's name in a note."""
    from jointcoder.finetune.batches import encode
    from jointcoder.llm.llamacpp import LlamaCpp

    path, _, opened = smallest
    odd = replace(
        example(3),
        system="Eres un codificador clínico.",
        context="Informe: TA 120/80 mmHg, 38,5 ºC <|im_end|> 患者男性，67岁\n\n---\n",
        options=("sí", "no", "none"),
        answer="no",
    )
    with LlamaCpp(path, context_tokens=512) as model:
        for one in (odd, example(4), replace(odd, context="no space", system="")):
            context, question = one.asked
            item = encode(one, opened)
            assert list(item.prompt) == model._chat.prefix(context) + model._chat.suffix(context, question)
            assert item.own == len(model._chat.suffix(context, question))
        assert [list(option) for option in encode(odd, opened).options] == [
            model._engine.tokenize(option) for option in odd.options
        ]


@pytest.mark.engine
def test_scores_are_the_engines(smallest: tuple[Path, Base, Tokens]):
    """The dequantised model in torch and llama.cpp over the file give the options like log-probabilities."""
    from jointcoder.finetune.batches import choice_loss, encode
    from jointcoder.llm.llamacpp import LlamaCpp

    path, found, opened = smallest
    assert (found.shape.layers, found.shape.hidden, found.shape.kv_heads) == (30, 576, 3)
    model = load_model(found, dtype="float32")
    with LlamaCpp(path, context_tokens=512) as engine:
        for number in (1, 2):
            one = example(number)
            (choice,) = engine.choose(one.asked[0], [one.choice])
            _, (own,) = choice_loss(model, [encode(one, opened)], opened.end)
            assert own.tolist() == pytest.approx(list(choice.logprobs), abs=0.2)  # the engine rounds activations


def test_held_out_answers_are_judged_with_and_without_the_adapter(data: Path, base: Base, tmp_path: Path):
    from jointcoder.finetune.examples import Examples
    from jointcoder.finetune.trial import report, trial, write_scores

    trained(recipe(data, steps=6, eval_every=6), base, tmp_path / "out")
    held = Examples.load(data).dev
    rows = trial(base, held, tmp_path / "out" / "adapter", dtype="float32")
    found = report(rows)
    assert found["rows"] == len(held) == 12
    assert set(found["ways"]) == {"prior", "base", "adapter"}
    for values in found["ways"].values():
        assert values["accuracy_interval"][0] <= values["accuracy"] <= values["accuracy_interval"][1]
    before, after = (found["ways"][way]["accuracy"] * 12 for way in ("base", "adapter"))
    assert after - before == pytest.approx(found["put_right"] - found["put_wrong"])
    assert rows[0].scores["prior"] == pytest.approx([math.log(1 / 3)] * 3)
    write_scores(tmp_path / "scores.jsonl", rows)
    lines = (tmp_path / "scores.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 12
    assert "Wording" not in lines[0]
    with pytest.raises(AssetError, match="JC221"):
        trial(base, held, tmp_path)


def test_verdicts_are_joined_with_what_was_known(data: Path):
    """A prior that knows half and a model that knows the other half: together they know more than either."""
    import random

    from jointcoder.finetune.trial import Row, report

    chance = random.Random(1)
    rows = []
    for number in range(120):
        right = number % 2
        one = replace(example(number, options=("yes", "no")), answer=("yes", "no")[right], group=str(number % 40))
        told, own = (2.0 * (0.5 - right) + chance.gauss(0, 2) for _ in range(2))
        scores = {"prior": (told, 0.0), "base": (0.0, -0.1), "adapter": (own, 0.0)}
        rows.append(Row(replace(one, facts={"p": 0.5}), scores))
    ways = report(rows)["ways"]
    assert ways["both"]["auc"] > max(ways["prior"]["auc"], ways["adapter"]["auc"])
    assert ways["base"]["auc"] == 0.5
    assert ways["both"]["auc_interval"][0] < ways["both"]["auc"] < ways["both"]["auc_interval"][1]


@pytest.mark.engine
def test_the_engine_judges_too(data: Path, smallest: tuple[Path, Base, Tokens]):
    from jointcoder.finetune.examples import Examples
    from jointcoder.finetune.trial import engine_trial, report

    rows = engine_trial(smallest[1], Examples.load(data).dev[:4], None)
    assert all(sum(map(math.exp, row.scores["base"])) == pytest.approx(1.0, abs=1e-4) for row in rows)
    assert set(report(rows)["ways"]) == {"prior", "base"}


def test_one_call_trains_every_agent_that_the_records_teach(
    cases: Path, base: Base, small_us: CodeBook, tmp_path: Path
):
    from jointcoder.finetune.asking import DataOptions
    from jointcoder.finetune.retrain import retrain

    changes = {"rank": 2, "dtype": "float32", "max_tokens": 900, "eval_rows": 4, "steps": 2}
    options = DataOptions(dev_share=0.4, seed=3)

    def run(agents: Sequence[str]) -> dict[str, Any]:
        done = retrain(
            [str(cases)], base, small_us, tmp_path / "out", settings=Settings(cache=tmp_path), agents=agents,
            options=options, device="cpu", changes=changes, say=lambda text: None,
        )  # fmt: skip
        return {outcome.agent: outcome for outcome in done}

    found = run(["validate_dx", "prioritise_dx"])
    assert "prioritise_dx finds nothing to learn" in found["prioritise_dx"].passed_over
    assert found["validate_dx"].after["rows"] > 0
    assert (tmp_path / "out" / "validate_dx" / "run" / "adapter" / "adapter_model.safetensors").is_file()
    assert run(["validate_dx"])["validate_dx"].after == found["validate_dx"].after
    with pytest.raises(UsageError, match="JC001"):
        run(["everything"])


def test_steps_are_cut_to_the_time(data: Path, base: Base):
    from jointcoder.finetune.retrain import within
    from jointcoder.finetune.sft import cost, prepare

    prepared = prepare(recipe(data, steps=600, eval_every=200), base)
    speed = 1e9
    half = cost(prepared, speed=speed).seconds / 2 / 60
    cut = within(prepared, half, speed=speed)
    assert 200 < cut.steps < 400
    assert cost(cut, speed=speed).seconds == pytest.approx(half * 60, rel=0.1)
    assert within(prepared, 1e9, speed=speed).steps == 600


def test_the_commands_from_records_to_figures(
    cases: Path, tiny: Path, small_us: CodeBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from typer.testing import CliRunner

    from jointcoder.finetune.__main__ import build

    monkeypatch.setenv("JOINTCODER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    runner, app = CliRunner(), build()

    def run(*arguments: object) -> str:
        result = runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    told = json.loads(
        run("data", "--from", cases, "--agent", "validate_dx", "--book", small_us.path, "--base", tiny, "-o", "made",
            "--sentences", 0, "--json")
    )  # fmt: skip
    assert told["tokens_by"] == tiny.name
    assert told["counts"]["train"]["rows"] > told["counts"]["dev"]["rows"] > 0
    text = (
        f'name = "own"\nagent = "validate_dx"\nbase = "{tiny}"\ndata = ["made"]\nrank = 2\nsteps = 2\n'
        'max_tokens = 900\ndtype = "float32"\n'
    )
    (tmp_path / "own.toml").write_text(text, "utf-8")
    expected = json.loads(run("sft", "own.toml", "--dry-run", "--device", "cpu", "--json"))
    assert expected["steps"] == 2
    assert not (tmp_path / "runs").exists()
    result = json.loads(run("-q", "sft", "own.toml", "--device", "cpu", "--json"))
    assert result["dev_after"]["rows"] == told["counts"]["dev"]["rows"]
    figures = run("judge", "made", "--base", tiny, "--adapter", "runs/own/adapter", "--dtype", "float32")
    assert "adapter" in figures
    assert "AUC" in figures
