"""The header of a GGUF file: what is in it and how long it must be. The weights themselves are not read.

    magic, version, counts | key, type, value … | tensor name, shape, type, offset … | padding | data

Layout: the GGUF specification (ggml, docs/gguf.md), versions 2 and 3. The file may be anything: every length is checked
against the file before it is used, long arrays are stepped over, and what does not add up is a :class:`GgufError`.
This module knows no engine, no manifest and no name of a model.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
MOST_KEYS, MOST_TENSORS, MOST_STRINGS = 65_536, 1_000_000, 4_000_000
KEPT = 4096  # elements of an array that is kept; of longer ones and of lists of text only the length is
ALIGNMENT = 32

# Value types of metadata: struct letter; 8 is text, 9 an array.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9

# Tensor types (ggml.h): name, elements of a block, bytes of a block.
TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}

# general.file_type (llama.h, llama_ftype).
_NAMES = """
    F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS IQ2_XS
    Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 - - - TQ1_0 TQ2_0 MXFP4 NVFP4 Q1_0
"""
FILE_TYPES = dict(enumerate(_NAMES.split()))


class GgufError(ValueError):
    """The file is not a whole GGUF file; the text says what is wrong with it."""


@dataclass(frozen=True)
class Tensor:
    """``shape``: elements a dimension, the fastest first. ``size``: bytes, None for a type unknown here."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size: int | None

    @property
    def elements(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count


@dataclass(frozen=True)
class GgufHeader:
    """``metadata``: scalars and texts by key, short arrays of numbers as tuples, other arrays as their length
    (:attr:`lengths`). ``size``: bytes of the file; ``begin``: where the tensors' data begins."""

    path: Path
    size: int
    begin: int
    metadata: Mapping[str, Any]
    lengths: Mapping[str, int] = field(default_factory=dict)
    tensors: tuple[Tensor, ...] = ()

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def is_adapter(self) -> bool:
        """Whether it is a LoRA adapter, not a model."""
        return self.metadata.get("general.type") == "adapter"

    @property
    def parts(self) -> int:
        """Files that the model was split into; 1 for a whole one."""
        count = self.metadata.get("split.count")
        return count if isinstance(count, int) and count > 0 else 1

    @property
    def name(self) -> str:
        return str(self.metadata.get("general.name", ""))

    @cached_property
    def quantisation(self) -> str:
        """As the file says, else the type of most of its weights."""
        said = FILE_TYPES.get(self.metadata.get("general.file_type", -1), "-")
        if said != "-":
            return said
        sums: dict[str, int] = {}
        for tensor in self.tensors:
            sums[tensor.type] = sums.get(tensor.type, 0) + tensor.elements
        return max(sums, key=lambda kind: sums[kind], default="")

    @cached_property
    def parameters(self) -> int:
        return sum(tensor.elements for tensor in self.tensors)

    @cached_property
    def needed(self) -> int:
        """Bytes that the file must have, by its table of tensors."""
        ends = [self.begin + tensor.offset + (tensor.size or 0) for tensor in self.tensors]
        return max([self.begin, *ends])

    def own(self, key: str, default: Any = None) -> Any:
        """The architecture's own value of ``key``, e.g. ``block_count``."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    def require_whole(self) -> None:
        """Raises GgufError if the file is shorter than its table of tensors says."""
        if self.size < self.needed:
            raise GgufError(f"truncated: {self.size:,} of {self.needed:,} bytes are there")


def read_header(path: Path) -> GgufHeader:
    """The header of a GGUF file. Raises GgufError (not GGUF, damaged, truncated within the header), OSError."""
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise GgufError("not a GGUF file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data, path).header()


class _Reader:
    """Steps through the header once."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data, self._path, self._at, self._end = data, path, 4, len(data)

    def header(self) -> GgufHeader:
        version = self._scalar("I")
        if not 2 <= version <= 3:
            raise GgufError(f"GGUF version {version}" if version < 256 else "big-endian GGUF, or damaged")
        tensors, keys = self._scalar("Q"), self._scalar("Q")
        if keys > MOST_KEYS or tensors > MOST_TENSORS:
            raise GgufError("damaged: impossible counts in its header")
        metadata: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for _ in range(keys):
            self._entry(metadata, lengths)
        table = tuple(self._tensor() for _ in range(tensors))
        alignment = metadata.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise GgufError("damaged: impossible alignment")
        begin = -(-self._at // alignment) * alignment
        return GgufHeader(self._path, self._end, begin, metadata, lengths, table)

    def _entry(self, metadata: dict[str, Any], lengths: dict[str, int]) -> None:
        key, kind = self._text(), self._scalar("I")
        if kind == TEXT:
            metadata[key] = self._text()
        elif kind in SCALARS:
            metadata[key] = self._scalar(SCALARS[kind])
        elif kind == ARRAY:
            inner, count = self._scalar("I"), self._scalar("Q")
            lengths[key] = count
            if inner == TEXT:
                self._skip_texts(count)
            elif inner in SCALARS:
                start = self._step(count * struct.calcsize(SCALARS[inner]))
                if count <= KEPT:
                    metadata[key] = struct.unpack_from(f"<{count}{SCALARS[inner]}", self._data, start)
            else:
                raise GgufError(f"damaged: an array of type {inner} in its header")
        else:
            raise GgufError(f"damaged: a value of type {kind} in its header")

    def _tensor(self) -> Tensor:
        name, dimensions = self._text(), self._scalar("I")
        if dimensions > 8:
            raise GgufError("damaged: a tensor of impossible shape")
        shape = tuple(self._scalar("Q") for _ in range(dimensions))
        kind, offset = self._scalar("I"), self._scalar("Q")
        label, block, size = TYPES.get(kind, (f"type {kind}", 0, 0))
        tensor = Tensor(name, shape, label, offset, None)
        return Tensor(name, shape, label, offset, -(-tensor.elements // block) * size) if block else tensor

    def _skip_texts(self, count: int) -> None:
        # The only long loop here: a vocabulary of 150,000 tokens takes some 50 ms.
        if count > MOST_STRINGS:
            raise GgufError("damaged: an impossible number of texts in its header")
        data, at, last = self._data, self._at, self._end - 8
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(count):
            if at > last:
                raise _short(self._end)
            at += 8 + unpack(data, at)[0]
        self._at = at
        self._step(0)

    def _text(self) -> str:
        length = self._scalar("Q")
        start = self._step(length)
        return self._data[start : start + length].decode("utf-8", "replace")

    def _scalar(self, letter: str) -> Any:
        size = struct.calcsize(letter if letter != "?" else "B")
        return struct.unpack_from("<" + letter, self._data, self._step(size))[0]

    def _step(self, size: int) -> int:
        """Go on by ``size`` bytes, which must be there; where they begin."""
        start = self._at
        if start + size > self._end:
            raise _short(self._end)
        self._at = start + size
        return start


def _short(size: int) -> GgufError:
    return GgufError(f"truncated or damaged: its header goes on beyond its {size:,} bytes")
