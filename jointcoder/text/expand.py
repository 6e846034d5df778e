"""Abbreviations and everyday short forms → the wordings a code book is likely to hold.

``CHF exacerbation`` → ``congestive heart failure exacerbation``. The tables (``data/<language>/abbreviations.tsv``)
say which forms are ambiguous; those count only exactly as written there. Gives alternatives, decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice, product
from types import MappingProxyType

from jointcoder.text.resources import known_language, table

_MAX_ALTERNATIVES = 8
_MIN_ANY_CASE = 3  # shorter forms count only as written: "ra" is no arthritis
_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True)
class Abbreviation:
    """One row: the form, what it stands for, ``kind`` (dx, px, other), whether it is ambiguous, and the continuations
    under which it is not this form at all."""

    form: str
    expansion: str
    kind: str
    caution: bool
    unless: tuple[str, ...] = ()


@cache
def abbreviations(lang: str) -> tuple[Abbreviation, ...]:
    """The table of a language. Raises InputError JC105 for an unknown one."""
    return tuple(
        Abbreviation(row[0], row[1], row[2], row[3] == "yes", tuple(row[4].split()) if len(row) > 4 else ())
        for row in table("abbreviations", known_language(lang))
    )


def expand(term: str, lang: str) -> list[str]:
    """Alternatives of ``term`` for lookup: itself, then with its short forms written out, at most eight in all.

    Forms inside a longer term are replaced as whole words (Chinese ones wherever they stand, the longest first).
    """
    found = _occurrences(term, lang)
    if not found:
        return [term]
    choices = [[term[start:end], *expansions] for start, end, expansions in found]
    # all written out first, with the likeliest reading of each; then other readings, then partly written out
    orders = [[*options[1:], options[0]] for options in choices]
    alternatives = [term]
    for combination in islice(product(*orders), _MAX_ALTERNATIVES * 2):
        rebuilt = _rebuilt(term, found, combination)
        if rebuilt not in alternatives:
            alternatives.append(rebuilt)
    return alternatives[:_MAX_ALTERNATIVES]


def _rebuilt(term: str, found: list[tuple[int, int, list[str]]], words: tuple[str, ...]) -> str:
    parts, place = [], 0
    for (start, end, _), word in zip(found, words, strict=True):
        parts += [term[place:start], word]
        place = end
    return "".join([*parts, term[place:]])


def _occurrences(term: str, lang: str) -> list[tuple[int, int, list[str]]]:
    """Where short forms stand in ``term``, not overlapping, with the expansions of each."""
    exact, loose = _forms(lang)
    found = []
    for match in _pattern(lang).finditer(term):
        rows = exact.get(match[0]) or loose.get(match[0].lower(), [])
        expansions = [row.expansion for row in rows if _applies(row, term, match.start(), match.end())]
        if expansions:
            found.append((match.start(), match.end(), expansions))
    return found


def _applies(row: Abbreviation, term: str, start: int, end: int) -> bool:
    rest = term[end:]
    if row.unless and rest.startswith(row.unless):
        return False
    place = row.expansion.find(term[start:end])  # already written out around it: 脑梗 in 脑梗死
    return place < 0 or start < place or not term.startswith(row.expansion, start - place)


@cache
def _forms(lang: str) -> tuple[Mapping[str, list[Abbreviation]], Mapping[str, list[Abbreviation]]]:
    exact: dict[str, list[Abbreviation]] = {}
    loose: dict[str, list[Abbreviation]] = {}
    for row in abbreviations(lang):
        exact.setdefault(row.form, []).append(row)
        if not row.caution and len(row.form) >= _MIN_ANY_CASE:
            loose.setdefault(row.form.lower(), []).append(row)
    return MappingProxyType(exact), MappingProxyType(loose)


@cache
def _pattern(lang: str) -> re.Pattern[str]:
    forms = sorted({row.form for row in abbreviations(lang)}, key=len, reverse=True)
    return re.compile("|".join(_bounded(form) for form in forms), re.IGNORECASE)


def _bounded(form: str) -> str:
    """Whole words only; a Han neighbour does not touch a Latin form (PCI术后), and Han forms have no bounds."""
    edge = "[A-Za-z0-9\u00c0-\u024f]"
    left = "" if _HAN.match(form[0]) else f"(?<!{edge})"
    right = "" if _HAN.match(form[-1]) else f"(?!{edge})"
    return f"{left}{re.escape(form)}{right}"
