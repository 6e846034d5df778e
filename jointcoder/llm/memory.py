"""What a model will take of the machine's memory, and whether that is there: said before loading, with the arithmetic.

    weights            the tensors of the file
    key-value cache    cells × layers × (keys + values) × bytes of one number; a cell holds one token
    buffers            the widest moment of a call, rows of logits, the vocabulary's tables

Shapes come from the GGUF's header. The buffers' terms were fitted to what llama.cpp reports for the llama and qwen2
architectures (within 10 %); weights and cache are exact for plain transformers and an upper bound for those with
windows or recurrent layers. A model whose header lacks a term is not judged. With layers on a GPU only the processor's
share is counted. This module loads nothing; it knows Linux's memory and no other system's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jointcoder.assets.gguf import GgufHeader
from jointcoder.errors import ModelError
from jointcoder.llm.options import BLOCK, EngineOptions

SLACK = 4 * BLOCK  # cells beyond the context limit, for padding and filler
PADDED = 256  # llama.cpp rounds the number of cells up to this
LEAST_TOKENS = 1024  # a smaller context than this codes nothing
VOCABULARY_BYTES = 350  # of llama.cpp's tables, for one token
WIDE, NARROW = 3, 6  # rows of feed-forward and of model width that live at once
NARROW_PLAIN = 12  # the same without flash attention
UNLIMITED = 1 << 60  # control groups without a limit say some such number


@dataclass(frozen=True)
class Need:
    """Bytes that one engine takes. ``per_token``: bytes of cache that a token of context takes."""

    context_tokens: int
    weights: int
    cache: int
    buffers: int
    layers: int
    width: int
    number_bytes: int
    per_token: float

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.buffers

    def __str__(self) -> str:
        tokens = f"{self.context_tokens + SLACK:,} tokens × {self.layers} layers × {self.width:,} numbers × "
        return (
            f"weights {_gb(self.weights)} + key-value cache {_gb(self.cache)} ({tokens}{self.number_bytes} bytes) + "
            f"buffers {_gb(self.buffers)} = {_gb(self.total)}"
        )

    @cached_property
    def parts(self) -> dict[str, int]:
        """For JSON."""
        return {"weights": self.weights, "cache": self.cache, "buffers": self.buffers, "total": self.total}


def need(header: GgufHeader, *, context_tokens: int, options: EngineOptions, gpu_layers: int = 0) -> Need | None:
    """The arithmetic; None if the header lacks a term of it."""
    layers, heads, width = _number(header, "block_count"), _number(header, "attention.head_count"), _width(header)
    embedding, feed_forward = _number(header, "embedding_length"), _number(header, "feed_forward_length")
    if not (layers and heads and width and embedding) or any(tensor.size is None for tensor in header.tensors):
        return None
    vocabulary = int(header.lengths.get("tokenizer.ggml.tokens") or header.own("vocab_size") or 0)
    kept = 1 - min(gpu_layers, layers) / layers if gpu_layers >= 0 else 0.0  # negative: all on the GPU
    number = 4 if options.kv_type == "f32" else 2
    cells = -(-(context_tokens + SLACK) // PADDED) * PADDED
    per_cell = width * number * kept
    batch, rows = options.batch_tokens, min(options.logit_rows, options.batch_tokens)
    if options.flash_attention:
        mask, narrow = cells * (2 * batch + 68), NARROW
    else:
        mask, narrow = cells * batch * 4 * (heads + 1), NARROW_PLAIN
    activations = 4 * batch * (WIDE * (feed_forward or 4 * embedding) + narrow * embedding) + mask
    logits = 4 * rows * (vocabulary + 2 * embedding)
    buffers = max(activations, logits) + 4 * rows * vocabulary + VOCABULARY_BYTES * vocabulary
    weights = sum(tensor.size or 0 for tensor in header.tensors)
    return Need(
        context_tokens=context_tokens,
        weights=int(weights * kept),
        cache=int(cells * per_cell),
        buffers=buffers,
        layers=layers,
        width=width // layers,
        number_bytes=number,
        per_token=per_cell + (mask / cells if activations > logits else 0),
    )


def require(found: Need, room: int | None, *, what: str, remedy: str = "") -> None:
    """Raises ModelError JC311 with the arithmetic if ``found`` is more than ``room`` bytes (None: unknown, no check).

    ``what`` is the model's name, ``remedy`` what else than a smaller context would help.
    """
    if room is None or found.total <= room:
        return
    tokens = fitting(found, room)
    smaller = f"lower context_tokens to {tokens}" if tokens else "take a smaller model (jointcoder models list)"
    raise ModelError(
        "JC311",
        f"not enough memory for {what}: {found}; {_gb(room)} are available",
        hint=f"{smaller}{f', or {remedy}' if remedy else ''}",
    )


def fitting(found: Need, room: int) -> int:
    """The largest context, in whole cells of 256, that fits ``room`` bytes; 0 if none of use does."""
    if found.total <= room:
        return found.context_tokens
    if found.per_token <= 0:
        return 0
    tokens = int(found.context_tokens - (found.total - room) / found.per_token) // PADDED * PADDED
    return tokens if tokens >= LEAST_TOKENS else 0


# ------------------------------------------------------------------------------------------------- what there is


def available(root: Path = Path("/")) -> int | None:
    """Bytes that a process may still take: the machine's and its control groups' (versions 1 and 2). Files that lie in
    memory only because they were read count as free. None where the system does not tell. ``root``: for tests."""
    room = _meminfo(root)
    for usage, limit, files in _groups(root):
        left = limit - max(0, usage - files)
        room = left if room is None else min(room, left)
    return None if room is None else max(0, room)


def installed(root: Path = Path("/")) -> int | None:
    """Bytes of memory that the machine has, or its control group may use."""
    total = _meminfo(root, "MemTotal")
    limits = [limit for _, limit, _ in _groups(root)]
    return min([*limits, *([] if total is None else [total])], default=None)


def _meminfo(root: Path, key: str = "MemAvailable") -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text("ascii").splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    return None


def _groups(root: Path) -> Iterator[tuple[int, int, int]]:
    """Usage, limit and reclaimable bytes of every control group above this process that has a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            top, names = root / "sys/fs/cgroup", ("memory.current", "memory.max", "inactive_file", "active_file")
        elif "memory" in controllers.split(","):
            names = ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file", "total_active_file")
            top = root / "sys/fs/cgroup/memory"
        else:
            continue
        # Inside a container the path may be the host's: then the container's own group lies at the top.
        inner = top / place.strip("/")
        folders = [inner, *inner.parents] if inner.is_dir() else [top]
        for folder in folders:
            with suppress(OSError, ValueError):
                usage, limit = (int((folder / name).read_text("ascii")) for name in names[:2])
                if limit < UNLIMITED:
                    yield usage, limit, _reclaimable(folder / "memory.stat", names[2:])
            if folder == top:
                break


def _reclaimable(path: Path, keys: tuple[str, ...]) -> int:
    with suppress(OSError, ValueError):
        pairs = (line.split() for line in path.read_text("ascii").splitlines())
        return sum(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] in keys)
    return 0


# ------------------------------------------------------------------------------------------------------- shapes


def _width(header: GgufHeader) -> int:
    """Numbers that one token leaves in the cache: keys and values of all layers."""
    layers, heads, embedding = (
        _number(header, key) for key in ("block_count", "attention.head_count", "embedding_length")
    )
    if not (layers and heads):
        return 0
    head = embedding // heads
    keys = _number(header, "attention.key_length") or head
    values = _number(header, "attention.value_length") or head
    by_layer: Any = header.own("attention.head_count_kv", heads)
    groups = sum(by_layer) if isinstance(by_layer, tuple) else int(by_layer) * layers
    return int(groups * (keys + values))


def _number(header: GgufHeader, key: str) -> int:
    """A value of the header; of one that differs by layer the largest. 0 if absent or no number."""
    value = header.own(key, 0)
    value = max(value, default=0) if isinstance(value, tuple) else value
    return int(value) if isinstance(value, int) and value > 0 else 0


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
