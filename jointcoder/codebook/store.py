"""Where code books lie, and which one is meant.

A book is named by its id below `Settings.books_dir` or by a path; ``us`` stands for the US edition that is installed,
the newest of several. Building and fetching are elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import AssetError, name_list
from jointcoder.settings import Settings

FAMILY = "us"
DEFAULT = "us-2026"


def installed(settings: Settings) -> list[str]:
    """Ids of the books that are there."""
    if not settings.books_dir.is_dir():
        return []
    return sorted(p.name for p in settings.books_dir.iterdir() if p.name[0] != "." and (p / "meta.json").is_file())


def open_book(settings: Settings, name: str | None = None) -> CodeBook:
    """Open the book ``name`` (id or path; default: the settings' book, else the US book).

    AssetError JC203 for a known book that has not been built, JC206 for an unknown name, JC207 for a damaged one.
    """
    from jointcoder.codebook.build import known

    name = name or settings.code_book or FAMILY
    here = installed(settings)
    if name == FAMILY:
        name = max((book for book in here if book.startswith(f"{FAMILY}-")), default=DEFAULT)
    if name in here:
        return CodeBook.open(settings.books_dir / name)
    path = Path(name).expanduser()
    if path.is_dir() or len(path.parts) > 1:
        return CodeBook.open(path)
    names = f"installed: {name_list(here)}; known: {name_list(known())}"
    if name not in known():
        raise AssetError("JC206", f"unknown code book {name!r}", hint=names)
    way = "jointcoder setup" if name == DEFAULT else f"jointcoder codebook build {name}"
    raise AssetError("JC203", f"the code book {name} is not installed", hint=f"run `{way}`; {names}")
