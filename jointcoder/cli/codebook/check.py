"""``jointcoder codebook check``: a coded record judged by the official rules, and the DRG it would group to.

Exit status: 0 no finding is an error, 1 at least one is, 4 a record cannot be read (the others are still judged).
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common, language
from jointcoder.cli.codebook.shared import BookOption, JsonOption, app, table
from jointcoder.errors import InputError, JointCoderError, UsageError

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.editions import Editions
    from jointcoder.exchange.drg import DrgPreview
    from jointcoder.records import Finding, Patient

FAILED, UNREADABLE = 1, 4


@dataclass(frozen=True)
class Judged:
    """What came out of one record: its findings, or the error that kept it from being judged."""

    id: str
    edition: str = ""
    findings: list[Finding] = field(default_factory=list)
    drg: DrgPreview | None = None
    error: JointCoderError | None = None


@app.command()
def check(
    file: Annotated[
        str | None, typer.Argument(help="Coded record as JSON, or JSON lines; - reads standard input.")
    ] = None,
    book: BookOption = None,
    on: Annotated[str | None, typer.Option("--on", help="Day of discharge, YYYY-MM-DD.")] = None,
    sex: Annotated[str | None, typer.Option("--sex", help="female or male.")] = None,
    age: Annotated[float | None, typer.Option("--age", help="Age in years.")] = None,
    inpatient: Annotated[
        bool | None, typer.Option("--inpatient/--outpatient", help="Whether present-on-admission indicators are due.")
    ] = None,
    drg: Annotated[bool, typer.Option("--drg", help="Preview the MS-DRG (US records; for preview only).")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules and what they cite, and leave.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge a coded record by the official rules; each finding cites its rule. Exit status 1 when one is an error."""
    if rules:
        _list_rules(as_json)
        return
    if file is None:
        raise UsageError("JC001", "name a file that holds a coded record, or - for standard input")
    from jointcoder.codebook.editions import Editions
    from jointcoder.settings import Settings

    day, records = _day(on), list(_records(file))
    editions = Editions.open(Settings.load(), book)
    alone = len(records) == 1
    judged = []
    for number, data in enumerate(records, start=1):
        try:
            judged.append(_judge(data, str(number), editions, day, (sex, age), inpatient, drg))
        except JointCoderError as error:
            if alone:
                raise
            judged.append(Judged(str(number), error=error))
    if as_json:
        values = [_value(one) for one in judged]
        common.put_json(values[0] if alone else values)
    else:
        for one in judged:
            _show(one, titled=not alone)
    if any(one.error for one in judged):
        raise typer.Exit(UNREADABLE)
    if any(finding.severity.value == "error" for one in judged for finding in one.findings):
        raise typer.Exit(FAILED)


def _judge(
    data: Any,
    number: str,
    editions: Editions,
    day: dt.date | None,
    patient: tuple[str | None, float | None],
    inpatient: bool | None,
    drg: bool,
) -> Judged:
    from jointcoder.codebook.rules import oracle, read_record

    if isinstance(data, JointCoderError):
        raise data
    record = read_record(data)
    on = day or record.discharged
    book: CodeBook = editions.on(on)
    codes = record.assigned(book)
    who = _patient(record.patient, *patient)
    stay = record.inpatient if inpatient is None else inpatient
    findings = oracle(book).check(codes, on=on, patient=who, inpatient=stay)
    preview = None
    if drg:
        from jointcoder.exchange.drg import drg as group

        preview = group(codes, patient=who, discharged=on)
    return Judged(record.id or number, book.info.edition, findings, preview)


def _records(file: str) -> Iterator[Any]:
    """JSON values: one, those of a list of records, or one a line. A line that is no JSON is an InputError."""
    from jointcoder.text.decode import decode

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InputError("JC107", f"{file}: {error.strerror or type(error).__name__}") from None
    text = decode(data).text
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as whole:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        if len(lines) < 2 or not _is_json(lines[0][1]):
            raise _no_json(file, whole) from None
        for number, line in lines:
            try:
                yield json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                yield _no_json(file, error, line=number)
        return
    if isinstance(value, list) and value and all(isinstance(one, dict) and "codes" in one for one in value):
        yield from value
    else:
        yield value


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def _no_json(file: str, error: Exception, *, line: int | None = None) -> InputError:
    if isinstance(error, json.JSONDecodeError):
        return InputError("JC104", f"{file}: line {line or error.lineno}, column {error.colno}: {error.msg}")
    return InputError("JC104", f"{file}: nested too deeply")


def _day(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError("JC001", "--on takes a date as YYYY-MM-DD") from None


def _patient(given: Patient, sex: str | None, age: float | None) -> Patient:
    from pydantic import ValidationError

    try:
        return type(given)(age_years=given.age_years if age is None else age, sex=sex or given.sex)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise UsageError("JC001", f"--{'age' if 'age_years' in problem['loc'] else 'sex'}: {problem['msg']}") from None


def _show(judged: Judged, *, titled: bool) -> None:
    """Findings grouped by severity, errors first; a line of the DRG."""
    from jointcoder.records import Severity

    if judged.error is not None:
        common.warn(judged.error.code, f"record {judged.id}: {judged.error.message}")
        return
    lead = (judged.id,) if titled else ()
    rows = [
        (*lead, *_said(finding), finding.citation)
        for severity in Severity
        for finding in judged.findings
        if finding.severity is severity
    ]
    if rows:
        names = ("severity", "rule", "codes", "finding", "remedy", "citation")
        table(("record", *names) if titled else names, rows)
    else:
        name = f"record {judged.id}: " if titled else ""
        common.say(f"{name}no findings ({judged.edition})")
    if judged.drg is not None:
        cells = (*lead, "preview", "drg", "", str(judged.drg))
        table(("",) * len(cells), [cells])


def _said(finding: Finding) -> tuple[str, str, str, str, str]:
    """A finding's severity, rule, codes, what it says and recommends, in the language in use."""
    severity, message = language.severity_text(finding), language.finding_text(finding)
    return severity, finding.rule, ", ".join(finding.codes), message, language.remedy_text(finding)


def _value(judged: Judged) -> dict[str, Any]:
    from dataclasses import asdict

    if judged.error is not None:
        return {"id": judged.id, "error": {"code": judged.error.code, "message": judged.error.message}}
    value: dict[str, Any] = {
        "id": judged.id,
        "edition": judged.edition,
        "errors": sum(finding.severity.value == "error" for finding in judged.findings),
        "findings": [finding.model_dump(mode="json") for finding in judged.findings],
    }
    if judged.drg is not None:
        value["drg"] = {**asdict(judged.drg), "preview_only": True}
    return value


def _list_rules(as_json: bool) -> None:
    from jointcoder.codebook.rules import rules

    if as_json:
        common.put_json(
            [
                {
                    "id": rule.id,
                    "title": rule.title,
                    "kind": rule.kind,
                    "severities": [rule.severity, *rule.milder],
                    "citation": rule.citation,
                    "chinese": rule.chinese,
                }
                for rule in rules().values()
            ]
        )
        return
    rows = [
        (
            rule.id,
            language.text(" or ").join(map(language.text, (rule.severity, *rule.milder))),
            language.text(rule.kind),
            language.rule_title(rule.id, rule.title),
            rule.citation,
            rule.chinese,
        )
        for rule in rules().values()
    ]
    table(("rule", "severity", "kind", "finds", "cites", "cites (Chinese editions)"), rows)
