"""Chinese books: ICD-10 (国家临床版, 医保版, 北京临床版) and ICD-9-CM-3 from tables `code<TAB>name`.

A code is opaque text: `x` fillers, dagger/asterisk pairs (`E11.401+G63.2*`) and glued morphology codes
(`C22.101M81600/3`) are one code each and stay as printed.

Which rows may be assigned: the tables print every term that coders assign, and the national editions assign a
full-length code (`E11.900`) even where extensions exist (`E11.900x001`). So a row is a heading only when it is shorter
than full length (six places: `A01.0`, `51.2`) and other rows extend it; any other row is assignable.
Headings that a table does not print (categories, subcategories) are put in with the beginning that the names
below them share, or the bare code; they can be walked through but not found by wording. Chapters are not put in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

from jointcoder.codebook.build.writer import Draft, Plan, Progress, describe_source, write
from jointcoder.codebook.model import BookInfo
from jointcoder.errors import AssetError, CodeBookError, UsageError, name_list
from jointcoder.records import System

FULL_LENGTH = 6
_CODE = re.compile(r"[A-Z0-9][0-9A-Za-z.+*/†]*")
_PLAIN = str.maketrans("", "", ".*†")
HEADING_LENGTHS = {System.ICD10CN: (3, 4), System.ICD9CM3: (2, 3, 4)}


@dataclass(frozen=True, slots=True)
class Edition:
    """A pair of tables that are used together, by file name."""

    title: str
    diagnoses: str
    procedures: str


@cache
def editions() -> Mapping[str, Edition]:
    """The editions known by name (`data/zh/editions.tsv`): id → their tables."""
    text = resources.files("jointcoder.codebook").joinpath("data", "zh", "editions.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and line[0] != "#")
    return {name: Edition(*columns) for name, *columns in rows}


def build_cn(
    edition: str,
    source: Path | Mapping[str, Path],
    target: Path,
    *,
    progress: Progress | None = None,
) -> BookInfo:
    """Build the folder ``target``.

    ``source``: a directory that holds the edition's files, or {"diagnoses": path, "procedures": path}; then
    ``edition`` may be any id. Raises AssetError JC206 for an unknown edition, JC205; CodeBookError JC502.
    """
    if isinstance(source, Mapping):
        paths = {name: Path(path) for name, path in source.items()}
        title = editions()[edition].title if edition in editions() else edition
    else:
        if edition not in editions():
            known = name_list(editions())
            raise AssetError("JC206", f"unknown code-book edition {edition!r}", hint=f"known editions: {known}")
        chosen = editions()[edition]
        title = chosen.title
        paths = {"diagnoses": source / chosen.diagnoses, "procedures": source / chosen.procedures}
    systems = {"diagnoses": System.ICD10CN, "procedures": System.ICD9CM3}
    if not paths or set(paths) - set(systems):
        raise UsageError("JC001", "a Chinese book is built from diagnoses and procedures", hint=name_list(systems))
    sources = [describe_source(path, path.name) for _, path in sorted(paths.items())]
    drafts: list[Draft] = []
    for name, path in sorted(paths.items()):
        drafts += _arrange(read_table(path), systems[name], start=len(drafts))
    plan = Plan(id=edition, edition=title, language="zh", drafts=drafts, sources=sources)
    return write(plan, target, progress=progress)


def read_table(path: Path) -> dict[str, str]:
    """code → name, in file order. UTF-8 or GBK, tab or comma. CodeBookError JC502 naming file and line."""
    lines = _decode(path).splitlines()
    if not lines:
        raise CodeBookError("JC502", f"{path.name}, line 1: the file is empty")
    separator = "\t" if "\t" in lines[0] else ","
    header = [column.strip().casefold() for column in lines[0].split(separator)]
    if header[:2] != ["code", "name"]:
        raise CodeBookError("JC502", f"{path.name}, line 1: expected the header code<TAB>name")
    rows: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        code, found, name = line.partition(separator)
        code, name = code.strip(), name.strip().strip('"')
        if not found or not name or not _CODE.fullmatch(code):
            raise CodeBookError("JC502", f"{path.name}, line {number}: expected a code, a separator and a name")
        if code in rows:
            raise CodeBookError("JC502", f"{path.name}, line {number}: {code} occurs twice")
        if code != name:  # a row that repeats its code is a divider
            rows[code] = name
    if not rows:
        raise CodeBookError("JC502", f"{path.name}, line 2: the file holds no codes")
    return rows


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CodeBookError("JC502", f"{path.name}: cannot be read ({error.strerror})") from None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
    raise CodeBookError("JC502", f"{path.name}, line {line}: neither UTF-8 nor GBK")


def _arrange(rows: Mapping[str, str], system: System, *, start: int) -> list[Draft]:
    """Rows → drafts in pre-order, headings put in; ``start`` is added to every parent's position."""
    printed = {_stem(code) for code in rows}
    headings = {
        stem[:length]
        for stem in map(_stem, rows)
        for length in HEADING_LENGTHS[system]
        if len(stem) >= FULL_LENGTH and stem[length - 1].upper() != "X" and "/" not in stem
    } - printed
    stems = sorted(printed | headings)
    extended = {a for a, b in pairwise(stems) if b.startswith(a)}
    below: dict[str, list[str]] = {}
    items = sorted([*((_stem(code), code) for code in rows), *((stem, "") for stem in headings)])
    for code, name in rows.items():
        for length in HEADING_LENGTHS[system]:
            below.setdefault(_stem(code)[:length], []).append(name)
    drafts: list[Draft] = []
    path: list[tuple[str, int]] = []  # open ancestors: stem, position
    for stem, code in items:
        while path and not (stem.startswith(path[-1][0]) and stem != path[-1][0]):
            path.pop()
        parent = path[-1][1] + start if path else None
        if code:
            billable = len(stem) >= FULL_LENGTH or stem not in extended
            drafts.append(Draft(system, code, rows[code], "code" if billable else "category", billable, parent))
        else:
            shared = os.path.commonprefix(below[stem])  # noqa: RUF071 - character by character is what is wanted
            name = shared if len(shared) > 1 else _dotted(stem, system)
            drafts.append(Draft(system, _dotted(stem, system), name, "category", False, parent, listed=False))
        path.append((stem, len(drafts) - 1))
    return drafts


def _stem(code: str) -> str:
    """What the hierarchy goes by: the code without dot and without its asterisk partner."""
    return code.partition("+")[0].translate(_PLAIN)


def _dotted(stem: str, system: System) -> str:
    place = 3 if system is System.ICD10CN else 2
    return stem if len(stem) <= place else f"{stem[:place]}.{stem[place:]}"
