"""``jointcoder codebook info | search | show``: what the code book holds, searching it, showing a branch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common, language
from jointcoder.cli.codebook.shared import BookOption, JsonOption, app, open_book, table
from jointcoder.errors import CodeBookError, UsageError

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.model import Entry, Hit
    from jointcoder.records import Kind

KINDS = {"dx": "diagnosis", "px": "procedure", "diagnosis": "diagnosis", "procedure": "procedure"}


@app.command()
def info(book: BookOption = None, as_json: JsonOption = False) -> None:
    """Say what the code book holds and what it was built from; list the installed books."""
    from jointcoder.codebook.store import installed
    from jointcoder.settings import Settings

    opened = open_book(book)
    facts = opened.info
    books = installed(Settings.load())
    value = {
        "id": facts.id,
        "edition": facts.edition,
        "languages": list(facts.languages),
        "sha256": facts.sha256,
        "path": str(opened.path),
        "systems": {system: dict(facts.counts[system]) for system in facts.systems},
        "sources": [{"name": s.name, "sha256": s.sha256, "bytes": s.bytes} for s in facts.sources],
        "installed": books,
    }
    if as_json:
        common.put_json(value)
        return
    rows = [("id", facts.id), ("edition", facts.edition), ("languages", ", ".join(facts.languages))]
    for system, n in facts.counts.items():
        rows.append((str(system), language.text(f"{n['entries']:,} entries, {n['billable']:,} assignable")))
    rows += [("sha256", facts.sha256), ("folder", str(opened.path))]
    rows += [(f"source {s.name}", f"{s.bytes:,} bytes, sha256 {s.sha256[:16]}…") for s in facts.sources]
    rows.append(("installed", ", ".join(books) or language.text("(none)")))
    table(("", ""), [(language.text(label), value) for label, value in rows])


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="A condition or procedure in words.")],
    book: BookOption = None,
    kind: Annotated[str | None, typer.Option("--kind", help="dx or px; both when left out.")] = None,
    lang: Annotated[str | None, typer.Option("--lang", help="Language of the words: en, es, zh.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=200, help="How many codes a kind.")] = 10,
    billable: Annotated[bool, typer.Option("--billable", help="Assignable codes only.")] = False,
    source: Annotated[
        str | None, typer.Option("--source", help="lexical (words), dense (meaning) or fused; all there is by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find codes by wording."""
    from jointcoder.codebook.lookup import Lookup

    dense = "on" if source == "dense" else "off" if source == "lexical" else "auto"
    opened = open_book(book)
    lookup = Lookup(opened, dense=dense)
    hits = [
        hit
        for one in _kinds(kind)
        for hit in lookup.search(
            text, kind=one, lang=lang, k=k, billable=True if billable else None, source=source or "fused"
        )
    ]

    def named(hit: Hit) -> str:
        return language.name_of(opened, hit.system, hit.code, hit.name)

    if lookup.notice:
        common.warn("JC002", f"searched by words only: {lookup.notice}")
    if as_json:
        fields = ("system", "code", "name", "term", "lang", "score")
        values = [
            {name: getattr(hit, name) for name in fields} | {"name": named(hit), "sources": list(hit.sources)}
            for hit in hits
        ]
        common.put_json(values)
    else:
        rows = [
            (hit.system, hit.code, f"{hit.score:.3f}", ", ".join(hit.sources), named(hit), hit.term) for hit in hits
        ]
        table(("system", "code", "score", "found by", "name", "matched wording"), rows)


@app.command()
def show(code: str, book: BookOption = None, as_json: JsonOption = False) -> None:
    """Show a code: the branch it stands on, its notes, its wordings, its dates, what is below."""
    opened = open_book(book)
    entry = opened.find(code)
    if entry is None:
        hint = "find codes by wording with `jointcoder codebook search TEXT`"
        raise CodeBookError("JC501", f"unknown code {code!r} in the code book {opened.info.id}", hint=hint)
    if as_json:
        common.put_json(_described(opened, entry))
    elif sys.stdout.isatty():
        from jointcoder.cli.codebook.branch import branch

        common.stdout().print(branch(opened, entry))
    else:
        table(("", "code", "text"), list(_lines(opened, entry)))


def _kinds(name: str | None) -> tuple[Kind, ...]:
    from jointcoder.records import Kind

    if name is None:
        return tuple(Kind)
    if name not in KINDS:
        raise UsageError("JC001", f"--kind: unknown kind {name!r}", hint="known: dx, px")
    return (Kind(KINDS[name]),)


def _described(book: CodeBook, entry: Entry) -> dict[str, Any]:
    def brief(one: Entry) -> dict[str, Any]:
        return {"code": one.code, "name": shown_name(one), "level": one.level, "billable": one.billable}

    notes = book.notes(entry.system, entry.code, inherited=True)
    return {
        "system": entry.system,
        **brief(entry),
        "names": dict(entry.names),
        "terms": [{"text": t.text, "lang": t.lang, "kind": t.kind} for t in book.terms(entry.system, entry.code)],
        "ancestors": [brief(one) for one in book.ancestors(entry.system, entry.code)],
        "children": [brief(one) for one in book.children(entry.system, entry.code)],
        "notes": [{"kind": n.kind, "origin": n.origin, "label": n.label, "text": n.text} for n in notes.lines()],
        "validity": [
            {"start": p.start.isoformat(), "end": p.end.isoformat()} for p in book.validity(entry.system, entry.code)
        ],
        "edits": sorted(book.edits(entry.system, entry.code)),
        **_operation(book, entry),
    }


def shown_name(entry: Entry) -> str:
    """The entry's name in the language in use, else in the book's first."""
    return entry.names.get(language.current(), entry.name) if language.current() != language.ENGLISH else entry.name


def _operation(book: CodeBook, entry: Entry) -> dict[str, Any]:
    """Grade and category of a procedure, where the book's table has them."""
    operation = book.operation(entry.system, entry.code)
    held = {"grade": operation.grade, "category": operation.category}
    return {name: value for name, value in held.items() if value}


def _lines(book: CodeBook, entry: Entry) -> Iterator[tuple[str, str, str]]:
    """The branch from the chapter down, each heading with its notes, then the entry and what is below it."""
    for one in (*reversed(book.ancestors(entry.system, entry.code)), entry):
        level = language.text(one.level)
        if one is entry and not one.billable:
            level = language.text(f"{one.level} (not assignable)")
        yield level, one.code, shown_name(one)
        for note in book.notes(one.system, one.code).lines():
            yield f"  {language.text(note.kind.replace('_', ' '))}", note.label, note.text
    for spoken, name in entry.names.items():
        if name != shown_name(entry):
            yield language.text("name"), spoken, name
    for label, value in _operation(book, entry).items():
        yield language.text(label), "", language.text(str(value))
    for period in book.validity(entry.system, entry.code):
        yield language.text("valid"), "", f"{period.start} {language.text('to')} {period.end}"
    for child in book.children(entry.system, entry.code):
        yield language.text("below"), child.code, shown_name(child)
