"""A very long record: is anything lost, how long does it take, how much memory?

    python benchmarks/long_record.py [--characters 23000] [--workflow lexical] [--book cn-guolin2] [--json]

One made-up Chinese inpatient record (`benchmarks/data/long_zh.toml`), with headings in many spellings, goes through a
workflow in a process of its own. Counted: headings that no section bears, characters that lie in no part or in two,
parts over the budget, evidence that does not reproduce its quote, seconds from process start to record, peak resident
memory. `--workflow jointcoder` asks the default model and takes minutes. Not covered: accuracy.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

from tables import row, show

from jointcoder.coder import guessed_tokens
from jointcoder.records import CodedRecord, Encounter
from jointcoder.steps.read import ReadOptions
from jointcoder.text.chunks import plan_chunks
from jointcoder.text.sections import find_sections

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benchmarks" / "data" / "long_zh.toml"
SECONDS = {"lexical": 60.0}
MODEL_SECONDS = 1800.0


def made(characters: int) -> tuple[str, list[str]]:
    """A record of at least so many characters, and the names of its sections in order."""
    data = tomllib.loads(DATA.read_text("utf-8"))
    before = "\n".join(one["heading"] + one["text"] for one in data["section"])
    after = "\n".join(one["heading"] + one["text"] for one in data["after"])
    days: list[str] = []
    wanted = characters - len(before) - len(after)
    lines, size = data["daily"]["lines"], 0
    for day in count(1):
        if size >= wanted:
            break
        values = {"day": day, "a": 45 + day % 30, "b": 60 + day % 35, "c": 3 + day % 2, "d": 7 + day % 6}
        days.append(lines[day % len(lines)].format(**values))
        size += len(days[-1]) + 1
    text = "\n".join((before, f"{data['course']}：", *days, after)) + "\n"
    names = [*(one["name"] for one in data["section"]), "progress_note", *(one["name"] for one in data["after"])]
    return text, names


def reading(text: str, names: list[str]) -> list[dict[str, Any]]:
    """What the first step makes of the record, by itself."""
    documents = Encounter.from_text(text, id="long").documents
    began = time.process_time()
    sections = find_sections(documents, "zh")
    budget = ReadOptions().chunk_tokens
    chunks = plan_chunks(documents, sections, budget=budget, count=guessed_tokens)
    seconds = time.process_time() - began
    found = Counter(section.name for section in sections)
    lost = sum((Counter(names) - found).values())
    covered = Counter(place for chunk in chunks for _, start, end in chunk.pieces for place in range(start, end))
    over = sum(guessed_tokens(chunk.text(documents)) > budget for chunk in chunks)
    return [
        row(f"headings lost, of {len(names)}", lost, 0, ""),
        row("characters in no section", len(text) - sum(s.end - s.start for s in sections), 0, ""),
        row(f"characters in none of {len(chunks)} parts", len(text) - len(covered), 0, ""),
        row("characters in two parts", sum(n > 1 for n in covered.values()), 0, ""),
        row(f"parts over {budget} tokens", over, 0, ""),
        row(f"{len(text)} characters into sections and parts, processor time", seconds, 2, "s"),
    ]


def coding(text: str, workflow: str, book: str) -> list[dict[str, Any]]:
    """The record through `jointcoder code` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "long.txt"
        note.write_text(text, "utf-8")
        command = (
            sys.executable,
            "-m",
            "jointcoder",
            "code",
            str(note),
            "--json",
            "--workflow",
            workflow,
            "--book",
            book,
        )
        began = time.perf_counter()
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 / 1024
    record = CodedRecord.model_validate_json(output)
    encounter = Encounter.from_text(text)
    spans = [span for code in record.codes for span in code.evidence]
    wrong = sum(not span.reproduces(encounter) for span in spans)
    return [
        row(f"{workflow}, {book}: process start to record, {len(record.codes)} codes", seconds, limit(workflow), "s"),
        row("the same, peak resident memory", peak, 3, "GB"),
        row(f"evidence that does not reproduce its quote, of {len(spans)}", wrong, 0, ""),
    ]


def limit(workflow: str) -> float:
    return SECONDS.get(workflow, MODEL_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--characters", type=int, default=23_000)
    parser.add_argument("--workflow", default="lexical")
    parser.add_argument("--book", default="cn-guolin2")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    text, names = made(arguments.characters)
    rows = reading(text, names) + coding(text, arguments.workflow, arguments.book)
    show(rows, as_json=arguments.json)
    return 0 if all(one["holds"] for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
