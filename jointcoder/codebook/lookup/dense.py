"""Vectors of a book's wordings, mapped into memory, and exact search over them.

What is embedded and how it is written: :mod:`jointcoder.codebook.build.vectors`. All vectors are compared with the
query, none is skipped: eight bits a dimension are read from the map and computed in float32, a cache's worth at a
time. This module knows document numbers of the lexical index, but no wordings and no scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.embed import Embedder, load_embedder, prepare
from jointcoder.errors import AssetError, JointCoderError, UsageError
from jointcoder.records import System

FOLDER, META, VERSION = "vectors", "meta.json", 1
CHUNK = 1024  # vectors compared at a time: their float32 form stays in the processor's cache
STEPS = 127
MODES = ("auto", "on", "off")

Array = NDArray[Any]
ARRAYS = ("rows", "scale", "mean", "offsets", "members", "group_of")


def shard_folder(language: str, system: System) -> str:
    """The folder of one language and system below ``vectors/``."""
    return f"{language}.{system}"


def has_vectors(path: Path) -> bool:
    """Whether the book folder ``path`` holds vectors, fresh or not."""
    return (path / FOLDER / META).is_file()


@dataclass(frozen=True)
class Vectors:
    """The arrays of one index.

    ``rows``: [texts, dimensions] int8, centred unit vectors divided by ``scale`` [dimensions]. ``mean`` [dimensions]
    of the wordings, ``means`` of queries in other languages. ``members[offsets[i]:offsets[i+1]]``: documents that
    text ``i`` stands for; ``group_of[document]``: the text that stands for it, or -1.
    """

    rows: Array
    scale: Array
    mean: Array
    offsets: Array
    members: Array
    group_of: Array
    means: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.float32],
        members: Sequence[Sequence[int]],
        group_of: NDArray[np.int32],
        means: Mapping[str, NDArray[np.float32]],
    ) -> Self:
        """From unit vectors [texts, dimensions] and the documents of each text."""
        mean = vectors.mean(axis=0)
        centred = _unit(vectors - mean)
        scale = np.maximum(np.abs(centred).max(axis=0), 1e-9) / STEPS
        return cls(
            rows=np.rint(centred / scale).astype(np.int8),
            scale=scale.astype(np.float32),
            mean=mean.astype(np.float32),
            offsets=np.concatenate(([0], np.cumsum([len(one) for one in members]))).astype(np.int64),
            members=np.concatenate([np.asarray(one, dtype=np.int32) for one in members]),
            group_of=np.asarray(group_of, dtype=np.int32),
            means={language: np.asarray(value, dtype=np.float32) for language, value in means.items()},
        )

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(self, name)))
        for language, mean in self.means.items():
            np.save(folder / f"mean.{language}.npy", mean)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Maps the arrays; raises OSError or ValueError when a file is missing or damaged."""
        arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in ARRAYS}
        means = {file.name.split(".")[1]: np.load(file) for file in sorted(folder.glob("mean.*.npy"))}
        return cls(**arrays, means=means)

    def likeness(self, query: NDArray[np.float32], language: str) -> NDArray[np.float32]:
        """The cosine of every text with a unit vector, both centred; ``language`` is that of the query."""
        centred = _unit(query - self.means.get(language, self.mean)) * self.scale
        count, dimensions = self.rows.shape
        found = np.empty(count, dtype=np.float32)
        block = np.empty((min(CHUNK, count), dimensions), dtype=np.float32)
        for first in range(0, count, CHUNK):
            part = self.rows[first : first + CHUNK]
            np.copyto(block[: len(part)], part, casting="unsafe")
            # not np.dot: its threads wait for each other, and for whatever else the cores do
            np.vecdot(block[: len(part)], centred, out=found[first : first + len(part)])
        return found

    def best(self, likeness: NDArray[np.float32], number: int) -> NDArray[np.int64]:
        """Documents of the ``number`` texts most alike, ties by place."""
        number = min(number, len(likeness))
        least = np.partition(likeness, len(likeness) - number)[len(likeness) - number]
        groups = np.flatnonzero(likeness >= least)
        lengths = self.offsets[groups + 1] - self.offsets[groups]
        starts = np.repeat(self.offsets[groups] - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
        return np.asarray(self.members[starts + np.arange(int(lengths.sum()))], dtype=np.int64)


class Dense:
    """Search by meaning over one book: the embedder and the vectors, loaded at the first query."""

    def __init__(self, book: CodeBook, embedder: Embedder) -> None:
        self._book = book
        self.embedder = embedder

    @classmethod
    def of(cls, book: CodeBook, mode: str, embedder: Embedder | None = None) -> tuple[Dense | None, str]:
        """The dense search of a book, or None and why not.

        ``mode``: ``off`` never; ``auto`` where the book has vectors and the machine an embedder; ``on`` raises
        instead: UsageError JC002 without an embedder, AssetError JC203 without vectors, JC207 for unusable ones.
        """
        if mode not in MODES:
            raise UsageError("JC001", f"dense: unknown value {mode!r}", hint=f"known: {', '.join(MODES)}")
        if mode == "off":
            return None, ""
        try:
            meta = _meta(book)
            embedder = embedder or load_embedder()
            if (meta.get("model"), meta.get("dimensions")) != (embedder.name, embedder.dimensions):
                raise _stale(book, f"made by {meta.get('model')}, this machine has {embedder.name}")
        except JointCoderError as error:
            if mode == "on":
                raise
            return None, error.message + (f" ({error.hint})" if error.hint else "")
        return cls(book, embedder), ""

    def embed(self, text: str) -> NDArray[np.float32] | None:
        """The unit vector of a query; None where nothing is left to embed."""
        plain = prepare(text)
        return self.embedder.embed([plain])[0] if plain else None

    def vectors(self, language: str, system: System) -> Vectors | None:
        """The vectors of one index; None when the book has none. AssetError JC207."""
        name = f"{FOLDER}/{shard_folder(language, system)}"
        return self._book.kept(name, lambda: _open(self._book.path / name))


def _meta(book: CodeBook) -> dict[str, Any]:
    hint = f"run `jointcoder codebook build {book.info.id} --vectors`"
    if not has_vectors(book.path):
        raise AssetError("JC203", f"the code book {book.info.id} has no vectors", hint=hint)
    try:
        meta = json.loads((book.path / FOLDER / META).read_text("utf-8"))
    except (OSError, ValueError):
        raise _stale(book, "damaged") from None
    if not isinstance(meta, dict) or meta.get("version") != VERSION or meta.get("book") != book.info.sha256:
        raise _stale(book, "made for another build of the book")
    return meta


def _stale(book: CodeBook, problem: str) -> AssetError:
    hint = f"run `jointcoder codebook build {book.info.id} --vectors`"
    return AssetError("JC207", f"the vectors of the code book {book.info.id} cannot be used: {problem}", hint=hint)


def _open(folder: Path) -> Vectors | None:
    if not folder.is_dir():
        return None
    try:
        return Vectors.open(folder)
    except (OSError, ValueError) as error:
        raise AssetError("JC207", f"the vectors {folder} are damaged ({type(error).__name__})") from None


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9), dtype=np.float32)
