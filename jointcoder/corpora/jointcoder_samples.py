"""The samples of the JointCoder paper (Liu et al., ACL 2026): Chinese stays, diagnoses and procedures in order.

The order is clinical importance, the first of each kind is the principal one. A procedure may be listed twice;
it counts once. The system is written ``ICD-9-CM-3-CN`` there and read as an edition of ICD-9-CM-3.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jointcoder.corpora.base import Corpus, Row, Where, labelled, systems_of

NAME = "jointcoder_samples"


def matches(row: Row) -> bool:
    return isinstance(row.get("source"), str) and row["source"].startswith("JointCoder")


def load(path: Path, rows: Iterable[tuple[Where, Row]]) -> Corpus:
    """All stays; raises InputError as :func:`jointcoder.corpora.base.labelled` does."""
    items = tuple(labelled(row, where) for where, row in rows)
    return Corpus(NAME, path, items, systems_of(items), ordered=True)
