"""``python -m jointcoder.finetune export|merge``: a trained adapter as a file of the engine, with its card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.errors import UsageError, name_list

if TYPE_CHECKING:
    from jointcoder.finetune.export import Exported

RUN = typer.Argument(metavar="RUN", help="A training's folder, or one that peft's save_pretrained wrote.")
OF = typer.Option("--of", metavar="MODEL", help="The base model: its name, or a GGUF file.")
REPORTS = typer.Option("--evaluation", metavar="FILE", help="A report of `jointcoder evaluate --json`; repeatable.")
GATE = typer.Option("--gate", metavar="FILE", help="A report of `promote --out`.")
AGREEMENT = typer.Option("--agreement", metavar="FILE", help="A report of `agree --out`.")
OTHER = typer.Option("--other-weights", help="It was trained on other weights of the same shapes.")


def register(app: typer.Typer) -> None:
    app.command("export")(export)
    app.command("merge")(merge)


def export(
    run: Annotated[Path, RUN],
    of: Annotated[str, OF],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The GGUF file; default: beside the run.")] = None,
    name: Annotated[str, typer.Option("--name", help="The adapter's name; default: its agent's.")] = "",
    kind: Annotated[str, typer.Option("--type", help="f16 or f32.")] = "f16",
    evaluations: Annotated[list[Path] | None, REPORTS] = None,
    gate: Annotated[Path | None, GATE] = None,
    agreement: Annotated[Path | None, AGREEMENT] = None,
    enrolled: Annotated[bool, typer.Option("--register", help="Into your own list: steps can name it.")] = False,
    published: Annotated[
        bool, typer.Option("--publish", help="Into models/adapters and the manifest; freely licensed data only.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="With --register: replace one so named.")] = False,
    other_weights: Annotated[bool, OTHER] = False,
    json_out: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Write an adapter for the engine (GGUF), with its model card."""
    from jointcoder.assets import resolve_model
    from jointcoder.finetune import export as work
    from jointcoder.settings import Settings

    if kind not in ("f16", "f32"):
        raise UsageError("JC001", f"unknown type {kind!r}", hint="known: f16, f32")
    settings = Settings.load()
    trained = work.load_run(run)
    base = resolve_model(settings, of)
    place = out or run / f"{name or trained.name}.gguf"
    done = work.export(trained, base, place, name=name, kind=kind, other_weights=other_weights)  # type: ignore[arg-type]
    told = work.facts(
        done,
        evaluations=[work.read_json(path) for path in evaluations or ()],
        gate=work.read_json(gate) if gate else None,
        agreement=work.read_json(agreement) if agreement else None,
    )
    card = work.write_card(done, told)
    facts: dict[str, Any] = {"path": str(done.path), "sha256": done.sha256, "card": str(card), "name": done.name}
    facts |= {"licence": done.distribution.licence, "obstacles": list(done.distribution.obstacles)}
    if published:
        facts["published"] = str(work.publish(done, told))
    if enrolled:
        facts["registered"] = str(work.enrol(done, settings, replace=replace, other_weights=other_weights).path)
    _tell(done, facts, json_out=json_out)


def merge(
    run: Annotated[Path, RUN],
    of: Annotated[str, OF],
    out: Annotated[Path, typer.Option("-o", "--out", help="The GGUF file.")],
    kind: Annotated[
        str, typer.Option("--type", help="f16, bf16, f32; or quantised: q8_0, q4_k_m, q5_k_m, q6_k, q4_0.")
    ] = "f16",
    name: Annotated[str, typer.Option("--name", help="Register it as a model of your own under this name.")] = "",
    json_out: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Merge an adapter into its base: one model file, quantised if asked for; loaded once to see that it answers."""
    from jointcoder.assets import file_hash, resolve_model
    from jointcoder.assets.register import Wish
    from jointcoder.assets.register import register as enrol
    from jointcoder.finetune import merge as work
    from jointcoder.finetune.card import distribution
    from jointcoder.finetune.export import load_run
    from jointcoder.settings import Settings

    known = (*work.KINDS, *work.QUANTISATIONS)
    if kind not in known:
        raise UsageError("JC001", f"unknown type {kind!r}", hint=f"known: {name_list(known)}")
    settings = Settings.load()
    trained, base = load_run(run), resolve_model(settings, of)
    plain: work.Kind = kind if kind in work.KINDS else "f16"  # type: ignore[assignment]
    whole = out if kind in work.KINDS else out.with_name(f"{out.stem}.{plain}.gguf")
    title = f"{base.name} with {trained.name}"
    try:
        with common.progress("merging", 1.0) as advance:
            work.merge(
                base.path,
                whole,
                trained.adapter,
                kind=plain,
                name=title,
                base_sha256=base.sha256,
                progress=lambda done, total: advance(1 / total),
            )
        if whole != out:
            common.say(f"quantising as {kind} …")
            work.quantise(whole, out, kind, threads=settings.threads or 0)
    finally:
        if whole != out:
            whole.unlink(missing_ok=True)
    written = work.answers(out, threads=settings.threads)
    facts = {
        "path": str(out),
        "sha256": file_hash(out, settings),
        "bytes": out.stat().st_size,
        "answers": bool(written),
    }
    if name:
        licence = distribution(trained.training, base.entry.licence if base.entry else "").licence
        facts["registered"] = str(enrol(out, settings, Wish(name=name, licence=licence)).path)
    if json_out:
        common.put_json(facts)
        return
    sys.stdout.write(f"model {name or title}: {facts.get('registered', out)}\n")


def _tell(done: Exported, facts: dict[str, Any], *, json_out: bool) -> None:
    if json_out:
        common.put_json(facts)
        return
    for what in ("path", "card", "registered", "published"):
        if what in facts:
            sys.stdout.write(f"{what}: {facts[what]}\n")
    common.say(f"sha256 {done.sha256}, {done.distribution.licence}")
    for obstacle in done.distribution.obstacles:
        common.say(f"not for distribution: {obstacle}")
