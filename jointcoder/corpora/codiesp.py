"""CodiEsp (Miranda-Escalada et al., CLEF eHealth 2020): Spanish case reports, ICD-10-CM and ICD-10-PCS, spans.

What to know when reading figures on it: every mention is coded, negated ones too (``only_negated`` marks codes
all of whose evidence is negated, by a heuristic); about half of the procedure codes have four characters by
design (``GoldCode.partial``); the edition is CIE-10-ES 2018, so some codes are no longer billable (``status``).
A discontinuous mention keeps its fragments; its span runs from the first to the last character, as the
task's own scorer reads it. The English files are machine-translated and have no spans.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jointcoder.corpora.base import Corpus, Row, Where, labelled, systems_of

NAME = "codiesp"
SLACK = 10  # characters a side, CodiEsp-X


def matches(row: Row) -> bool:
    codes = row.get("codes")
    return (
        isinstance(codes, list)
        and bool(codes)
        and all(isinstance(code, dict) and "only_negated_heur" in code for code in codes)
    )


def load(path: Path, rows: Iterable[tuple[Where, Row]]) -> Corpus:
    """All cases; raises InputError as :func:`jointcoder.corpora.base.labelled` does."""
    items = tuple(labelled(row, where) for where, row in rows)
    return Corpus(NAME, path, items, systems_of(items), slack=SLACK)
