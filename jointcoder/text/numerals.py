"""Numbers that grade, type or stage a condition: which a wording holds, and how else they may be written.

    forms("II度I型房室传导阻滞", "zh")      [… "Ⅱ度…" in Roman, Arabic and Han numerals …]
    forms("心功能IV级（Killip分级）", "zh")  ["KillipIV级", …]
    grades("高血压病3级", "zh")              {"级": frozenset({3})}

Units, scripts and whole wordings in another order are data (``data/<language>/numerals.toml``); a language without them
has none. Gives alternatives for lookup, decides nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice, product
from typing import Any

from jointcoder.text.resources import known_language, toml

ARABIC = 1  # place of the script
_MOST = 9  # alternatives by script: two numbers in three scripts each
_RANGE = r"\s*(?:-|--|~|至|—|–)\s*"


@dataclass(frozen=True)
class _Numbers:
    values: Mapping[str, int]  # how a number is written → what it is
    scripts: tuple[tuple[str, ...], ...]  # Roman, Arabic, Han; the number n at place n - 1
    graded: re.Pattern[str]  # a number, or a range of two, with its unit
    rewritten: Mapping[str, str]
    forms: tuple[tuple[re.Pattern[str], str], ...]


@cache
def _numbers(language: str) -> _Numbers | None:
    if not (files("jointcoder.text") / "data" / known_language(language) / "numerals.toml").is_file():
        return None
    data = toml("numerals", language)
    arabic = tuple(str(n) for n in range(1, len(data["roman"]) + 1))
    scripts = (tuple(data["roman"]), arabic, tuple(data["han"]))
    values = {written.casefold(): n for script in scripts for n, written in enumerate(script, start=1)}
    number = "|".join(re.escape(one) for one in sorted(values, key=lambda one: (-len(one), one)))
    units = "|".join(map(re.escape, data["units"]))
    free = r"(?<![\da-z.])"  # not the end of a longer number or word
    graded = re.compile(rf"{free}(?P<n>{number})(?:{_RANGE}(?P<m>{number}))?\s*(?P<unit>{units})", re.IGNORECASE)
    rules = [
        (re.compile(rf"\W*{form['from'].replace('{n}', f'(?P<n>{number})')}\W*", re.IGNORECASE), form["to"])
        for form in data["form"]
    ]
    return _Numbers(values, scripts, graded, data["rewritten"], tuple(rules))


def grades(term: str, language: str) -> dict[str, frozenset[int]]:
    """Unit → the numbers that ``term`` gives with it; a range gives both ends. Raises InputError JC105."""
    numbers = _numbers(language)
    found: dict[str, frozenset[int]] = {}
    for match in numbers.graded.finditer(_plain(term)) if numbers else ():
        unit = numbers.rewritten.get(match["unit"], match["unit"]) if numbers else ""
        values = {numbers.values[match[name].casefold()] for name in ("n", "m") if match[name]} if numbers else set()
        found[unit] = found.get(unit, frozenset()) | values
    return found


def forms(term: str, language: str) -> list[str]:
    """Alternatives of ``term``: in another order of words, then with its graded numbers in other scripts."""
    numbers = _numbers(language)
    if numbers is None:
        return []
    plain = _plain(term)
    found = [_filled(match, to, numbers) for rule, to in numbers.forms if (match := rule.fullmatch(plain))]
    matches = list(numbers.graded.finditer(plain))
    if matches:
        choices = [[_written(match, script, numbers) for script in numbers.scripts] for match in matches]
        for chosen in islice(product(*choices), _MOST):
            found.append(_rebuilt(plain, matches, chosen))
    return [form for form in dict.fromkeys(found) if form != term]


def levelled(term: str, language: str) -> str:
    """``term`` with its graded numbers in Arabic numerals."""
    numbers = _numbers(language)
    plain = _plain(term)
    if numbers is None:
        return plain
    matches = list(numbers.graded.finditer(plain))
    return _rebuilt(plain, matches, tuple(_written(match, numbers.scripts[ARABIC], numbers) for match in matches))


def _plain(term: str) -> str:
    """Full-width forms and Roman numerals of one character levelled; case stays."""
    return unicodedata.normalize("NFKC", term)


def _written(match: re.Match[str], script: tuple[str, ...], numbers: _Numbers) -> str:
    ends = [script[numbers.values[match[name].casefold()] - 1] for name in ("n", "m") if match[name]]
    return "-".join(ends) + numbers.rewritten.get(match["unit"], match["unit"])


def _rebuilt(text: str, matches: list[re.Match[str]], words: tuple[str, ...]) -> str:
    parts, place = [], 0
    for match, word in zip(matches, words, strict=True):
        parts += [text[place : match.start()], word]
        place = match.end()
    return "".join([*parts, text[place:]])


def _filled(match: re.Match[str], template: str, numbers: _Numbers) -> str:
    roman, arabic, han = (script[numbers.values[match["n"].casefold()] - 1] for script in numbers.scripts)
    carried: dict[str, Any] = {name: value for name, value in match.groupdict().items() if value and name != "n"}
    return template.format(roman=roman, arabic=arabic, han=han, **carried)
