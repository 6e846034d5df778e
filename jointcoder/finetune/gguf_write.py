"""Writes small GGUF files, such as adapters: a header, a table of tensors, the tensors. Models go by the package gguf.

    write_gguf(path, {"general.type": "adapter", …}, {"blk.0.attn_q.weight.lora_a": matrix, …})

The file appears whole or not at all: it is written beside its place, brought to the disk, then renamed. The same
content gives the same bytes. This module knows neither adapters nor models.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.assets.gguf import ALIGNMENT, ARRAY, MAGIC, TEXT
from jointcoder.assets.store import FULL
from jointcoder.errors import AssetError

VERSION = 3
UINT32, FLOAT32, BOOL = 4, 6, 7  # value types of metadata
DTYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1}

Value = str | bool | int | float | Sequence[int]
Matrix = NDArray[np.float32] | NDArray[np.float16]


def write_gguf(path: Path, metadata: Mapping[str, Value], tensors: Mapping[str, Matrix]) -> Path:
    """Write the file. Integers become uint32, floats float32; a sequence is one of uint32.

    Raises AssetError JC205 (no room, not writable); ValueError for a tensor that is neither float32 nor float16.
    """
    head = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(metadata))]
    head += [_text(key) + _value(value) for key, value in metadata.items()]
    offset = 0
    for name, matrix in tensors.items():
        if matrix.dtype not in DTYPES:
            raise ValueError(f"{name} is of type {matrix.dtype}")
        shape = matrix.shape[::-1]  # the fastest dimension first
        head.append(_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, DTYPES[matrix.dtype], offset))
        offset += _padded(matrix.nbytes)
    with replacing(path) as file:
        header = b"".join(head)
        file.write(header + bytes(_padded(len(header)) - len(header)))
        for matrix in tensors.values():
            file.write(np.ascontiguousarray(matrix).tobytes())
            file.write(bytes(_padded(matrix.nbytes) - matrix.nbytes))
    return path


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of ``path`` when the block ends well and vanishes when it does not.

    Raises AssetError JC205 (no room, not writable).
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with coded(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def coded(path: Path) -> Iterator[None]:
    """Turn what goes wrong while ``path`` is written into AssetError JC205."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            problem, hint = f"no room on the disk for {path}", "free some room, or name another place"
        else:
            problem, hint = f"{path} cannot be written ({os.strerror(error.errno or 0)})", "name another place"
        raise AssetError("JC205", problem, hint=f"{hint}; what was there before is untouched") from error


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", TEXT) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", FLOAT32, value)
    return struct.pack(f"<IIQ{len(value)}I", ARRAY, UINT32, len(value), *value)
