"""Clinicians' wordings → the classification's: eponyms, plain words, sites named otherwise, past events.

    reworded("Lisfranc fracture", "en")        ["dislocation of tarsometatarsal joint"]
    past("history of gout", "en")              "gout"

The tables are data (``data/<language>/wordings.tsv``, ``past.toml``); a language without them has none. They hold what
the alphabetic index does not print, or prints only under a heading that the wording does not name. Gives alternatives
for lookup, decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from jointcoder.text.resources import known_language, table, toml

_MOST = 4  # alternatives of one wording


def reworded(term: str, language: str) -> list[str]:
    """Alternatives of ``term``: the longest wordings of the table that it holds replaced, the rest left as it is.

    Raises InputError JC105 for an unknown language.
    """
    pattern, known = _wordings(language)
    if pattern is None:
        return []
    found: list[str] = []
    for match in pattern.finditer(term):
        other = term[: match.start()] + known[" ".join(match[0].casefold().split())] + term[match.end() :]
        if other.casefold() != term.casefold():
            found.append(other)
    return found[:_MOST]


def past(term: str, language: str) -> str:
    """What ``term`` says is over ("history of …", "status post …"), without those words; empty where it says so of
    nothing."""
    cues = _past(language)
    match = cues.match(term) if cues else None
    return term[match.end() :].strip() if match else ""


def past_forms(language: str) -> tuple[str, ...]:
    """How the classification words the state that ``{name}`` leaves when it is over."""
    return tuple(toml("past", language)["forms"]) if _has("past.toml", language) else ()


@cache
def _wordings(language: str) -> tuple[re.Pattern[str] | None, Mapping[str, str]]:
    if not _has("wordings.tsv", language):
        return None, MappingProxyType({})
    known = {" ".join(row[0].casefold().split()): row[1] for row in table("wordings", language)}
    longest_first = sorted(known, key=lambda one: (-len(one), one))
    words = "|".join(r"\s+".join(map(re.escape, one.split())) for one in longest_first)
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE), MappingProxyType(known)


@cache
def _past(language: str) -> re.Pattern[str] | None:
    if not _has("past.toml", language):
        return None
    cues = sorted(toml("past", language)["cues"], key=lambda one: (-len(one), one))
    return re.compile(rf"\s*(?:{'|'.join(map(re.escape, cues))})(?!\w)", re.IGNORECASE)


def _has(name: str, language: str) -> bool:
    return (files("jointcoder.text") / "data" / known_language(language) / name).is_file()
