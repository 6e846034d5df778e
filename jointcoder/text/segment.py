"""Text → sentences, words and list items, all as offsets into the text given.

Sentences follow clinical layout: a line break ends one unless the line was merely wrapped, a full stop inside
numbers and abbreviations does not. Chinese words come from a tokenizer of our own (jieba), never from jieba's
process-wide one, which leaks user words and keeps its cache in the shared temporary folder.
List items are parted elsewhere (``items.py``).
"""

from __future__ import annotations

import marshal
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from jointcoder.settings import Settings
from jointcoder.text.dictionary import read_dictionary
from jointcoder.text.items import split_items as split_items  # part of this module's API
from jointcoder.text.resources import known_language
from jointcoder.text.stops import is_full_stop

Span = tuple[int, int]

_HAN = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_RUN = re.compile(f"[{_HAN}]+")
_LETTER = r"(?:[^\W_]|[\u0300-\u036f])"
_LATIN_WORD = re.compile(rf"{_LETTER}+(?:(?:[-'’]|(?<=\d)[.,](?=\d)){_LETTER}+)*")
_CLOSERS = "\"'”’」』)）]】》"
_BULLET = r"[-*•●○◦▪■□◆◇·‣–—]"
_ITEM_START = re.compile(rf"\s*(?:{_BULLET}\s|[(（]?\d{{1,2}}[.)．、）]|[①-⑳⑴-⒛])")


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
        if match[0][0] != "." or is_full_stop(text, match.start(), end, lang):
            # a question mark that hangs on a finding ("? pneumonia", "肺炎?、") asks, and goes on
            if match[0] in ("?", "？") and not _ends_question(text, match.start(), end):
                continue
            yield end


def _ends_question(text: str, start: int, end: int) -> bool:
    if start == 0 or text[start - 1].isspace() or text[start - 1] in "(（,，、":
        return False
    following = text[end : end + 1]
    return not following or following.isspace() or following not in "、，,;；)）"


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
    """Cuts text into words. ``user_words`` are Chinese words to keep whole; ``dictionary`` is a file of more of them
    (:mod:`jointcoder.text.dictionary`); ``cache_dir`` (default: ``jieba`` in the cache folder of the settings) holds
    jieba's compiled dictionary, readable by the owner only; where nothing can be written it is compiled anew each time.
    Loading takes about 0.5 s (1 s to compile), on the first Chinese text; it raises InputError JC151 or JC152 for the
    dictionary."""

    def __init__(
        self,
        lang: str,
        user_words: Iterable[str] = (),
        *,
        dictionary: Path | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        self.lang = known_language(lang)
        self._user_words = tuple(user_words)
        self._dictionary = dictionary
        self._cache_dir = cache_dir

    @cached_property
    def _tokenizer(self) -> Any:
        import jieba

        tokenizer = jieba.Tokenizer()
        tokenizer.FREQ, tokenizer.total = _frequencies(tokenizer, self._cache_dir or Settings.load().cache / "jieba")
        tokenizer.initialized = True
        for word in self._user_words:
            tokenizer.add_word(word)
        for entry in read_dictionary(self._dictionary) if self._dictionary else ():
            tokenizer.add_word(entry.word, entry.frequency, entry.tag)
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


def _frequencies(tokenizer: Any, folder: Path) -> tuple[dict[str, int], int]:
    """jieba's words with their frequencies, and the sum of these: as the folder keeps them, else compiled, and kept
    there if that can be written. jieba's own way leaves torn files on a full disk and prints a traceback."""
    kept = folder / f"jieba-{version('jieba')}.{sys.implementation.cache_tag}"
    try:
        frequencies, total = marshal.loads(kept.read_bytes())
        return dict(frequencies), int(total)
    except (OSError, EOFError, TypeError, ValueError):
        compiled: tuple[dict[str, int], int] = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                marshal.dump(compiled, file)
            Path(scratch).replace(kept)
        finally:
            Path(scratch).unlink(missing_ok=True)
    return compiled


def _latin_words(text: str, start: int, end: int) -> Iterator[Word]:
    return (Word(m.start(), m.end(), m[0]) for m in _LATIN_WORD.finditer(text, start, end))


def words(text: str, lang: str) -> list[Word]:
    """The words of ``text``, cut by the :class:`Segmenter` of the language, with the dictionary that the settings
    name."""
    return _segmenter(lang).words(text)


@cache
def _segmenter(lang: str) -> Segmenter:
    return Segmenter(lang, dictionary=Settings.load().user_dictionary if lang == "zh" else None)
