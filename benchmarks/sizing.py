"""How many machines a hospital needs: a quick measurement with the learned pack, and the arithmetic to a month's load.

    python benchmarks/sizing.py [--notes 40] [--encounters 1000000] [--used 0.7] [--night 10] [--json]

The pack's row is measured now: Spanish notes of about 150 words through `--workflow learned --pack codiesp-es`, in core
seconds of this process (what the machine does beside it does not count). The model's row is reckoned from the
cost table (37 s and 1.6 GB a note of 615 words, two cores, process start included): say --model-seconds, --model-cores
and --model-gb for your own. No graphics card is measured here. See docs/sizing.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = ROOT / "examples" / "visit_es.txt"
HOURS_A_MONTH = 365.25 / 12 * 24
NIGHTS_A_MONTH = 365.25 / 12
PACK = "codiesp-es"


@dataclass(frozen=True)
class Size:
    """``core_seconds``: of one encounter. ``cores``: to code a month's encounters, all day or at night only, when they
    are busy for the share ``used``."""

    name: str
    core_seconds: float
    per_core_hour: float
    core_hours: float
    cores_all_day: float
    cores_at_night: float
    memory_gb: float


def size(name: str, core_seconds: float, memory_gb: float, *, encounters: int, used: float, night: float) -> Size:
    hours = encounters * core_seconds / 3600
    return Size(
        name,
        core_seconds,
        3600 / core_seconds,
        hours,
        hours / (HOURS_A_MONTH * used),
        hours / (NIGHTS_A_MONTH * night * used),
        memory_gb,
    )


def measured(notes: int) -> tuple[float, float, float, int]:
    """Core seconds a note, core seconds to open, peak memory in GB, words a note: with the pack, no model."""
    from jointcoder.coder import Coder
    from jointcoder.records import Encounter
    from jointcoder.settings import Settings

    paragraphs = [part for part in NOTE.read_text("utf-8").split("\n\n") if part.strip()]
    turned = [paragraphs[n % len(paragraphs) :] + paragraphs[: n % len(paragraphs)] for n in range(notes)]
    encounters = [Encounter.from_text("\n\n".join([*text, f"Nota {n}."]), id=str(n)) for n, text in enumerate(turned)]
    began = time.process_time()
    with Coder(Settings.load(workflow="learned", pack=PACK)) as coder:
        coder.code(Encounter.from_text("Diabetes mellitus tipo 2.", id="first", language="es"))
        opened = time.process_time() - began
        began = time.process_time()
        for encounter in encounters:
            coder.code(encounter)
        seconds = (time.process_time() - began) / notes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
    return seconds, opened, peak, len(NOTE.read_text("utf-8").split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=40)
    parser.add_argument("--encounters", type=int, default=1_000_000, help="a month")
    parser.add_argument("--used", type=float, default=0.7, help="share of the time in which the cores are busy")
    parser.add_argument("--night", type=float, default=10, help="hours of a night run")
    parser.add_argument("--model-seconds", type=float, default=37.0, help="of one note with the model")
    parser.add_argument("--model-cores", type=float, default=2.0, help="cores that were busy then")
    parser.add_argument("--model-gb", type=float, default=1.6)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    month = {"encounters": arguments.encounters, "used": arguments.used, "night": arguments.night}
    seconds, opened, peak, words = measured(arguments.notes)
    by_model = arguments.model_seconds * arguments.model_cores
    sizes = [
        size(f"learned pack, {words} words (measured now)", seconds, peak, **month),
        size("default model, 615 words (cost table)", by_model, arguments.model_gb, **month),
    ]
    if arguments.json:
        print(
            json.dumps({"sizes": [asdict(one) for one in sizes], "open_core_seconds": opened, "notes": arguments.notes})
        )
        return
    from rich.console import Console
    from rich.table import Table

    title = f"{arguments.encounters:,} encounters a month, cores busy {arguments.used:.0%} of the time"
    table = Table(title=title)
    night = f"cores, {arguments.night:g} h a night"
    for heading in ("", "core s each", "per core-hour", "core-hours", "cores, all day", night, "GB a worker"):
        table.add_column(heading, justify="left" if not heading else "right")
    for one in sizes:
        figures = (f"{one.core_seconds:,.3f}", f"{one.per_core_hour:,.0f}", f"{one.core_hours:,.0f}")
        cores = (f"{one.cores_all_day:,.2f}", f"{one.cores_at_night:,.2f}", f"{one.memory_gb:.1f}")
        table.add_row(one.name, *figures, *cores)
    table.add_row("graphics card", *["not measured"] * 6)
    console = Console(width=140)
    console.print(table)
    console.print(
        f"{arguments.notes} notes; opening the pack and the code book took {opened:.1f} core seconds, once a worker"
    )


if __name__ == "__main__":
    main()
