"""The state of the program's own source, for what is kept by key; reads files, imports none of the rooms it hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

# Where what decides a record stands: results kept by another state of these are stale.
SOURCES = ("steps", "text", "codebook", "llm", "packs", "workflow", "search.sandbox")


@cache
def source_digest() -> str:
    """A hash of the source and data that make records: within one version they may change, where it is developed."""
    digest = hashlib.sha256((files("jointcoder") / "records.py").read_bytes())
    for name in SOURCES:
        for file in _files(files("jointcoder").joinpath(*name.split("."))):
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _files(folder: Traversable) -> Iterator[Traversable]:
    for one in sorted(folder.iterdir(), key=lambda item: item.name):
        if one.is_dir() and one.name != "__pycache__":
            yield from _files(one)
        elif one.is_file():
            yield one
