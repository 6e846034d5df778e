"""What pages say, in English and Chinese: ``t("worklist.title")`` is ``title`` in ``data/<language>/worklist.toml``.

    t(key, **values)        the words of a key, ``{name}`` filled from the values
    tn(key, n, **values)    the form for a number: ``key.one`` or ``key.other``, with ``{n}``
    has(key)                whether there are such words; for names of things that may come from outside
    chosen(…)               which language a reader gets: the account's, the cookie's, then what the browser asks for

A key that is not there is a mistake of ours and raises KeyError; tests hold the catalogues of all languages to the same
keys. What errors and rules say comes from the catalogue that the command line uses (:mod:`jointcoder.text.phrases`).
This module knows no page.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jointcoder.text.phrases import ENGLISH, LANGUAGES, finding_text, meaning, remedy_text, text

__all__ = [
    "COOKIE",
    "ENGLISH",
    "LANGUAGES",
    "Words",
    "chosen",
    "finding_text",
    "meaning",
    "remedy_text",
    "text",
    "words",
]

COOKIE = "jointcoder_language"
"""Name of the cookie that keeps the language of a reader who is not signed in."""


@dataclass(frozen=True)
class Words:
    """The phrases of one language; ``table``: key → words."""

    language: str
    table: Mapping[str, str]

    def t(self, key: str, /, **values: Any) -> str:
        """The words of a key. Raises KeyError for an unknown key or a value that is missing."""
        said = self.table[key]
        return said.format(**values) if values or "{" in said else said

    def tn(self, key: str, n: int, /, **values: Any) -> str:
        """The words for a number of things. ``n`` is written with separators of thousands."""
        form = "one" if n == 1 else "other"
        return self.table[f"{key}.{form}"].format(n=f"{n:,}", **values)

    def has(self, key: str) -> bool:
        """Whether the key has words."""
        return key in self.table


@functools.cache
def words(language: str) -> Words:
    """The phrases of a language of :data:`LANGUAGES`; read once."""
    folder = resources.files("jointcoder.server").joinpath("data", language)
    table: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        topic, dot, ending = file.name.partition(".")
        if dot and ending == "toml":
            table.update(_flat(topic, tomllib.loads(file.read_text("utf-8"))))
    return Words(language, table)


def chosen(*, account: str | None = None, cookie: str | None = None, accepts: str = "") -> str:
    """The language to speak: the first of account and cookie that is one of ours, else the best of an
    ``Accept-Language`` header, else English."""
    for wish in (account, cookie):
        if wish in LANGUAGES:
            return wish
    wishes = sorted(_wishes(accepts), key=lambda wish: -wish[1])
    return next((language for language, quality in wishes if language in LANGUAGES and quality > 0), ENGLISH)


def _wishes(header: str) -> Iterator[tuple[str, float]]:
    for part in header.split(",")[:20]:
        tag, _, rest = part.strip().partition(";")
        _, _, given = rest.strip().partition("q=")
        try:
            quality = float(given) if given else 1.0
        except ValueError:
            quality = 0.0
        yield tag.strip().split("-")[0].casefold(), quality


def _flat(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        key = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            yield from _flat(key, value)
        else:
            yield key, str(value)
