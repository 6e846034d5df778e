"""Reading the wordings of ``exchange/data/<language>/pages.toml`` and the table of radicals: of all languages at once,
since a page's language is not known while it is read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from jointcoder.text import LANGUAGES


@cache
def page_numbers() -> frozenset[str]:
    """What page numbers look like in words: numbers as ``#``, without blanks, case folded."""
    return frozenset(re.sub(r"\s+", "", wording).casefold() for wording in _all("numbers"))


@cache
def hyphenated() -> frozenset[str]:
    """First parts of compounds that are written with a hyphen."""
    return frozenset(_all("hyphenated"))


@cache
def radicals() -> Mapping[str, str]:
    """Radicals that fonts map common characters to, and that NFKC leaves alone → the characters."""
    lines = (files("jointcoder.exchange") / "data" / "zh" / "radicals.tsv").read_text("utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return MappingProxyType(dict(pairs))


def _all(name: str) -> Iterator[str]:
    for language in LANGUAGES:
        file = files("jointcoder.exchange") / "data" / language / "pages.toml"
        yield from tomllib.loads(file.read_text("utf-8"))[name]
