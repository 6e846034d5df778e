"""The command line: one file a command, wired here. Run ``jointcoder --help``.

Exit codes: 0 done, 1 failed, 2 usage, 4 bad input, 5 missing model or code book, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jointcoder import __version__
from jointcoder.cli import (
    accounts,
    audit,
    batch,
    code,
    codebook,
    common,
    deid,
    doctor,
    evaluate,
    exchange,
    exchange_export,
    feedback,
    language,
    learn,
    models,
    packs,
    report,
    schema,
    search,
    serve,
    setup,
    store,
    workflow,
    workflow_approval,
)

app = typer.Typer(
    name="jointcoder",
    help="Code hospital encounters on your own machine: diagnoses and procedures, with evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("code")(code.code)
app.command("deid")(deid.deid)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(batch.app, name="batch")
app.command("learn")(learn.learn)
exchange.app.command("export")(exchange_export.export)
app.add_typer(exchange.app, name="exchange")
app.add_typer(packs.app, name="packs")
app.add_typer(codebook.app, name="codebook")
app.add_typer(models.app, name="models")
workflow.app.command("approve")(workflow_approval.approve)
workflow.app.command("approvals")(workflow_approval.approvals)
workflow.app.command("rollback")(workflow_approval.rollback)
app.add_typer(search.app, name="search")
app.add_typer(workflow.app, name="workflow")
app.add_typer(accounts.app, name="accounts")
app.add_typer(audit.app, name="audit")
app.add_typer(store.app, name="store")
app.add_typer(feedback.app, name="feedback")
app.add_typer(report.app, name="report")
app.command("serve")(serve.serve)
app.command("setup")(setup.setup)
app.command("doctor")(doctor.doctor)
app.command("schema")(schema.schema)
language.offer(app)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"jointcoder {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors on stderr.")] = False,
    lang: language.LangOption = None,
) -> None:
    common.OPTIONS.debug, common.OPTIONS.quiet = debug, quiet
    language.CHOSEN.language = None  # of a command line read before in the same process
    language.choose(lang)


def run() -> None:
    """Entry point of the ``jointcoder`` script."""
    common.guarded(app)


if __name__ == "__main__":
    run()
