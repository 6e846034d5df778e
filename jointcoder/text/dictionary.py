"""A hospital's own words and abbreviations: two tables that the settings may name.

`user_dictionary`: a word a line, to be kept whole when Chinese is segmented; if wanted its frequency and its tag follow
(the format of jieba). `abbreviations`: a short form and what it stands for, tab-separated; if wanted the other columns
of the program's own tables follow.

Text files in UTF-8 or what :mod:`jointcoder.text.decode` knows besides; blank lines and those that begin with ``#`` are
passed over. A wrong line is an error that names file and line, never its content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jointcoder.errors import InputError
from jointcoder.text.decode import decode

KINDS = ("dx", "px", "other")
CAUTIONS = ("yes", "no")
_ENTRY = re.compile(r"(?P<word>\S+)(?:\s+(?P<frequency>\d+))?(?:\s+(?P<tag>[A-Za-z]+))?\s*")
_COLUMNS = 6


@dataclass(frozen=True)
class Entry:
    """A word of a user dictionary; jieba reckons a frequency that keeps it whole where none is given."""

    word: str
    frequency: int | None = None
    tag: str | None = None


def read_dictionary(path: Path) -> tuple[Entry, ...]:
    """The words of a user dictionary. InputError JC107 (cannot be read) or JC151 (a line is none of a word, frequency
    and tag), and those of :func:`jointcoder.text.decode.decode`."""
    found = []
    for number, line in _lines(path):
        entry = _ENTRY.fullmatch(line.strip())
        if entry is None:
            hint = "one word a line, if wanted followed by its frequency and its tag"
            raise InputError("JC151", f"{path.name}, line {number}: no word of a dictionary", hint=hint)
        frequency = int(entry["frequency"]) if entry["frequency"] else None
        found.append(Entry(entry["word"], frequency, entry["tag"]))
    return tuple(found)


def read_abbreviations(path: Path) -> tuple[tuple[str, ...], ...]:
    """Rows of a table of abbreviations, six columns each (form, expansion, kind, caution, unless, only with).

    InputError JC107 (cannot be read) or JC152 (a line lacks form or expansion, or says another kind or caution), and
    those of :func:`jointcoder.text.decode.decode`.
    """
    found = []
    for number, line in _lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        filled = (*cells, *[""] * (_COLUMNS - len(cells)))
        row = (*filled[:2], filled[2] or "other", filled[3] or "no", *filled[4:])
        if len(row) > _COLUMNS or not (row[0] and row[1]) or row[2] not in KINDS or row[3] not in CAUTIONS:
            hint = f"tab-separated: form, expansion, and if wanted kind ({', '.join(KINDS)}), caution (yes, no)"
            raise InputError("JC152", f"{path.name}, line {number}: no row of a table of abbreviations", hint=hint)
        found.append(row)
    return tuple(found)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        data = path.expanduser().read_bytes()
    except OSError as error:
        raise InputError("JC107", f"{path.name}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(decode(data).text.splitlines() if data.strip() else (), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line
