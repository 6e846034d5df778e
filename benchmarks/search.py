"""Searching the code books: how fast, and how often the right code is among the first.

    python benchmarks/search.py [--json] [--limit N] [--only speed|recall]

Speed: median milliseconds a query in one process, beside the limits; every query is new to the lookup.
Recall on the development halves of three corpora (folder `JOINTCODER_DATA`, else `../shared/data`), by source:

* Yidu-N7K, CHIP-CDN (items of one term): mention → standard term, in the book of their editions (`cn-bj601`);
* CodiEsp: Spanish mention → code, in the US book, whose names are English. Assignable codes are asked for. A gold code
  that is no longer assignable, or that has fewer characters than a code (half of the procedures), is found by any
  code below it; one that the book does not hold at all stays in the denominator.

`+ aliases`: wordings of the training half, weighed by how often they were given the code. Wilson 95 % intervals.
Rows that cannot be computed are named with the reason. Not covered: what the steps make of the hits
(`jointcoder evaluate`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.lookup.aliases import Alias, Aliases
from jointcoder.codebook.store import open_book
from jointcoder.corpora import load, load_terms
from jointcoder.errors import JointCoderError
from jointcoder.records import Kind, System
from jointcoder.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
LEXICAL_MS, FUSED_MS = 2.0, 15.0
CHINESE, AMERICAN = "cn-bj601", "us"
KS = (1, 5, 10, 20)
TIMED = 200
QUERIES = {
    Kind.DIAGNOSIS: """heart failure|acute kidney injury|osteoarthritis of the left knee|essential hypertension
type 2 diabetes with chronic kidney disease|pneumonia due to streptococcus|fracture of neck of femur|chest pain
acute on chronic diastolic heart failure|urinary tract infection|pressure ulcer of sacral region stage 2|anemia
displaced fracture of distal phalanx of right thumb|history of breast cancer|atrial fibrillation|COPD|depression""",
    Kind.PROCEDURE: """laparoscopic cholecystectomy|right hip replacement|coronary angiography|appendectomy|tracheostomy
CT of the chest with contrast|hemodialysis|insertion of a pacemaker|biopsy of the liver|total knee replacement left
colonoscopy with polypectomy|cesarean section|mechanical ventilation|lumbar puncture|resection of the sigmoid colon""",
}


@dataclass(frozen=True)
class Task:
    """Mentions with their gold codes, the book to search, and the training mentions as aliases."""

    name: str
    book: str
    kind: Kind
    language: str
    items: Sequence[tuple[str, str]]
    aliases: Aliases
    billable: bool | None
    at: int


def data() -> Path:
    return Path(os.environ.get("JOINTCODER_DATA", ROOT.parent / "shared" / "data"))


def tasks(limit: int | None) -> Iterator[Callable[[], Task]]:
    yield lambda: terms("Yidu-N7K", "yidu_n7k", "xiehe", limit)
    yield lambda: terms("CHIP-CDN", "chip_cdn", "bj601", limit)
    yield lambda: mentions("CodiEsp dx", System.ICD10CM, limit)
    yield lambda: mentions("CodiEsp px", System.ICD10PCS, limit)


def terms(name: str, folder: str, edition: str, limit: int | None) -> Task:
    """Items with one standard term that has a code in the edition."""

    def pairs(file: str) -> list[tuple[str, str]]:
        corpus = load_terms(data() / folder / file)
        one = (item for item in corpus.items if len(item.names) == 1)
        return [(item.mention, item.codes[edition][0]) for item in one if item.codes[edition][0]]

    kind = Kind.PROCEDURE if edition == "xiehe" else Kind.DIAGNOSIS
    aliases = counted(pairs("train.jsonl"), "")
    return Task(name, CHINESE, kind, "zh", pairs("dev.jsonl")[:limit], aliases, None, 10)


def mentions(name: str, system: System, limit: int | None) -> Task:
    """Different mentions with their code, by evidence span."""

    def pairs(file: str) -> list[tuple[str, str]]:
        corpus = load(data() / "codiesp" / file)
        golds = [gold for item in corpus.items for gold in item.gold if gold.system == system]
        return [(span.quote, gold.code.upper()) for gold in golds for span in gold.spans]

    aliases = counted(pairs("train.es.jsonl"), system)
    return Task(name, AMERICAN, system.kind, "es", sorted(set(pairs("dev.es.jsonl")))[:limit], aliases, True, 20)


def counted(pairs: Sequence[tuple[str, str]], system: str) -> Aliases:
    """Each wording and code once; its weight is the code's share among the codes of the wording."""
    whole = Counter(text.casefold() for text, _ in pairs)
    seen = Counter((text.casefold(), code) for text, code in pairs)
    rows = (Alias(text, code, system, n / whole[text], n, "train") for (text, code), n in sorted(seen.items()))
    return Aliases(rows)


