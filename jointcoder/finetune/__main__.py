"""``python -m jointcoder.finetune``: data, training, and what the other modules of ``commands/`` add.

    data   coded records, corpora, term pairs or a code book → training examples of one agent
    sft    examples → a LoRA adapter (choice among options, or text)
    grpo   the same, rewarded for what the coder wants of the whole record
    judge  how well a model, with and without adapters, answers held-out examples

Errors leave with the codes and exit statuses of ``jointcoder`` itself. Knows no command: they register themselves.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Annotated

import typer

from jointcoder.cli import common
from jointcoder.finetune import commands


def build() -> typer.Typer:
    """The application with the commands of every module in ``commands/``."""
    app = typer.Typer(
        name="python -m jointcoder.finetune",
        help="Train adapters of the language model on coded history.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_main)
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda module: module.name):
        import_module(f"{commands.__name__}.{module.name}").register(app)
    return app


def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors on stderr.")] = False,
) -> None:
    common.OPTIONS.debug, common.OPTIONS.quiet = debug, quiet


if __name__ == "__main__":
    common.guarded(build())
