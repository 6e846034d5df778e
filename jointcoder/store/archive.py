"""The archive of searches: runs, their candidates, results and traces, as frozen records in and out of a store.

    archive = Archive(store)
    archive.begin(Run(id=…, name=…, config=…))
    archive.add(Candidate(run=…, number=1, …))
    archive.record(run, 1, results, traces, status="scored")    # all of it or nothing

What is recorded together is one transaction: whoever is killed between two calls finds the archive as the last whole
one left it. ``exported`` and ``imported`` carry a run to another store as JSON lines, without traces unless they are
asked for, since traces may quote notes. Knows nothing of what the figures mean.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from jointcoder.errors import InputError, UsageError, name_list

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jointcoder.store.engine import Store

FORMAT = 1  # of exported lines
SHORTEST = 4  # characters of a hash or run id that tell one
_T = TypeVar("_T")


@dataclass(frozen=True)
class Run:
    """A search. ``config``: all conditions that decide its course; ``state``: running, stopped or finished."""

    id: str
    name: str
    state: str = "running"
    program: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    spent: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    created: dt.datetime | None = None
    updated: dt.datetime | None = None


@dataclass(frozen=True)
class Candidate:
    """A plan and what became of it.

    ``origin``: seed, design or mutation; ``status``: planned → compiled → scored → done, or dropped, same (as
    another on every note) or failed;
    ``parent``: number of the candidate that ``edit`` changed; ``rung``: how far along the growing set of notes it came;
    ``scores``: objective, f1, interval …; ``ledger``: tokens asked and spent; ``notes``: what else the log should know.
    """

    run: str
    number: int
    origin: str
    status: str
    name: str = ""
    parent: int | None = None
    edit: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
    workflow: str = ""
    hash: str = ""
    attempts: int = 0
    error_code: str = ""
    error: str = ""
    rung: int = -1
    scores: Mapping[str, Any] = field(default_factory=dict)
    critique: Sequence[Any] = ()
    ledger: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    created: dt.datetime | None = None
    updated: dt.datetime | None = None


@dataclass(frozen=True)
class Result:
    """One candidate on one encounter: right, wrong and missed codes, guideline checks passed of those applied, tokens.

    ``place``: of the encounter in the order of its set; ``stages``: counts after each stage, ``{step: [tp, fp, fn]}``.
    """

    place: int
    encounter: str
    tp: int
    fp: int
    fn: int
    passed: int = 0
    applied: int = 0
    calls: int = 0
    read: int = 0
    written: int = 0
    seconds: float = 0.0
    failed: str = ""
    stages: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """One node on one encounter. ``node``: the content hash under which its result is kept; ``reused``: it was taken
    from there, and the transcript is with the trace that made it."""

    encounter: str
    step: str
    component: str
    node: str
    reused: bool
    calls: int = 0
    read: int = 0
    written: int = 0
    seconds: float = 0.0
    transcript: Sequence[Any] = ()


class Archive:
    """Runs and candidates in a store. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # ------------------------------------------------------------------------------------------------------ runs

    def begin(self, run: Run) -> Run:
        """Write a new run."""
        from jointcoder.store.tables.search import RunRow

        with self.store.writing() as session:
            session.add(row := RunRow(**_values(run)))
            session.flush()
            return _record(Run, row)

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        from sqlalchemy import select

        from jointcoder.store.tables.search import RunRow

        with self.store.reading() as session:
            rows = session.scalars(select(RunRow).order_by(RunRow.created.desc(), RunRow.id))
            return [_record(Run, row) for row in rows]

    def run(self, named: str) -> Run:
        """The run with that id, the beginning of an id, or that name (the newest). Raises UsageError JC432."""
        every = self.runs()
        found = [run for run in every if run.id == named or run.name == named]
        found = found or [run for run in every if len(named) >= SHORTEST and run.id.startswith(named)]
        if not found:
            known = name_list(f"{run.id} ({run.name})" for run in every)
            raise UsageError("JC432", f"no search run {named!r} in {self.store.place}", hint=f"its runs: {known}")
        return found[0]

    def update_run(self, run: str, **changes: Any) -> Run:
        """The run with some fields changed."""
        from jointcoder.store.tables.search import RunRow

        with self.store.writing() as session:
            row = session.get(RunRow, run)
            if row is None:
                raise UsageError("JC432", f"no search run {run!r}")
            _change(row, changes)
            session.flush()
            return _record(Run, row)

    # ------------------------------------------------------------------------------------------------- candidates

    def add(self, candidate: Candidate) -> Candidate:
        """Write a new candidate; its number must be new in its run."""
        from jointcoder.store.tables.search import CandidateRow

        with self.store.writing() as session:
            session.add(row := CandidateRow(**_values(candidate)))
            session.flush()
            return _record(Candidate, row)

    def candidates(self, run: str) -> list[Candidate]:
        """The candidates of a run by number."""
        from sqlalchemy import select

        from jointcoder.store.tables.search import CandidateRow

        with self.store.reading() as session:
            rows = session.scalars(select(CandidateRow).where(CandidateRow.run == run).order_by(CandidateRow.number))
            return [_record(Candidate, row) for row in rows]

    def candidate(self, named: str, *, run: str | None = None) -> Candidate:
        """The candidate with that number (of ``run``) or with a hash that begins so. Raises UsageError JC432."""
        runs = [run] if run else [one.id for one in self.runs()]
        every = [candidate for one in runs for candidate in self.candidates(one)]
        if run and named.isdecimal():
            found = [one for one in every if one.number == int(named)]
        else:
            found = [one for one in every if len(named) >= SHORTEST and one.hash.startswith(named.lower())]
        if not found:
            raise UsageError("JC432", f"no candidate {named!r}", hint="`jointcoder search show` lists those of a run")
        return found[0]

    def record(
        self, run: str, number: int, results: Iterable[tuple[str, Result, Sequence[Trace]]] = (), **changes: Any
    ) -> Candidate:
        """Change a candidate and add its results on encounters, each with the part of the data (search, selection,
        test) it belongs to and with its traces, in one transaction. A result that is there already stays."""
        from sqlalchemy import select

        from jointcoder.store.tables.search import ResultRow, TraceRow

        with self.store.writing() as session:
            row = _candidate(session, run, number)
            known = {
                (part, place)
                for part, place in session.execute(
                    select(ResultRow.part, ResultRow.place).where(ResultRow.candidate == row.id)
                )
            }
            for part, result, traces in results:
                if (part, result.place) in known:
                    continue
                session.add(ResultRow(candidate=row.id, part=part, **_values(result)))
                session.add_all(TraceRow(candidate=row.id, part=part, **_values(trace)) for trace in traces)
            _change(row, changes)
            session.flush()
            return _record(Candidate, row)

    def results(self, run: str, part: str) -> dict[int, list[Result]]:
        """Candidate number → its results on a part of the data, by place."""
        from sqlalchemy import select

        from jointcoder.store.tables.search import CandidateRow, ResultRow

        found: dict[int, list[Result]] = {}
        wanted = select(CandidateRow.number, ResultRow).join(CandidateRow, ResultRow.candidate == CandidateRow.id)
        wanted = wanted.where(CandidateRow.run == run, ResultRow.part == part).order_by(ResultRow.place)
        with self.store.reading() as session:
            for number, row in session.execute(wanted):
                found.setdefault(number, []).append(_record(Result, row))
        return found

    def traces(self, run: str, number: int, *, encounter: str | None = None) -> list[Trace]:
        """The traces of a candidate in the order they arose. A reused node brings the transcript of the trace that made
        it, where the store holds that."""
        from sqlalchemy import select

        from jointcoder.store.tables.search import TraceRow

        with self.store.reading() as session:
            wanted = select(TraceRow).where(TraceRow.candidate == _candidate(session, run, number).id)
            if encounter is not None:
                wanted = wanted.where(TraceRow.encounter == encounter)
            found = [_record(Trace, row) for row in session.scalars(wanted.order_by(TraceRow.id))]
            nodes = [trace.node for trace in found if trace.reused]
            made: dict[str, Any] = {}
            for begin in range(0, len(nodes), 500):  # databases limit the number of values in a statement
                part = TraceRow.node.in_(nodes[begin : begin + 500])
                rows = session.execute(select(TraceRow.node, TraceRow.transcript).where(part, ~TraceRow.reused))
                made.update((node, transcript) for node, transcript in rows)
        return [replace(t, transcript=made.get(t.node, ())) if t.reused else t for t in found]

    def reuse(self, run: str) -> tuple[int, int]:
        """Passages of encounters through nodes in a run, and how many of them took an earlier result."""
        from sqlalchemy import case, func, select

        from jointcoder.store.tables.search import CandidateRow, TraceRow

        reused = func.coalesce(func.sum(case((TraceRow.reused, 1), else_=0)), 0)
        wanted = select(func.count(), reused).join(CandidateRow, TraceRow.candidate == CandidateRow.id)
        with self.store.reading() as session:
            passages, taken = session.execute(wanted.where(CandidateRow.run == run)).one()
        return int(passages), int(taken)

    # ---------------------------------------------------------------------------------------------- carried along

    def exported(self, run: str, *, traces: bool = False) -> Iterator[dict[str, Any]]:
        """The run as JSON objects: itself, each candidate, then its results and, if asked for, its traces."""
        yield {"jointcoder_search": FORMAT, "run": _json(self.run(run))}
        parts = {part: self.results(run, part) for part in ("search", "selection", "test")}
        for candidate in self.candidates(run):
            yield {"candidate": _json(candidate)}
            for part, results in parts.items():
                yield from (
                    {"number": candidate.number, "part": part, "result": _json(result)}
                    for result in results.get(candidate.number, ())
                )
            if traces:
                yield from (
                    {"number": candidate.number, "part": "search", "trace": _json(trace)}
                    for trace in self.traces(run, candidate.number)
                )

    def imported(self, lines: Iterable[Mapping[str, Any]], *, origin: str = "archive") -> Run:
        """Write an exported run. Raises InputError JC443 for lines that are none, UsageError JC432 where the run is
        here already."""
        run, candidates, rows = _parsed(lines, origin)
        if any(one.id == run.id for one in self.runs()):
            raise UsageError("JC432", f"run {run.id} ({run.name}) is here already")
        self.begin(run)
        for candidate in candidates:
            self.add(candidate)
            self.record(candidate.run, candidate.number, rows.get(candidate.number, ()))
        return run