def matches(book: CodeBook, code: str, gold: str, task: Task) -> bool:
    """Whether a hit answers the gold code; one that cannot be assigned is answered by any code below it."""
    ours, wanted = normalise_code(code), normalise_code(gold)
    return ours == wanted or (
        task.billable is True and ours.startswith(wanted) and not book.is_billable(*place(task, gold))
    )


def place(task: Task, code: str) -> tuple[System, str]:
    return (System.ICD10CM if task.kind is Kind.DIAGNOSIS else System.ICD10PCS), code


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, hits / n
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def recall(task: Task, way: str, find: Callable[[str], list[str]], book: CodeBook) -> dict[str, Any]:
    """How often the gold code is among the first ``k`` codes that ``find`` gives."""
    ranks: list[float] = []
    for text, gold in task.items:
        codes = find(text)
        ranks.append(next((i for i, code in enumerate(codes) if matches(book, code, gold, task)), math.inf))
    n = len(ranks)
    low, high = wilson(sum(rank < task.at for rank in ranks), n)
    shares = {f"R@{k}": round(sum(rank < k for rank in ranks) / n, 3) for k in KS}
    return {
        "task": task.name,
        "n": n,
        "way": way,
        **shares,
        "at": task.at,
        "low": round(low, 3),
        "high": round(high, 3),
    }


def searcher(lookup: Lookup, task: Task, source: str) -> Callable[[str], list[str]]:
    def find(text: str) -> list[str]:
        hits = lookup.search(text, kind=task.kind, lang=task.language, k=max(KS), billable=task.billable, source=source)
        return [hit.code for hit in hits]

    return find


def bm25(book: CodeBook, task: Task) -> Callable[[str], list[str]]:
    """bm25s over words of jieba and pairs of characters, as a mark to compare with. ImportError without bm25s."""
    import bm25s
    import jieba

    jieba.setLogLevel("WARNING")
    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = tempfile.mkdtemp()  # its cache is not for others
    cut = tokenizer.lcut
    rows = book.rows(
        "SELECT DISTINCT t.text, n.code FROM term t JOIN node n ON n.id = t.node WHERE n.system IN"
        " ('ICD-10-CN', 'ICD-9-CM-3') AND (n.system = 'ICD-9-CM-3') = ? ORDER BY t.id",
        task.kind is Kind.PROCEDURE,
    )

    def words(text: str) -> list[str]:
        return [*cut(text), *(text[i : i + 2] for i in range(len(text) - 1))]

    engine = bm25s.BM25()
    engine.index([words(text) for text, _ in rows], show_progress=False)
    known = set(engine.vocab_dict)

    def find(text: str) -> list[str]:
        asked = [word for word in words(text) if word in known]
        if not asked:
            return []
        found, _ = engine.retrieve([asked], k=60, show_progress=False)
        return list(dict.fromkeys(rows[int(i)][1] for i in found[0]))[: max(KS)]

    return find


def recalls(settings: Settings, limit: int | None, skipped: list[str]) -> Iterator[dict[str, Any]]:
    for prepare in tasks(limit):
        try:
            task = prepare()
            book = open_book(settings, task.book)
        except JointCoderError as error:
            skipped.append(f"recall: {error}")
            continue
        words, everything = Lookup(book, dense="off"), Lookup(book)
        if task.language == "zh":
            try:
                yield recall(task, "bm25s, to compare", bm25(book, task), book)
            except ImportError:
                skipped.append(f"{task.name}, bm25s: it is not installed")
        yield recall(task, "lexical", searcher(words, task, "lexical"), book)
        if everything.dense:
            yield recall(task, "dense", searcher(everything, task, "dense"), book)
            yield recall(task, "fused", searcher(everything, task, "fused"), book)
        else:
            skipped.append(f"{task.name}, dense and fused: {everything.notice}")
        with_aliases = Lookup(book, aliases=task.aliases)
        way = f"{'fused' if with_aliases.dense else 'lexical'} + aliases"
        yield recall(task, way, searcher(with_aliases, task, "fused"), book)


