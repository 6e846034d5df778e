"""The language in which the program speaks to people: English as the code words it, or another by a catalogue.

Chosen by ``--lang``, else ``JOINTCODER_LANG``, else the settings. What is said stands in ``data/<language>/`` and is
read by :mod:`jointcoder.text.phrases`. JSON never changes, but for the names of codes. Knows no command.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.errors import JointCoderError, UsageError, name_list
from jointcoder.text import phrases
from jointcoder.text.phrases import ENGLISH as ENGLISH  # part of this module's API
from jointcoder.text.phrases import LANGUAGES, catalogue

if TYPE_CHECKING:
    from rich.console import Console

    from jointcoder.codebook.book import CodeBook
    from jointcoder.records import AssignedCode, CodedRecord, Finding, System

OPTION_HELP = "Language of tables and messages: en or zh."
LangOption = Annotated[str | None, typer.Option("--lang", help=OPTION_HELP)]


@dataclass
class Chosen:
    """What ``--lang`` named. One object, filled while the command line is read."""

    language: str | None = None


CHOSEN = Chosen()


def choose(language: str | None) -> None:
    """Take what an option names. UsageError JC001 for a language without a catalogue."""
    if language is not None and language not in LANGUAGES:
        raise UsageError("JC001", f"--lang: unknown language {language!r}", hint=f"known: {name_list(LANGUAGES)}")
    CHOSEN.language = language or CHOSEN.language


def current() -> str:
    """The language in use."""
    return CHOSEN.language or _configured()


@functools.cache
def _configured() -> str:
    from jointcoder.settings import Settings

    try:
        return Settings.load().lang
    except JointCoderError:
        return ENGLISH  # what is wrong with the settings is said by the command that needs them


def offer(app: typer.Typer) -> None:
    """Give every command of ``app`` and its groups the option ``--lang``, where it has none of that name."""
    for command in app.registered_commands:
        if command.callback is not None and "lang" not in inspect.signature(command.callback).parameters:
            command.callback = _offering(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            offer(group.typer_instance)


def _offering(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def spoken(*args: Any, lang: str | None = None, **kwargs: Any) -> Any:
        choose(lang)
        return callback(*args, **kwargs)

    signature = inspect.signature(callback, eval_str=True)
    option = inspect.Parameter("lang", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LangOption)
    spoken.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), option]
    )
    spoken.__annotations__ = {**callback.__annotations__, "lang": LangOption}
    return spoken


# ------------------------------------------------------------------------------------------------------ what is said


def text(english: str, *, language: str | None = None) -> str:
    """A heading, label or line in the language (default: the one in use)."""
    return phrases.text(english, language or current())


def meaning(code: str, message: str, *, language: str | None = None) -> str:
    """What an error or flag means, and its details in brackets; in English the message alone."""
    return phrases.meaning(code, message, language or current())


def label(code: str) -> str:
    """An error's code as it stands before its meaning."""
    return code if current() == ENGLISH else catalogue(current()).forms["code"].format(code)


def severity_text(finding: Finding, *, language: str | None = None) -> str:
    """How severe a finding is, in a word."""
    return text(finding.severity.value, language=language)


def finding_text(finding: Finding, *, language: str | None = None) -> str:
    """What a finding says: the codes it is about, and what the rule says of them."""
    return phrases.finding_text(finding, language or current())


def remedy_text(finding: Finding, *, language: str | None = None) -> str:
    """What a finding recommends."""
    return phrases.remedy_text(finding, language or current())


def rule_title(rule: str, english: str) -> str:
    """What a rule finds."""
    return english if current() == ENGLISH else catalogue(current()).titles.get(rule, english)


def name_of(book: CodeBook, system: System, code: str, english: str) -> str:
    """The name of a code in the language in use, where the book has one."""
    if current() == ENGLISH or system not in book.info.systems:
        return english
    return book.name(system, code, current()) or english


def named(record: CodedRecord, book: CodeBook) -> CodedRecord:
    """The record with the names of its codes in the language in use, where the book has them."""
    if current() == ENGLISH or current() not in book.info.languages:
        return record

    def renamed(codes: tuple[AssignedCode, ...]) -> tuple[AssignedCode, ...]:
        return tuple(code.with_(name=name_of(book, code.system, code.code, code.name)) for code in codes)

    return record.model_copy(update={"codes": renamed(record.codes), "suggestions": renamed(record.suggestions)})


def console_class() -> type[Console]:
    """rich's Console; in another language than English one that says headings, titles and known lines in it."""
    from rich.console import Console

    return Console if current() == ENGLISH else _speaking()


@functools.cache
def _speaking() -> type[Console]:
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

    def said(thing: Any) -> Any:
        if isinstance(thing, str):
            return text(thing)
        if isinstance(thing, Text) and not thing.spans:
            return Text(text(thing.plain))
        if isinstance(thing, Table):
            for column in thing.columns:
                column.header = said(column.header)
            thing.title, thing.caption = said(thing.title), said(thing.caption)
        if isinstance(thing, Group):
            return Group(*map(said, thing.renderables))
        return thing

    class Speaking(Console):
        """A console that translates what it prints, cells left alone."""

        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*map(said, objects), **options)

    return Speaking