def _parsed(
    lines: Iterable[Mapping[str, Any]], origin: str
) -> tuple[Run, list[Candidate], dict[int, list[tuple[str, Result, Sequence[Trace]]]]]:
    run: Run | None = None
    candidates: list[Candidate] = []
    rows: dict[int, list[tuple[str, Result, Sequence[Trace]]]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            if run is None:
                if line.get("jointcoder_search") != FORMAT:
                    raise ValueError
                run = _read(Run, line["run"])
            elif "candidate" in line:
                candidates.append(replace(_read(Candidate, line["candidate"]), run=run.id))
            elif "result" in line:
                rows.setdefault(int(line["number"]), []).append((str(line["part"]), _read(Result, line["result"]), ()))
            elif "trace" in line:
                trace = _read(Trace, line["trace"])
                own = rows[int(line["number"])]
                place = next(i for i, row in enumerate(own) if row[1].encounter == trace.encounter)
                own[place] = (*own[place][:2], (*own[place][2], trace))
            else:
                raise ValueError
        except (KeyError, TypeError, ValueError, StopIteration):
            hint = "`jointcoder search export` writes such files"
            raise InputError("JC443", f"{origin}, line {number}: not a line of an exported search", hint=hint) from None
    if run is None:
        raise InputError("JC443", f"{origin} holds no exported search")
    return run, candidates, rows


def _candidate(session: Session, run: str, number: int) -> Any:
    from sqlalchemy import select

    from jointcoder.store.tables.search import CandidateRow

    row = session.scalar(select(CandidateRow).where(CandidateRow.run == run, CandidateRow.number == number))
    if row is None:
        raise UsageError("JC432", f"run {run} has no candidate {number}")
    return row


def _values(record: Any) -> dict[str, Any]:
    """The fields of a record for its row; times that are not set are left to the table."""
    return {name: _storable(value) for name, value in vars(record).items() if value is not None or name == "parent"}


def _storable(value: Any) -> Any:
    """Text as every database takes it (no lone surrogates, no NUL), mappings and sequences as JSON has them."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
    if isinstance(value, Mapping):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    return value


def _change(row: Any, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if not hasattr(row, name):
            raise TypeError(f"{type(row).__name__} has no field {name}")
        setattr(row, name, _storable(value))


def _record(kind: type[_T], row: Any) -> _T:
    return kind(**{one.name: getattr(row, one.name) for one in fields(kind)})  # type: ignore[arg-type]


def _json(record: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(json.dumps(asdict(record), default=lambda value: value.isoformat()))
    return shown


def _read(kind: type[_T], data: Mapping[str, Any]) -> _T:
    """A record from its JSON. Raises TypeError or ValueError for what is none."""
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    values = {name: value for name, value in data.items() if name in known}
    for name in ("created", "updated"):
        if isinstance(values.get(name), str):
            values[name] = dt.datetime.fromisoformat(values[name])
    kinds: dict[str, type] = dict.fromkeys(("number", "place", "tp", "fp", "fn"), int)
    kinds |= dict.fromkeys(("id", "encounter", "status"), str)
    if any(name in known and type(values[name]) is not wanted for name, wanted in kinds.items()):
        raise TypeError("a field is of the wrong type")
    return kind(**values)
