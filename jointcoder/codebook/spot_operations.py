"""Operations in running text, by the words of ICD-10-PCS that they join: 于右冠状动脉植入药物洗脱支架 → 027034Z.

What no title words as the text does is found by its parts: between two breaks, the longest stretch of words of the
tables (`data/<language>/pcs_*`) that names a body part and what is done to it, and ends with the operation. Codes for
imaging, measurement and the like are left out: text is full of them, and hospitals do not code them. Says where an
operation is named, not whether it was done.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jointcoder.codebook.han import simplified
from jointcoder.codebook.model import Hit, Spotted
from jointcoder.codebook.pcs_reading import NAMED, Lexicon, Token
from jointcoder.records import Kind, System

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup

LEAST = 0.55  # score below which a stretch is passed over
HITS = 5
CODED = re.compile("[01356X]|B.1|4A02")
"""Beginnings of codes that hospitals give: operations, obstetrics, administration, assistance, new technology,
fluoroscopy, and measurement in the heart."""
_RUN = re.compile(r"[^\W_]+(?:-[^\W_]+)*")


def spot_operations(lookup: Lookup, lexicon: Lexicon, text: str, language: str) -> Iterator[Spotted]:
    """The operations that ``text`` names, in order, never overlapping; nothing where the book has no ICD-10-PCS."""
    if System.ICD10PCS not in lookup.book.systems(Kind.PROCEDURE):
        return
    for run in _RUN.finditer(text):
        line, places = _levelled(run.group(), run.start())
        for first, last in _stretches(list(lexicon.tokens(line))):
            start, end = places[first], places[last - 1] + 1
            hits = tuple(_hits(lookup, text[start:end], language))
            if hits and hits[0].score >= LEAST:
                yield Spotted(start, end, hits)


def _levelled(run: str, offset: int) -> tuple[str, list[int]]:
    """The run as the tables are written, and for each character of it the place it comes from."""
    chars = [
        (plain, offset + place)
        for place, raw in enumerate(run)
        for plain in simplified(unicodedata.normalize("NFKC", raw).casefold())
    ]
    return "".join(char for char, _ in chars), [place for _, place in chars]


def _stretches(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """Start and end of the stretches without an unread character that name an operation."""
    group: list[Token] = []
    for token in tokens:
        if group and token.start != group[-1].end:
            yield from _stretch(group)
            group = []
        group.append(token)
    yield from _stretch(group)


def _stretch(group: list[Token]) -> Iterator[tuple[int, int]]:
    while group and (group[0].meaning.idle or _is_general(group[0])):
        group = group[1:]
    closed = False
    while group and not group[-1].operation:
        closed = group[-1].meaning.closing
        group = group[:-1]
    if not group or (group[-1].meaning.condition and not closed):
        return
    weights = [token.operation.weight for token in group if token.operation]
    placed = any(token.meaning.labels for token in group) or any(_is_whole(token) for token in group)
    if placed and (max(weights) >= NAMED or len(weights) > 1):
        yield group[0].start, group[-1].end


def _is_general(token: Token) -> bool:
    """Whether a word says only that something was put in or looked at: it begins no operation."""
    return token.operation is not None and token.operation.weight < NAMED and not token.meaning.labels


def _is_whole(token: Token) -> bool:
    """Whether a word names body part and operation at once."""
    return token.operation is not None and any("." not in pattern[:4] for pattern in token.operation.patterns)


def _hits(lookup: Lookup, wording: str, language: str) -> list[Hit]:
    found = lookup.search(
        wording, kind=Kind.PROCEDURE, lang=language, k=HITS, system=System.ICD10PCS, billable=True, source="lexical"
    )
    return [hit for hit in found if CODED.match(hit.code) and "axes" in hit.sources]
