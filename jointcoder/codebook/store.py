"""Where code books lie, and which one is meant.

A book is named by its id below `Settings.books_dir` or by a path. Building and fetching are elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import AssetError, name_list
from jointcoder.settings import Settings

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

    name = name or settings.code_book or DEFAULT
    held = settings.books_dir / name
    if (held / "meta.json").is_file():
        return CodeBook.open(held)
    path = Path(name).expanduser()
    if path.is_dir() or len(path.parts) > 1:
        return CodeBook.open(path)
    here = f"installed: {name_list(installed(settings))}; known: {name_list(known())}"
    if name not in known():
        raise AssetError("JC206", f"unknown code book {name!r}", hint=here)
    way = "jointcoder setup" if name == DEFAULT else f"jointcoder codebook build {name} --from DIR"
    raise AssetError("JC203", f"the code book {name} is not installed", hint=f"run `{way}`; {here}")
