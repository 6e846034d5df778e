"""How fast a model runs on this machine: reading, writing in 1, 8 and 16 branches, choosing, memory and bandwidth.

    python -m jointcoder.llm.bench --child MODEL JSON      (prints one line of JSON)

Writing is bound by how fast the weights can be read, so its rate stands beside the machine's: ``share`` is the part of
the bandwidth that a single sequence uses. The engine is measured in a process of its own (probe.py says why), with
the options that suit the machine best; those are chosen first unless it must be quick. Rates are kept per machine,
beside the options (options.py). Not covered: GPUs, and other processes, which cost more than anything measured here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jointcoder.errors import ModelError
from jointcoder.llm.options import EngineOptions, load_options, save_rates, usable_cores
from jointcoder.llm.probe import PASSAGE, as_child, probe_engine, run_child

LENGTHS, QUICK_LENGTHS = (512, 2048), (512,)  # tokens of a prompt
BRANCHES = (1, 8, 16)
SHARED = 512  # tokens of the prefix that branches share
STEPS, QUICK_STEPS = 32, 4  # tokens that each branch writes
QUESTIONS, QUICK_QUESTIONS = 24, 4
LIMIT_S = 1800.0
READ_BYTES, READ_TIMES = 1 << 29, 4

Notice = Callable[[str], None]  # what is being measured


@dataclass(frozen=True)
class Rates:
    """What was measured. ``prefill``: tokens a second by length of the prompt; ``decode``: tokens a second of all
    branches together, by their number; ``choose``: questions a second on a prefix that was read before, 0.0 if the
    model is no chat model. ``peak``: bytes of resident memory at most; ``arithmetic``: as memory.py reckons, {} if it
    cannot. ``bandwidth``: bytes a second that this machine reads; ``step_bytes``: weights read for one token."""

    options: EngineOptions
    prefill: dict[int, float]
    decode: dict[int, float]
    choose: float
    context_tokens: int
    peak: int
    arithmetic: dict[str, int]
    bandwidth: float
    step_bytes: int
    quick: bool = False

    @property
    def share(self) -> float:
        """Part of the bandwidth that writing a single sequence uses."""
        return self.decode[1] * self.step_bytes / self.bandwidth if self.bandwidth else 0.0

    @property
    def seconds(self) -> float:
        """Time of a typical request, as :attr:`ProbeResult.seconds`: 1,000 tokens read, 100 written."""
        return 1000 / self.prefill[512] + 100 / self.decode[1]

    def to_json(self) -> dict[str, Any]:
        """Lengths and branches as keys of text; ``share`` and ``seconds`` included."""
        return {
            **asdict(self),
            "prefill": {str(length): round(rate, 1) for length, rate in self.prefill.items()},
            "decode": {str(branches): round(rate, 1) for branches, rate in self.decode.items()},
            "choose": round(self.choose, 2),
            "share": round(self.share, 3),
            "seconds": round(self.seconds, 2),
        }


def bench(
    model_path: Path,
    *,
    saved: Path,
    context_tokens: int = 8192,
    quick: bool = False,
    notice: Notice | None = None,
) -> Rates:
    """Choose the options, measure, and keep both in ``saved``. ``quick``: with the options chosen earlier.

    Minutes for a model of a gigabyte, half a minute if ``quick``. Raises ModelError JC305 (the engine dies; what it
    said), JC311 (not enough memory), OSError if ``saved`` cannot be written.
    """
    tell = notice or (lambda line: None)
    if quick:
        options = load_options(saved, model_path) or EngineOptions(threads=usable_cores())
    else:

        def told(done: int, total: int, label: str) -> None:
            if label:
                tell(f"options, {done + 1} of {total}: {label}")

        options = probe_engine(model_path, saved=saved, thorough=True, progress=told).chosen
    tell("bandwidth of the memory")
    bandwidth = read_bandwidth(options.threads or usable_cores())
    tell(f"rates with {options.label}")
    argument = {"options": options.to_json(), "context_tokens": context_tokens, "quick": quick}
    found = run_child("jointcoder.llm.bench", model_path, argument, limit_s=LIMIT_S)
    if failure := found.get("failure"):
        raise ModelError(
            "JC311" if str(failure).startswith("JC311") else "JC305",
            f"the engine could not be measured: {failure}",
            hint="see what works here: jointcoder doctor --probe",
        )
    arithmetic, step_bytes = _reckoned(model_path, context_tokens, options)
    rates = Rates(
        options=options,
        prefill={int(length): rate for length, rate in found["prefill"].items()},
        decode={int(branches): rate for branches, rate in found["decode"].items()},
        choose=found["choose"],
        context_tokens=context_tokens,
        peak=found["peak"],
        arithmetic=arithmetic,
        bandwidth=bandwidth,
        step_bytes=step_bytes,
        quick=quick,
    )
    save_rates(saved, model_path, rates.to_json())
    return rates


def read_bandwidth(threads: int) -> float:
    """Bytes a second that ``threads`` threads read from memory: the best of a few passes over half a gigabyte."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    # The maximum of whole numbers is the reduction that numpy does fastest; it waits for the memory.
    parts = [np.ones(READ_BYTES // threads // 4, dtype=np.int32) for _ in range(threads)]
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(READ_TIMES):
            began = time.perf_counter()
            list(pool.map(np.max, parts))
            best = min(best, time.perf_counter() - began)
    return sum(part.nbytes for part in parts) / best


def _reckoned(path: Path, context_tokens: int, options: EngineOptions) -> tuple[dict[str, int], int]:
    """The memory arithmetic, and the weights that a token reads: all but the table it is looked up in."""
    from jointcoder.assets.gguf import read_header
    from jointcoder.llm.memory import need

    header = read_header(path)
    found = need(header, context_tokens=context_tokens, options=options)
    sizes = {tensor.name: tensor.size or 0 for tensor in header.tensors}
    looked_up = sizes.get("token_embd.weight", 0) if "output.weight" in sizes else 0
    return found.parts if found else {}, sum(sizes.values()) - looked_up


# ------------------------------------------------------------------------------------------------------ the child


def measure(model_path: Path, options: EngineOptions, *, context_tokens: int, quick: bool) -> dict[str, Any]:
    """All rates, in this process: ``{"prefill", "decode", "choose", "peak"}``."""
    prefill, decode = _engine_rates(model_path, options, context_tokens, quick)
    choose = _choose_rate(model_path, options, context_tokens, QUICK_QUESTIONS if quick else QUESTIONS)
    return {"prefill": prefill, "decode": decode, "choose": choose, "peak": _peak()}


def _engine_rates(
    path: Path, options: EngineOptions, context_tokens: int, quick: bool
) -> tuple[dict[int, float], dict[int, float]]:
    import time

    from jointcoder.llm.engine import Engine, Row, Run

    lengths, steps = (QUICK_LENGTHS, QUICK_STEPS) if quick else (LENGTHS, STEPS)
    room = max(context_tokens, lengths[-1], SHARED + BRANCHES[-1] * (steps + 1))
    threads = options.threads or usable_cores()
    engine = Engine(path, context_tokens=room, options=options, gpu_layers=0, threads=threads)
    try:
        passage = engine.tokenize(PASSAGE * 16)
        tokens = passage * (lengths[-1] // len(passage) + 1)
        engine.decode([Run(0, 0, tokens[:64])])  # warm: the weights come into memory
        prefill, decode = {}, {}
        for length in lengths:
            engine.clear()
            began = time.perf_counter()
            engine.prefill(0, 0, tokens[:length])
            prefill[length] = length / (time.perf_counter() - began)
        if lengths[-1] != SHARED:
            engine.clear()
            engine.prefill(0, 0, tokens[:SHARED])
        for branches in (n for n in BRANCHES if n <= options.parallel):
            sequences = range(options.kept, options.kept + branches)
            for sequence in sequences:
                engine.copy(0, sequence, SHARED)
            following = tokens[:branches]

            def take(run: int, offset: int, row: Row, following: list[int] = following) -> None:
                following[run] = int(row.argmax())

            began = time.perf_counter()
            for step in range(steps):
                runs = [Run(s, SHARED + step, [t], "last") for s, t in zip(sequences, following, strict=True)]
                engine.decode(runs, fill=0, on_logits=take)
            decode[branches] = branches * steps / (time.perf_counter() - began)
            for sequence in sequences:
                engine.remove(sequence)
    finally:
        engine.close()
    return prefill, decode


def _choose_rate(path: Path, options: EngineOptions, context_tokens: int, count: int) -> float:
    import time

    from jointcoder.llm.base import Context, Question
    from jointcoder.llm.llamacpp import LlamaCpp

    try:
        model = LlamaCpp(path, context_tokens=context_tokens, options=options)
    except ModelError as error:
        if error.code == "JC301":  # it was loaded before: only the chat template is missing
            return 0.0
        raise
    with model:
        context = Context(PASSAGE * (SHARED // model.count_tokens(PASSAGE)))
        # Some twenty tokens each, as those of a coder.
        questions = [Question(f"{n} {PASSAGE[:30]}?", ("0", "1")) for n in range(count + 1)]
        model.choose(context, questions[:1])
        began = time.perf_counter()
        model.choose(context, questions[1:])
        return count / (time.perf_counter() - began)


def _peak() -> int:
    """Bytes of resident memory that this process had at most; 0 where the system does not tell."""
    try:  # not from getrusage: on Linux that begins with the parent's peak
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _work(model_path: Path, argument: Any) -> dict[str, Any]:
    options = EngineOptions.from_json(argument["options"])
    return measure(model_path, options, context_tokens=argument["context_tokens"], quick=argument["quick"])


if __name__ == "__main__":
    raise SystemExit(as_child(sys.argv[1:], _work))
