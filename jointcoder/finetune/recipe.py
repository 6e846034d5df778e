"""Recipes: one TOML file says what is trained, from what, and how. ``finetune/*.toml`` holds those of the project.

    name = "validate-dx-es"
    agent = "validate_dx"
    base = "qwen2.5-coder-1.5b-instruct-q4_k_m"     # a model's name, a .gguf file or a hub's folder
    data = ["data/validate_dx_es"]                  # folders of examples, beside the recipe unless absolute
    rank = 16

Unknown keys are refused and the known ones listed. This module reads and checks; it loads nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from jointcoder.errors import UsageError, name_list
from jointcoder.finetune.asking import AGENTS
from jointcoder.finetune.rewards import REWARDS

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
METRICS = {"loss": False, "accuracy": True, "auc": True}  # whether more is better

R = TypeVar("R", bound="Common")
Share = Annotated[float, Field(ge=0, le=1)]


class Common(BaseModel):
    """What every training states. ``alpha`` defaults to twice the rank; ``last_layers``: adapt only so many of the
    uppermost layers, which saves the way back through the others; ``minutes``: stop after so long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    agent: str
    base: str
    data: tuple[str, ...] = Field(min_length=1)
    rank: int = Field(default=16, ge=1, le=256)
    alpha: int | None = Field(default=None, ge=1)
    dropout: Share = 0.0
    targets: tuple[str, ...] = ATTENTION
    last_layers: int | None = Field(default=None, ge=1)
    lr: float = Field(default=2e-4, gt=0, le=1)
    steps: int | None = Field(default=None, ge=1)
    batch: int = Field(default=4, ge=1, le=1024)
    accumulate: int = Field(default=1, ge=1)
    warmup: Share = 0.05
    minutes: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    dtype: Literal["bfloat16", "float32", "float16"] = "bfloat16"

    @field_validator("agent")
    @classmethod
    def _known_agent(cls, value: str) -> str:
        if value not in AGENTS:
            raise ValueError(f"unknown agent {value!r}; known: {name_list(AGENTS)}")
        return value

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - {*ATTENTION, *MLP}:
            raise ValueError(f"targets are some of {name_list([*ATTENTION, *MLP])}")
        return value

    @property
    def scale(self) -> int:
        """LoRA's alpha."""
        return self.alpha if self.alpha is not None else 2 * self.rank


class Recipe(Common):
    """Supervised training.

    ``method``: ``lora``, or ``alora`` for an adapter that acts behind the shared context only. ``prior``: how much of
    the examples' prior is added to the model's scores while training and measuring (0: none). ``epochs`` counts unless
    ``steps`` is given; ``eval_every`` steps the held-out part (``eval_rows`` of it) is measured and a checkpoint
    written; after ``patience`` measurements without a better ``metric`` training ends (0: never).
    """

    method: Literal["lora", "alora"] = "lora"
    epochs: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(default=512, ge=16)
    eval_every: int = Field(default=50, ge=1)
    eval_rows: int = Field(default=150, ge=1)
    patience: int = Field(default=3, ge=0)
    metric: str = "loss"
    prior: float = Field(default=0.0, ge=0, le=4)
    weight_decay: float = Field(default=0.0, ge=0)

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"metric is one of {name_list(METRICS)}")
        return value


class GrpoRecipe(Common):
    """Training by reward (GRPO, Shao 2024): ``group`` answers to each prompt, scored by ``rewards`` (name → weight).

    ``beta``: weight of the divergence from the base; ``prompt_tokens``: longer prompts are left out; ``batch`` counts
    answers and must hold whole groups."""

    group: int = Field(default=8, ge=2, le=128)
    new_tokens: int = Field(default=64, ge=1)
    prompt_tokens: int = Field(default=512, ge=16)
    temperature: float = Field(default=1.0, gt=0, le=4)
    beta: float = Field(default=0.0, ge=0)
    rewards: dict[str, float] = Field(min_length=1)
    start: str = ""

    @field_validator("rewards")
    @classmethod
    def _known_rewards(cls, value: dict[str, float]) -> dict[str, float]:
        if unknown := set(value) - set(REWARDS):
            raise ValueError(f"unknown reward {name_list(unknown)}; known: {name_list(REWARDS)}")
        return value

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch % self.group:
            raise ValueError(f"batch ({self.batch}) must be a multiple of group ({self.group})")
        return self


def load_recipe(path: Path, kind: type[R]) -> R:
    """Read a recipe. Raises UsageError JC003 naming the fields that are wrong and listing the known ones."""
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError("JC003", f"the recipe {path} cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("JC003", f"{path.name}: {error}") from None
    try:
        recipe = kind.model_validate(values)
    except ValidationError as error:
        known = list(kind.model_fields)
        problems = [_problem(problem) for problem in error.errors(include_url=False)]
        raise UsageError(
            "JC003", f"{path.name}: {'; '.join(problems)}", hint=f"known keys: {name_list(known, 99)}"
        ) from None
    return recipe.model_copy(update={"data": tuple(str(_beside(path, folder)) for folder in recipe.data)})


def _problem(problem: Any) -> str:
    place = ".".join(map(str, problem["loc"])) or "recipe"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {place!r}"
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}"


def _beside(recipe: Path, folder: str) -> Path:
    path = Path(folder).expanduser()
    return path if path.is_absolute() else recipe.parent / path
