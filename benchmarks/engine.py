"""The engine against what it replaces: one record, seven agents, forty questions, and the machine's own limits.

    python benchmarks/engine.py [--json] [--model PATH] [--threads N] [--only NAME …] [--tokens 3000]

    agents_vs_full_prompts   the record read once, 40 questions of 7 activated adapters | each question a full prompt
    agents_vs_high_level     the same | high-level `Llama` with its own prefix reuse, plain adapters switched
    agents_vs_server         the same | llama.cpp's server: a slot for each agent, prompts cached
    branches_vs_single       tokens a second of 16 branches | of a single sequence
    prefill_vs_raw           tokens a second of reading | of plain `llama_decode` in batches of 512
    memory_vs_arithmetic     peak resident memory at a context of 8,192 | weights + key-value cache

Ratios are taken in one run on one machine. `theirs` of the first row is measured on every eighth question and scaled.
The adapters hold random numbers (benchmarks/weights.py): their cost is real, their answers are not. Needs the extra
`bench`. Not covered: accuracy, and other processes, which on a small machine cost more than anything measured here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from choose import NOTE
from rivals import HighLevel, Server, server_program
from weights import adapter

from jointcoder.llm.adapters import Adapter
from jointcoder.llm.base import Context, Question
from jointcoder.llm.engine import Run
from jointcoder.llm.llamacpp import LlamaCpp
from jointcoder.llm.load import OPTIONS_FILE
from jointcoder.llm.options import EngineOptions, load_options, usable_cores
from jointcoder.settings import Settings

AGENTS = {
    "standardise_dx": 8,
    "standardise_px": 4,
    "mine": 6,
    "prioritise_dx": 4,
    "prioritise_px": 2,
    "validate_dx": 10,
    "validate_px": 6,
}
SAMPLE = 8
STEPS = 12
CONTEXT = 8192


@dataclass(frozen=True)
class Row:
    """One comparison. ``ratio`` is the gain (the share, for memory); ``limit`` its bound, "" in ``problem`` if done."""

    name: str
    ours: float | None
    theirs: float | None
    ratio: float | None
    limit: float
    unit: str
    problem: str = ""

    @property
    def holds(self) -> bool | None:
        if self.ratio is None:
            return None
        return self.ratio <= self.limit if self.name == "memory_vs_arithmetic" else self.ratio >= self.limit


def record(model: LlamaCpp, tokens: int) -> Context:
    """A clinical record of about that many tokens: one stay after the other, none like the last."""
    text, stay = "", 0
    while model.count_tokens(text) < tokens:
        stay += 1
        note = NOTE.replace("72", str(72 + stay)).replace("day ten", f"day {9 + stay}")
        text += f"Stay {stay}, ward {stay * 3}. {note}"
    while model.count_tokens(text) > tokens:
        text = text[: int(len(text) * 0.99)]
    return Context(f"Clinical record:\n\n{text}\n---\n", "You are an experienced clinical coder.")


def questions() -> dict[str, list[Question]]:
    """The agents' questions: short, as those of a coder are."""
    asked: dict[str, list[Question]] = {}
    for agent, count in AGENTS.items():
        asked[agent] = [
            Question(f"{agent}, item {i}: does the record support finding number {i}? Answer yes or no.", ("yes", "no"))
            for i in range(1, count + 1)
        ]
    return asked


