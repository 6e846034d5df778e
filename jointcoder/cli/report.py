"""``jointcoder report coders``: how far coders and model agree, and what a review costs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common, language
from jointcoder.cli.accounts import JsonOption, StoreOption, operator
from jointcoder.cli.feedback import a_day, repositories

if TYPE_CHECKING:
    from jointcoder.desk.agreement import Agreement, Figure, Stated
    from jointcoder.desk.twice import Alpha

EDITS = {
    "added": "codes added",
    "removed": "codes removed",
    "replaced": "codes replaced",
    "moved": "codes moved",
    "principal": "another principal code",
    "on_admission": "presence on admission changed",
}
app = typer.Typer(help="Figures of the desk.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Figures of the desk."""


@app.command()
def coders(
    since: Annotated[str | None, typer.Option(help="Finished on this day or later: YYYY-MM-DD.")] = None,
    until: Annotated[str | None, typer.Option(help="Finished up to this day: YYYY-MM-DD.")] = None,
    idle: Annotated[float, typer.Option(min=0.1, help="Minutes; longer pauses do not count as work.")] = 10,
    by_coder: Annotated[bool, typer.Option("--by-coder", help="Also a row for each coder.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw whether confidence is honest (SVG).")] = None,
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """Agreement of model and coders, edits and time of a record, precision by confidence. Finished records count."""
    from jointcoder.desk.agreement import agreement
    from jointcoder.desk.history import day, history
    from jointcoder.store.audit import Audit

    first, last = day(a_day(since, "--since")), day(a_day(until, "--until"), after=True)
    with repositories(store) as (there, reviews, encounters):
        found = history(reviews, encounters, since=first, until=last, finished_only=True)
        report = agreement(found, idle=dt.timedelta(minutes=idle), by_coder=by_coder)
        details = {"records": report.records, "by_coder": by_coder}
        Audit(there).add(actor=operator(), action="report.view", kind="report", subject="coders", details=details)
    if picture:
        _draw(report, picture)
    if json_out:
        common.put_json(report.as_dict())
    else:
        show(report)


def _draw(report: Agreement, path: Path) -> None:
    import numpy as np

    from jointcoder.learn.measure import HeldOut
    from jointcoder.learn.picture import draw

    scores = {
        system: HeldOut(
            probability=np.array([confidence for confidence, _ in rows], dtype=np.float64),
            right=np.array([right for _, right in rows], dtype=np.bool_),
            missed=report.missed.get(system, 0),
        )
        for system, rows in report.scores.items()
    }
    draw(scores, {}, path)


def show(report: Agreement) -> None:
    """The figures as tables."""
    from rich.table import Table

    console = common.stdout()
    table = Table(title="coders and model", title_justify="left")
    for column in ("what", "value", "95 % interval", "n"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, value, interval, n in _rows(report):
        if value:  # nothing is said of what did not occur
            table.add_row(name, value, interval, n)
    console.print(table)
    stated = Table(title="precision by confidence", title_justify="left")
    for column in ("confidence", "stated", "precision", "95 % interval", "codes"):
        stated.add_column(column, justify="left" if column == "confidence" else "right")
    for one in (*report.bands, *(tenth for tenth in report.tenths if tenth.precision.n)):
        stated.add_row(*_stated(one))
    console.print(stated)
    if report.together:
        console.print(language.text(f"{report.together} codes accepted together are left out"), highlight=False)
    if report.by_coder:
        persons = Table(title="coders", title_justify="left")
        for column in ("coder", "records", "F1", "edits", "minutes"):
            persons.add_column(column, justify="left" if column == "coder" else "right")
        for one_ in report.by_coder:
            figures = (_number(one_.f1.value), _number(one_.edits.value, 1), _number(one_.minutes.value, 1))
            persons.add_row(one_.name, str(one_.records), *figures)
        console.print(persons)


def _rows(report: Agreement) -> list[tuple[str, str, str, str]]:
    text = language.text
    rows = [(text("records"), str(report.records), "", ""), (text("coders"), str(report.coders), "", "")]
    for name, agreed in report.agreed.items():
        rows += [
            _row(f"{text(name)}: {text('precision')}", agreed.precision),
            _row(f"{text(name)}: {text('recall')}", agreed.recall),
            _row(f"{text(name)}: F1", agreed.f1),
        ]
    for name, figure in report.principal.items():
        rows.append(_row(text(f"principal {name}"), figure))
    for name, figure in report.edits.mean.items():
        rows.append(_row(f"{text('edits a record')}: {text(EDITS[name])}", figure, 2))
    edits = report.edits
    rows += [
        _row(f"{text('edits a record')}: {text('edits in all')}", edits.total, 2),
        (f"{text('edits a record')}: {text('median')}", _number(edits.median, 1), "", str(report.records)),
        (f"{text('edits a record')}: {text('90th percentile')}", _number(edits.p90, 1), "", str(report.records)),
        _row(text("left as the model made it"), edits.untouched),
        _row(f"{text('minutes a record')}: {text('median')}", report.minutes.median, 1),
        _row(f"{text('minutes a record')}: {text('90th percentile')}", report.minutes.p90, 1),
        (text("calibration error"), _number(report.calibration_error), "", ""),
    ]
    twice = report.twice
    rows.append((text("coded twice"), str(twice.encounters), "", str(twice.pairs)))
    if twice.encounters:
        rows += [
            (text("between coders: F1"), _number(twice.f1), _span(twice.f1_interval), str(twice.pairs)),
            _row(text("between coders: alpha of the codes"), twice.codes),
            _row(text("between coders: alpha of the principal diagnosis"), twice.principal),
        ]
    return rows


def _row(name: str, figure: Figure | Alpha, digits: int = 3) -> tuple[str, str, str, str]:
    return name, _number(figure.value, digits), _span(figure.interval, digits), str(figure.n)


def _stated(one: Stated) -> tuple[str, str, str, str, str]:
    name = language.text(one.name) if one.name.isalpha() else one.name
    figure = one.precision
    return name, _number(one.confidence), _number(figure.value), _span(figure.interval), str(figure.n)


def _number(value: Any, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _span(interval: tuple[float, float] | None, digits: int = 3) -> str:
    return "" if interval is None else f"{interval[0]:.{digits}f}–{interval[1]:.{digits}f}"
