"""``jointcoder code FILE|-``: one encounter in (text or JSON), one coded record out (table or JSON)."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.errors import InputError, UsageError

if TYPE_CHECKING:
    from jointcoder.records import CodedRecord, Encounter, Flag, System

QUOTE_WIDTH = 46
SUGGESTED, REASONS = 5, 6  # shown of each


def code(
    file: Annotated[str, typer.Argument(help="Text file or JSON encounter; - reads standard input.")],
    json_out: Annotated[bool, typer.Option("--json", help="Print the whole record as JSON.")] = False,
    workflow: Annotated[str | None, typer.Option(help="Workflow name or TOML file.")] = None,
    model: Annotated[str | None, typer.Option(help="Model name or path to a GGUF file.")] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    pack: Annotated[str | None, typer.Option(help="Learned pack: name or folder.")] = None,
    system: Annotated[list[str] | None, typer.Option(help="Assign only this code system (repeatable).")] = None,
    language: Annotated[str | None, typer.Option(help="en, es or zh; detected by default.")] = None,
    discharged: Annotated[str | None, typer.Option(help="Discharge date, YYYY-MM-DD: decides the edition.")] = None,
    sex: Annotated[str | None, typer.Option(help="female or male.")] = None,
    age: Annotated[float | None, typer.Option(help="Age in years.")] = None,
    why: Annotated[
        bool, typer.Option("--why", help="Show what speaks for and against each code (learned packs).")
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show what each step did and cost.")] = False,
) -> None:
    """Code one encounter: diagnoses and procedures, ranked, with evidence and confidence."""
    encounter, flags = read_encounter(file)
    encounter = with_fields(encounter, language=language, discharged=discharged, sex=sex, age=age)
    wanted = systems(system)
    from jointcoder.coder import Coder
    from jointcoder.settings import Settings

    settings = Settings.load(workflow=workflow, pack=pack)
    with Coder(settings, model=model, code_book=book, systems=wanted) as coder:
        steps = len(coder.plan.steps)
        with common.progress("coding", steps) as advance:
            record = coder.code(encounter, observer=lambda _encounter, _step: advance(1))
    record = record.model_copy(update={"flags": (*flags, *record.flags)})
    if json_out:
        common.put_json(record.model_dump(mode="json"))
    else:
        show(record, trace=trace, why=why)


def read_encounter(file: str) -> tuple[Encounter, tuple[Flag, ...]]:
    """Bytes → Encounter, and what has to be said about them. InputError JC101–JC108."""
    import json

    from jointcoder.records import Encounter, parse_encounter
    from jointcoder.text.decode import decode

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InputError("JC107", f"{file}: {error.strerror or type(error).__name__}") from None
    decoded = decode(data)
    for flag in decoded.flags:
        common.warn(flag.code, flag.message)
    if file.endswith(".json") or decoded.text.lstrip().startswith("{"):
        try:
            parsed: Any = json.loads(decoded.text)
        except json.JSONDecodeError as error:
            raise InputError("JC104", f"{file}: line {error.lineno}, column {error.colno}: {error.msg}") from None
        if not isinstance(parsed, dict):
            raise InputError("JC104", f"{file}: an encounter is a JSON object")
        return parse_encounter(parsed), tuple(decoded.flags)
    return Encounter.from_text(decoded.text), tuple(decoded.flags)


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
        console.print(Text(f"{finding.severity.value:8}{finding.message}"))
    for flag in record.flags:
        console.print(Text(f"{flag.code}   {flag.message}" + (f" ({flag.step})" if flag.step else "")))
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
    """Per code the features that moved it, in log-odds."""
    from rich.table import Table

    table = Table(title="what speaks for and against", title_justify="left")
    for column in ("code", "confidence", "feature", "value", "log-odds"):
        table.add_column(column, justify="left" if column in ("code", "feature") else "right")
    for code in record.codes:
        for place, reason in enumerate(code.reasons[:REASONS]):
            head = (code.code, f"{code.confidence:.2f}") if place == 0 else ("", "")
            table.add_row(*head, reason.feature, f"{reason.value:.2f}", f"{reason.weight:+.2f}")
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
