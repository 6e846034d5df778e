"""Prompts as data: one TOML file a stage and language under ``steps/prompts/{en,zh,es}/``.

Each file holds named templates with ``{placeholders}``; this module fills them and knows nothing of their words.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from jointcoder.errors import InputError, name_list

LANGUAGES = ("en", "es", "zh")
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Prompts:
    """The prompts of one language: ``prompts("extract", "instruction", limit=20)``."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise InputError("JC105", f"no prompts for language {language!r}; known: {name_list(LANGUAGES)}")
        self.language = language

    def __call__(self, stage: str, key: str, **values: Any) -> str:
        """The filled template. Braces in values are left alone."""
        template: str = self.raw(stage, key)
        for name, value in values.items():
            template = template.replace("{" + name + "}", str(value))
        return template

    def raw(self, stage: str, key: str) -> Any:
        """An entry as it stands in the file (a string, a list, a number)."""
        table = _load(self.language, stage)
        if key not in table:
            raise KeyError(f"prompts/{self.language}/{stage}.toml has no entry {key!r}")
        return table[key]

    def table(self, name: str) -> dict[str, Any]:
        """A rule table of the language, empty where it has none."""
        path = files("jointcoder.steps") / "prompts" / self.language / f"{name}.toml"
        return _load(self.language, name) if path.is_file() else {}


@cache
def _load(language: str, stage: str) -> dict[str, Any]:
    path = files("jointcoder.steps") / "prompts" / language / f"{stage}.toml"
    return tomllib.loads(path.read_text("utf-8"))