class Bench:
    """The models and what is asked of them; each row is a method."""

    def __init__(self, path: Path, threads: int, tokens: int, folder: Path) -> None:
        self.path, self.threads, self.folder = path, threads, folder
        self.files = [adapter(path, folder / f"{agent}.gguf", seed=i) for i, agent in enumerate(AGENTS)]
        options = load_options(Settings.load().cache / OPTIONS_FILE, path) or EngineOptions()
        self.model = LlamaCpp(
            path,
            context_tokens=CONTEXT,
            threads=threads,
            options=options,
            adapters={agent: Adapter(file, activated=True) for agent, file in zip(AGENTS, self.files, strict=True)},
        )
        self.record = record(self.model, tokens)
        self.asked = questions()
        self.prompts = [
            (number, [*self.model._chat.prefix(self.record), *self.model._chat.suffix(self.record, q.text)])
            for number, agent in enumerate(AGENTS)
            for q in self.asked[agent]
        ]
        self._seconds: float | None = None

    @property
    def seconds(self) -> float:
        """Ours: all agents after one another over a record that nobody has read yet."""
        if self._seconds is None:
            self.model._prefixes.forget()
            began = time.perf_counter()
            for agent, asked in self.asked.items():
                self.model.choose(self.record, asked, adapter=agent)
            self._seconds = time.perf_counter() - began
        return self._seconds

    def agents_vs_full_prompts(self) -> Row:
        pairs = [(agent, question) for agent, asked in self.asked.items() for question in asked]
        sample = pairs[::SAMPLE]
        began = time.perf_counter()
        for agent, question in sample:
            self.model._prefixes.forget()
            self.model.choose(self.record, [question], adapter=agent)
        theirs = (time.perf_counter() - began) / len(sample) * len(pairs)
        return Row("agents_vs_full_prompts", self.seconds, theirs, theirs / self.seconds, 15.0, "s")

    def agents_vs_high_level(self) -> Row:
        ours = self.seconds
        rival = HighLevel(self.path, self.files, context_tokens=4096, threads=self.threads)
        try:
            began, now = time.perf_counter(), -1
            for number, tokens in self.prompts:
                if number != now:
                    rival.use(number)
                    now = number
                rival.ask(tokens)
            theirs = time.perf_counter() - began
        finally:
            rival.close()
        return Row("agents_vs_high_level", ours, theirs, theirs / ours, 3.0, "s")

    def agents_vs_server(self) -> Row:
        ours = self.seconds
        program = server_program(Settings.load().cache / "build")
        rival = Server(program, self.path, self.files, context_tokens=4096, threads=self.threads)
        try:
            rival.ask(0, self.prompts[0][1][:64])  # pages of the weights are read in by the first request
            began = time.perf_counter()
            for number, tokens in self.prompts:
                rival.ask(number, tokens)
            theirs = time.perf_counter() - began
        finally:
            rival.close()
        return Row("agents_vs_server", ours, theirs, theirs / ours, 2.0, "s")

    def branches_vs_single(self) -> Row:
        engine, prefix = self.model._engine, self.model._chat.prefix(self.record)[:1024]
        self.model._prefixes.forget()
        engine.use_adapter(None)
        engine.prefill(0, 0, prefix)
        rates = {}
        for streams in (1, 16):
            branches = range(self.model.options.kept, self.model.options.kept + streams)
            for branch in branches:
                engine.copy(0, branch, len(prefix))
            began = time.perf_counter()
            for step in range(STEPS):
                runs = [Run(branch, len(prefix) + step, prefix[step : step + 1], "last") for branch in branches]
                engine.decode(runs, fill=0, on_logits=lambda run, offset, row: None)
            rates[streams] = streams * STEPS / (time.perf_counter() - began)
            for branch in branches:
                engine.remove(branch)
        self.model._prefixes.forget()
        return Row("branches_vs_single", rates[16], rates[1], rates[16] / rates[1], 3.5, "tokens/s")

    def prefill_vs_raw(self) -> Row:
        tokens = self.model._chat.prefix(self.record)[:2048]
        rates: dict[str, list[float]] = {"ours": [], "raw": []}
        for _ in range(2):  # in turn, so that a warm machine favours neither
            self.model._prefixes.forget()
            self.model._engine.use_adapter(None)
            began = time.perf_counter()
            self.model._engine.prefill(0, 0, tokens)
            rates["ours"].append(len(tokens) / (time.perf_counter() - began))
            self.model._prefixes.forget()
            rates["raw"].append(len(tokens) / _raw(self.model, tokens))
            self.model._prefixes.forget()
        ours, raw = max(rates["ours"]), max(rates["raw"])
        return Row("prefill_vs_raw", ours, raw, ours / raw, 0.95, "tokens/s")

    def memory_vs_arithmetic(self) -> Row:
        self.model.close()
        arguments = [sys.executable, "-c", PEAK, str(self.path), str(self.threads)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        peak, weights, cache = (float(n) for n in done.stdout.split())
        arithmetic = weights + cache
        return Row("memory_vs_arithmetic", peak, arithmetic, peak / arithmetic, 1.25, "MB")


PEAK = """
import re, resource, sys
from pathlib import Path
from jointcoder.llm.base import Context, Question
from jointcoder.llm.llamacpp import LlamaCpp
path = Path(sys.argv[1])
model = LlamaCpp(path, context_tokens=8192, threads=int(sys.argv[2]))
text = "The patient had fever and cough and was treated with ceftriaxone for pneumonia. " * 600
while model.count_tokens(text) > 7900:
    text = text[: int(len(text) * 0.98)]
model.choose(Context(text), [Question(f"Is there finding {i}?", ("yes", "no")) for i in range(8)])
engine, get = model._engine, lambda key: int(model._engine.metadata(f"{arch}.{key}") or 0)
arch = engine.metadata("general.architecture")
layers, kv_heads = get("block_count"), get("attention.head_count_kv") or get("attention.head_count")
head = get("attention.key_length") or get("embedding_length") // get("attention.head_count")
cache = layers * 2 * kv_heads * head * 2 * 8192
status = Path("/proc/self/status")
if status.is_file():  # getrusage would count the peak of the process that started this one, too
    peak = int(re.search("VmHWM:\\s*(\\d+)", status.read_text())[1]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(peak / 1e6, path.stat().st_size / 1e6, cache / 1e6)
"""


def _raw(model: LlamaCpp, tokens: Sequence[int]) -> float:
    """Seconds of plain ``llama_decode`` over the tokens, in batches of 512, in the same context."""
    engine = model._engine
    api, batch = engine.api, engine._batch
    began = time.perf_counter()
    for at in range(0, len(tokens), 512):
        part = tokens[at : at + 512]
        for i, token in enumerate(part):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, at + i, 1, False
            batch.seq_id[i][0] = 0
        batch.n_tokens = len(part)
        if api.llama_decode(engine._context, batch):
            raise RuntimeError("llama_decode failed")
    api.llama_synchronize(engine._context)
    return time.perf_counter() - began


NAMES = (
    "agents_vs_full_prompts",
    "agents_vs_high_level",
    "agents_vs_server",
    "branches_vs_single",
    "prefill_vs_raw",
    "memory_vs_arithmetic",  # the last one: it closes the model
)
LIMITS = dict(zip(NAMES, (15.0, 3.0, 2.0, 3.5, 0.95, 1.25), strict=True))


def measure(path: Path, threads: int, tokens: int, names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(path, threads, tokens, Path(folder))
        for name in (name for name in NAMES if name in names):
            row: Callable[[], Row] = getattr(bench, name)
            try:
                rows.append(row())
            except (OSError, RuntimeError, subprocess.SubprocessError, StopIteration) as error:
                problem = f"{type(error).__name__}: {error}"
                rows.append(Row(name, None, None, None, LIMITS[name], "", problem))
            print(f"{name}: {rows[-1].ratio or rows[-1].problem}", file=sys.stderr)
        bench.model.close()
    return rows


def show(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("row", "ours", "theirs", "unit", "ratio", "limit", "")
    for row in rows:
        if row.ratio is None:
            table.add_row(row.name, "", "", "", "", str(row.limit), row.problem)
            continue
        sign = "≤" if row.name == "memory_vs_arithmetic" else "≥"
        cells = (f"{row.ours:,.1f}", f"{row.theirs:,.1f}", row.unit, f"{row.ratio:.2f}", f"{sign} {row.limit}")
        table.add_row(row.name, *cells, "holds" if row.holds else "MISSED")
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", type=Path, help="default: the default model")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--tokens", type=int, default=3000, help="tokens of the record")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    chosen = parser.parse_args()
    settings = Settings.load()
    path = chosen.model or settings.models_dir / f"{settings.model}.gguf"
    rows = measure(path, chosen.threads, chosen.tokens, chosen.only)
    if chosen.json:
        found: list[dict[str, Any]] = [{**asdict(row), "holds": row.holds} for row in rows]
        print(json.dumps({"model": path.name, "threads": chosen.threads, "rows": found}))
    else:
        show(rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
