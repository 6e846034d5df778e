"""``jointcoder code FILE|-``: records in (text, JSON, Excel, CSV …), coded records out (tables or JSON).

A file that is one encounter gives one record. One of several gives a table or a line of JSON for each, failed ones
too: they are flagged, the others are out, and the exit code is that of bad input.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.cli import language as words
from jointcoder.cli.incoming import Tally, records
from jointcoder.errors import JointCoderError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jointcoder.coder import Coder
    from jointcoder.exchange.incoming import Incoming
    from jointcoder.records import CodedRecord, Encounter, System

QUOTE_WIDTH = 46
SUGGESTED, REASONS = 5, 6  # shown of each


def code(
    file: Annotated[str, typer.Argument(help="Text, JSON, Excel, CSV, Parquet, PDF …; - reads standard input.")],
    json_out: Annotated[
        bool, typer.Option("--json", help="Print the whole record as JSON; of several, one a line.")
    ] = False,
    workflow: Annotated[str | None, typer.Option(help="Workflow name or TOML file.")] = None,
    model: Annotated[str | None, typer.Option(help="Model name or path to a GGUF file.")] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    pack: Annotated[str | None, typer.Option(help="Learned pack: name or folder.")] = None,
    system: Annotated[list[str] | None, typer.Option(help="Assign only this code system (repeatable).")] = None,
    mapping: Annotated[Path | None, typer.Option(help="TOML file that says what the columns of a table mean.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Name or number of a sheet; default: all that fit.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first records only.")] = None,
    language: Annotated[str | None, typer.Option(help="en, es or zh; detected by default.")] = None,
    discharged: Annotated[str | None, typer.Option(help="Discharge date, YYYY-MM-DD: decides the edition.")] = None,
    sex: Annotated[str | None, typer.Option(help="female or male.")] = None,
    age: Annotated[float | None, typer.Option(help="Age in years.")] = None,
    why: Annotated[
        bool, typer.Option("--why", help="Show what speaks for and against each code (learned packs).")
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show what each step did and cost.")] = False,
    allow_python: Annotated[bool, typer.Option("--allow-python", help=common.PYTHON_HELP)] = False,
) -> None:
    """Code encounters: diagnoses and procedures, ranked, with evidence and confidence."""
    with common.staged() as pages:
        told = partial(pages, "reading pages")
        incoming = records(file, mapping=mapping, sheet=sheet, limit=limit, progress=told)
        first = next(incoming)
    stated = partial(with_fields, language=language, discharged=discharged, sex=sex, age=age)
    alone = not first.place.number
    encounter = _fit(first, stated) if alone else None
    wanted = systems(system)
    from jointcoder.coder import Coder
    from jointcoder.settings import Settings

    settings = Settings.load(workflow=workflow, pack=pack, allow_python=allow_python or None)
    with Coder(settings, model=model, code_book=book, systems=wanted) as coder:
        if encounter is None:
            _several(chain([first], incoming), coder, stated, json_out=json_out, trace=trace, why=why)
            return
        steps = len(coder.plan.steps)
        with common.progress("coding", steps) as advance:
            record = coder.code(encounter, observer=lambda _state, _step: advance(1))
        record = words.named(record, coder.book_of(encounter))
    record = record.model_copy(update={"flags": (*first.flags, *record.flags)})
    if json_out:
        common.put_json(record.model_dump(mode="json"))
    else:
        show(record, trace=trace, why=why)


def _fit(incoming: Incoming, stated: Callable[[Encounter], Encounter]) -> Encounter:
    """The encounter with what the options state; its flags are said. Raises its error."""
    for flag in incoming.flags:
        common.warn(flag.code, flag.message)
    if incoming.encounter is None:
        assert incoming.error is not None
        raise incoming.error
    return stated(incoming.encounter)


def _several(
    incoming: Iterator[Incoming],
    coder: Coder,
    stated: Callable[[Encounter], Encounter],
    *,
    json_out: bool,
    trace: bool,
    why: bool,
) -> None:
    """Code record after record and print each. Leaves with exit code 4 when some failed."""
    tally = Tally()
    with common.progress("coding", None) as advance:
        for one in incoming:
            record, error = _coded(one, coder, stated)
            if error is None:
                tally.done += 1
            else:
                tally.fails(error)
            if json_out:
                common.put_line(record.model_dump(mode="json"))
            else:
                common.stdout().rule(record.encounter, align="left", style="none")
                show(record, trace=trace, why=why)
            advance(1)
    tally.close("coded")


def _coded(
    incoming: Incoming, coder: Coder, stated: Callable[[Encounter], Encounter]
) -> tuple[CodedRecord, JointCoderError | None]:
    """The coded record, or one without codes that is flagged with the error, which is given too."""
    from jointcoder.records import CodedRecord, Flag

    error = incoming.error
    if incoming.encounter is not None:
        try:
            encounter = stated(incoming.encounter)
            record = words.named(coder.code(encounter), coder.book_of(encounter))
            return record.model_copy(update={"flags": (*incoming.flags, *record.flags)}), None
        except JointCoderError as caught:
            error = incoming.place.of(caught)
    assert error is not None
    flags = (*incoming.flags, Flag(code=error.code, message=error.message))
    name = incoming.id or str(incoming.place)
    return CodedRecord(encounter=name, language="", flags=flags, versions=coder.versions), error


def with_fields(
    encounter: Encounter, *, language: str | None, discharged: str | None, sex: str | None, age: float | None
) -> Encounter:
    """The encounter with what the options state. UsageError JC001 for a value that cannot be."""
    from pydantic import ValidationError

    values: dict[str, Any] = {name: getattr(encounter, name) for name in type(encounter).model_fields}
    if language:
        values["language"] = language
    old = encounter.patient
    try:
        if discharged:
            values["discharged"] = dt.date.fromisoformat(discharged)
        values["patient"] = type(old)(age_years=old.age_years if age is None else age, sex=sex or old.sex)
        return type(encounter)(**values)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise UsageError("JC001", f"{'.'.join(map(str, problem['loc'])) or 'dates'}: {problem['msg']}") from None
    except ValueError:
        raise UsageError("JC001", "--discharged takes a date as YYYY-MM-DD") from None


def systems(names: list[str] | None) -> list[System] | None:
    """Code systems by name. UsageError JC001 listing the known ones."""
    from jointcoder.records import System

    try:
        return [System(name.upper()) for name in names] if names else None
    except ValueError:
        raise UsageError(
            "JC001", f"unknown code system in {', '.join(names or [])}", hint=f"known: {', '.join(System)}"
        ) from None


def show(record: CodedRecord, *, trace: bool, why: bool = False) -> None:
    """The record as tables for a person: diagnoses, procedures, findings, flags, versions."""
    from rich.table import Table
    from rich.text import Text

    from jointcoder.records import Kind, Role

    console = common.stdout()
    for kind in Kind:
        codes = record.of_kind(kind)
        if not codes:
            continue
        table = Table(title=f"{kind.value} · {codes[0].system}", title_justify="left", expand=False)
        for column, justify in (("", "right"), ("code", "left"), ("name", "left"), ("conf.", "right")):
            table.add_column(column, justify=justify, no_wrap=column in ("", "code"))  # type: ignore[arg-type]
        table.add_column("evidence", max_width=QUOTE_WIDTH)
        table.add_column("checks")
        for item in codes:
            mark = "★" if item.role is Role.PRINCIPAL else str(item.rank)
            quotes = " … ".join(dict.fromkeys(" ".join(span.quote.split()) for span in item.evidence[:2]))
            place = f" @{item.evidence[0].start}" if item.evidence else ""
            marks = ", ".join(dict.fromkeys(finding.rule for finding in item.checks))
            table.add_row(
                mark, item.code, Text(item.name), f"{item.confidence:.2f}", Text(f"“{quotes}”{place}"), Text(marks)
            )
        console.print(table)
    if not record.codes:
        console.print("no codes")
    if record.suggestions:
        _show_suggestions(record)
    if why:
        _show_reasons(record)
    for finding in record.findings:
        console.print(Text(f"{words.severity_text(finding):8}{words.finding_text(finding)}"))
    for flag in record.flags:
        said = words.meaning(flag.code, flag.message)
        console.print(Text(f"{words.label(flag.code)}   {said}" + (f" ({flag.step})" if flag.step else "")))
    if trace:
        _show_trace(record)
    cost, made = record.cost, record.versions
    model = f"{made.model} · " if made.model else ""
    console.print(
        Text(
            f"{model}{made.code_book} · workflow {made.workflow} {made.workflow_hash[:8]} · {cost.seconds:.1f} s · "
            f"{cost.calls} questions · {cost.prompt_tokens} tokens read ({cost.reused_tokens} reused), "
            f"{cost.generated_tokens} written"
        )
    )


def _show_suggestions(record: CodedRecord) -> None:
    """The likeliest codes that were not given."""
    from rich.text import Text

    best = sorted(record.suggestions, key=lambda code: -code.confidence)
    shown = ", ".join(f"{code.code} {code.name} ({code.confidence:.2f})" for code in best[:SUGGESTED])
    more = f" and {len(best) - SUGGESTED} more" if len(best) > SUGGESTED else ""
    common.stdout().print(Text(f"not given, to look at: {shown}{more}"))


def _show_reasons(record: CodedRecord) -> None:
    """Per code the features that moved it, in log-odds; for a principal one also what put it there."""
    from rich.table import Table

    from jointcoder.records import Role

    table = Table(title="what speaks for and against", title_justify="left")
    for column in ("code", "confidence", "feature", "value", "log-odds"):
        table.add_column(column, justify="left" if column in ("code", "feature") else "right")
    for code in record.codes:
        placed = code.order if code.role is Role.PRINCIPAL else ()
        rows = [(r.feature, r) for r in code.reasons[:REASONS]] + [(f"★ {r.feature}", r) for r in placed]
        for place, (feature, reason) in enumerate(rows):
            head = (code.code, f"{code.confidence:.2f}") if place == 0 else ("", "")
            table.add_row(*head, feature, f"{reason.value:.2f}", f"{reason.weight:+.2f}")
        table.add_section()
    common.stdout().print(table)


def _show_trace(record: CodedRecord) -> None:
    from rich.table import Table

    table = Table(title="trace", title_justify="left")
    for column in ("step", "seconds", "questions", "read", "reused", "written"):
        table.add_column(column, justify="left" if column == "step" else "right")
    table.add_column("result", overflow="fold")
    for step in record.trace:
        cost = step.cost
        result = {**step.wrote, **{key: value for key, value in step.notes.items() if key != "codes"}}
        table.add_row(
            step.step,
            f"{cost.seconds:.2f}",
            *(str(n) for n in (cost.calls, cost.prompt_tokens, cost.reused_tokens, cost.generated_tokens)),
            ", ".join(f"{key} {value}" for key, value in result.items()),
        )
    common.stdout().print(table)
