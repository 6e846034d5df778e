"""What all commands share: consoles, one way for errors to leave, one way for JSON to leave, progress.

Data goes to stdout, everything else to stderr. ``NO_COLOR`` is honoured by rich; nothing is drawn in a pipe.
Heavy modules are imported inside functions so that ``jointcoder --help`` stays quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from jointcoder.cli import language
from jointcoder.errors import JointCoderError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from jointcoder.settings import Settings
    from jointcoder.workflow.spec import Workflow

INTERRUPTED = 130


@dataclass
class Options:
    """Options given before the command. One object, filled by the main callback."""

    debug: bool = False
    quiet: bool = False


OPTIONS = Options()


PIPE_WIDTH = 132
ADAPTER_HELP = "STEP=NAME: the step asks the model under this adapter (repeatable)."
PYTHON_HELP = "Let workflows that hold generated Python run, in its sandbox."


def stdout() -> Console:
    """Where data goes; in a pipe without colour and wide enough for the tables."""
    console = language.console_class()()
    return console if console.is_terminal else type(console)(width=PIPE_WIDTH)


def stderr() -> Console:
    return language.console_class()(stderr=True)


def say(message: str) -> None:
    """A line for the person at the terminal, on stderr; silent with --quiet."""
    if not OPTIONS.quiet:
        stderr().print(language.text(message), highlight=False, soft_wrap=True)


def warn(code: str, message: str) -> None:
    """A coded remark that does not stop the command."""
    said = f"[yellow]{_plain(language.label(code))}[/yellow] {_plain(language.meaning(code, message))}"
    stderr().print(said, highlight=False, soft_wrap=True)


def put_json(value: Any) -> None:
    """One JSON document on stdout: Chinese as it is, indented for people only on a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def put_line(value: Any) -> None:
    """One line of JSON on stdout, on a terminal too: one of several documents."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def fail(error: JointCoderError) -> NoReturn:
    """Print a coded error on stderr and leave with its exit code."""
    console = stderr()
    said = f"[red]{_plain(language.label(error.code))}[/red] {_plain(language.meaning(error.code, error.message))}"
    console.print(said, highlight=False, soft_wrap=True)
    if error.hint:
        console.print(f"      {_plain(language.text(error.hint))}", highlight=False, soft_wrap=True)
    raise SystemExit(error.exit_code)


def guarded(main: Callable[[], Any]) -> None:
    """Run the program; turn every exception into a coded error and an exit code (traceback with --debug)."""
    try:
        main()
    except KeyboardInterrupt:
        warn("JC901", "interrupted")
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except JointCoderError as error:
        if OPTIONS.debug:
            raise
        fail(error)
    except Exception as error:
        if OPTIONS.debug:
            raise
        # The text of a foreign exception may hold note text: only its type is shown.
        fail(
            JointCoderError(
                "JC999", f"unexpected failure ({type(error).__name__})", hint="run again with --debug for details"
            )
        )


def adapted(workflow: str, pairs: Sequence[str] | None) -> Workflow:
    """The workflow, with the adapters that ``pairs`` (STEP=NAME) put on its steps. UsageError JC001."""
    from jointcoder.workflow.spec import load_workflow

    flow = load_workflow(workflow)
    for pair in pairs or ():
        step, equals, name = pair.partition("=")
        if not (step and equals and name):
            raise UsageError("JC001", f"--adapter takes STEP=NAME, not {pair!r}")
        flow = flow.with_options(step, adapter=name)
    return flow


def data_file(path: Path, settings: Settings) -> Path:
    """The path as given, or else below the data folder of the settings."""
    if not path.exists() and settings.data and (settings.data / path).exists():
        return settings.data / path
    return path


@contextmanager
def progress(label: str, total: float | None, *, unit: str = "") -> Iterator[Callable[[float], None]]:
    """A progress bar on a terminal (stderr), nothing in a pipe. Yields ``advance(amount)``."""
    console = stderr()
    if OPTIONS.quiet or not console.is_terminal:
        yield lambda amount: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    counted = "{task.completed:.0f}" + ("/{task.total:.0f}" if total is not None else "")
    amount_column = DownloadColumn() if unit == "bytes" else TextColumn(counted)
    columns = (TextColumn("{task.description}"), BarColumn(), amount_column, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(language.text(label), total=total)
        yield lambda amount: bar.advance(task, amount)


@contextmanager
def staged() -> Iterator[Callable[[str, int, int], None]]:
    """Progress of work in several stages, a bar each, on a terminal. Yields ``advance(stage, done, total)``."""
    console = stderr()
    if OPTIONS.quiet or not console.is_terminal:
        yield lambda stage, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(language.text(stage), total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield advance


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
