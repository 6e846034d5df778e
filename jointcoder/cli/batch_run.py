"""How ``jointcoder batch`` runs for a person: signals, progress, the desk's worklist, a watched folder, the report.

The first SIGINT or SIGTERM stops giving out work and waits for what is being coded; a second one does not wait. On a
terminal a bar shows rate and time left, elsewhere a line now and then goes to stderr, for the log.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from jointcoder.cli import common, language
from jointcoder.errors import RunError

if TYPE_CHECKING:
    from jointcoder.batch.executor import Executor
    from jointcoder.batch.folder import RunFolder
    from jointcoder.batch.inputs import Inputs, Item
    from jointcoder.batch.progress import Tally
    from jointcoder.batch.routing import Policy
    from jointcoder.batch.run import Options, Run
    from jointcoder.batch.work import CoderSpec, Hello
    from jointcoder.settings import Settings

_REPORT_EVERY_S = 600.0  # while a folder is watched: the report reads all results
MakePolicy = Callable[["RunFolder", "Executor", "Hello"], "Policy"]


def settled(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many workers: the cores are shared out."""
    import os

    if workers == 1 or settings.threads is not None:
        return settings
    return settings.model_copy(update={"threads": max(1, (os.cpu_count() or 1) // workers)})


@dataclass
class Night:
    """One sitting of a run as the command line holds it."""

    settings: Settings
    spec: CoderSpec
    out: Path
    options: Options
    every: float = 30.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _signal: int = 0
    _run: Run | None = None

    def go(
        self,
        executor: Executor,
        inputs: Inputs,
        *,
        policy: MakePolicy,
        store: bool = False,
        watch: Path | None = None,
        interval: float = 5.0,
    ) -> None:
        """Run to the end of the input, or until stopped; then leaves with the exit code of the signal."""
        from jointcoder.batch.folder import RunFolder
        from jointcoder.batch.run import Run
        from jointcoder.cli.batch_desk import worklist

        with ExitStack() as stack:
            folder = stack.enter_context(RunFolder(self.out))
            stack.callback(executor.close)
            queue = stack.enter_context(worklist(self.settings, self.spec)) if store else None
            total = _Total(None if watch else inputs)
            listen = stack.enter_context(progress(total, every=self.every))
            self._run = Run(
                folder,
                executor,
                self.options,
                policy=lambda hello: policy(folder, executor, hello),
                worklist=queue,
                listen=listen,
            )
            with self._signals(), self._run as run:
                try:
                    if watch is None:
                        run.process(inputs)
                    else:
                        self._watch(run, inputs, watch, interval)
                finally:
                    self._report(folder, run, last=True)
                self._say(run.tally)
        if self._signal:
            common.warn("JC901", "stopped; the same command goes on")
            raise SystemExit(128 + self._signal)

    def _watch(self, run: Run, inputs: Inputs, folder: Path, interval: float) -> None:
        from dataclasses import replace

        from jointcoder.batch.watch import put_aside
        from jointcoder.batch.watch import settled as whole_files

        if self.out.resolve().is_relative_to(folder.resolve()):
            raise RunError("JC710", f"the run folder {self.out} lies in the watched folder", hint="name another one")
        reported = time.monotonic()
        for files in whole_files(folder, wait=lambda: self._stopped.wait(interval)):
            readable: set[str] = set()

            def met(item: Item, readable: set[str] = readable) -> None:
                if item.incoming.encounter is not None:
                    readable.update(item.incoming.files or (item.origin.file,))

            run.process(replace(inputs, paths=files), met=met)
            if run.drained:
                return
            for file in files:
                put_aside(file, folder, good=str(file) in readable)
            if time.monotonic() - reported > _REPORT_EVERY_S:
                self._report(run.folder, run, last=False)
                reported = time.monotonic()

    def _report(self, folder: RunFolder, run: Run, *, last: bool) -> None:
        """Write it anew where anything changed."""
        from jointcoder.batch import report

        if run.changed or not (folder.path / report.HTML).exists():
            try:
                report.write(folder, language=language.current())
            except RunError as error:
                if not last:
                    raise
                common.warn(error.code, error.message)

    def _say(self, tally: Tally) -> None:
        if not tally.tried and not tally.still:
            common.say(f"nothing to do: {tally.already + tally.repeated} records are done")
        else:
            common.say(f"{tally.done} coded, {tally.failed} failed, {tally.already + tally.repeated} done before")
        if tally.changed or tally.recoded:
            common.say(f"{tally.changed} coded anew as their content changed, {tally.recoded} under new conditions")
        if tally.still:
            common.say(f"{tally.still} failed before and were not tried again; --retry-failed does")
        if tally.unstored:
            common.warn("JC430", f"{tally.unstored} records are not in the worklist; the same command puts them there")
        if tally.routes:
            said = ", ".join(f"{route} {count}" for route, count in sorted(tally.routes.items()))
            common.say(f"routes: {said}; see {self.out / 'report.html'}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(number: int, _frame: FrameType | None) -> None:
            if self._signal:
                raise KeyboardInterrupt
            self._signal = number
            self._stopped.set()
            if self._run is not None:
                self._run.drain()

        kept = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)


class _Total:
    """How many records the input holds, counted in the background; None until then, or where nobody can tell."""

    def __init__(self, inputs: Inputs | None) -> None:
        self.value: int | None = None
        if inputs is not None:
            threading.Thread(target=self._count, args=(inputs,), daemon=True).start()

    def _count(self, inputs: Inputs) -> None:
        from jointcoder.errors import JointCoderError

        try:
            self.value = inputs.count()
        except JointCoderError:
            return  # the run says what is wrong with the input


@contextmanager
def progress(total: _Total, *, every: float) -> Iterator[Callable[[Tally], None]]:
    """A bar on a terminal, lines elsewhere, nothing with --quiet."""
    console = common.stderr()
    if common.OPTIONS.quiet:
        yield lambda tally: None
        return
    if not console.is_terminal:
        yield _lines(total, every)
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = ("{task.description}", BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(language.text("coding"), total=None, said="")

        def show(tally: Tally) -> None:
            bar.update(task, completed=tally.settled, total=total.value, said=language.text(told(tally, total.value)))

        yield show


def told(tally: Tally, total: int | None) -> str:
    """``1,200 of 10,000 done, 3 failed, 31.2 a second, 00:04:42 left``."""
    whole = f"{tally.settled:,}" if total is None else f"{tally.settled:,} of {total:,}"
    said = f"{whole} done, {tally.failed:,} failed, {tally.rate:.1f} a second"
    left = tally.left_s(total)
    return said if left is None else f"{said}, {clock(left)} left"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


def _lines(total: _Total, every: float) -> Callable[[Tally], None]:
    last = time.monotonic()

    def say(tally: Tally) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            sys.stderr.write(language.text(told(tally, total.value)) + "\n")
            sys.stderr.flush()

    return say


def tell(inputs: Inputs, out: Path, spec: CoderSpec, options: Options, workers: int) -> None:
    """What a run would do: counts and the time it may take. Writes nothing where there is no run yet."""
    from jointcoder.batch.conditions import conditions_of
    from jointcoder.batch.dry import look, per_character
    from jointcoder.batch.folder import MANIFEST, RunFolder

    with ExitStack() as stack:
        coder = stack.enter_context(spec())
        known = stack.enter_context(RunFolder(out)) if (out / MANIFEST).exists() else None
        plan = look(
            inputs,
            index=known.index if known else None,
            conditions=conditions_of(coder).digest,
            shard=options.shard,
            limit=options.limit,
            retry_failed=options.retry_failed,
        )
        seconds = per_character(coder, plan.sample) * plan.characters / workers
    values: dict[str, Any] = {
        "records": plan.records,
        "to_do": plan.to_do,
        "done": plan.done,
        "changed": plan.changed,
        "under_new_conditions": plan.recoded,
        "failed_before": plan.failed,
        "unreadable": dict(plan.unread),
        "characters": plan.characters,
        "workers": workers,
        "estimated_seconds": round(seconds, 1),
        "estimated_time": clock(seconds),
    }
    common.put_json(values)
