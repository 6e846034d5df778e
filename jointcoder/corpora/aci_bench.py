"""ACI-BENCH visit notes (Yim et al. 2023) with ICD-10-CM labels: English, outpatient, no spans, no order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jointcoder.corpora.base import Corpus, Row, Where, labelled, systems_of

NAME = "aci_bench"


def matches(row: Row) -> bool:
    """The notes keep the data set's own ids (D2N…)."""
    return isinstance(row.get("id"), str) and row["id"].startswith("D2N") and isinstance(row.get("text"), str)


def load(path: Path, rows: Iterable[tuple[Where, Row]]) -> Corpus:
    """All notes; raises InputError as :func:`jointcoder.corpora.base.labelled` does."""
    items = tuple(labelled(row, where) for where, row in rows)
    return Corpus(NAME, path, items, systems_of(items))
