"""Long titles of ICD-10-PCS composed from the labels of its tables, for codes that no list of titles holds.

A title is the labels of the seven axes in the order of a template ("{3} of {4}[ with {6}], {5}"), each label turned
into its wording ("Kidney, Right" → "Right Kidney", "Open" → "Open Approach", "No Device" → nothing). Both are data:
`data/en/pcs_titles.tsv` and `data/en/pcs_labels.tsv`, learnt from the official titles of FY2024, of which 99.9 % come
out letter for letter. This module knows no files of the publisher.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources

_CHARACTER = re.compile(r"\[([^\]]+)\]|(.)")
_SLOT = re.compile(r"\{(\d)(?:\|(\d))?\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(.)-(.)")

Pattern = tuple[frozenset[str] | None, ...]


def data_rows(name: str) -> Iterator[list[str]]:
    """The rows of a table of this package (`data/en/<name>.tsv`) as columns."""
    text = resources.files("jointcoder.codebook").joinpath("data", "en", f"{name}.tsv").read_text("utf-8")
    return (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))


def pattern(text: str) -> Pattern:
    """``"0[2-4].Z"`` → for each character the set that fits, None for any. ValueError for anything else."""
    found: list[frozenset[str] | None] = []
    for m in _CHARACTER.finditer(text):
        if m[1]:
            spelt = _RANGE.sub(lambda r: "".join(map(chr, range(ord(r[1]), ord(r[2]) + 1))), m[1])
            found.append(frozenset(spelt))
        elif m[2] in "[]":
            raise ValueError(f"unbalanced brackets in {text!r}")
        else:
            found.append(None if m[2] == "." else frozenset(m[2]))
    return tuple(found)


def fits(wanted: Pattern, code: str) -> bool:
    """Whether the characters of ``code`` fit, as far as both go."""
    return all(allowed is None or character in allowed for allowed, character in zip(wanted, code, strict=False))


class Composer:
    """Titles by :meth:`title`. Patterns are narrowed to each table once, wordings remembered."""

    def __init__(self) -> None:
        self._templates = [(pattern(codes), template) for codes, template in data_rows("pcs_titles")]
        self._wordings = [
            (pattern(place), re.compile(label), wording) for place, label, wording in data_rows("pcs_labels")
        ]
        self._headings = [(pattern(tables), template) for tables, template in data_rows("pcs_headings")]
        self._near = lru_cache(maxsize=None)(self._of_table)
        self._wording = lru_cache(maxsize=None)(self._find_wording)

    def title(self, code: str, labels: Sequence[str]) -> str:
        """The title of a seven-character code from its seven labels."""
        template = next(template for wanted, template in self._near(code[:3]) if fits(wanted, code))
        words = [self._wording(code[0], place, label) for place, label in enumerate(labels, start=1)]
        return _fill(template, words)

    def heading(self, code: str, labels: Sequence[str]) -> str:
        """The name of a heading of four characters from its first four labels."""
        template = next(template for wanted, template in self._headings if fits(wanted, code))
        words = [self._wording(code[0], place, label) for place, label in enumerate(labels[:4], start=1)]
        return _fill(template, words)

    def _of_table(self, table: str) -> list[tuple[Pattern, str]]:
        return [(wanted, template) for wanted, template in self._templates if fits(wanted, table)]

    def _find_wording(self, section: str, place: int, label: str) -> str:
        for where, wanted, wording in self._wordings:
            if fits(where, f"{section}{place}") and (m := wanted.fullmatch(label)):
                return m.expand(wording)
        return label


def _fill(template: str, words: Sequence[str]) -> str:
    def word(slot: re.Match[str]) -> str:
        return words[int(slot[1]) - 1] or (words[int(slot[2]) - 1] if slot[2] else "")

    def optional(part: re.Match[str]) -> str:
        kept = all(word(slot) for slot in _SLOT.finditer(part[1]))
        return _SLOT.sub(word, part[1]) if kept else ""

    return _SLOT.sub(word, _OPTIONAL.sub(optional, template))
