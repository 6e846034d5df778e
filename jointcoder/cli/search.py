"""``jointcoder search run|list|show|export|import|report``: find a workflow that beats the one there is, or say that
none was found.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.errors import InputError, UsageError, name_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jointcoder.search.choice import Gain
    from jointcoder.search.finals import Outcome
    from jointcoder.search.session import Session
    from jointcoder.store.archive import Archive, Candidate

app = typer.Typer(help="Search for a better workflow.", no_args_is_help=True, rich_markup_mode=None)
MODES = ("plug-and-play", "from-scratch")
RIGHT = ("plan", "notes", "objective", "P", "R", "tokens a note")
RunArgument = Annotated[str, typer.Argument(help="Name or id of a run (`search list`).")]
StoreOption = Annotated[str | None, typer.Option("--store", help="Where the archive is: a file or a URL.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command("run")
def run(
    data: Annotated[list[Path], typer.Argument(help="JSON lines: labelled encounters.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the best workflow and the report.")],
    select: Annotated[Path | None, typer.Option(help="Labelled encounters on which the winner is chosen.")] = None,
    test: Annotated[Path | None, typer.Option(help="Labelled encounters on which it is measured at the end.")] = None,
    share: Annotated[float, typer.Option(min=0.1, max=0.8, help="Of the data to choose on, without --select.")] = 0.4,
    limit: Annotated[int | None, typer.Option(min=8, help="A random part of the data, by --seed.")] = None,
    start: Annotated[str, typer.Option("--start", help="The workflow to beat; default: that of the settings.")] = "",
    mode: Annotated[
        str, typer.Option(help="plug-and-play: expert workflows among the seeds; or from-scratch.")
    ] = MODES[0],
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave out: top-k, recent, score, text-feedback, guideline, exemplar, seed (repeatable)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Of the workflows: name or path; none: plans that ask none.")
    ] = None,
    meta_model: Annotated[
        str | None, typer.Option(help="Of designer and reflector: name, path or server URL; none: edits only.")
    ] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    pack: Annotated[str | None, typer.Option(help="Learned pack: name or folder.")] = None,
    system: Annotated[str | None, typer.Option(help="Score (and assign) this code system only.")] = None,
    iterations: Annotated[int, typer.Option(min=0, help="Turns in all.")] = 30,
    minutes: Annotated[float | None, typer.Option(min=0, help="Minutes in all.")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, help="Tokens in all that reach the engine.")] = None,
    patience: Annotated[int, typer.Option(min=1, help="Turns without a better plan before it ends.")] = 12,
    designs: Annotated[float, typer.Option(min=0, max=1, help="Share of turns that design freely.")] = 0.7,
    finalists: Annotated[int, typer.Option(min=1, max=20, help="Plans compared on the selection set.")] = 3,
    first: Annotated[int, typer.Option(min=1, help="Notes before weak plans are first given up.")] = 5,
    eta: Annotated[
        int, typer.Option(min=1, max=10, help="One in so many goes on to as many times more notes; 1: all.")
    ] = 3,
    compliance: Annotated[float, typer.Option(min=0, help="Weight of guideline checks in the score.")] = 0.1,
    cost: Annotated[float, typer.Option(min=0, help="Weight of cost (thousand tokens a note) in the score.")] = 0.005,
    seed: Annotated[int, typer.Option(min=0, help="Of splits and draws.")] = 0,
    prompt_language: Annotated[str, typer.Option(help="Of the designing prompts: en or zh; default: the data's.")] = "",
    cache: Annotated[int, typer.Option(min=0, help="Keep the model's answers, up to so many megabytes.")] = 500,
    keep_nodes: Annotated[bool, typer.Option(help="Keep the results of nodes.")] = True,
    allow_python: Annotated[bool, typer.Option("--allow-python", help="Plans may hold programs (sandboxed).")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search in the folder.")] = False,
    reseed: Annotated[str, typer.Option(help="Begin with the best plans of an earlier run.")] = "",
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """Search for a workflow that codes the data better than the one there is."""
    if mode not in MODES:
        raise UsageError("JC001", f"unknown mode {mode!r}", hint=f"known modes: {name_list(MODES)}")
    if prompt_language not in ("", "en", "zh"):
        raise UsageError("JC001", f"no designing prompts in {prompt_language!r}", hint="en or zh")
    from jointcoder.search.conditions import Budget, Conditions
    from jointcoder.search.designer import Shows
    from jointcoder.search.score import Weights
    from jointcoder.search.session import Request, opened
    from jointcoder.settings import Settings

    settings = Settings.load(store=store)
    request = Request(
        data=tuple(common.data_file(path, settings) for path in data),
        out=out,
        select=common.data_file(select, settings) if select else None,
        test=common.data_file(test, settings) if test else None,
        share=share,
        limit=limit,
        start=start,
        model=model,
        meta_model=meta_model,
        book=book or settings.code_book,
        pack=pack,
        system=system,
        prompt_language=prompt_language,
        conditions=Conditions(
            mode="from-scratch" if mode == MODES[1] else "plug-and-play",
            weights=Weights(compliance=compliance, cost=cost),
            shows=Shows.without(without or ()),
            first=first,
            eta=eta,
            designs=designs,
            finalists=finalists,
            patience=patience,
            seed=seed,
            allow_python=allow_python,
        ),
        budget=Budget(iterations, minutes, tokens),
        resume=resume,
        reseed=reseed,
        cache_mb=cache,
        keep_nodes=keep_nodes,
    )
    with opened(settings, request, tell=_told) as session:
        common.say(f"run {session.run.id} in {out}; interrupted, it goes on with --resume")
        try:
            outcome = session.search.go()
        except KeyboardInterrupt:
            common.say(f"kept as run {session.run.id}; the same command with --resume goes on")
            raise
        session.write(outcome)
        if json_out:
            common.put_json({"run": session.run.id, **outcome.as_dict()})
        else:
            _show(session, outcome)


@app.command("list")
def list_(store: StoreOption = None, json_out: JsonOption = False) -> None:
    """The searches of the archive."""
    from rich.table import Table

    from jointcoder.search.view import best

    with _archive(store) as archive:
        runs = archive.runs()
        leaders = {one.id: best(archive.candidates(one.id)) for one in runs}
    if json_out:
        common.put_json([_run_values(one, leaders[one.id]) for one in runs])
        return
    table = Table(title="searches", title_justify="left")
    for column in ("run", "name", "begun", "state", "turns", "best F1", "better found", "left out"):
        table.add_column(column)
    for one in runs:
        values = _run_values(one, leaders[one.id])
        table.add_row(
            one.id,
            one.name,
            f"{one.created:%Y-%m-%d %H:%M}" if one.created else "",
            one.state,
            str(values["iterations"]),
            f"{values['f1']:.3f}" if values["f1"] is not None else "–",
            {True: "yes", False: "no", None: "–"}[values["better"]],
            ", ".join(values["left_out"]),
        )
    common.stdout().print(table)


@app.command("show")
def show(
    name: RunArgument,
    candidate: Annotated[str | None, typer.Argument(help="Number or hash of a plan: its workflow and figures.")] = None,
    toml: Annotated[bool, typer.Option("--toml", help="Print only the plan's workflow, as TOML.")] = False,
    traces: Annotated[bool, typer.Option("--traces", help="Print its traces as JSON lines. They quote notes.")] = False,
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """The plans of a search, or one of them."""
    with _archive(store) as archive:
        run_ = archive.run(name)
        if candidate is None:
            found = archive.candidates(run_.id)
            if json_out:
                common.put_json({"run": _plain(run_), "candidates": [_plain(one) for one in found]})
            else:
                _table(found)
            return
        one = archive.candidate(candidate, run=run_.id)
        if traces:
            for trace in archive.traces(run_.id, one.number):
                common.put_line(_plain(trace))
            return
    if json_out:
        common.put_json(_plain(one))
        return
    console = common.stdout()
    if not toml:
        _table([one])
        for finding in one.critique:
            console.print(f"[{finding['stage']}] {finding['finding']} {finding['advice']}", markup=False)
        if one.error:
            console.print(f"{one.error_code} {one.error}", markup=False)
    console.print(one.workflow, markup=False, highlight=False, soft_wrap=True)


@app.command("export")
def export(
    name: RunArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="File of JSON lines to write.")],
    traces: Annotated[bool, typer.Option("--traces", help="With transcripts. They quote notes.")] = False,
    store: StoreOption = None,
) -> None:
    """Write a search to a file: plans, scores, results by encounter id; no transcripts unless asked for."""
    with _archive(store) as archive:
        lines = archive.exported(archive.run(name).id, traces=traces)
        try:
            with out.open("w", encoding="utf-8", newline="\n") as file:
                for line in lines:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise UsageError("JC445", f"{out}: {error.strerror or type(error).__name__}") from None
    common.say(f"{name} is in {out}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file that `search export` wrote.")], store: StoreOption = None
) -> None:
    """Take a search from a file into the archive."""
    with _archive(store) as archive:
        found = archive.imported(_lines(file), origin=file.name)
    common.say(f"run {found.id} ({found.name}) is in the archive")


@app.command("report")
def report_(
    name: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file to write.")] = None,
    store: StoreOption = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print what it spent, and what it saved, as JSON.")] = False,
) -> None:
    """One self-contained page about a search."""
    from jointcoder.search.accounts import accounts
    from jointcoder.search.report import report

    if out is None and not json_out:
        raise UsageError("JC001", "name a file for the page", hint="-o report.html, or --json for the accounts")
    with _archive(store) as archive:
        run_ = archive.run(name)
        if json_out:
            notes = int(run_.config.get("notes", {}).get("search", 0))
            common.put_json({"run": run_.id, **accounts(archive, run_, notes).as_dict(), "result": dict(run_.result)})
        if out is not None:
            page = report(archive, run_)
            try:
                out.write_text(page, "utf-8")
            except OSError as error:
                raise UsageError("JC445", f"{out}: {error.strerror or type(error).__name__}") from None
            common.say(f"the page is in {out}")


# ------------------------------------------------------------------------------------------------------------ parts


def _archive(store: str | None) -> Any:
    from contextlib import contextmanager

    from jointcoder.settings import Settings
    from jointcoder.store.archive import Archive
    from jointcoder.store.engine import open_store

    @contextmanager
    def opened() -> Iterator[Archive]:
        with open_store(Settings.load(store=store).store_place) as found:
            yield Archive(found)

    return opened()


def _told(candidate: Candidate) -> None:
    """A line for a finished plan, as the search goes on."""
    what = candidate.edit or candidate.name
    head = f"{candidate.number:>3} {candidate.origin:<8} {candidate.status:<8}"
    if candidate.scores:
        score = candidate.scores
        head += f" J {score['objective']:.3f}  F1 {score['f1']:.3f} ({score['n']} notes)"
    else:
        head += f" {candidate.error_code}"
    common.say(f"{head}  {what}")


def _show(session: Session, outcome: Outcome) -> None:
    candidates = session.archive.candidates(session.run.id)
    _table(candidates)
    start = next(one for one in candidates if one.number == outcome.start)
    console = common.stdout()
    if outcome.chosen is None:
        console.print(
            f"nothing better than {start.name} was found ({outcome.why}); {start.name} stays", highlight=False
        )
        if thrifty := outcome.thriftier:
            before, after = (outcome.selection[one].tokens for one in (outcome.start, thrifty.number))
            text = f"plan {thrifty.number} lost nothing on {outcome.selection[thrifty.number].n} notes for {after:.0f} "
            text += f"tokens a note instead of {before:.0f}: F1 {_difference(thrifty)}"
            console.print(text, highlight=False, markup=False)
    else:
        won = next(one for one in outcome.gains if one.number == outcome.chosen)
        console.print(
            f"plan {outcome.chosen} beats {start.name}: F1 {_difference(won)} on "
            f"{outcome.selection[outcome.chosen].n} notes that the search never saw",
            highlight=False,
            markup=False,
        )
        if outcome.test_gain:
            console.print(f"on the test set: {_difference(outcome.test_gain)}", highlight=False, markup=False)
    common.say(f"the workflow is in {session.folder / 'best.toml'}, the report in {session.folder / 'report.html'}")
    if outcome.chosen is not None:
        common.say(f"for use on patients: jointcoder workflow approve {outcome.workflow.hash[:12]} --by NAME")


def _difference(gain: Gain) -> str:
    return f"{gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _table(candidates: list[Candidate]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in (
        "plan",
        "origin",
        "what",
        "state",
        "notes",
        "objective",
        "F1 [95 %]",
        "P",
        "R",
        "tokens a note",
        "hash",
    ):
        table.add_column(column, justify="right" if column in RIGHT else "left")
    for one in candidates:
        score = one.scores
        figures = [""] * 6
        if score:
            interval = f"{score['f1']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
            figures = [str(score["n"]), f"{score['objective']:.3f}", interval]
            figures += [f"{score[name]:.3f}" for name in ("precision", "recall")] + [f"{score['tokens']:.0f}"]
        origin = f"{one.origin} of {one.parent}" if one.parent else one.origin
        state = f"{one.status} {one.error_code}".strip()
        table.add_row(str(one.number), origin, Text(one.edit or one.name), state, *map(Text, figures), one.hash[:12])
    common.stdout().print(table)


def _run_values(run_: Any, leader: Candidate | None) -> dict[str, Any]:
    shows = run_.config.get("conditions", {}).get("shows", {})
    return {
        "id": run_.id,
        "name": run_.name,
        "state": run_.state,
        "iterations": run_.spent.get("iterations", 0),
        "f1": leader.scores["f1"] if leader else None,
        "better": (run_.result.get("chosen") is not None) if run_.result else None,
        "left_out": [name.replace("_", "-") for name, shown in shows.items() if not shown],
    }


def _plain(record: Any) -> Any:
    return json.loads(json.dumps(vars(record), default=lambda value: value.isoformat()))


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("JC443", f"{file} cannot be read ({type(error).__name__})") from None
    try:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        found = []
    if not found or not all(isinstance(line, dict) for line in found):
        raise InputError("JC443", f"{file.name} is no exported search")
    return found
