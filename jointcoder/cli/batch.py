"""``jointcoder batch INPUT… -o RUN_DIR``: the night run. ``jointcoder batch merge`` puts shards together.

Whatever ends it, the same command goes on; a finished run is left as it is. Exit codes: 0 done, 1 the folder cannot be
written or more failed than allowed, 2 other conditions, 130 or 143 stopped by a signal after what was being coded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from jointcoder.cli import common
from jointcoder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jointcoder.batch.executor import Executor
    from jointcoder.batch.folder import RunFolder
    from jointcoder.batch.routing import Policy
    from jointcoder.batch.work import CoderSpec, Hello
    from jointcoder.settings import Settings

DEFAULT = "run"


class InputsFirst(TyperGroup):
    """A group whose first command is meant where none is named: ``jointcoder batch INPUT…``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args != ["--help"]:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=InputsFirst,
    help="Code many encounters: resumable, on one machine or many. `jointcoder batch run --help` has the options.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(DEFAULT)
def run(
    inputs: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders: JSON lines, texts, PDF, Excel, CSV, Parquet, FHIR …")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; the same one goes on.")] = ...,  # type: ignore[assignment]
    workflow: Annotated[str | None, typer.Option(help="Workflow name or TOML file.")] = None,
    model: Annotated[str | None, typer.Option(help="Model name or path to a GGUF file.")] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    pack: Annotated[str | None, typer.Option(help="Learned pack: name or folder.")] = None,
    adapter: Annotated[list[str] | None, typer.Option(help=common.ADAPTER_HELP)] = None,
    system: Annotated[list[str] | None, typer.Option(help="Assign only this code system (repeatable).")] = None,
    mapping: Annotated[Path | None, typer.Option(help="TOML file that says what the columns of a table mean.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Name or number of a sheet; default: all that fit.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with a model of its own.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Encounters that pass each stage together.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="The first records only.")] = None,
    shard: Annotated[str | None, typer.Option(help="i/n: this part of the encounters, by their ids.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
    new_conditions: Annotated[
        bool, typer.Option("--new-conditions", help="Go on under another model, workflow …; code all of it anew.")
    ] = False,
    fail_on_error: Annotated[
        float | None, typer.Option(min=0, max=1, help="Stop when a larger share of records fails, e.g. 0.05.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and estimate the time; write nothing.")] = False,
    auto_precision: Annotated[
        float | None, typer.Option(help="Let records out by themselves whose codes are right so often, e.g. 0.98.")
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Labelled encounters on which to measure that; default: the pack's figures.")
    ] = None,
    store: Annotated[
        bool, typer.Option("--store", help="Put records that need a person into the worklist of the desk.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between the lines of progress in a log.")] = 30.0,
    watch: Annotated[
        Path | None, typer.Option(help="Code the files that come into this folder, until stopped.")
    ] = None,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks into it.")] = 5.0,
    engine: Annotated[str, typer.Option(help="local, or ray: workers on the machines of a Ray cluster.")] = "local",
    allow_python: Annotated[bool, typer.Option("--allow-python", help=common.PYTHON_HELP)] = False,
) -> None:
    """Code encounters into a run folder; the same command goes on where it stopped."""
    from jointcoder.batch.calibration import checked
    from jointcoder.batch.inputs import Inputs
    from jointcoder.batch.run import Options
    from jointcoder.cli import batch_run
    from jointcoder.cli.code import systems
    from jointcoder.cli.incoming import numbered
    from jointcoder.exchange.mapping import ColumnMapping
    from jointcoder.settings import Settings

    if bool(inputs) == bool(watch):
        raise UsageError("JC001", "name inputs, or a folder with --watch", hint="jointcoder batch INPUT… -o RUN_DIR")
    if calibrate and auto_precision is None:
        raise UsageError("JC001", "--calibrate goes with --auto-precision", hint="e.g. --auto-precision 0.98")
    if auto_precision is not None:
        checked(auto_precision)
    settings = batch_run.settled(
        Settings.load(workflow=workflow, pack=pack, allow_python=allow_python or None), workers
    )
    wanted = systems(system)
    spec = _spec(settings, model, book, adapter, tuple(wanted) if wanted else None)
    described = ColumnMapping.read(mapping) if mapping else None
    given = Inputs(tuple(dict.fromkeys(inputs or ())), described, numbered(sheet))
    options = Options(
        batch=batch,
        limit=limit,
        shard=part(shard),
        retry_failed=retry_failed,
        new_conditions=new_conditions,
        fail_on_error=fail_on_error,
    )
    if dry_run:
        batch_run.tell(given, out, spec, options, workers)
        return
    if settings.approved_only:
        _approved(spec, settings)
    night = batch_run.Night(settings, spec, out, options, every=every)
    night.go(
        _executor(engine, spec, workers),
        given,
        policy=_policy(settings, auto_precision, calibrate, options),
        store=store,
        watch=watch,
        interval=interval,
    )


@app.command()
def merge(
    shards: Annotated[list[Path], typer.Argument(help="Run folders of the shards.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new run folder.")],
) -> None:
    """Put the shards of a run into one folder."""
    from jointcoder.batch import report
    from jointcoder.batch.folder import RunFolder
    from jointcoder.batch.merge import merge as merged
    from jointcoder.cli import language

    counts = merged(shards, out)
    with RunFolder(out) as folder:
        report.write(folder, language=language.current())
    common.say(f"{counts['done']} results and {counts['failed']} failures of {len(shards)} shards are in {out}")


def part(shard: str | None) -> tuple[int, int] | None:
    """``2/4`` → (2, 4). UsageError JC001."""
    if shard is None:
        return None
    place, slash, number = shard.partition("/")
    if slash and place.isdecimal() and number.isdecimal() and 1 <= int(place) <= int(number):
        return int(place), int(number)
    raise UsageError("JC001", "--shard takes i/n with i from 1 to n", hint="e.g. --shard 1/4")


def _spec(settings: Settings, model: str | None, book: str | None, adapter: list[str] | None, wanted: Any) -> CoderSpec:
    from jointcoder.batch.work import CoderSpec

    flow = common.adapted(settings.workflow, adapter)
    return CoderSpec(settings, model=model, code_book=book, workflow=flow, systems=wanted)


def _executor(engine: str, spec: CoderSpec, workers: int) -> Executor:
    from jointcoder.batch.executor import InProcess
    from jointcoder.batch.processes import Processes

    if engine == "ray":
        from jointcoder.batch.ray import OnRay

        return OnRay(spec, workers)
    if engine != "local":
        raise UsageError("JC001", f"--engine: unknown engine {engine!r}", hint="known: local, ray")
    return InProcess(spec) if workers == 1 else Processes(spec, workers)


def _policy(
    settings: Settings, asked: float | None, data: Path | None, options: Any
) -> Callable[[RunFolder, Executor, Hello], Policy]:
    """What makes the policy once it is known what codes: measured, or by the pack's figures."""

    def made(folder: RunFolder, executor: Executor, hello: Hello) -> Policy:
        from jointcoder.batch.calibration import Calibration, from_pack, measured_on
        from jointcoder.batch.routing import Policy
        from jointcoder.desk.bands import band_of
        from jointcoder.packs.pack import sha256_of

        base = Policy(band_of=band_of)
        if asked is None:
            return base
        if data is None:
            return from_pack(asked, hello.errors).policy(base)
        path = common.data_file(data, settings)
        if not path.is_file():
            raise UsageError("JC001", f"--calibrate: {data} is no file")
        known = folder.manifest.get("calibration") or {}
        same = folder.manifest.get("conditions", {}).get("digest") == hello.conditions.digest
        if same and known.get("asked") == asked and known.get("data") == sha256_of(path):
            return Calibration(**known).policy(base)
        common.say("measuring on labelled encounters from which confidence on records may go out by themselves")
        return measured_on(asked, path, executor, hello.conditions.digest, batch=options.batch).policy(base)

    return made


def _approved(spec: CoderSpec, settings: Settings) -> None:
    """Raises WorkflowError JC441 unless a person approved the workflow."""
    from jointcoder.store.approvals import require_approved
    from jointcoder.store.engine import open_store
    from jointcoder.workflow.spec import Workflow

    assert isinstance(spec.workflow, Workflow)
    with open_store(settings.store_place) as store:
        require_approved(spec.workflow, store)
