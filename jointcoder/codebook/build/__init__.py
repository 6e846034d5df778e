"""Builders: official files → a code book on disk. One module a country, one writer for all (`writer.py`)."""

from __future__ import annotations

from pathlib import Path

from jointcoder.codebook.build.cn import build_cn, editions
from jointcoder.codebook.build.us import BOOK, build_us, find_sources
from jointcoder.codebook.build.writer import Progress
from jointcoder.codebook.model import BookInfo
from jointcoder.errors import AssetError, name_list

__all__ = ["build_cn", "build_from_directory", "build_us", "editions", "find_sources", "known"]


def known() -> tuple[str, ...]:
    """Ids of the books that can be built by name."""
    return (BOOK, *editions())


def build_from_directory(book: str, directory: Path, target: Path, *, progress: Progress | None = None) -> BookInfo:
    """Build the known book ``book`` from the official files in ``directory``. AssetError JC206, CodeBookError JC502."""
    if book not in known():
        raise AssetError("JC206", f"unknown code book {book!r}", hint=f"known: {name_list(known())}")
    if book == BOOK:
        return build_us(find_sources(directory), target, progress=progress)
    return build_cn(book, directory, target, progress=progress)
