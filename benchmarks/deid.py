"""Identifiers found in the marked sentences of tests/text/marked/deid.*.txt: precision and recall, both halves.

    python benchmarks/deid.py [--errors]     # errors of the half that patterns are tuned on; the other is not shown

*Recall*: identifiers that leave nothing of themselves in the text. *Precision*: stretches replaced that hold a marked
identifier. *Exact*: identifiers replaced from their first to their last character, under their own kind. Intervals:
Wilson 95 %. The sentences are ours and short: the figures show what the patterns know, not what a hospital's notes will
ask of them. Speed: characters a second through everything, on one core.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from jointcoder.records import Encounter
from jointcoder.text.deid import Deidentifier, Found, Identifier, Key, Wishes

MARKED = Path(__file__).resolve().parent.parent / "tests" / "text" / "marked"
FILES = {
    "English": ("en", "deid.en.txt"),
    "English, held back": ("en", "deid.en.held.txt"),
    "Chinese": ("zh", "deid.zh.txt"),
    "Chinese, held back": ("zh", "deid.zh.held.txt"),
    "Spanish": ("es", "deid.es.txt"),
}
_MARK = re.compile(r"<(?P<kind>[a-z]+)>(?P<text>.*?)</(?P=kind)>")
_SPEED_CHARACTERS = 20_000


@dataclass(frozen=True)
class Sentence:
    text: str
    marks: tuple[Found, ...]


@dataclass
class Score:
    sentences: int = 0
    marks: int = 0
    covered: int = 0
    exact: int = 0
    found: int = 0
    right: int = 0
    errors: list[str] = field(default_factory=list)


def sentences(path: Path) -> list[Sentence]:
    """The sentences of a file with the places of what is marked in them."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        plain, marks, place = "", [], 0
        for match in _MARK.finditer(line):
            plain += line[place : match.start()]
            start = len(plain)
            plain += match["text"]
            marks.append(Found(start, len(plain), Identifier(match["kind"])))
            place = match.end()
        found.append(Sentence(plain + line[place:], tuple(marks)))
    return found


def replaced(deid: Deidentifier, text: str, language: str) -> list[Found]:
    """What is replaced in the text: the parts of a date as one."""
    whole: list[Found] = []
    for one in deid.encounter(Encounter.from_text(text, language=language)).found[0]:
        start = whole.pop().start if one.further and whole else one.start
        whole.append(Found(start, one.end, one.kind))
    return whole


def score(deid: Deidentifier, file: Path, language: str) -> Score:
    total = Score()
    for sentence in sentences(file):
        total.sentences += 1
        found = replaced(deid, sentence.text, language)
        inside = {place for one in found for place in range(one.start, one.end)}
        total.marks += len(sentence.marks)
        total.found += len(found)
        for mark in sentence.marks:
            date = mark.kind is Identifier.DATE
            places = range(mark.start, mark.end)
            covered = all(place in inside for place in places if not date or _tells(sentence.text[place]))
            total.covered += covered
            total.exact += any(_same(one, mark) for one in found) and covered
            if not covered:
                total.errors.append(f"missed {mark.kind}: {sentence.text}")
        for one in found:
            right = any(one.start < mark.end and mark.start < one.end for mark in sentence.marks)
            total.right += right
            if not right:
                total.errors.append(f"wrong {one.kind} {sentence.text[one.start : one.end]!r}: {sentence.text}")
    return total


def _same(one: Found, mark: Found) -> bool:
    if mark.kind is Identifier.DATE:  # the marks between and after its numbers stay
        return one.kind is mark.kind and one.start >= mark.start and one.end <= mark.end
    return (one.start, one.end, one.kind) == (mark.start, mark.end, mark.kind)


def _tells(char: str) -> bool:
    """Of a date its numbers and the names of months tell the day; the marks between them may stay."""
    return char.isnumeric() or char.isupper() or char == "〇"


def wilson(hits: int, n: int) -> str:
    if not n:
        return "–"
    z, p = 1.96, hits / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return f"{p:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--errors", action="store_true", help="show what went wrong in the half that is tuned on")
    arguments = parser.parse_args()
    deid = Deidentifier(key=Key(bytes(32)), wishes=Wishes())
    table = Table("sentences", "n", "identifiers", "precision", "recall", "exact", title="de-identification")
    for name, (language, file) in FILES.items():
        one = score(deid, MARKED / file, language)
        row = (wilson(one.right, one.found), wilson(one.covered, one.marks), wilson(one.exact, one.marks))
        table.add_row(name, str(one.sentences), str(one.marks), *row)
        if arguments.errors and "held" not in name:
            for error in one.errors:
                print(error)
    console = Console(width=132)
    console.print(table)
    for language, file in (("en", "deid.en.txt"), ("zh", "deid.zh.txt")):
        text = "\n".join(sentence.text for sentence in sentences(MARKED / file))
        text *= _SPEED_CHARACTERS // len(text) + 1
        began = time.perf_counter()
        deid.look(text, language, days=10, year=2025)
        console.print(f"{language}: {len(text) / (time.perf_counter() - began):,.0f} characters a second to find")


if __name__ == "__main__":
    main()
