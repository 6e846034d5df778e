"""Which child a heading stands for when the text says no more: the default code.

ICD-10-CM prints it as "unspecified" (guidelines I.A.6.b, I.B.18), in inclusion terms as "NOS", by the last digit 9
(or 0 for "unspecified side"), and among 7th characters as A (initial encounter) or 0 (not applicable). Chinese
editions print no such word at many places but keep the digits. Cues and weights: `data/<language>/defaults.tsv`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import Entry

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook

SEVENTH = ("A", "0")
ENOUGH = 0.9


def default_child(book: CodeBook, entry: Entry) -> Entry | None:
    """The child that ``entry`` means by default, or None when its children are equals."""
    children = book.children(entry.system, entry.code)
    if len(children) == 1:
        return children[0]
    if children and all(len(normalise_code(child.code)) == 7 and child.billable for child in children):
        sevenths = {note.label for note in book.notes(entry.system, entry.code, inherited=True).seventh_characters}
        if sevenths >= {normalise_code(child.code)[6] for child in children}:
            for label in SEVENTH:
                for child in children:
                    if normalise_code(child.code)[6] == label:
                        return child
            return None
    scored = sorted(((_score(book, child), child) for child in children), key=lambda pair: -pair[0])
    if not scored or scored[0][0] < ENOUGH or (len(scored) > 1 and scored[0][0] == scored[1][0]):
        return None
    return scored[0][1]


def _score(book: CodeBook, child: Entry) -> float:
    cues = _cues(book.info.languages[0])
    name = child.name.casefold()
    score = sum(weight * name.count(cue) for cue, weight in cues)
    inclusions = [n.text.casefold() for n in book.notes(child.system, child.code).inclusion_terms]
    score += max((sum(w for cue, w in cues if f" {text} ".endswith(f" {cue} ")) for text in inclusions), default=0.0)
    key = normalise_code(child.code).split("+")[0]
    tail = key.rstrip("0X") if len(key) > 4 and key.endswith("00") else key
    return score + (1.0 if tail.endswith("9") else 0.5 if key.endswith(("0", "X")) else 0.0)


@lru_cache(maxsize=8)
def _cues(language: str) -> tuple[tuple[str, float], ...]:
    file = resources.files("jointcoder.codebook").joinpath("data", language, "defaults.tsv")
    if not file.is_file():
        return ()
    lines = (line.split("\t") for line in file.read_text("utf-8").splitlines() if line and line[0] != "#")
    return tuple((cue, float(weight)) for cue, weight in lines)
