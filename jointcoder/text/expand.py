"""Abbreviations and everyday short forms → the wordings a code book is likely to hold.

``CHF exacerbation`` → ``congestive heart failure exacerbation``. The tables (``data/<language>/abbreviations.tsv``)
say which forms are ambiguous; those count only exactly as written there, and where cues are listed for a reading only
beside one of them. The hospital's own table (setting ``abbreviations``) goes before: a form that it holds means what it
says there. Gives alternatives, decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice, product
from types import MappingProxyType

from jointcoder.settings import Settings
from jointcoder.text.dictionary import read_abbreviations
from jointcoder.text.resources import known_language, table

_MAX_ALTERNATIVES = 8
_MIN_ANY_CASE = 3  # shorter forms count only as written: "ra" is no arthritis
_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True)
class Abbreviation:
    """One row: the form, what it stands for, ``kind`` (dx, px, other), whether it is ambiguous, the continuations under
    which it is not this form at all, and the words one of which must stand beside it, where anything stands beside
    it."""

    form: str
    expansion: str
    kind: str
    caution: bool
    unless: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


@cache
def abbreviations(lang: str) -> tuple[Abbreviation, ...]:
    """The hospital's own table, then that of the language. InputError JC105 for an unknown one; for the hospital's
    JC107, JC152."""
    shipped = table("abbreviations", known_language(lang))
    path = Settings.load().abbreviations
    own = read_abbreviations(path) if path else ()
    told = {row[0] for row in own}
    return tuple(map(_abbreviation, (*own, *(row for row in shipped if row[0] not in told))))


def _abbreviation(row: tuple[str, ...]) -> Abbreviation:
    unless, beside = (tuple(row[place].split()) if len(row) > place else () for place in (4, 5))
    return Abbreviation(row[0], row[1], row[2], row[3] == "yes", unless, beside)


def expand(term: str, lang: str, *, context: str = "") -> list[str]:
    """Alternatives of ``term`` for lookup: itself, then with its short forms written out, at most eight in all.

    Forms inside a longer term are replaced as whole words (Chinese ones wherever they stand, the longest first).
    ``context``: what stands around the term in the note, for forms with several readings.
    """
    found = _occurrences(term, lang, context)
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


def _occurrences(term: str, lang: str, context: str) -> list[tuple[int, int, list[str]]]:
    """Where short forms stand in ``term``, not overlapping, with the expansions of each."""
    exact, loose = _forms(lang)
    found = []
    for match in _pattern(lang).finditer(term):
        rows = exact.get(match[0]) or loose.get(match[0].lower(), [])
        rows = [row for row in rows if _applies(row, term, match.start(), match.end())]
        expansions = [row.expansion for row in _told(rows, term[: match.start()] + term[match.end() :] + context)]
        if expansions:
            found.append((match.start(), match.end(), expansions))
    return found


def _told(rows: list[Abbreviation], around: str) -> list[Abbreviation]:
    """The readings that the words around a form speak for; where they speak for none of those that need it, the others;
    all of them where nothing stands around it."""
    if not any(char.isalnum() for char in around):
        return rows
    cued = [row for row in rows if any(word in around for word in row.beside)]
    return cued or [row for row in rows if not row.beside]


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
