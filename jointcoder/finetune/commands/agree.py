"""``python -m jointcoder.finetune agree RUN --of MODEL``: does the engine compute what was trained?"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.errors import InputError, ModelError, UsageError

if TYPE_CHECKING:
    from jointcoder.finetune.agree import Agreement
    from jointcoder.finetune.base_model import Base

LANGUAGES = ("en", "es", "zh")


def register(app: typer.Typer) -> None:
    app.command("agree")(agree)


def agree(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A training's folder, or one of peft's.")],
    of: Annotated[str, typer.Option("--of", metavar="MODEL", help="The base model: its name, or a GGUF file.")],
    gguf: Annotated[Path | None, typer.Option("--gguf", help="The exported file; default: exported for this.")] = None,
    examples: Annotated[
        Path | None,
        typer.Option("--examples", help="Folder of training examples: prompts of its held-out part."),
    ] = None,
    prompts: Annotated[Path | None, typer.Option("--prompts", help="A text file, one prompt a line.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many prompts.")] = 12,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens written behind each.")] = 16,
    over: Annotated[str, typer.Option(help="f16, base or both.")] = "both",
    dtype: Annotated[str, typer.Option(help="Of the trained side: float32, bfloat16.")] = "float32",
    scratch: Annotated[Path | None, typer.Option(help="Folder for the dequantised base; deleted afterwards.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the report (JSON) there.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare transformers and peft with the engine: greedy text and log-probabilities. Exit code 1 if they differ."""
    if over not in ("f16", "base", "both"):
        raise UsageError("JC001", f"unknown --over {over!r}", hint="known: f16, base, both")
    if examples and prompts:
        raise UsageError("JC001", "--examples and --prompts exclude each other")
    from jointcoder.assets import resolve_model
    from jointcoder.finetune import agree as work
    from jointcoder.finetune.base_model import open_tokens, resolve_base
    from jointcoder.finetune.export import export, load_run
    from jointcoder.finetune.gguf_write import replacing
    from jointcoder.finetune.merge import merge
    from jointcoder.finetune.trained_side import TrainedSide
    from jointcoder.llm.adapters import Adapter
    from jointcoder.settings import Settings

    settings = Settings.load()
    trained, served = load_run(run), resolve_model(settings, of)
    base = resolve_base(of, settings)
    given = asked(base, examples, prompts, limit)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="jointcoder-agree-") as folder:
        file = gguf or export(trained, served, Path(folder) / "adapter.gguf", name=trained.name).path
        models = {}
        if over != "base":
            common.say("dequantising the base …")
            f16 = merge(served.path, Path(folder) / "base-f16.gguf")
            models["f16"] = (f16, work.SAME_WEIGHTS if dtype == "float32" else work.QUANTISED)
        if over != "f16":
            models[served.name] = (served.path, work.QUANTISED)
        common.say("loading the trained side …")
        side = TrainedSide(base, trained.adapter.folder, dtype=dtype, threads=settings.threads)
        adapter = Adapter(file, activated=bool(trained.adapter.invocation))
        runs = work.agreement(side, models, adapter, given, most=tokens, threads=settings.threads, notice=common.say)
        sha256 = Adapter(file).version()
    same = same_tokens(open_tokens(base), served.path, given)
    report = {
        "adapter": {"name": trained.name, "sha256": sha256},
        "base": {"name": served.name, "sha256": served.sha256},
        "dtype": dtype,
        "runs": [one.to_json() for one in runs],
        "tokenizer": {"prompts": same[1], "same": same[0]},
        "passed": all(one.passed for one in runs) and same[0] == same[1],
    }
    if out:
        with replacing(out) as sink:
            sink.write((json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode())
    if json_out:
        common.put_json(report)
    else:
        _show(runs, report)
    if not report["passed"]:
        problems = [f"over {one.over}: {failure}" for one in runs for failure in one.failures]
        if same[0] != same[1]:
            problems.append(f"{same[1] - same[0]} of {same[1]} prompts are cut into other tokens")
        raise ModelError("JC312", "; ".join(problems), hint="do not use this export; export again, or report a bug")


def asked(base: Base, examples: Path | None, prompts: Path | None, limit: int) -> Sequence[str] | Sequence[list[int]]:
    """The prompts: texts, or for examples the tokens that a step would send. Raises InputError JC101, JC107."""
    if examples:
        from jointcoder.finetune.base_model import open_tokens
        from jointcoder.finetune.examples import Examples

        chat = open_tokens(base).chat
        found = [example.asked for example in Examples.load(examples).dev[:limit]]
        return [chat.prefix(context) + chat.suffix(context, question) for context, question in found]
    if prompts:
        try:
            lines = prompts.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("JC107", f"{prompts} cannot be read ({type(error).__name__})") from None
    else:
        lines = own_prompts()
    if not (lines := [line for line in lines if line.strip()]):
        raise InputError("JC101", "there is no prompt to compare on")
    return lines[:limit]


def own_prompts() -> list[str]:
    """Prompts of our own: beginnings of sentences in each language, by turns."""
    from importlib.resources import files
    from itertools import chain

    data = files("jointcoder.finetune") / "data"
    columns = [(data / language / "agreement.txt").read_text("utf-8").splitlines() for language in LANGUAGES]
    return list(chain.from_iterable(zip(*columns, strict=True)))


def same_tokens(tokens: Any, model: Path, prompts: Sequence[Any]) -> tuple[int, int]:
    """How many texts the trained side's tokenizer cuts as the engine's does, and of how many. Prompts that came as
    tokens are turned back into text first."""
    from jointcoder.finetune.engine_side import EngineSide

    with EngineSide(model, context_tokens=256) as engine:
        texts = [prompt if isinstance(prompt, str) else engine.text(prompt) for prompt in prompts]
        equal = [tokens.tokenize(text) == engine.plain_tokens(text) for text in texts]
    return sum(equal), len(equal)


def _show(runs: Sequence[Agreement], report: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in (
        "over",
        "mean |Δ log p|",
        "largest",
        "divergence",
        "of the adapter",
        "same likeliest",
        "same text",
        "",
    ):
        table.add_column(column, justify="left" if column in ("over", "") else "right")
    for one in runs:
        bounds = one.tolerance
        same = f"{one.same} of {one.prompts}" + (f", {one.ties} near ties" if one.ties else "")
        table.add_row(
            one.over,
            f"{one.mean:.4f} (≤ {bounds.mean:g})",
            f"{one.worst:.4f} (≤ {bounds.worst:g})",
            f"{one.kl:.5f} (≤ {bounds.kl:g})",
            f"{one.effect:.4f}",
            f"{one.top:.3f}",
            same,
            "passed" if one.passed else "FAILED",
        )
    console = common.stdout()
    console.print(table)
    tokenizer = report["tokenizer"]
    console.print(f"tokenizer: {tokenizer['same']} of {tokenizer['prompts']} prompts cut alike", highlight=False)
