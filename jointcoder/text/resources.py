"""Reading the language data that ships inside the package (``data/{en,es,zh}/``).

Everything here is parsed once, on first use, and handed out read-only. This module knows where the files lie and
how they are written; what they mean is the business of the modules that ask for them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from jointcoder.errors import InputError, name_list

LANGUAGES: tuple[str, ...] = ("en", "es", "zh")


def known_language(language: str) -> str:
    """``language`` if it is one of :data:`LANGUAGES`; InputError JC105 naming them if not."""
    if language not in LANGUAGES:
        raise InputError(
            "JC105",
            f"language {language!r} is not supported",
            hint=f"supported languages: {name_list(LANGUAGES)}",
        )
    return language


@cache
def toml(name: str, language: str | None = None) -> Mapping[str, Any]:
    """``data/<language>/<name>.toml``, or ``data/<name>.toml`` where the data serve all languages."""
    return MappingProxyType(tomllib.loads(_read(f"{name}.toml", language)))


@cache
def table(name: str, language: str | None = None) -> tuple[tuple[str, ...], ...]:
    """Rows of a tab-separated file; lines that are blank or begin with ``#`` are left out."""
    lines = _read(f"{name}.tsv", language).splitlines()
    return tuple(tuple(line.split("\t")) for line in lines if line.strip() and not line.startswith("#"))


def table_or_none(name: str, language: str) -> tuple[tuple[str, ...], ...] | None:
    """Rows of a table that a language may lack."""
    path = files("jointcoder.text") / "data" / known_language(language) / f"{name}.tsv"
    return table(name, language) if path.is_file() else None


def _read(name: str, language: str | None) -> str:
    folder = files("jointcoder.text") / "data"
    if language is not None:
        folder = folder / known_language(language)
    return (folder / name).read_text("utf-8")
