"""Builders: official files → a code book on disk. One module a country, one writer for all (`writer.py`)."""

from __future__ import annotations

from pathlib import Path

from jointcoder.codebook.build.cn import build_cn, editions, is_own
from jointcoder.codebook.build.us import BOOKS, build_us, find_sources, year_of_book
from jointcoder.codebook.build.writer import Progress
from jointcoder.codebook.model import BookInfo
from jointcoder.errors import AssetError, name_list

__all__ = ["build_cn", "build_from_directory", "build_us", "editions", "find_sources", "known"]


def known() -> tuple[str, ...]:
    """Ids of the books that can be built by name."""
    return (*BOOKS, *editions())


def build_from_directory(book: str, directory: Path, target: Path, *, progress: Progress | None = None) -> BookInfo:
    """Build ``book``, a known one, one of another year (``us-YYYY``) or a hospital's own (any id ``cn-…``), from the
    files in ``directory``. AssetError JC206, CodeBookError JC502."""
    yearly = year_of_book(book) is not None
    if book not in known() and not yearly and not is_own(book):
        raise AssetError("JC206", f"unknown code book {book!r}", hint=f"known: {name_list(known())}")
    if yearly:
        return build_us(find_sources(directory, book), target, book_id=book, progress=progress)
    return build_cn(book, directory, target, progress=progress)
