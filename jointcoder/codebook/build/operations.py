"""What a table says of a procedure beside its name: 手术级别 (its grade) and 操作类别 (its category).

The words that may stand in these columns are data (``data/zh/operations.toml``). A word that is not among them says
nothing: a grade is taken from a table or left open, never derived. This module knows no files and no books.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources

from jointcoder.codebook.model import OPERATION_CATEGORIES, Operation

OPERATION_ROLES = ("grade", "category")
"""The columns, as roles of ``columns.tsv``, in the order in which :func:`read_operation` takes them."""


def read_operation(grade: str = "", category: str = "") -> Operation:
    """The cells of the two columns → what they say: ``read_operation("Ⅳ级", "手术")`` is grade 4, ``surgery``."""
    grades, categories = _words()
    return Operation(grades.get(_level(grade)), categories.get(_level(category), ""))


@cache
def _words() -> tuple[Mapping[str, int], Mapping[str, str]]:
    text = resources.files("jointcoder.codebook").joinpath("data", "zh", "operations.toml").read_text("utf-8")
    data = tomllib.loads(text)
    grades = {_level(word): int(grade) for grade, words in data["grade"].items() for word in words}
    categories = {_level(word): name for name in OPERATION_CATEGORIES for word in data["category"][name]}
    return grades, categories


def _level(cell: str) -> str:
    """A cell without what does not matter: width, case, blanks, punctuation; ``4.0`` of a workbook is ``4``."""
    text = unicodedata.normalize("NFKC", cell).strip().casefold().removesuffix(".0")
    return "".join(letter for letter in text if letter.isalnum())
