"""The cue tables of assertion, compiled: which words of a sentence say something about its findings.

Reads ``data/<language>/assertion.toml``; how far a cue reaches is decided in :mod:`jointcoder.text.assertion`.
In a phrase a blank is any white space, ``#`` a number and ``_`` a digit. A pseudo-cue is a phrase with no effect
that keeps the shorter ones inside it from being read; of phrases that begin at the same place the longest counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from jointcoder.records import Assertion
from jointcoder.text.normalise import normalise
from jointcoder.text.resources import known_language, toml

_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True)
class Cue:
    """What a phrase does. ``reach`` is in the language's unit (words or characters); ``stop`` are characters that end
    this cue's scope besides the language's clause marks, which it ignores if it ``crosses``; with ``runs_on`` a list
    may go on over them; a ``final`` cue counts only where its clause ends after it."""

    category: Assertion
    forward: bool
    reach: int
    stop: str = ""
    crosses: bool = False
    runs_on: bool = False
    final: bool = False


@dataclass(frozen=True)
class Found:
    """A phrase at ``start:end`` of the sentence and what it does; a pseudo-cue does nothing."""

    start: int
    end: int
    cues: tuple[Cue, ...]


@dataclass(frozen=True)
class CueTable:
    """The compiled table of one language."""

    lang: str
    by_words: bool  # the unit of reach: words, else characters
    clause_marks: str
    list_marks: str
    list_ends: tuple[str, ...]
    section_defaults: Mapping[str, Assertion]
    _pattern: re.Pattern[str]
    _cues: Mapping[str, tuple[Cue, ...]]
    _terminators: Mapping[Assertion, re.Pattern[str]]

    def find(self, sentence: str) -> list[Found]:
        """The cues and pseudo-cues of a prepared sentence (see :func:`prepared`), in order, not overlapping."""
        matches = self._pattern.finditer(sentence)
        return [Found(match.start(), match.end(), self._cues[_key(match[0])]) for match in matches]

    def find_terminators(self, sentence: str, category: Assertion) -> list[tuple[int, int]]:
        """What ends scopes of ``category`` in a prepared sentence."""
        pattern = self._terminators.get(category)
        return [match.span() for match in pattern.finditer(sentence)] if pattern else []


def prepared(phrase: str) -> str:
    """The form in which phrases and sentences meet."""
    return normalise(phrase, accents=True).text


def _key(matched: str) -> str:
    return re.sub(r"\d+", "#", re.sub(r"\s+", " ", matched))


@cache
def cue_table(lang: str, name: str = "assertion") -> CueTable:
    """The table of a language, ``data/<language>/<name>.toml``; InputError JC105 if the language is unknown."""
    data = toml(name, known_language(lang))
    scope: dict[str, Any] = data["scope"]
    cues: dict[str, list[Cue]] = {}
    for entry in data["cue"]:
        for phrase in entry["phrases"]:
            cues.setdefault(prepared(phrase), []).extend(_cues(entry, scope["reach"]))
    pseudo = {prepared(phrase) for phrase in data["pseudo"]["phrases"]}
    effects = {
        _key(phrase.replace("_", "0").replace("#", "0")): tuple(cues.get(phrase, ())) for phrase in {*pseudo, *cues}
    }
    endings: dict[str, list[str]] = data["terminators"]
    return CueTable(
        lang=lang,
        by_words=scope["unit"] == "words",
        clause_marks=scope["clause_marks"],
        list_marks=scope["list_marks"],
        list_ends=tuple(scope.get("list_ends", ())),
        section_defaults=MappingProxyType({k: Assertion(v) for k, v in data["sections"].items()}),
        _pattern=_alternatives({*cues, *pseudo}),
        _cues=MappingProxyType(effects),
        _terminators=MappingProxyType(
            {
                category: _alternatives({prepared(p) for p in [*endings["all"], *endings.get(category.value, ())]})
                for category in Assertion
            }
        ),
    )


def _alternatives(phrases: set[str]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return re.compile("|".join(map(_regex, longest_first)))


def _cues(entry: Mapping[str, Any], reach: int) -> Iterator[Cue]:
    for direction in ("forward", "backward"):
        if entry["direction"] in (direction, "both"):
            yield Cue(
                category=Assertion(entry["category"]),
                forward=direction == "forward",
                reach=entry.get("reach", reach),
                stop=entry.get("stop", ""),
                crosses=entry.get("crosses", False),
                runs_on=entry.get("list", False),
                final=entry.get("final", False),
            )


def _regex(phrase: str) -> str:
    body = r"\s+".join(re.escape(word) for word in phrase.split())
    body = body.replace(r"\#", r"\d+").replace("_", r"\d")
    left = r"(?<!\w)" if phrase[0].isalnum() and not _HAN.match(phrase[0]) else ""
    right = r"(?!\w)" if phrase[-1].isalnum() and not _HAN.match(phrase[-1]) else ""
    return f"{left}{body}{right}"
