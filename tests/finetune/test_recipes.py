"""Recipes and the command line: what is wrong is named, what is known is listed, nothing heavy is loaded for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jointcoder.errors import AssetError, UsageError
from jointcoder.finetune.__main__ import build
from jointcoder.finetune.base_model import Base, Shape, require_extra
from jointcoder.finetune.curve import draw, read_log
from jointcoder.finetune.estimate import estimate, lora_parameters
from jointcoder.finetune.judge import accuracy, auc, figures, interval
from jointcoder.finetune.recipe import GrpoRecipe, Recipe, load_recipe

RECIPES = sorted((Path(__file__).parents[2] / "finetune").glob("*.toml"))
LEAST = 'name = "x"\nagent = "extract"\nbase = "b"\ndata = ["d"]\n'
QWEN = Shape("qwen2", 28, 1536, 8960, 12, 2, 128, 151_936, 1_543_714_304)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_projects_recipes_are_valid(path: Path):
    recipe = load_recipe(path, GrpoRecipe if "[rewards]" in path.read_text("utf-8") else Recipe)
    assert recipe.name == path.stem


def test_there_are_recipes():
    assert len(RECIPES) >= 4


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (LEAST + "rnak = 8\n", "unknown key 'rnak'"),
        (LEAST.replace("extract", "extrakt"), "unknown agent 'extrakt'; known: extract, mine"),
        (LEAST + 'targets = ["everything"]\n', "targets are some of"),
        (LEAST + 'metric = "f9"\n', "metric is one of accuracy, auc, loss"),
        (LEAST + "rank = 0\n", "rank:"),
        ('name = "x"\n', "agent: Field required"),
        ("rank = = 1", "r.toml:"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str):
    with pytest.raises(UsageError) as caught:
        load_recipe(written(tmp_path, text), Recipe)
    assert caught.value.code == "JC003"
    assert named in caught.value.message


def test_unknown_keys_list_the_known_ones(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        load_recipe(written(tmp_path, LEAST + "epoch = 2\n"), Recipe)
    assert "epochs" in caught.value.hint
    assert "eval_every" in caught.value.hint


def test_groups_must_be_whole(tmp_path: Path):
    text = LEAST + "batch = 6\ngroup = 4\n[rewards]\nf1 = 1.0\n"
    with pytest.raises(UsageError, match="multiple of group"):
        load_recipe(written(tmp_path, text), GrpoRecipe)
    with pytest.raises(UsageError, match="unknown reward style; known: concise, evidence"):
        load_recipe(written(tmp_path, LEAST + "[rewards]\nstyle = 1.0\n"), GrpoRecipe)


def test_data_lies_beside_the_recipe(tmp_path: Path):
    recipe = load_recipe(written(tmp_path, LEAST), Recipe)
    assert recipe.data == (str(tmp_path / "d"),)


def test_a_missing_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("torch", "peft") else object())
    with pytest.raises(AssetError, match="JC215: training needs torch, peft") as caught:
        require_extra()
    assert "pip install 'jointcoder[finetune]'" in caught.value.hint


def test_help_is_quick_and_loads_no_torch():
    code = (
        "import sys; from jointcoder.finetune.__main__ import build; build();"
        "print(sorted({'torch', 'transformers', 'peft', 'trl', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_commands_are_there():
    result = CliRunner().invoke(build(), ["--help"])
    for name in ("data", "sft", "grpo", "judge"):
        assert name in result.output


def test_the_adapters_size_is_arithmetic():
    base = Base(Path("x"), "x", "")
    base.__dict__["shape"] = QWEN
    recipe = Recipe(name="x", agent="extract", base="b", data=("d",), rank=16)
    per_layer = 16 * ((1536 + 1536) * 2 + (1536 + 256) * 2)
    assert lora_parameters(base, recipe) == 28 * per_layer == 4_358_144
    found = estimate(
        base, recipe, [[160] * 4] * 10, steps=10, rows=4, measured_tokens=0, measurements=0, speed=1e12
    )  # fmt: skip
    twice = estimate(
        base, recipe, [[160] * 8] * 10, steps=10, rows=8, measured_tokens=0, measurements=0, speed=1e12
    )  # fmt: skip
    assert found.weights == 2 * QWEN.parameters
    assert twice.kept == 2 * found.kept
    assert twice.seconds == pytest.approx(2 * found.seconds)


def test_figures_of_answers():
    import numpy as np

    sure = [([-0.1, -2.4], 0), ([-2.4, -0.1], 1), ([-1.0, -0.5], 0)]
    found = figures(sure)
    assert found.accuracy == accuracy(sure) == pytest.approx(2 / 3)
    assert found.auc == 1.0
    assert auc(np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    assert "dev_auc" not in figures([([-1.0, -1.0, -1.0], 2)]).to_json()
    low, high = interval(["a", "a", "b", "c"], lambda rows: float(np.mean(rows >= 2)))
    assert 0.0 <= low < 0.5 < high <= 1.0


def test_a_curve_is_drawn_from_a_log_that_a_crash_has_cut(tmp_path: Path):
    pytest.importorskip("matplotlib")
    log = tmp_path / "log.jsonl"
    lines = [
        '{"step": 0, "rows": 2, "dev_loss": 2.0}',
        '{"step": 1, "loss": 1.5}',
        '{"step": 1, "loss": 1.4}',
        '{"step": 2, "lo',
    ]
    log.write_text("\n".join(lines), "utf-8")
    rows = read_log(log)
    assert [row.get("loss") for row in rows] == [None, 1.4]
    one, other = (
        draw(rows, tmp_path / name, title="t", metric="dev_accuracy").read_bytes() for name in ("a.svg", "b.svg")
    )
    assert one == other
    assert b"<svg" in one
