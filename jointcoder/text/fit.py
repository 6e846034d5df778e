"""How well a code book's name fits a wording beyond likeness: what it adds, and where the two contradict each other.

    fit("下肢淋巴管炎", "急性下肢淋巴管炎", "zh")       0.86    the name adds a detail that the record does not give
    fit("高血压病2级", "高血压病3级", "zh")             0.5     another grade
    same("糖尿病酮症酸中毒", "糖尿病性酮症酸中毒", "zh")   True    the same but for particles

Details, groups and spellings are data (``data/<language>/fit.toml``); for a language without them every name fits.
Compares two texts and knows nothing of the record.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jointcoder.text.bare import unbracketed
from jointcoder.text.numerals import grades, levelled
from jointcoder.text.resources import known_language, toml

ADDED = 0.86  # for the first detail that a name adds; less for each further one
ADDED_GRADE = 0.9  # a grade, type or stage that the wording leaves open
ELSEWHERE = 0.8  # a part of the body, or a kind of thing, that the wording does not tell
CONTRADICTED = 0.5  # another grade, another member of a group, another patient
KERNEL = 3  # characters of the shortest condition that may stand without its details
_MOST = 3  # further details weigh no more


@dataclass(frozen=True)
class _Rows:
    """Words in rows; those of one row count as the same."""

    pattern: re.Pattern[str]
    row_of: Mapping[str, int]

    @classmethod
    def of(cls, rows: list[list[str]]) -> _Rows:
        row_of = {word: place for place, row in enumerate(rows) for word in row}
        return cls(_any([*row_of]), row_of)

    def named(self, text: str) -> set[int]:
        """The rows of which ``text`` holds a word."""
        return {self.row_of[word] for word in self.pattern.findall(text)}


@dataclass(frozen=True)
class _Fit:
    added: re.Pattern[str]
    others: tuple[str, ...]
    groups: tuple[re.Pattern[str], ...]
    sites: _Rows
    kinds: _Rows
    turns: tuple[str, ...]
    levels: re.Pattern[str]
    levelled: Mapping[str, str]


@cache
def _fit(language: str) -> _Fit | None:
    if not (files("jointcoder.text") / "data" / known_language(language) / "fit.toml").is_file():
        return None
    data = toml("fit", language)
    levelled = {written: plain for written, plain in data["levels"] if written != plain}
    return _Fit(
        added=_any(data["added"]),
        others=tuple(data["others"]),
        groups=tuple(map(_any, data["groups"])),
        sites=_Rows.of(data["sites"]),
        kinds=_Rows.of(data["kinds"]),
        turns=tuple(data["turns"]),
        levels=_any([*levelled]),
        levelled=levelled,
    )


def _any(words: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word)))))


def fits_names(language: str) -> bool:
    """Whether the language has data on which names fit."""
    return _fit(language) is not None


def fit(wording: str, name: str, language: str) -> float:
    """A factor in (0, 1] for the likeness of ``name`` to ``wording``. Raises InputError JC105."""
    rules = _fit(language)
    if rules is None:
        return 1.0
    one, other = levelled(wording, language), levelled(name, language)
    if any(_differ(set(group.findall(one)), set(group.findall(other))) for group in rules.groups):
        return CONTRADICTED
    if any(word in other and word not in one for word in rules.others):
        return CONTRADICTED
    if _differ(rules.kinds.named(one), rules.kinds.named(other)):
        return CONTRADICTED
    own, theirs = grades(one, language), grades(other, language)
    if any(not theirs[unit] & own[unit] for unit in theirs.keys() & own.keys()):
        return CONTRADICTED
    factor = ADDED_GRADE if theirs.keys() - own.keys() else 1.0
    for rows in (rules.sites, rules.kinds):
        factor *= ELSEWHERE if rows.named(other) - rows.named(one) else 1.0
    said = _spelt(one, rules)
    details = {detail for detail in rules.added.findall(other) if _spelt(detail, rules) not in said}
    return factor * ADDED ** min(len(details), _MOST)


def spelling(text: str, language: str) -> str:
    """``text`` as the classification is likelier to spell it; particles stay. Raises InputError JC105."""
    rules = _fit(language)
    if rules is None:
        return text
    return rules.levels.sub(lambda match: rules.levelled[match[0]] or match[0], _plain(text))


def sites(text: str, language: str) -> list[str]:
    """The parts of the body that ``text`` names, longest first. Raises InputError JC105 for an unknown language."""
    rules = _fit(language)
    found = dict.fromkeys(rules.sites.pattern.findall(_plain(text))) if rules else {}
    return sorted(found, key=lambda site: (-len(site), site))


def same(wording: str, name: str, language: str) -> bool:
    """Whether the two differ in spelling, script of numbers, particles and punctuation only."""
    rules = _fit(language)
    return rules is not None and _level(wording, rules, language) == _level(name, rules, language)


def kernel(wording: str, name: str, language: str) -> float:
    """Share of ``wording`` that ``name`` says, where the name is what the wording ends with (肺炎 of 右下肺炎): the
    condition itself without a detail before it. 0 where it is not, is too short to name one, or leaves out what tells
    one condition from another (acute, primary …)."""
    rules = _fit(language)
    if rules is None:
        return 0.0
    if unbracketed(wording) != wording:
        return 0.0  # what stands in brackets explains the condition before them
    whole, end = _level(wording, rules, language), _level(name, rules, language)
    before = whole.removesuffix(end)
    if len(end) < KERNEL or not whole.endswith(end) or before.endswith(rules.turns):
        return 0.0
    one, other = levelled(wording, language), levelled(name, language)
    lost = [group for group in rules.groups if group.search(one) and not group.search(other)]
    return 0.0 if lost else len(end) / len(whole)


def _level(text: str, rules: _Fit, language: str) -> str:
    return re.sub(r"\W+", "", _spelt(levelled(text, language).casefold(), rules))


def _spelt(text: str, rules: _Fit) -> str:
    """In one spelling, without particles."""
    return rules.levels.sub(lambda match: rules.levelled[match[0]], text)


def _differ(one: set[str] | set[int], other: set[str] | set[int]) -> bool:
    return bool(one) and bool(other) and not one & other


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
