"""What isolation costs: the start of a sandbox, a request to a tool, the way of a large note in and out.

    python benchmarks/sandbox.py [--json] [--runs N]

Each figure is the best of several, beside its limit: what other programs take meanwhile is not the sandbox's. Needs
bubblewrap (`jointcoder doctor` says whether generated Python can be isolated here). Not covered: what a program itself
takes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from tables import row, show

from jointcoder.search.sandbox import Limits, available, run_python

CALLS = 2_000
NOTE = 1_000_000  # characters
GIVE_BACK = "def run(inputs, tools): return inputs"
CALL = "def run(inputs, tools): return [tools.next(number) for number in range(inputs)]"
LIMITS = Limits(wall_s=120, cpu_s=60, calls=CALLS, output_bytes=20_000_000, traffic_bytes=100_000_000)


def best(runs: int, measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(runs))


def seconds(source: str, inputs: Any) -> float:
    began = time.perf_counter()
    result = run_python(source, inputs=inputs, tools={"next": lambda number: number + 1}, limits=LIMITS)
    assert result.fault is None, result.fault
    return time.perf_counter() - began


def bare() -> float:
    """An interpreter that starts as the sandbox's does, outside of one."""
    import subprocess

    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", "import json, resource, struct"], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    began = time.perf_counter()
    there = available()
    found = time.perf_counter() - began
    if not there.ok:
        sys.exit(f"generated Python cannot be isolated here: {there.why}")
    runs = arguments.runs
    interpreter = best(runs, bare)
    start = best(runs, lambda: seconds(GIVE_BACK, None))
    calls = best(max(3, runs // 5), lambda: seconds(CALL, CALLS)) - start
    text = best(max(3, runs // 5), lambda: seconds(GIVE_BACK, "患" * NOTE)) - start
    peak = run_python(GIVE_BACK, inputs=None).peak_memory_mb or 0.0
    rows = [
        row("first question whether it can be isolated, once a process", found, 2.0, "s"),
        row("start to result of an empty program", 1000 * start, 100, "ms"),
        row(
            f"the same, beyond a bare interpreter's {1000 * interpreter:.0f} ms", 1000 * (start - interpreter), 50, "ms"
        ),
        row(f"a request to a tool, of {CALLS:,}", 1e6 * calls / CALLS, 500, "µs"),
        row(f"a note of {NOTE:,} Chinese characters in and out", 1000 * text, 1000, "ms"),
        row("peak memory of an empty program", peak, 20, "MB"),
    ]
    show(rows, as_json=arguments.json)
    print(f"{CALLS / calls:,.0f} requests a second; {there.how}", file=sys.stderr)


if __name__ == "__main__":
    main()
