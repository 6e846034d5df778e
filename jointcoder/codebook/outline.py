"""Paths of an index: words of a title, its readings, and the line that a path ("Angina, unstable") names.

A path is read the same way when *see* is resolved (`build/crossref.py`) and when a coder types one (`index.py`). This
module knows no files, no tables and no codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Protocol

from jointcoder.codebook.analysis import level

_Words = tuple[str, ...]
_Parts = tuple[_Words, ...]
Readings = tuple[_Words, ...]
KEPT = 32_768  # titles whose words are remembered: a search meets the same ones again and again
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*['’]?")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_SYNONYMS = re.compile(r"\[([^\[\]]*)\]")


class Outline(Protocol):
    """Lines as a tree: what :func:`trace` needs."""

    def heads(self, words: tuple[str, ...]) -> Iterable[int]:
        """Main terms whose title, or a part of it between commas, has these words."""

    def below(self, line: int) -> Sequence[tuple[int, Readings]]:
        """(number, alternatives of the title) of the subterms."""


@lru_cache(maxsize=KEPT)
def words_of(text: str, *, inside: bool = False) -> _Words:
    """The words of a title, levelled and in the singular; ``inside``: those in brackets too."""
    plain = level(text if inside else _BRACKETS.sub(" ", text) or text)
    return tuple(_singular(m.group()) for m in _WORD.finditer(plain))


@lru_cache(maxsize=KEPT)
def alternatives(title: str) -> Readings:
    """The words of a title, then of its parts between commas and of the synonyms in square brackets (I.A.7):
    "Diabetes, diabetic" is either."""
    parts = (words_of(part) for part in (*title.split(","), *_SYNONYMS.findall(title)))
    return tuple(dict.fromkeys((words_of(title), *(part for part in parts if part))))


def trace(lines: Outline, path: str) -> tuple[int | None, tuple[str, ...]]:
    """The line that ``path`` names, and the parts that no line below it answers.

    Titles hold commas themselves, so that the longest run of parts that is a title is taken first. References are
    shorter than what they refer to: a line that holds a preposition only ("with") may be joined to the next, and a
    title may go on ("connective tissue" for "connective tissue NEC") where one line alone begins so.
    """
    parts = tuple(words for part in _BRACKETS.sub(" ", path).split(",") if (words := words_of(part)))
    best: tuple[int | None, _Parts] = (None, parts)
    for length in range(len(parts), 0, -1):
        for head in lines.heads(_joined(parts[:length])):
            number, rest = _descend(lines, head, parts[length:])
            if best[0] is None or len(rest) < len(best[1]):
                best = (number, rest)
            if not rest:
                return best[0], ()
    return best[0], tuple(" ".join(words) for words in best[1])


def _descend(lines: Outline, line: int, parts: _Parts) -> tuple[int, _Parts]:
    if not parts:
        return line, ()
    best = (line, parts)
    children = lines.below(line)
    for length in range(len(parts), 0, -1):
        wanted = _joined(parts[:length])
        for number, after in _children(children, wanted):
            found = _descend(lines, number, (after, *parts[length:]) if after else parts[length:])
            if after and len(found[1]) > len(parts) - length:
                continue  # the second half of a part must be found
            if len(found[1]) < len(best[1]):
                best = found
            if not best[1]:
                return best
    return best


def _children(children: Sequence[tuple[int, Readings]], wanted: _Words) -> Iterator[tuple[int, _Words]]:
    """(child, words of ``wanted`` that are left for its own children), the likeliest first."""
    yield from ((number, ()) for number, readings in children if wanted in readings)
    for number, (title, *_) in children:
        if 0 < len(title) < len(wanted) and wanted[: len(title)] == title:
            yield number, wanted[len(title) :]
    longer = [(number, title) for number, (title, *_) in children if title[: len(wanted)] == wanted != title]
    if len(longer) == 1:
        yield longer[0][0], ()


def _joined(parts: _Parts) -> _Words:
    return tuple(word for words in parts for word in words)


def _singular(word: str) -> str:
    """Index and reference differ in number ("Complication", "Complications"): a plural s is taken off, both sides."""
    word = word.replace("’", "'").rstrip("'").removesuffix("'s").replace("'", "")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
