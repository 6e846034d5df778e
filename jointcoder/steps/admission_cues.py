"""The cues of admission, compiled: which words around a condition say that it was there, or that it arose in hospital.

Reads ``data/<language>/admission.toml``. Words are met in their normalised form (see :mod:`jointcoder.text.normalise`,
accents taken away); of several cues in a sentence the nearest counts. Knows no record and no code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jointcoder.steps.common import step_data
from jointcoder.text.normalise import normalise

PRESENT, POSSIBLE, ARISEN = "present", "possible", "arisen"
_HAN = re.compile("[\u3400-\u9fff]")
_MARK = re.compile(r"[^\w\s]")
_REFINED = re.compile(r"[\d(\[,;:/]|(?<![a-z])[ivx]+(?![a-z])")
_LIST_MARK = re.compile(r"[、;]|\d\s*[.)]")


@dataclass(frozen=True)
class Cues:
    """The cues of one language, compiled. ``reach`` and ``near`` count words, or characters where no blanks part
    words."""

    reach: int
    near: int
    by_words: bool
    adjectives: re.Pattern[str]
    arisen: re.Pattern[str]
    present: re.Pattern[str]
    arisen_behind: re.Pattern[str]
    present_behind: re.Pattern[str]
    beginnings: re.Pattern[str]
    endings: re.Pattern[str]

    def core(self, wording: str) -> str:
        """A normalised wording without type, grade and brackets, or "" where too little is left to name a condition:
        ``高血压病3级(极高危)`` → ``高血压``, ``2型糖尿病`` → ``糖尿病``."""
        rest = _REFINED.split(self.beginnings.sub("", wording, count=1), maxsplit=1)[0].strip()
        bare = self.endings.sub("", rest).strip()
        core = bare if enough(bare) else rest
        return core if core != wording and enough(core) else ""

    def nearest(self, before: str, wording: str, after: str) -> str:
        """Of the cues in the normalised words around a condition the nearest one's meaning; "" for none."""
        if self.adjectives.search(wording):
            return ARISEN
        found: list[tuple[int, str]] = []
        for pattern, sign, most in (
            (self.adjectives, ARISEN, self.near),
            (self.arisen, ARISEN, self.reach),
            (self.present, PRESENT, self.reach),
        ):
            between = [before[match.end() :] for match in pattern.finditer(before)]
            if pattern is self.adjectives:  # belongs to the word it stands before
                between = [words for words in between if not _MARK.search(words)]
            found += [(self._length(words), sign) for words in between if self._length(words) <= most]
        for pattern, sign in ((self.arisen_behind, ARISEN), (self.present_behind, PRESENT)):
            between = [after[: match.start()] for match in pattern.finditer(after)]
            between = [words for words in between if not _LIST_MARK.search(words)]
            found += [(self._length(words), sign) for words in between if self._length(words) <= self.near]
        return min(found)[1] if found else ""

    def _length(self, between: str) -> int:
        return len(between.split()) if self.by_words else len(between)


@cache
def cues(language: str) -> Cues:
    """The cues of a language (``data/<language>/admission.toml``)."""
    data = step_data(f"{language}/admission")
    arisen, present = data["arisen"], data["present"]
    onset = rf"(?:{_any(arisen['times'])})[^.。;；]*?(?:{_any(arisen['onsets'])})"
    return Cues(
        reach=data["reach"],
        near=data["near"],
        by_words=not _HAN.search(arisen["times"][0]),
        adjectives=re.compile(_any(arisen["adjectives"])),
        arisen=re.compile(f"{onset}|{_any(arisen['phrases'])}"),
        present=re.compile(_any(present["before"])),
        arisen_behind=re.compile(rf"(?:{_any(arisen['after'])})(?=\s*(?:[^\w\s]|$))"),
        present_behind=re.compile(_any(present["after"])),
        beginnings=re.compile(rf"^(?:{_any(data['core']['beginnings'])})\s*"),
        endings=re.compile(rf"(?:{_any(data['core']['endings'])})$"),
    )


def _any(phrases: Sequence[str]) -> str:
    """A pattern for any of the phrases, the longest first; ``#`` is a number, a blank any white space."""
    forms = sorted({normalise(phrase, accents=True).text for phrase in phrases}, key=lambda form: (-len(form), form))
    return "|".join(pattern(form) for form in forms)


def pattern(form: str) -> str:
    """A pattern for normalised words, at the borders of words where the script has them."""
    body = r"\s+".join(re.escape(word) for word in form.split()).replace(r"\#", r"\s*\d+\s*")
    left = r"(?<!\w)" if form[0].isalnum() and not _HAN.match(form[0]) else ""
    right = r"(?!\w)" if form[-1].isalnum() and not _HAN.match(form[-1]) else ""
    return f"{left}{body}{right}"


def enough(wording: str) -> bool:
    """Whether a wording is long enough to name a condition by itself."""
    least = step_data("admission")["least"]
    return len(wording) >= int(least["han" if _HAN.search(wording) else "letters"])
