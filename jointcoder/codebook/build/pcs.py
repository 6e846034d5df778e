"""ICD-10-PCS: official files → nodes.

PCS titles are printed by code only; the section (1st character) and the table (first three characters) are put above
them, the table under the words its titles begin with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from jointcoder.codebook.build.writer import Draft, Part
from jointcoder.errors import CodeBookError
from jointcoder.records import System

_PCS_LINE = re.compile(r"([0-9A-HJ-NP-Z]{7})\s+(\S.*)")


def read(paths: Mapping[str, Path], *, start: int) -> Part:
    """The procedures of a book; ``start``: number of drafts before these."""
    return Part(drafts=list(_pcs_drafts(read_pcs(paths["pcs"]), start=start)))


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
