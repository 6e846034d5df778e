"""The batch layer: encounters a second, memory over time, what it costs beside the coder, runs that are killed, Ray.

    python benchmarks/batch.py [--part speed]… [--encounters 10000] [--workers 2] [--kills 20] [--pack codiesp-es]

Encounters are made here, short ones of some 400 characters; they are coded by the shipped pack and workflow `learned`,
or with `--pack none` by `lexical`; no language model. The parts, each of which can be run alone:

    overhead  what the layer costs: the processor time of one process for a run less that of `code_many` on the same
              encounters in the same groups; beside the time of a record with a language model it is stated as a share
              (`--model-seconds`, that of the default model)
    speed     rate, and memory as the proportional set size of the run and its workers together, from /proc, every 5 %
    kills     a run of 500 that is killed at random times: nothing lost, nothing doubled
    ray       two workers on a Ray cluster of this machine beside two plain shards at the same time

All of them take about twelve minutes on two quiet cores. Not covered: reading PDF and Excel (benchmarks/ocr.py,
exchange.py).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTS = ("overhead", "speed", "kills", "ray")
RATE, OVERHEAD, KILLED, RAY = 30.0, 2.0, 500, 0.9
Row = tuple[str, float, float | None, bool | None]  # what, measured, limit, whether it holds
GROWTH = 10.0  # % that memory may grow from the first tenth of the run to the last
FINDINGS = (
    ("neumonía adquirida en la comunidad", "radiografía de tórax", "tos y fiebre de 39 ºC"),
    ("insuficiencia cardíaca", "ecocardiograma transtorácico", "disnea y edema en miembros inferiores"),
    ("diabetes mellitus tipo 2", "analítica de sangre", "poliuria y pérdida de peso"),
    ("apendicitis aguda", "tomografía computarizada abdominal", "dolor abdominal y náuseas"),
    ("hipertensión arterial", "electrocardiograma", "cefalea"),
    ("fibrilación auricular", "electrocardiograma", "palpitaciones"),
    ("anemia ferropénica", "gastroscopia", "astenia"),
    ("infección urinaria", "ecografía renal", "disuria y fiebre"),
)


def encounters(count: int) -> Iterator[dict[str, Any]]:
    """Made short cases, each with its own numbers."""
    chance = random.Random(7)
    for number in range(count):
        (first, test, sign), (second, other, _) = chance.sample(FINDINGS, 2)
        age, day = chance.randrange(20, 95), chance.randrange(2, 30)
        text = (
            f"Paciente de {age} años que acude a urgencias por {sign} de {day} días de evolución. Como antecedente "
            f"destaca {second}. Se realizó {test}, que confirmó el diagnóstico de {first}. Durante el ingreso se "
            f"efectuó {other} sin hallazgos relevantes. Evolución favorable, alta a domicilio en {day + 3} días. "
            f"Diagnóstico principal: {first}. Diagnóstico secundario: {second}.\n"
        )
        yield {"id": f"C{number:07}", "text": text, "language": "es"}


def written(path: Path, count: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for row in encounters(count):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def memory_mb(pid: int) -> float:
    """Of a process and its children."""
    total = 0.0
    for process in (pid, *children(pid)):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024
    return total


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def command(source: Path, out: Path, chosen: argparse.Namespace, *more: str) -> list[str]:
    flow = ["--workflow", "lexical"] if chosen.pack == "none" else ["--workflow", "learned", "--pack", chosen.pack]
    words = ["batch", str(source), "-o", str(out), *flow, "--book", chosen.book, "--every", "5", *more]
    return [sys.executable, "-m", "jointcoder", *words]


def speed(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Rate and memory of a run with several workers."""
    source, out = written(folder / "many.jsonl", chosen.encounters), folder / "many"
    began = time.perf_counter()
    curve: list[tuple[int, float]] = []
    run = command(source, out, chosen, "--workers", str(chosen.workers))
    with subprocess.Popen(run, stderr=subprocess.DEVNULL) as process:
        step, last = max(1, chosen.encounters // 20), 0
        while process.poll() is None:
            time.sleep(0.5)
            done = lines(out / "results.jsonl")
            if done // step > last:
                last = done // step
                curve.append((done, memory_mb(process.pid)))
    seconds = time.perf_counter() - began
    told = json.loads((out / "manifest.json").read_text())
    assert told["results"] == chosen.encounters, told
    coding = told["sittings"][-1]["seconds"]
    return {"rate": chosen.encounters / coding, "whole_rate": chosen.encounters / seconds, "curve": curve}


_counted: dict[Path, tuple[int, int]] = {}


def lines(path: Path) -> int:
    """Lines of a growing file; only what is new is read."""
    offset, count = _counted.get(path, (0, 0))
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        return 0
    _counted[path] = (offset + len(data), count + data.count(b"\n"))
    return _counted[path][1]


def overhead(folder: Path, chosen: argparse.Namespace) -> dict[str, float]:
    """What a record costs through the batch layer and through ``code_many``, in one process, in turns, in ms."""
    from jointcoder.batch.executor import InProcess
    from jointcoder.batch.folder import RunFolder
    from jointcoder.batch.inputs import Inputs
    from jointcoder.batch.run import Options, Run
    from jointcoder.batch.work import CoderSpec
    from jointcoder.parsing import parse_encounter
    from jointcoder.settings import Settings

    learned = chosen.pack != "none"
    settings = Settings.load(workflow="learned" if learned else "lexical", pack=chosen.pack if learned else None)
    spec = CoderSpec(settings, code_book=chosen.book)
    rows = list(encounters(chosen.sample))
    source = written(folder / "some.jsonl", chosen.sample)
    best: dict[str, float] = {}
    with spec() as coder:
        list(coder.code_many([parse_encounter(row) for row in rows[:20]]))
        for turn in range(3):
            began = time.process_time()
            for _ in coder.code_many((parse_encounter(row) for row in rows), batch=8):
                pass
            best["coder"] = min(best.get("coder", 9e9), time.process_time() - began)
            executor = InProcess(lambda: coder)
            run = Run(RunFolder(folder / f"some{turn}"), executor, Options(batch=8))
            run.open()
            began = time.process_time()
            run.process(Inputs((source,)))
            best["batch"] = min(best.get("batch", 9e9), time.process_time() - began)
            run.folder.close()
    return {name: 1000 * seconds / chosen.sample for name, seconds in best.items()}


def killed(folder: Path, chosen: argparse.Namespace) -> dict[str, int]:
    """A run of 500 that is killed at random times with all its workers, each time where new results have come."""
    source, out = written(folder / "killed.jsonl", KILLED), folder / "killed"
    chance, kills = random.Random(11), 0
    run = command(source, out, chosen, "--workers", str(chosen.workers))
    while kills < chosen.kills:
        left = KILLED - lines_now(out / "results.jsonl")
        wanted = chance.randrange(1, max(2, 2 * left // (chosen.kills - kills + 2)))
        with subprocess.Popen(run, stderr=subprocess.DEVNULL) as process:
            goal = KILLED - left + wanted
            while process.poll() is None and lines_now(out / "results.jsonl") < goal:
                time.sleep(chance.uniform(0.001, 0.02))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            elif KILLED - lines_now(out / "results.jsonl") == 0:
                break
    subprocess.run(run, check=True, stderr=subprocess.DEVNULL)
    ids = [json.loads(line)["encounter"] for line in (out / "results.jsonl").open(encoding="utf-8")]
    return {"kills": kills, "results": len(ids), "doubled": len(ids) - len(set(ids)), "lost": KILLED - len(set(ids))}


def lines_now(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def beside_shards(folder: Path, chosen: argparse.Namespace) -> dict[str, float]:
    """Encounters a second of two Ray workers, and of two shards that run at the same time; opening is not counted."""
    source = written(folder / "ray.jsonl", chosen.ray_encounters)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    shards = [folder / f"shard{place}" for place in (1, 2)]
    runs = [
        subprocess.Popen(command(source, out, chosen, "--shard", f"{place}/2"), **quiet)
        for place, out in enumerate(shards, start=1)
    ]
    assert [run.wait() for run in runs] == [0, 0]
    subprocess.run(command(source, folder / "ray", chosen, "--engine", "ray", "--workers", "2"), check=True, **quiet)
    assert lines_now(folder / "ray" / "results.jsonl") == chosen.ray_encounters
    slowest = max(coding_seconds(out) for out in shards)
    return {
        "shards": chosen.ray_encounters / slowest,
        "ray": chosen.ray_encounters / coding_seconds(folder / "ray"),
    }


def coding_seconds(out: Path) -> float:
    """Of the last sitting of a run."""
    return float(json.loads((out / "manifest.json").read_text())["sittings"][-1]["seconds"])


# --------------------------------------------------------------------------------------------------------- what it says


def overhead_rows(cost: dict[str, float], chosen: argparse.Namespace) -> list[Row]:
    extra = cost["batch"] - cost["coder"]
    share = extra / chosen.model_seconds / 10
    return [
        ("code_many, processor ms a record", cost["coder"], None, None),
        ("batch layer, ms a record", extra, None, None),
        ("… % of a record with the model", share, OVERHEAD, share < OVERHEAD),
        ("… % of code_many without a model", 100 * extra / cost["coder"], None, None),
    ]


def speed_rows(run: dict[str, Any]) -> list[Row]:
    curve = run["curve"]
    tenth = max(1, len(curve) // 10)
    early = sum(mb for _, mb in curve[1 : 1 + tenth]) / tenth if len(curve) > 2 else 0.0
    late = sum(mb for _, mb in curve[-tenth:]) / tenth if curve else 0.0
    grown = 100 * (late / early - 1) if early else 100.0
    return [
        ("encounters a second", run["rate"], RATE, run["rate"] >= RATE),
        ("… start of the workers included", run["whole_rate"], RATE, run["whole_rate"] >= RATE),
        ("memory grew, %", grown, GROWTH, grown <= GROWTH),
    ]


def kill_rows(died: dict[str, int]) -> list[Row]:
    return [
        (f"results of {KILLED} after {died['kills']} kills", died["results"], KILLED, died["results"] == KILLED),
        ("… doubled", died["doubled"], 0, not died["doubled"]),
        ("… lost", died["lost"], 0, not died["lost"]),
    ]


def ray_rows(rates: dict[str, float]) -> list[Row]:
    share = rates["ray"] / rates["shards"]
    return [
        ("two shards, encounters a second", rates["shards"], None, None),
        ("two Ray workers, encounters a second", rates["ray"], None, None),
        ("… of the shards", share, RAY, share >= RAY),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="this one only (repeatable)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--encounters", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=300, help="encounters for the cost of the layer")
    parser.add_argument("--ray-encounters", type=int, default=1500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pack", default="codiesp-es")
    parser.add_argument("--book", default="us-2026")
    parser.add_argument(
        "--model-seconds", type=float, default=20.0, help="of a record with the default model, two cores"
    )
    chosen = parser.parse_args()
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    rows: list[Row] = []
    curve: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as place:
        for part in chosen.part or PARTS:
            folder = Path(place) / part
            folder.mkdir(exist_ok=True)
            began = time.perf_counter()
            if part == "overhead":
                rows += overhead_rows(overhead(folder, chosen), chosen)
            elif part == "speed":
                run = speed(folder, chosen)
                rows, curve = rows + speed_rows(run), run["curve"]
            elif part == "kills":
                rows += kill_rows(killed(folder, chosen))
            elif importlib.util.find_spec("ray") is None:
                print("ray: not installed, not measured", file=sys.stderr)
            else:
                rows += ray_rows(beside_shards(folder, chosen))
            print(f"{part}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    show(rows, curve, chosen)


def show(rows: list[Row], curve: list[tuple[int, float]], chosen: argparse.Namespace) -> None:
    if chosen.json:
        print(json.dumps({"rows": rows, "curve": curve}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "limit", "")
    for name, value, limit, holds in rows:
        mark = "" if holds is None else "holds" if holds else "MISSED"
        table.add_row(name, f"{value:,.2f}", "" if limit is None else f"{limit:g}", mark)
    console = Console(width=110)
    console.print(table)
    if curve:
        console.print("memory, MB, by results: " + ", ".join(f"{done:,}: {mb:.0f}" for done, mb in curve))


if __name__ == "__main__":
    main()
