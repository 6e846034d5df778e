"""``jointcoder workflow compare A B --data FILE``: two workflows on the same encounters, paired.

Each run keeps its records as ``jointcoder evaluate`` does and takes up what is there, so that an interrupted comparison
goes on, and a workflow that has been evaluated on the data is not run again.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common, language
from jointcoder.errors import WorkflowError

if TYPE_CHECKING:
    from jointcoder.corpora import Corpus
    from jointcoder.llm.base import LanguageModel
    from jointcoder.records import CodedRecord, System
    from jointcoder.settings import Settings


def compare(
    first: Annotated[str, typer.Argument(help="Workflow name or TOML file.")],
    second: Annotated[str, typer.Argument(help="The workflow that is compared with it.")],
    data: Annotated[Path, typer.Option(help="JSON lines: labelled encounters.")],
    model: Annotated[str | None, typer.Option(help="Model name or path to a GGUF file.")] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    pack: Annotated[str | None, typer.Option(help="Learned pack: name or folder.")] = None,
    system: Annotated[str | None, typer.Option(help="Score (and assign) this code system only.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="A random sample of so many records, by --seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and of the bootstrap.")] = 0,
    resume: Annotated[bool, typer.Option(help="Use records of an earlier run.")] = True,
    cache: Annotated[int | None, typer.Option(min=0, help="Keep the model's answers, up to so many megabytes.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Run two workflows on the same encounters: quality, cost and findings, differences with their intervals."""
    from jointcoder.cli.code import systems
    from jointcoder.corpora import load
    from jointcoder.evaluation.compare import compare as paired
    from jointcoder.evaluation.compare import table
    from jointcoder.evaluation.run import sample, score
    from jointcoder.settings import Settings
    from jointcoder.workflow.spec import load_workflow

    settings = Settings.load(completion_cache_mb=cache)
    flows = (load_workflow(first), load_workflow(second))
    if flows[0].hash == flows[1].hash:
        message = f"{first} and {second} are one and the same workflow"
        raise WorkflowError("JC424", message, hint="change a step or an option of one of them")
    data = common.data_file(data, settings)
    corpus = load(data)
    if corpus.skipped:
        common.warn("JC101", f"{corpus.skipped} records of {data.name} have no text and are left out")
    wanted = systems([system] if system else None)
    scored_systems = [system] if system else list(corpus.systems)
    reports: list[dict[str, Any]] = []
    records: list[dict[str, CodedRecord]] = []
    options = {"limit": limit, "seed": seed, "resume": resume}
    with ExitStack() as stack:
        shared: LanguageModel | None = None
        for flow in flows:
            # One model serves both, unless one of them names adapters of its own.
            parts = {"model": shared or model, "code_book": book, "workflow": flow, "systems": wanted, "pack": pack}
            report, held, opened = _run(settings, parts, corpus, data, wanted, options, stack)
            shared = shared or opened
            reports.append(report)
            records.append(held)
    chosen = sample(corpus.items, limit, seed)
    runs = [
        [
            (score(item, own[item.encounter.id], corpus.ordered).restricted(scored_systems), own[item.encounter.id])
            for item in chosen
        ]
        for own in records
    ]
    measures = paired(list(zip(*runs, strict=True)), scored_systems, seed=seed)
    if json_out:
        common.put_json({"n": len(chosen), "data": data.name, "seed": seed, "runs": reports, "measures": measures})
        return
    names = (flows[0].name, flows[1].name) if flows[0].name != flows[1].name else (first, second)
    title = f"{data.name} · n = {len(chosen)} · {names[1]} − {names[0]}"
    common.stdout().print(table(measures, names, title=title, words=language.text))
    for name, report in zip(names, reports, strict=True):
        for remark, text in report["remarks"].items():
            common.say(f"{name}: {remark}: {text}")


def _run(
    settings: Settings,
    parts: dict[str, Any],
    corpus: Corpus,
    data: Path,
    wanted: list[System] | None,
    options: dict[str, Any],
    stack: ExitStack,
) -> tuple[dict[str, Any], dict[str, CodedRecord], LanguageModel | None]:
    """One workflow's report and records by id, and the model that it opened, if another workflow may use it too."""
    from jointcoder.cli.evaluate import coding_progress, predictions_file, require_labelled, validity
    from jointcoder.coder import Coder
    from jointcoder.evaluation.predictions import read_records
    from jointcoder.evaluation.run import evaluate
    from jointcoder.evaluation.scored import compliance
    from jointcoder.workflow.check import plan

    own = bool(plan(parts["workflow"]).adapters)
    if own and not isinstance(parts["model"], str | None):
        parts = {**parts, "model": None}
    coder = Coder(settings, **parts)
    if isinstance(parts["model"], str | None):
        stack.enter_context(coder)  # closes the model that it opened
    require_labelled(coder, corpus)
    system = wanted[0].value if wanted else None
    path = predictions_file(settings, coder, data, system)
    with coding_progress(f"coding: {coder.workflow.name}", path) as progress:
        report = evaluate(
            corpus,
            coder,
            system=system,
            predictions=path,
            valid=validity(coder),
            compliance=compliance,
            progress=progress,
            **options,
        )
    return report, read_records(path), None if own else coder.model
