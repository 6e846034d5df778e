"""The limits that a user feels, measured in one run and printed beside their limits.

    python benchmarks/program.py [--json] [--skip-model]

Start-up, imports, the code book, and one English visit note of about 600 words through the default workflow with the
default model. Needs `jointcoder setup`. Not covered: accuracy (see `jointcoder evaluate`) and the engine's `choose`
(benchmarks/choose.py).
"""

from __future__ import annotations

import argparse
import ast
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tables import row, show

ROOT = Path(__file__).resolve().parent.parent
NOTE = ROOT / "examples" / "visit_en.txt"

BOOK = """
import resource, time
from jointcoder.settings import Settings
import jointcoder.codebook.store as store
import jointcoder.codebook.lookup as lookup
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
book = store.open_book(Settings.load())
found = lookup.Lookup(book).search("heart failure", kind=__import__("jointcoder.records").records.Kind.DIAGNOSIS)
print(time.perf_counter() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024, found[0].code)
"""

IMPORTS = """
import sys, jointcoder
jointcoder.Encounter
print(sorted(m for m in ("torch", "fastapi", "llama_cpp") if m in sys.modules))
"""


def timed(*command: str, best_of: int = 1) -> tuple[float, str]:
    """Wall seconds of a command (best of several) and what it printed."""
    seconds, output = float("inf"), ""
    for _ in range(best_of):
        began = time.perf_counter()
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        seconds = min(seconds, time.perf_counter() - began)
    return seconds, output


def measure_note() -> list[dict[str, Any]]:
    """One note through `jointcoder code --json` in a process of its own."""
    seconds, output = timed(sys.executable, "-m", "jointcoder", "code", str(NOTE), "--json")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 / 1024
    from jointcoder.codebook.store import open_book
    from jointcoder.records import CodedRecord, Encounter
    from jointcoder.settings import Settings

    record = CodedRecord.model_validate_json(output)
    encounter = Encounter.from_text(NOTE.read_text("utf-8"))
    book = open_book(Settings.load())
    spans = [span for code in record.codes for span in code.evidence]
    invalid = sum(not book.is_valid(code.system, code.code, None) for code in record.codes)
    wrong = sum(not span.reproduces(encounter) for span in spans)
    words = len(NOTE.read_text("utf-8").split())
    return [
        row(f"note of {words} words, process start to record", seconds, 60, "s"),
        row("the same, peak resident memory", peak, 3, "GB"),
        row(f"invalid codes among {len(record.codes)}", invalid, 0, ""),
        row(f"evidence spans that do not reproduce their quote, of {len(spans)}", wrong, 0, ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--skip-model", action="store_true")
    arguments = parser.parse_args()
    help_seconds, _ = timed(sys.executable, "-m", "jointcoder", "--help", best_of=3)
    _, loaded = timed(sys.executable, "-c", IMPORTS)
    _, book = timed(sys.executable, "-c", BOOK)
    book_seconds, book_memory, _ = book.split()
    rows = [
        row("jointcoder --help", help_seconds, 0.4, "s"),
        row(f"torch, fastapi, llama_cpp loaded by the import: {loaded.strip()}", len(ast.literal_eval(loaded)), 0, ""),
        row("code books opened and searched once", float(book_seconds), 0.5, "s"),
        row("the same, resident memory of the process", float(book_memory), 250, "MB"),
    ]
    if not arguments.skip_model:
        rows += measure_note()
    show(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