def timed_queries(
    settings: Settings, skipped: list[str]
) -> Iterator[tuple[str, CodeBook, Kind, str | None, list[str]]]:
    """Queries by book and kind: development mentions where there are corpora, our own for English."""
    for kind, lines in QUERIES.items():
        own = [query for line in lines.splitlines() for query in line.split("|")]
        name = f"English, {kind}"
        try:
            yield name, open_book(settings, AMERICAN), kind, None, own
        except JointCoderError as error:
            skipped.append(f"speed, {name}: {error}")
    for prepare in tasks(TIMED):
        try:
            task = prepare()
            texts = list(dict.fromkeys(text for text, _ in task.items))
            yield task.name, open_book(settings, task.book), task.kind, task.language, texts
        except JointCoderError as error:
            skipped.append(f"speed: {error}")


def speeds(settings: Settings, skipped: list[str]) -> Iterator[dict[str, Any]]:
    for name, book, kind, language, texts in timed_queries(settings, skipped):
        for way, limit in (("lexical", LEXICAL_MS), ("fused", FUSED_MS)):
            lookup = Lookup(book, dense="off" if way == "lexical" else "auto")
            if way == "fused" and not lookup.dense:
                skipped.append(f"speed, {name}, fused: {lookup.notice}")
                continue
            for text in texts[:3]:
                lookup.search(text + " .", kind=kind, lang=language)
            taken, answers = [], []
            for text in texts:
                began = time.perf_counter()
                answers.append(lookup.search(text, kind=kind, lang=language, billable=True))
                taken.append(1000 * (time.perf_counter() - began))
            again = [lookup.search(text, kind=kind, lang=language, billable=True) for text in texts]
            median, slow = statistics.median(taken), sorted(taken)[int(0.95 * len(taken))]
            yield {
                "queries": name,
                "n": len(texts),
                "way": way,
                "median_ms": round(median, 2),
                "p95_ms": round(slow, 2),
                "limit_ms": limit,
                "holds": median < limit,
                "same_again": again == answers,
            }


def show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=120)
    speed = Table("queries", "n", "way", "median", "95th", "limit", "", "same again", title="speed, ms a query")
    for r in found["speed"]:
        mark = "holds" if r["holds"] else "MISSED"
        again = "yes" if r["same_again"] else "NO"
        cells = (r["queries"], r["n"], r["way"], r["median_ms"], r["p95_ms"], r["limit_ms"], mark, again)
        speed.add_row(*map(str, cells))
    table = Table("corpus", "n", "way", *(f"R@{k}" for k in KS), "95 % interval", title="recall, development halves")
    for r in found["recall"]:
        shares = (f"{r[f'R@{k}']:.3f}" for k in KS)
        table.add_row(r["task"], str(r["n"]), r["way"], *shares, f"R@{r['at']} {r['low']:.3f}–{r['high']:.3f}")
    for one in (speed, table):
        if one.row_count:
            console.print(one)
    for reason in found["skipped"]:
        console.print(f"left out: {reason}", markup=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--limit", type=int, help="items a corpus")
    parser.add_argument("--only", choices=("speed", "recall"))
    arguments = parser.parse_args()
    settings, skipped = Settings.load(), []
    found: dict[str, Any] = {"speed": [], "recall": [], "skipped": skipped}
    if arguments.only != "recall":
        found["speed"] = list(speeds(settings, skipped))
    if arguments.only != "speed":
        found["recall"] = list(recalls(settings, arguments.limit, skipped))
    if arguments.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        show(found)
    return 0 if all(row["holds"] and row["same_again"] for row in found["speed"]) else 1


if __name__ == "__main__":
    sys.exit(main())
