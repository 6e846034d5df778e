"""``jointcoder evaluate DATA.jsonl``: code a labelled corpus, or normalise term pairs, and report the figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common, language
from jointcoder.errors import UsageError, name_list

if TYPE_CHECKING:
    from jointcoder.coder import Coder
    from jointcoder.corpora import Corpus
    from jointcoder.evaluation.run import Valid
    from jointcoder.records import System
    from jointcoder.settings import Settings

Report = dict[str, Any]
TASKS = ("code", "normalise")
SPEED_WINDOW_S = 1800.0  # records take up to a minute each; rich's own window of 30 s would forget them


def evaluate(
    data: Annotated[Path, typer.Argument(help="JSON lines: labelled encounters, or term pairs.")],
    task: Annotated[str, typer.Option(help="code or normalise.")] = "code",
    workflow: Annotated[str | None, typer.Option(help="Workflow name or TOML file.")] = None,
    model: Annotated[str | None, typer.Option(help="Model name or path to a GGUF file.")] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    pack: Annotated[str | None, typer.Option(help="Learned pack: name or folder.")] = None,
    adapter: Annotated[list[str] | None, typer.Option(help=common.ADAPTER_HELP)] = None,
    system: Annotated[str | None, typer.Option(help="Score (and assign) this code system only.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="A random sample of so many records, by --seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and of the bootstrap.")] = 0,
    predictions: Annotated[Path | None, typer.Option(help="Where records are kept; default: in the cache.")] = None,
    resume: Annotated[bool, typer.Option(help="Use records of an earlier, interrupted run.")] = True,
    baseline: Annotated[Path | None, typer.Option(help="Predictions of an earlier run to compare with.")] = None,
    train: Annotated[Path | None, typer.Option(help="Training corpus, for figures by code frequency.")] = None,
    cache: Annotated[int | None, typer.Option(min=0, help="Keep the model's answers, up to so many megabytes.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    allow_python: Annotated[bool, typer.Option("--allow-python", help=common.PYTHON_HELP)] = False,
) -> None:
    """Code a labelled corpus and print precision, recall, F1 and the other measures."""
    if task not in TASKS:
        raise UsageError("JC001", f"unknown task {task!r}", hint=f"known tasks: {name_list(TASKS)}")
    if task == "normalise" and (system or baseline or train):
        raise UsageError("JC001", "--system, --baseline and --train go with --task code only")
    from jointcoder.cli.code import systems
    from jointcoder.settings import Settings

    settings = Settings.load(completion_cache_mb=cache, allow_python=allow_python or None)
    flow = common.adapted(workflow or settings.workflow, adapter)
    wanted = systems([system] if system else None)
    data = common.data_file(data, settings)
    for other in (baseline, data, train):
        if predictions and other and predictions.resolve() == other.resolve():
            raise UsageError("JC001", "--predictions would overwrite a file that is read here")
    run = _terms if task == "normalise" else _codes
    report = run(
        data,
        settings,
        {"model": model, "code_book": book, "workflow": flow, "systems": wanted, "pack": pack},
        {"limit": limit, "seed": seed, "resume": resume},
        predictions,
        {"baseline": baseline, "train": common.data_file(train, settings) if train else None},
    )
    if json_out:
        common.put_json(report)
        return
    from jointcoder.evaluation.report import table

    common.stdout().print(table(report, words=language.text))


def _codes(
    data: Path,
    settings: Settings,
    parts: dict[str, Any],
    options: dict[str, Any],
    predictions: Path | None,
    others: dict[str, Path | None],
) -> Report:
    from jointcoder.coder import Coder
    from jointcoder.corpora import load
    from jointcoder.evaluation.run import evaluate as run
    from jointcoder.evaluation.run import training_counts
    from jointcoder.evaluation.scored import compliance

    corpus = load(data)
    training = training_counts(load(others["train"]).items) if others["train"] else None
    if corpus.skipped:
        common.warn("JC101", f"{corpus.skipped} records of {data.name} have no text and are left out")
    wanted: Sequence[System] | None = parts["systems"]
    system = wanted[0].value if wanted else None
    with Coder(settings, **parts) as coder:
        require_labelled(coder, corpus)
        path = predictions or predictions_file(settings, coder, data, system)
        with coding_progress("coding", path) as progress:
            return run(
                corpus,
                coder,
                system=system,
                predictions=path,
                valid=validity(coder),
                compliance=compliance,
                training=training,
                baseline=others["baseline"],
                progress=progress,
                **options,
            )


def _terms(
    data: Path,
    settings: Settings,
    parts: dict[str, Any],
    options: dict[str, Any],
    predictions: Path | None,
    others: dict[str, Path | None],
) -> Report:
    from jointcoder.coder import Coder
    from jointcoder.corpora import load_terms
    from jointcoder.evaluation.terms import evaluate_terms

    corpus = load_terms(data)
    with Coder(settings, **parts) as coder:
        path = predictions or predictions_file(settings, coder, data, None)
        with coding_progress("normalising", path) as progress:
            return evaluate_terms(
                corpus,
                lambda terms: coder.normalise(terms, kind=corpus.kind, language=corpus.language),
                versions=coder.versions,
                predictions=path,
                progress=progress,
                **options,
            )


def predictions_file(settings: Settings, coder: Coder, data: Path, system: str | None) -> Path:
    """Where predictions lie unless the user names a place: one file per data, system and versions."""
    from jointcoder.evaluation.predictions import key_of

    key = key_of(str(data.resolve()), system, coder.versions.model_dump(mode="json"))
    return settings.cache / "evaluations" / f"{data.stem}-{coder.workflow.name}-{key[:8]}.jsonl"


def require_labelled(coder: Coder, corpus: Corpus) -> None:
    """A code book without any of the labelled systems would score zero: that is a wrong option, not a result."""
    if corpus.systems and not set(corpus.systems) & {system.value for system in coder.systems}:
        raise UsageError(
            "JC001",
            f"{corpus.path.name} is labelled in {name_list(corpus.systems)}, which the coder does not assign",
            hint="choose a code book that holds it with --book (`jointcoder codebook info` lists them)",
        )


def validity(coder: Coder) -> Valid:
    from jointcoder.records import Encounter, System

    def valid(encounter: Encounter, system: str, code: str) -> bool:
        return coder.is_assignable(encounter, System(system), code)

    return valid


@contextmanager
def coding_progress(label: str, path: Path) -> Iterator[Callable[[int, int], None] | None]:
    """Records done, rate and time left on a terminal (stderr); nothing in a pipe. Ctrl-C says what is kept."""
    counted = [0, 0]

    def count(done: int, total: int) -> None:
        counted[:] = done, total

    console = common.stderr()
    try:
        if common.OPTIONS.quiet or not console.is_terminal:
            yield count
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{60 * task.speed:.1f}/min" if task.speed else "")

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
        bar = Progress(*columns, console=console, transient=True, speed_estimate_period=SPEED_WINDOW_S)
        with bar:
            task: Any = None
            said = language.text(label)

            def show(done: int, total: int) -> None:
                nonlocal task
                count(done, total)
                # Records of an earlier run come at once; a bar begun after them keeps the rate honest.
                task = bar.add_task(said, total=total, completed=done) if task is None else task
                bar.update(task, completed=done)

            yield show
    except KeyboardInterrupt:
        common.say(f"{counted[0]} of {counted[1]} records kept in {path}; the same command goes on from there")
        raise
