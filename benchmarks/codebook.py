"""Building the US code book from official files, and opening it, beside their limits.

    python benchmarks/codebook.py [--json] [--from DIR] [--book us-2026]

The files are those in DIR (default: $JOINTCODER_BOOKS, else ../shared/codebooks), the book goes to a temporary
folder: no installed book is touched. Opening is measured in a process of its own, to the first entry. Not covered:
searching (benchmarks/search.py), checking (benchmarks/check.py), vectors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tables import row, show

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_BUILD, MS_TO_OPEN, MB_RESIDENT = 60, 50, 120

BUILD = """
import json, sys, time
from pathlib import Path
from jointcoder.codebook.build import build_from_directory
began, worked = time.perf_counter(), time.process_time()
info = build_from_directory(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
codes = ", ".join(f"{system} {n['billable']:,}" for system, n in info.counts.items())
print(json.dumps([time.perf_counter() - began, time.process_time() - worked, f"{info.edition}: {codes}"]))
"""

OPEN = """
import resource, sys, time
from jointcoder.codebook.book import CodeBook
from jointcoder.records import System
began = time.perf_counter()
book = CodeBook.open(sys.argv[1])
entry = book.get(System.ICD10CM, "E11.22")
print((time.perf_counter() - began) * 1000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, entry.code)
"""


def run(script: str, *arguments: str) -> str:
    """What a script of its own process prints: a process that has built would count as large after it."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def measure(directory: Path, book: str) -> list[dict[str, Any]]:
    """Build once, open five times; the median of the openings counts."""
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / book
        seconds, worked, what = json.loads(run(BUILD, book, str(directory.resolve()), str(target)))
        size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 2**20
        openings = [run(OPEN, str(target)).split() for _ in range(5)]
    milliseconds = sorted(float(ms) for ms, *_ in openings)[2]
    megabytes = max(float(mb) for _, mb, _ in openings)
    return [
        row(f"{what}; build", seconds, SECONDS_TO_BUILD, "s"),
        row("the same, processor time", worked, SECONDS_TO_BUILD, "s"),
        row(f"open and first entry of a book of {size:,.0f} MB", milliseconds, MS_TO_OPEN, "ms"),
        row("the same, resident memory of the process", megabytes, MB_RESIDENT, "MB"),
    ]


def main() -> None:
    default = os.environ.get("JOINTCODER_BOOKS", ROOT.parent / "shared" / "codebooks")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--from", dest="directory", type=Path, default=Path(default), help="folder of official files")
    parser.add_argument("--book", default="us-2026")
    arguments = parser.parse_args()
    if not arguments.directory.is_dir():
        parser.error(f"no folder {arguments.directory} (set JOINTCODER_BOOKS or --from)")
    rows = measure(arguments.directory, arguments.book)
    show(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
