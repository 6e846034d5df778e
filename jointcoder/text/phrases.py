"""What the program says to people in another language than English: errors, findings, headings, known lines.

    errors.toml     error code → what it means
    rules.toml      rule id → what it finds; what findings say of codes
    words.toml      headings and labels, and the lines of tables, flags and messages

The catalogue (``cli/data/<language>/``) is keyed by error code, by rule id, or by the English text. There ``{}`` stands
for what varies and ``{#}`` for a number, in the order of the English (``{0}``, ``{1}`` … where the other language turns
it round). What it does not hold stays English. Every function takes the language; which one is in use is the business
of the command line and of the pages.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jointcoder.records import Finding

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")
_VARIES = re.compile(r"\{#?\}")


def text(english: str, language: str) -> str:
    """A heading, label or line."""
    return english if language == ENGLISH else catalogue(language).text(english)


def meaning(code: str, message: str, language: str) -> str:
    """What an error or flag means, and its details in brackets; in English the message alone."""
    if language == ENGLISH:
        return message
    held = catalogue(language)
    known, details = held.errors.get(code, ""), held.text(message)
    if not known or known == details:
        return details
    return held.forms["meaning"].format(known, details)


def finding_text(finding: Finding, language: str) -> str:
    """What a finding says: the codes it is about, and what the rule says of them."""
    if language == ENGLISH:
        return finding.message
    held = catalogue(language)
    lead = f"{finding.codes[0]} " if finding.codes else ""
    if lead and finding.message.startswith(lead):
        return lead + held.rule_text(finding.message[len(lead) :])
    return held.rule_text(finding.message)


def remedy_text(finding: Finding, language: str) -> str:
    """What a finding recommends."""
    return finding.remedy if language == ENGLISH else catalogue(language).rule_text(finding.remedy)


class Phrases:
    """English texts and what stands for them, ``{}`` for what varies, ``{#}`` for a number; of those that fit the one
    with most words of its own counts."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._exact = {english: other for english, other in table.items() if not _VARIES.search(english)}
        forms = [(english, other) for english, other in table.items() if english not in self._exact]
        forms.sort(key=lambda form: -len(_VARIES.sub("", form[0])))
        self._forms = [(_pattern(english), other) for english, other in forms]

    def __call__(self, english: str) -> str:
        if english in self._exact:
            return self._exact[english]
        for pattern, other in self._forms:
            if match := pattern.fullmatch(english):
                return other.format(*match.groups())
        return english


def _pattern(form: str) -> re.Pattern[str]:
    parts = _VARIES.split(form)
    holes = [r"([\d.,]+)" if hole == "{#}" else "(.*?)" for hole in _VARIES.findall(form)]
    return re.compile("".join(re.escape(p) + h for p, h in zip(parts, [*holes, ""], strict=True)), re.DOTALL)


@dataclass(frozen=True)
class Catalogue:
    """The texts of one language."""

    errors: Mapping[str, str]
    titles: Mapping[str, str]
    forms: Mapping[str, str]
    rule_text: Phrases
    text: Phrases


@functools.cache
def catalogue(language: str) -> Catalogue:
    """The texts of a language; read once."""
    folder = resources.files("jointcoder").joinpath("cli", "data", language)
    data = {
        name: tomllib.loads(folder.joinpath(f"{name}.toml").read_text("utf-8")) for name in ("errors", "rules", "words")
    }
    words = data["words"]
    return Catalogue(
        errors=data["errors"],
        titles=data["rules"]["titles"],
        forms=words["forms"],
        rule_text=Phrases(data["rules"]["findings"]),
        text=Phrases({**words["words"], **words["lines"], **data["rules"]["severity"]}),
    )
