"""Text → sentences, words and list items, all as offsets into the text given.

Sentences follow clinical layout: a line break ends one unless the line was merely wrapped, a full stop inside
numbers and abbreviations does not. Chinese words come from a tokenizer of our own (jieba), never from jieba's
process-wide one, which leaks user words and keeps its cache in the shared temporary folder.
List items are parted by numbering and delimiters only; items that run together without either stay together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from jointcoder.text.items import split_items as split_items  # part of this module's API
from jointcoder.text.resources import known_language, toml

Span = tuple[int, int]

_HAN = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_RUN = re.compile(f"[{_HAN}]+")
_LETTER = r"(?:[^\W_]|[\u0300-\u036f])"
_LATIN_WORD = re.compile(rf"{_LETTER}+(?:(?:[-'’]|(?<=\d)[.,](?=\d)){_LETTER}+)*")
_CLOSERS = "\"'”’」』)）]】》"
_BULLET = r"[-*•●○◦▪■□◆◇·‣–—]"
_ITEM_START = re.compile(rf"\s*(?:{_BULLET}\s|[(（]?\d{{1,2}}[.)．、）]|[①-⑳⑴-⒛])")
_NUMBERING = re.compile(r"(?:^|[\s:：])\d{1,2}[.)]\s")
_BEFORE_STOP = re.compile(r"[^\s(\[（【]*$")


@dataclass(frozen=True)
class Word:
    """A word and its offsets."""

    start: int
    end: int
    text: str


# --------------------------------------------------------------------------------------------------- sentences


def sentences(text: str, lang: str) -> list[Span]:
    """The sentences of ``text``, in order, trimmed of white space; together they hold every other character.

    Raises InputError JC105 for an unknown language.
    """
    cuts = sorted({*_stop_cuts(text, known_language(lang)), *_line_cuts(text), len(text)})
    spans = (_trimmed(text, start, end) for start, end in zip([0, *cuts], cuts, strict=False))
    return [span for span in spans if span[0] < span[1]]


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _stop_cuts(text: str, lang: str) -> Iterator[int]:
    stops = "[。！？；!?;]" if lang == "zh" else "[。！？!?]"
    for match in re.finditer(rf"{stops}+|\.+", text):
        end = match.end()
        while end < len(text) and text[end] in _CLOSERS:
            end += 1
        if match[0][0] != "." or _is_full_stop(text, match.start(), end, lang):
            # a question mark that hangs on a finding ("? pneumonia", "肺炎?、") asks, and goes on
            if match[0] in ("?", "？") and not _ends_question(text, match.start(), end):
                continue
            yield end


def _ends_question(text: str, start: int, end: int) -> bool:
    if start == 0 or text[start - 1].isspace() or text[start - 1] in "(（,，、":
        return False
    following = text[end : end + 1]
    return not following or following.isspace() or following not in "、，,;；)）"


def _is_full_stop(text: str, start: int, end: int, lang: str) -> bool:
    following = text[end : end + 1]
    if lang == "zh" and start and _HAN_RUN.match(text[start - 1]):
        return not following.isdigit()
    if following and not following.isspace():
        return False
    before = _BEFORE_STOP.search(text, max(0, start - 24), start)
    token = before[0].lower() if before else ""
    data = toml("segment", lang)
    if token in data["titles"]:
        return False
    if len(token) == 1 and token.isalpha() and _initial(text, start, data["letter_terms"]):
        return False
    if token.isdigit() and len(token) <= 2:
        line = text[text.rfind("\n", 0, start) + 1 : start - len(token)]
        if not line.strip() or _NUMBERING.search(line):
            return False  # "1. CHF 2. COPD"
    rest = text[end : end + 40].lstrip()
    if not rest:
        return True
    if token in data["abbreviations"]:
        return rest[0].isupper()
    return not rest[0].islower()


def _initial(text: str, start: int, letter_terms: list[str]) -> bool:
    """Whether the capital before a stop is a person's initial rather than, say, the C of hepatitis C."""
    if not text[start - 1].isupper() or not re.match(r"\.\s+[^\W\d_]{2,}", text[start : start + 30]):
        return False
    before = text[max(0, start - 24) : start - 1].split()
    return not before or before[-1].lower() not in letter_terms


def _line_cuts(text: str) -> Iterator[int]:
    """Line breaks that end a sentence: all but those of wrapped text."""
    lines = text.splitlines(keepends=True)
    widths = sorted(len(line.rstrip()) for line in lines)
    width = widths[-1] if widths else 0
    place = 0
    for line, following in pairwise(lines):
        place += len(line)
        if not _is_wrapped(line.rstrip(), following.strip(), following, width):
            yield place


def _is_wrapped(line: str, following: str, raw: str, width: int) -> bool:
    """Whether ``following`` goes on the sentence of ``line`` (``width``: longest line of the text)."""
    if not line or not following or _ITEM_START.match(raw) or line[-1] in ".。！？!?:：;；":
        return False
    first = following.split(maxsplit=1)[0]
    if _HAN_RUN.match(line[-1]):  # no blanks between Chinese words: a full line was wrapped at the margin
        return width - 2 <= len(line) and 20 <= len(line) <= 120
    if line[-1] in ",，、-(" or following[0].islower():
        return True
    return width <= 120 and len(line) >= 40 and len(line) + 1 + len(first) > width


# ------------------------------------------------------------------------------------------------------- words


class Segmenter:
    """Cuts text into words. ``user_words`` are Chinese words to keep whole; ``cache_dir`` (default: the user's
    cache folder) holds jieba's compiled dictionary. Loading takes about 0.5 s, on the first Chinese text."""

    def __init__(self, lang: str, user_words: Iterable[str] = (), *, cache_dir: Path | None = None) -> None:
        self.lang = known_language(lang)
        self._user_words = tuple(user_words)
        self._cache_dir = cache_dir

    @cached_property
    def _tokenizer(self) -> Any:
        import logging

        import jieba
        from platformdirs import user_cache_path

        jieba.setLogLevel(logging.WARNING)
        folder = self._cache_dir or user_cache_path("jointcoder") / "jieba"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tokenizer = jieba.Tokenizer()
        tokenizer.tmp_dir = str(folder)
        tokenizer.initialize()
        for word in self._user_words:
            tokenizer.add_word(word)
        return tokenizer

    def words(self, text: str) -> list[Word]:
        """The words of ``text`` in order; punctuation and white space belong to none."""
        return list(self._words(text))

    def _words(self, text: str) -> Iterator[Word]:
        place = 0
        for run in _HAN_RUN.finditer(text):
            yield from _latin_words(text, place, run.start())
            if self.lang == "zh":
                for word, start, end in self._tokenizer.tokenize(run[0]):
                    yield Word(run.start() + start, run.start() + end, word)
            else:
                yield Word(run.start(), run.end(), run[0])
            place = run.end()
        yield from _latin_words(text, place, len(text))


def _latin_words(text: str, start: int, end: int) -> Iterator[Word]:
    return (Word(m.start(), m.end(), m[0]) for m in _LATIN_WORD.finditer(text, start, end))


def words(text: str, lang: str) -> list[Word]:
    """The words of ``text``, cut by the plain :class:`Segmenter` of the language."""
    return _segmenter(lang).words(text)


@cache
def _segmenter(lang: str) -> Segmenter:
    return Segmenter(lang)
