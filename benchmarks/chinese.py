"""Chinese wordings → codes of the US book: how often the right code is among the first.

    python benchmarks/chinese.py [--book us-2026] [--json] [--misses] [--names N]

* `looked at`, `held back`: wordings of our own with their codes (`benchmarks/data/zh_us.tsv`, `zh_us_held.tsv`). The
  word tables were made with the misses of the first in view, and of the second only its figures. A wording that leaves
  something open (the device of a hip joint) is answered by any code that it allows.
* `mentions`: what physicians wrote, from the development half of CHIP-CDN (folder `JOINTCODER_DATA`, else
  `../shared/data`; items of one term), and `names`: those of a Chinese book (`cn-yb2`, every n-th). Where the three
  characters of the Chinese code are a category of ICD-10-CM too: is a code of that category found? The two
  classifications differ in places, so 1 cannot be reached.

Search by words, without vectors; `stage` is what the standardise stage makes of the wording, without a model, its first
code. Rows that cannot be computed are named with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.store import open_book
from jointcoder.coder import Coder
from jointcoder.corpora import load_terms
from jointcoder.errors import JointCoderError
from jointcoder.records import Kind, System
from jointcoder.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benchmarks" / "data"
SETS = {"looked at": "zh_us.tsv", "held back": "zh_us_held.tsv"}
KINDS = {"dx": Kind.DIAGNOSIS, "px": Kind.PROCEDURE}
KS = (1, 5, 10)
CHINESE = "cn-yb2"
NAMES = 1500


@dataclass(frozen=True)
class Item:
    """A wording and the codes that answer it, as patterns without dots."""

    wording: str
    codes: tuple[str, ...]

    def answered(self, code: str) -> bool:
        return any(fnmatchcase(normalise_code(code), pattern) for pattern in self.codes)


def items(file: str, kind: str) -> list[Item]:
    lines = (DATA / file).read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return [Item(word, tuple(codes.replace(".", "").split())) for one, word, codes in rows if one == kind]


def categories(american: Lookup, pairs: Iterable[tuple[str, str]]) -> list[Item]:
    """Wordings with a code of ICD-10 whose category ICD-10-CM has too."""
    wanted = System.ICD10CM
    held = {key for (key,) in american.book.rows("SELECT substr(key, 1, 3) FROM node WHERE system = ?", wanted)}
    return [Item(wording, (f"{code[:3]}*",)) for wording, code in pairs if code[:3] in held]


def mentions(american: Lookup) -> list[Item]:
    """What physicians wrote, with the category of the one code given to it."""
    folder = Path(os.environ.get("JOINTCODER_DATA", ROOT.parent / "shared" / "data"))
    one = (item for item in load_terms(folder / "chip_cdn" / "dev.jsonl").items if len(item.names) == 1)
    return categories(american, [(item.mention, item.codes["bj601"][0] or "") for item in one])


def names(settings: Settings, american: Lookup, number: int) -> list[Item]:
    """Names of a Chinese book, evenly spread."""
    rows = open_book(settings, CHINESE).rows(
        "SELECT name, key FROM node WHERE system = ? AND billable ORDER BY id", System.ICD10CN
    )
    shared = categories(american, rows)
    return shared[:: max(1, len(shared) // number)]


def ranks(lookup: Lookup, kind: Kind, asked: Sequence[Item]) -> Iterator[int | None]:
    """For each item the place of the first code that answers it, from 0, among the first ten."""
    for item in asked:
        hits = lookup.search(item.wording, kind=kind, lang="zh", k=max(KS), billable=True)
        yield next((place for place, hit in enumerate(hits) if item.answered(hit.code)), None)


def staged(coder: Coder, kind: Kind, asked: Sequence[Item]) -> float:
    """Share of items whose first code of the standardise stage answers them."""
    chosen = coder.normalise([item.wording for item in asked], kind=kind, language="zh")
    right = (
        bool(pairs) and item.answered(normalise_code(pairs[0][1])) for item, pairs in zip(asked, chosen, strict=True)
    )
    return round(sum(right) / len(asked), 3)


def measured(settings: Settings, book: str, number: int, skipped: list[str]) -> Iterator[dict[str, Any]]:
    settings = settings.model_copy(update={"dense": "off"})
    coder = Coder(settings, code_book=book, workflow="lexical")
    lookup = coder.tools.lookup
    tasks = [(f"{title}, {kind}", KINDS[kind], items(file, kind)) for title, file in SETS.items() for kind in KINDS]
    for title, prepare in (("mentions", lambda: mentions(lookup)), ("names", lambda: names(settings, lookup, number))):
        try:
            tasks.append((f"{title}, dx", Kind.DIAGNOSIS, prepare()))
        except JointCoderError as error:
            skipped.append(f"{title}: {error}")
    for title, kind, asked in tasks:
        found = list(ranks(lookup, kind, asked))
        shares = {f"R@{k}": round(sum(r is not None and r < k for r in found) / len(found), 3) for k in KS}
        missed = [item.wording for item, rank in zip(asked, found, strict=True) if rank is None or rank > 0]
        yield {"set": title, "n": len(asked), **shares, "stage": staged(coder, kind, asked), "missed": missed}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--book", default="us-2026")
    parser.add_argument("--names", type=int, default=NAMES, help="names of the Chinese book")
    parser.add_argument("--misses", action="store_true", help="print what was not first, of the set looked at")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    skipped: list[str] = []
    rows = list(measured(Settings.load(), arguments.book, arguments.names, skipped))
    if arguments.json:
        print(json.dumps({"rows": rows, "skipped": skipped}, ensure_ascii=False))
        return 0
    for row in rows:
        print(
            f"{row['set']:<16} n {row['n']:>5}  "
            + "  ".join(f"R@{k} {row[f'R@{k}']:.3f}" for k in KS)
            + f"  stage {row['stage']:.3f}"
        )
        if arguments.misses and row["set"].startswith("looked at"):
            print("   ", "、".join(row["missed"]))
    for reason in skipped:
        print(f"left out: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
