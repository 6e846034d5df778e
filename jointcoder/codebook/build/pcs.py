"""ICD-10-PCS: official files → nodes and tables of a book.

| key of ``paths`` | file | what it gives |
|---|---|---|
| `pcs` | list of codes and long titles, or the order file (number, code, flag, short title, long title) | titles |
| `pcs_tables` | tables, XML | which codes exist, their axes; titles are composed where no list has them |
| `pcs_definitions` | definitions, XML | definitions, body-part, device and substance keys |
| `pcs_index` | index, XML | index, and wordings of codes and headings |

The nodes: section (1st character) → table (first three; not searched by wording) → body part (first four) → codes.
A book of titles alone has no body-part headings, its tables are called by the words its titles begin with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from jointcoder.codebook.build.files import malformed, version_of, year_of
from jointcoder.codebook.build.pcs_tables import PcsTable, book_table, read_tables, table_rows
from jointcoder.codebook.build.pcs_terms import Terms
from jointcoder.codebook.build.pcs_titles import Composer, data_rows, fits, pattern
from jointcoder.codebook.build.writer import Draft, Part
from jointcoder.codebook.pcs_axes import LETTERS
from jointcoder.errors import CodeBookError
from jointcoder.records import System

_LINE = re.compile(rf"([{LETTERS}]{{7}})\s+(\S.*)")
_ORDER = re.compile(rf"(?=\d{{5}} )(?P<number>.{{5}}) (?P<code>[{LETTERS}]{{3,7}}) +(?P<flag>[01]) (?P<titles>.+)")
_SHORT = 60  # columns of the short title in an order file
SYNONYM = "synonym"
"""Kind of the wordings of a heading with another name for its body part."""
_SIDES = re.compile(r"\b(Right|Left|Bilateral)\b")

Titles = Sequence[tuple[str, str]]


def read(paths: Mapping[str, Path], *, start: int) -> Part:
    """The procedures of a book; ``start``: number of drafts before these. At least one of `pcs` and `pcs_tables`.

    CodeBookError JC502 for a malformed file. Titles of a list are used where its edition is not newer than the tables'.
    """
    titles = read_pcs(paths["pcs"]) if "pcs" in paths else []
    if "pcs_tables" not in paths:
        part = Part(drafts=list(_drafts_of_titles(titles, start=start)))
        tables: list[PcsTable] = []
    else:
        tables = read_tables(paths["pcs_tables"])
        listed, edition = year_of(paths["pcs"]) if "pcs" in paths else None, version_of(paths["pcs_tables"])
        newer = listed is not None and edition is not None and listed > edition
        part = _part_of_tables(tables, {} if newer else dict(titles), start=start)
    if "pcs_definitions" in paths or "pcs_index" in paths:
        terms = Terms.of(tables)
        if "pcs_definitions" in paths:
            terms.read_definitions(paths["pcs_definitions"])
        if "pcs_index" in paths:
            terms.read_index(paths["pcs_index"])
            _add_wordings(part.drafts, terms)
        _add_synonyms(part.drafts, terms, tables)
        part += Part(tables=terms.tables())
    return part


def read_pcs(path: Path) -> list[tuple[str, str]]:
    """(code, long title) by code. CodeBookError JC502 naming file and line."""
    rows: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                code, title = _row(path, number, line.rstrip("\n\r"))
                if code in rows:
                    raise malformed(path, f"{code} occurs twice", line=number)
                if title:
                    rows[code] = title
    except (OSError, UnicodeDecodeError) as error:
        raise CodeBookError("JC502", f"{path.name}: cannot be read ({type(error).__name__})") from None
    if not rows:
        raise malformed(path, "the file holds no codes", line=1)
    return sorted(rows.items())


def _row(path: Path, number: int, line: str) -> tuple[str, str]:
    """Code and long title of a line; no title for the heading lines of an order file."""
    m = _ORDER.fullmatch(line)
    if m:
        short, long = m["titles"][:_SHORT].strip(), m["titles"][_SHORT:].strip()
        if (len(m["code"]) == 7) != (m["flag"] == "1") or not (short and long):
            raise malformed(
                path, "expected number, code, flag, short title and long title in fixed columns", line=number
            )
        return m["code"], long if m["flag"] == "1" else ""
    m = _LINE.fullmatch(line.strip())
    if m is None:
        raise malformed(path, "expected a seven-character code in capitals and a title", line=number)
    return m[1], m[2]


# ------------------------------------------------------------------------------------------------ from the tables


def _part_of_tables(tables: Sequence[PcsTable], titles: Mapping[str, str], *, start: int) -> Part:
    composer = Composer()
    drafts: list[Draft] = []
    defaults: list[tuple[str, str]] = []
    section = ""
    section_at = 0
    for table in tables:
        first, system, operation = (axis.values[0][1] for axis in table.head)
        if table.prefix[0] != section:
            section, section_at = table.prefix[0], start + len(drafts)
            drafts.append(Draft(System.ICD10PCS, section, first, "chapter", False))
        table_at = start + len(drafts)
        name = f"{first}, {system}, {operation}"
        drafts.append(Draft(System.ICD10PCS, table.prefix, name, "category", False, section_at, listed=False))
        heading, heading_at = "", 0
        codes = dict(table.codes())
        for code in sorted(codes):
            if code[:4] != heading:
                heading, heading_at = code[:4], start + len(drafts)
                drafts.append(Draft(System.ICD10PCS, heading, "", "category", False, table_at))
            title = titles.get(code) or composer.title(code, codes[code])
            drafts.append(Draft(System.ICD10PCS, code, title, "code", True, heading_at))
        _name_headings(drafts, table_at - start, codes, composer)
        defaults += _defaults(table.prefix, sorted(codes), approached=table.rows[0][1].title)
    return Part(drafts=drafts, tables=[*table_rows(list(tables)), book_table("pcs_default", defaults)])


def _name_headings(drafts: list[Draft], first: int, codes: Mapping[str, tuple[str, ...]], composer: Composer) -> None:
    """A heading whose fourth character has two labels (they differ by row) bears both."""
    parts: dict[str, dict[tuple[str, ...], None]] = {}
    for code, labels in codes.items():
        parts.setdefault(code[:4], {})[labels[:4]] = None
    for draft in drafts[first:]:
        if len(draft.code) == 4:
            draft.name = "; ".join(composer.heading(draft.code[:3], labels) for labels in parts[draft.code])


def _defaults(table: str, codes: Sequence[str], *, approached: str) -> Iterator[tuple[str, str]]:
    """(heading, code it stands for when a text says no more): the approach usual for the operation
    (`data/en/pcs_defaults.tsv`), no device and no qualifier or the only ones there are; none where a choice is left."""
    order = next(order for wanted, order in _orders() if fits(wanted, table))
    headings: dict[str, list[str]] = {}
    for code in codes:
        headings.setdefault(code[:4], []).append(code)
    for heading, found in headings.items():
        left = found
        for place in (6, 5):
            left = _plain(left, place)
        if approached == APPROACH:
            left = sorted(left, key=lambda code: order.find(code[4]) if code[4] in order else len(order))
            left = [code for code in left if code[4] == left[0][4]]
        else:
            left = _plain(left, 4)
        if len(left) == 1:
            yield heading, left[0]


APPROACH = "Approach"


def _plain(codes: Sequence[str], place: int) -> list[str]:
    """The codes with "none" (Z) at a place, where some have it."""
    return [code for code in codes if code[place] == "Z"] or list(codes)


def _orders() -> list[tuple[tuple[frozenset[str] | None, ...], str]]:
    return [(pattern(tables), order) for tables, order in data_rows("pcs_defaults")]


def _add_wordings(drafts: Iterable[Draft], terms: Terms) -> None:
    """Index lines as wordings of the nodes they lead to; those of one side say it."""
    nodes = {draft.code: draft for draft in drafts if len(draft.code) in (4, 7)}
    for code, wording in terms.wordings({code for code, draft in nodes.items() if draft.billable}):
        sides = [side for side in _SIDES.findall(nodes[code].name) if side.casefold() not in wording.casefold()]
        nodes[code].terms.append(("en", "index", ", ".join((wording, *(side.casefold() for side in sides)))))


def _add_synonyms(drafts: Iterable[Draft], terms: Terms, tables: Sequence[PcsTable]) -> None:
    """The synonyms of a body part in the name of its headings: "Repair Achilles tendon, right"."""
    composer = Composer()
    nodes = {draft.code: draft for draft in drafts if len(draft.code) == 4}
    heads = {table.prefix: [axis.values[0][1] for axis in table.head] for table in tables}
    for heading, synonym in terms.named():
        side = _SIDES.search(nodes[heading].name)
        named = composer.heading(heading[:3], [*heads[heading[:3]], synonym])
        nodes[heading].terms.append(("en", SYNONYM, f"{named}, {side[0].casefold()}" if side else named))


# ---------------------------------------------------------------------------------------------- from titles alone


def _drafts_of_titles(rows: Titles, *, start: int) -> Iterator[Draft]:
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
