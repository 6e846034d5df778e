"""Everything at once, for a site's own records and its own base model: examples, training, export, agent by agent.

    for outcome in retrain(["coded.jsonl"], base, book, Path("adapters"), minutes=25): …

Each agent gets a folder ``out/AGENT`` with ``examples/``, ``run/`` and, where the base is a GGUF file,
``AGENT.gguf``. An agent that the records teach nothing (no principal codes, say) is passed over with the reason.
Trainings are cut to the minutes given by the same estimate that ``sft --dry-run`` prints; the same call goes on after a
crash. Whether an adapter is put in force is decided elsewhere (the promote command): nothing is registered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import InputError, UsageError, name_list
from jointcoder.finetune.asking import AGENTS, KINDS, DataOptions
from jointcoder.finetune.base_model import Base, device_of, open_tokens
from jointcoder.finetune.datasets import build
from jointcoder.finetune.recipe import Recipe
from jointcoder.finetune.sft import Prepared, cost, prepare, train
from jointcoder.settings import Settings

DEFAULT = ("standardise_dx", "standardise_px", "validate_dx", "validate_px", "prioritise_dx", "prioritise_px")
MOST_ROWS = 4000
MEASURED = 3  # times during a training

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of an agent: held-out figures before and after, the adapter's file; or why it was passed over."""

    agent: str
    before: dict[str, Any]
    after: dict[str, Any]
    adapter: Path | None = None
    passed_over: str = ""


def retrain(
    sources: Sequence[str],
    base: Base,
    book: CodeBook,
    out: Path,
    *,
    settings: Settings,
    agents: Sequence[str] = (),
    dev: Sequence[str] = (),
    minutes: float = 25.0,
    options: DataOptions | None = None,
    device: str = "auto",
    changes: dict[str, Any] | None = None,
    say: Say = print,
) -> Iterator[Outcome]:
    """Train the agents one after the other. ``changes``: keys of the recipes other than the defaults.

    Raises UsageError JC001 for an unknown agent, and what building and training raise.
    """
    if unknown := set(agents) - set(AGENTS):
        raise UsageError("JC001", f"unknown agent {name_list(unknown)}", hint=f"known agents: {name_list(AGENTS)}")
    tokens = open_tokens(base)
    options = options or DataOptions(rows=MOST_ROWS)
    for agent in agents or DEFAULT:
        kind = KINDS.get(agent.rpartition("_")[2])
        if kind is not None and not book.systems(kind):
            yield Outcome(agent, {}, {}, passed_over=f"code book {book.info.id} holds no {kind} codes")
            continue
        folder = out / agent
        try:
            if not (folder / "examples" / "manifest.json").is_file():
                build(
                    agent,
                    sources,
                    book,
                    folder / "examples",
                    dev=dev,
                    options=options,
                    count_tokens=lambda text: len(tokens.tokenize(text)),
                    counted_by=tokens.name,
                    context_tokens=settings.context_tokens,
                    dense=settings.dense,
                )
            prepared = prepare(_recipe(agent, base, folder / "examples", changes or {}), base)
        except InputError as error:
            if error.code != "JC113":
                raise
            yield Outcome(agent, {}, {}, passed_over=error.message)
            continue
        if not (folder / "run" / "recipe.json").is_file():
            prepared = within(prepared, minutes, device=device_of(device))
        else:
            prepared = _as_begun(prepared, folder / "run")
        say(f"{agent}: {len(prepared.train)} examples, {prepared.steps} steps")
        result = train(prepared, folder / "run", device=device, say=say)
        adapter = _exported(folder, agent, base, settings) if base.gguf else None
        yield Outcome(agent, result["dev_before"], result["dev_after"], adapter)


def within(prepared: Prepared, minutes: float, *, device: str = "cpu", speed: float | None = None) -> Prepared:
    """The same with as many steps as the minutes allow, measured a few times."""
    expected = cost(prepared, device=device, speed=speed)
    learning = expected.seconds - expected.measured
    once = expected.measured / (2 + (prepared.steps - 1) // prepared.recipe.eval_every)
    room = 60 * minutes - once * (MEASURED + 1)
    steps = max(1, min(prepared.steps, int(prepared.steps * room / learning))) if learning > 0 else prepared.steps
    changes = {"steps": steps, "eval_every": max(1, -(-steps // MEASURED))}
    return replace(prepared, recipe=prepared.recipe.model_copy(update=changes))


def _recipe(agent: str, base: Base, examples: Path, changes: dict[str, Any]) -> Recipe:
    values = {"name": agent, "agent": agent, "base": base.name, "data": (str(examples),), "patience": 0}
    return Recipe.model_validate(values | changes)


def _as_begun(prepared: Prepared, run: Path) -> Prepared:
    """The recipe as the training in ``run`` was begun: going on must not depend on today's speed."""
    import json

    begun = json.loads((run / "recipe.json").read_text("utf-8"))
    changes = {"steps": begun["steps"], "eval_every": begun["eval_every"]}
    return replace(prepared, recipe=prepared.recipe.model_copy(update=changes))


def _exported(folder: Path, agent: str, base: Base, settings: Settings) -> Path:
    from jointcoder.assets import resolve_model
    from jointcoder.finetune.export import export, facts, load_run, write_card

    done = export(
        load_run(folder / "run"),
        resolve_model(settings, base.name if base.licence else str(base.path)),
        folder / f"{agent}.gguf",
        name=agent,
    )
    write_card(done, facts(done))
    return done.path
