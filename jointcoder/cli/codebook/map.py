"""``jointcoder codebook map``: codes of one Chinese edition in another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.cli.codebook.shared import JsonOption, app, table
from jointcoder.errors import AssetError, CodeBookError, InputError, UsageError

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.crossmap import Conversion, CrossMap


@app.command("map")
def map_codes(
    source: Annotated[str, typer.Option("--from", help="Code book or table the codes are of, such as cn-guolin2.")],
    target: Annotated[str, typer.Option("--to", help="Code book or table to convert to, such as cn-yb2.")],
    codes: Annotated[list[str] | None, typer.Argument(help="Codes to convert.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", help="File of codes, one a line or in a column headed code; - for stdin.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert codes between Chinese editions by the published maps; without one, by equal name or code (not official).

    Prints code, name, target code, target name, relation: same, renamed, other-code; by-name, by-code (not official);
    one-to-many; none; unknown.
    """
    from jointcoder.codebook.crossmap import MANY, NONE, UNKNOWN

    wanted = [*(codes or ()), *_read(file)]
    if not wanted:
        raise InputError("JC101", "no codes to convert", hint="give codes as arguments, or a file of codes with --file")
    maps, source, target = _open(source, target)
    found = [maps.convert(code, source, target) for code in wanted]
    if all(one.relation == UNKNOWN for one in found):
        hint = "look for it with `jointcoder codebook search TEXT --book NAME`"
        raise CodeBookError("JC501", f"{_some(wanted)}: no such code in {source}", hint=hint)
    if as_json:
        used = sorted({name for one in found for name in (one.source, one.target)})
        titles = {name: maps.editions.get(name, name) for name in used}
        common.put_json({"from": source, "to": target, "editions": titles, "codes": [_value(one) for one in found]})
    else:
        rows = []
        for one in found:
            for to in one.targets:
                rows.append((one.code, one.name, to.code, to.name, MANY if one.relation == MANY else to.relation))
            if not one.targets:
                rows.append((one.code, one.name, "", "", one.relation))
        table(("code", "name", "target", "target name", "relation"), rows)
    counts = {name: sum(one.relation == name for one in found) for name in (NONE, UNKNOWN)}
    unofficial = sum(not one.official and bool(one.targets) for one in found)
    if counts[NONE]:
        common.say(f"{counts[NONE]:,} of {len(found):,} codes have no equivalent in {target}")
    if counts[UNKNOWN]:
        common.say(f"{counts[UNKNOWN]:,} of {len(found):,} codes are unknown in {source}")
    if unofficial:
        common.say(f"{unofficial:,} of {len(found):,} codes were converted by equal name or code: not official")


def _read(file: str | None) -> list[str]:
    from jointcoder.codebook.build.tables import read_codes

    if file is None:
        return []
    if file == "-":
        return read_codes(sys.stdin.buffer.read())
    path = Path(file)
    if not path.is_file():
        raise UsageError("JC001", f"--file: {file} is not a file")
    return read_codes(path)


def _open(source: str, target: str) -> tuple[CrossMap, str, str]:
    """The maps of the two books, and the ids the books go by. A name that is no installed book may still be that of a
    table, or of a book that a map leads to: then all Chinese books at hand are looked into."""
    from jointcoder.codebook import store
    from jointcoder.codebook.crossmap import CrossMap, no_map
    from jointcoder.settings import Settings

    settings = Settings.load()
    opened: dict[str, CodeBook] = {}
    missing: dict[str, AssetError] = {}
    for name in (source, target):
        try:
            opened[name] = store.open_book(settings, name)
        except AssetError as error:
            missing[name] = error
    others = [name for name in store.installed(settings) if missing and name.startswith("cn-") and name not in opened]
    maps = CrossMap(*opened.values(), *(store.open_book(settings, name) for name in others))
    for name, problem in missing.items():
        if problem.code == "JC203" and not maps.tables(name) and len(missing) == 1:  # a book of another country
            raise no_map(source, target)
        if not maps.books or not maps.tables(name):
            raise problem
    ids = [opened[name].info.id if name in opened else name for name in (source, target)]
    return maps, ids[0], ids[1]


def _value(one: Conversion) -> dict[str, Any]:
    targets = [{"code": to.code, "name": to.name, "relation": to.relation} for to in one.targets]
    fields = ("code", "name", "system", "source", "target", "relation", "official")
    return {name: getattr(one, name) for name in fields} | {"targets": targets}


def _some(codes: list[str]) -> str:
    return ", ".join(codes[:5]) + (f" … ({len(codes)} in all)" if len(codes) > 5 else "")
