"""A scanned record of ten pages: how long reading takes, how much is read rightly, whether the codes are the same.

    python benchmarks/ocr.py [--json] [--limit PAGES] [--dpi 200] [--noise 8] [--degrees 0.5] [--keep DIRECTORY]

A Chinese inpatient record written for the tests is set with header and page numbers, drawn at ``--dpi``, given grey
noise and a slight turn (every other page to the other side), packed as JPEG into a PDF without a text layer, and read.
Its characters are compared with the record's by edit distance, blanks left out; its codes, found by the workflow
without a model, with those of the same pages read from their text layer. Memory: 200 pages with a text layer against
20, each in a process of its own. Needs the extras ``ocr`` and ``dev``. Not covered: real scanners, handwriting,
tables with rules.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tables import row, show

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests" / "fixtures" / "inpatient_zh.txt"
HEADER = "第二人民医院　住院号：20250304017"
LEADING = 1.6  # makes ten pages of it
SECONDS, WRONG, LAYER_SECONDS, GROWTH_MB = 5.0, 0.01, 0.1, 40.0
CORES = 2  # of the machine that the limits are meant for
MEMORY = """
import sys
from pathlib import Path
from jointcoder.exchange.pdf import read_pdf
read_pdf(Path(sys.argv[1]))
status = Path("/proc/self/status").read_text()  # getrusage would tell the peak of the process that started this one
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""

if TYPE_CHECKING:
    from jointcoder.records import CodedRecord, Encounter


def set_record(folder: Path, pages: int | None) -> tuple[Path, str]:
    """The record as a PDF with a text layer, and what stands on its pages but for header and page number."""
    from tests.typeset import text_pdf, typeset

    number = "第 {} 页 共 {} 页".format
    placed = typeset(RECORD.read_text("utf-8"), leading=LEADING, header=HEADER, footer=number)[:pages]
    path = text_pdf(folder / "record.pdf", placed)
    return path, "".join(line.text for page in placed for line in page[1:-1])


def scanned(path: Path, folder: Path, *, dpi: int, noise: float, degrees: float) -> Path:
    from tests.typeset import image_pdf, scan

    one, other = (scan(path, dpi=dpi, noise=noise, degrees=turn) for turn in (degrees, -degrees))
    pictures = [(one, other)[place % 2][place] for place in range(len(one))]
    return image_pdf(folder / "scan.pdf", pictures, dpi=dpi)


def wrong_share(got: str, wanted: str) -> float:
    from rapidfuzz.distance import Levenshtein

    got, wanted = ("".join(text.split()) for text in (got, wanted))
    return Levenshtein.distance(got, wanted) / len(wanted)


def codes(record: CodedRecord) -> set[tuple[str, str]]:
    return {(code.system.value, code.code) for code in record.codes}


def coded(encounters: list[Encounter], book: str) -> list[CodedRecord]:
    from jointcoder.coder import Coder
    from jointcoder.settings import Settings

    with Coder(Settings.load(), workflow="lexical", code_book=book) as coder:
        return [coder.code(encounter) for encounter in encounters]


def growth(folder: Path) -> float:
    """By how many megabytes a process that reads 200 pages grows larger than one that reads 20."""
    from tests.typeset import text_pdf, typeset

    page = typeset(RECORD.read_text("utf-8"))[0]
    peaks = []
    for count in (20, 200):
        path = text_pdf(folder / f"{count}.pdf", [page] * count)
        run = subprocess.run([sys.executable, "-c", MEMORY, path], check=True, capture_output=True, text=True, cwd=ROOT)
        peaks.append(float(run.stdout))
    return peaks[1] - peaks[0]


def measure(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from jointcoder.exchange.ocr import LITTLE, recognise
    from jointcoder.exchange.pdf import read_pdf
    from tests.typeset import scan

    path, wanted = set_record(folder, arguments.limit)
    scan_path = scanned(path, folder, dpi=arguments.dpi, noise=arguments.noise, degrees=arguments.degrees)
    plain = read_pdf(path)
    began = time.perf_counter()
    read_pdf(path)
    layer_seconds = time.perf_counter() - began
    recognise(scan(path, dpi=50)[0].crop((0, 0, 400, 100)))  # opens the recogniser
    began, worked = time.perf_counter(), time.process_time()
    read = read_pdf(scan_path, progress=lambda done, of: print(f"\r{done} of {of} pages ", end="", file=sys.stderr))
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    print(file=sys.stderr)
    (document,), (known,) = read.encounter.documents, plain.encounter.documents
    count = len(document.pages)
    doubtful = sum((line.confidence or 0) < LITTLE for line in document.lines)
    rows = [
        row(f"{len(wanted)} characters on {count} scanned pages: seconds a page", seconds / count, SECONDS, "s"),
        row("the same: processor seconds a page, all cores", worked / count, CORES * SECONDS, "s"),
        row("characters wrong, scan", wrong_share(document.text, wanted), WRONG, ""),
        row("characters wrong, text layer", wrong_share(known.text, wanted), 0, ""),
        row(f"lines of little confidence, of {len(document.lines)}", doubtful, 0.02 * len(document.lines), ""),
        row("text layer: seconds a page", layer_seconds / count, LAYER_SECONDS, "s"),
        row("200 pages against 20: memory", growth(folder), GROWTH_MB, "MB"),
    ]
    ours, theirs = (codes(record) for record in coded([read.encounter, plain.encounter], arguments.book))
    differing = sorted(ours ^ theirs)
    print("codes on one side only:", differing or "none", file=sys.stderr)
    return [*rows, row(f"codes that differ from the text layer's {len(theirs)}", len(differing), 0, "")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--limit", type=int, help="read only so many pages")
    parser.add_argument("--dpi", type=int, default=200)
    parser.add_argument("--noise", type=float, default=8.0)
    parser.add_argument("--degrees", type=float, default=0.5)
    parser.add_argument("--book", default="cn-guolin2")
    parser.add_argument("--keep", type=Path, help="put the PDFs there")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))  # the typesetter is the tests'
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = measure(folder, arguments)
    show(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
