"""CCL25-Eval task 8: Chinese cardiology stays, one principal and several other diagnoses from a closed set.

The first code is the principal one; the others have no order. Codes outside the closed set are unlabelled, not
wrong (``Corpus.closed``). Two layouts: full text by section, and lists of extracted entities, which are written
out as one line per entity kind (``meta["has_fulltext"]`` tells whether the text exists elsewhere).
The unlabelled split loads with no gold codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jointcoder.corpora.base import Corpus, Row, Where, labelled, systems_of

NAME = "ccl25"


def matches(row: Row) -> bool:
    return isinstance(row.get("source"), str) and row["source"].startswith("CCL25")


def load(path: Path, rows: Iterable[tuple[Where, Row]]) -> Corpus:
    """All stays; raises InputError as :func:`jointcoder.corpora.base.labelled` does."""
    items = tuple(labelled(_written_out(row), where) for where, row in rows)
    return Corpus(NAME, path, items, systems_of(items), closed=True)


def _written_out(row: Row) -> Row:
    sections = row.get("sections")
    if not isinstance(sections, dict) or not any(isinstance(value, list) for value in sections.values()):
        return row
    return {**row, "sections": {name: _lines(value) for name, value in sections.items()}}


def _lines(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    entities = [entry for entry in value if isinstance(entry, dict)]
    return "\n".join(f"{kind}: {names}" for entry in entities for kind, names in entry.items() if names)
