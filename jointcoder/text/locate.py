"""Where a quote stands in the original text, even if the model copied it a little differently.

In this order: exactly; regardless of case, width, accents, traditional characters and white space; then nearly
(rapidfuzz, partial ratio). A near match must reach :data:`THRESHOLD`, keep every digit and exchange no opposites
(left and right, hyper- and hypo-), and grows to whole words. Rather None than a poor match: a span is evidence.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from jointcoder.text.normalise import Normalised, normalise
from jointcoder.text.resources import table

Span = tuple[int, int]

THRESHOLD = 88.0  # least partial ratio (0–100) of a near match: about one wrong letter in eight
_HAN_THRESHOLD = 80.0  # one wrong character of five
_MIN_FUZZY = 8  # shorter quotes (letters) are found exactly or not at all
_MIN_FUZZY_HAN = 5
_MIN_INSIDE = 5  # a Latin quote of fewer letters must stand as whole words
_REACH = 12  # characters by which a near match is widened or narrowed to word boundaries
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"


@dataclass(frozen=True)
class _Folded:
    """Text without case, width, accents and white space; ``places[i]`` is character ``i``'s place in ``source``."""

    text: str
    places: tuple[int, ...]
    source: Normalised

    def original(self, start: int, end: int) -> Span:
        return self.source.original_span(self.places[start], self.places[end - 1] + 1)


def _fold(text: str) -> _Folded:
    source = normalise(text, accents=True)
    kept = [i for i, char in enumerate(source.text) if not char.isspace() and char not in _INVISIBLE]
    return _Folded("".join(source.text[i] for i in kept), tuple(kept), source)


def locate(quote: str, text: str, *, near: int | None = None, start: int = 0, end: int | None = None) -> Span | None:
    """The span of ``text[start:end]`` that ``quote`` was copied from, as offsets into ``text``; None if there is none.

    Of several occurrences the one nearest to offset ``near`` is taken, else the first; whole words go before parts
    of words.
    """
    spans = locate_all(quote, text, start=start, end=end)
    if not spans:
        return None
    return spans[0] if near is None else min(spans, key=lambda span: (abs(span[0] - near), span))


def locate_all(quote: str, text: str, *, start: int = 0, end: int | None = None) -> list[Span]:
    """Every occurrence of ``quote`` in ``text[start:end]``, in order; if there is none, the one near match, if any."""
    part = text[start : len(text) if end is None else end]
    quote = quote.strip()
    wanted = _fold(quote).text
    if not wanted or not any(char.isalnum() for char in wanted):
        wanted = ""
    spans = _preferred(part, list(_exact(quote, part)), quote) if quote else []
    if not spans and wanted:
        folded = _fold(part)
        spans = _preferred(part, list(_loose(wanted, folded)), quote)
        if not spans and (found := _fuzzy(wanted, quote, part, folded)):
            spans = [found]
    return [(start + first, start + last) for first, last in spans]


def _exact(quote: str, text: str) -> Iterator[Span]:
    place = text.find(quote)
    while place >= 0:
        yield place, place + len(quote)
        place = text.find(quote, place + 1)


def _loose(wanted: str, folded: _Folded) -> Iterator[Span]:
    place = folded.text.find(wanted)
    while place >= 0:
        yield folded.original(place, place + len(wanted))
        place = folded.text.find(wanted, place + 1)


def _preferred(text: str, spans: list[Span], quote: str) -> list[Span]:
    """Whole-word occurrences; without any, parts of words, where the quote is long enough to mean something."""
    spans = list(dict.fromkeys(spans))
    whole = [span for span in spans if _is_whole(text, *span)]
    if whole:
        return whole
    return spans if len(quote) >= _MIN_INSIDE or _HAN.search(quote) else []


def _is_whole(text: str, start: int, end: int) -> bool:
    return not (_joined(text, start) or _joined(text, end))


def _joined(text: str, place: int) -> bool:
    """Whether a word of an alphabetic script runs across ``place``."""
    if not 0 < place < len(text):
        return False
    return _in_word(text[place - 1]) and _in_word(text[place])


def _in_word(char: str) -> bool:
    return (char.isalnum() or "\u0300" <= char <= "\u036f") and not _HAN.match(char)


# ------------------------------------------------------------------------------------------------- near matches


def _fuzzy(wanted: str, quote: str, text: str, folded: _Folded) -> Span | None:
    from rapidfuzz.fuzz import partial_ratio_alignment

    chinese = _HAN.search(wanted) is not None
    least, threshold = (_MIN_FUZZY_HAN, _HAN_THRESHOLD) if chinese else (_MIN_FUZZY, THRESHOLD)
    if not least <= len(wanted) <= len(folded.text):
        return None
    found = partial_ratio_alignment(wanted, folded.text, score_cutoff=threshold)
    if found is None or found.dest_start >= found.dest_end:
        return None
    score, start, end = _best_window(wanted, text, folded, found.dest_start, found.dest_end)
    return (start, end) if score >= threshold and _same_sense(quote, text[start:end]) else None


def _best_window(wanted: str, text: str, folded: _Folded, start: int, end: int) -> tuple[float, int, int]:
    """The stretch around an alignment, between word boundaries, that is most like the quote: score, start, end."""
    from rapidfuzz.fuzz import ratio

    best = (0.0, 0, 0)
    for first in range(max(0, start - _REACH), min(start + _REACH, end)):
        for last in range(max(first + 1, end - _REACH), min(end + _REACH, len(folded.text)) + 1):
            span = folded.original(first, last)
            if not (folded.text[first].isalnum() and _closes(folded.text[last - 1]) and _is_whole(text, *span)):
                continue
            best = max(best, (ratio(wanted, folded.text[first:last]), -span[0], span[1]))
    return best[0], -best[1], best[2]


def _closes(char: str) -> bool:
    return char.isalnum() or char in ")%"


def _same_sense(quote: str, match: str) -> bool:
    """Same digits, no opposites exchanged or lost, and nearly every word of the quote there."""
    one, other = (normalise(part, accents=True, spaces=True).text for part in (quote, match))
    if re.findall(r"\d+", one) != re.findall(r"\d+", other):
        return False
    for row in table("opposites"):
        if any((word in one) and (word not in other) for word in row):
            return False
    return _words_kept(one, other)


def _words_kept(quote: str, match: str) -> bool:
    """Whether each longer Latin word of the quote has a like one in the match."""
    from rapidfuzz.fuzz import ratio

    there = sorted(set(re.findall(r"[^\W\d_]+", match)))
    for word in set(re.findall(r"[^\W\d_]{4,}", quote)):
        if _HAN.search(word):
            continue
        place = bisect_left(there, word)
        if place < len(there) and there[place] == word:
            continue
        if not any(ratio(word, like) >= 75 for like in there):
            return False
    return True
