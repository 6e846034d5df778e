"""Patterns of identifiers: data in (``data/<language>/deid.toml``), places out.

    find("Seen by Dr. Hart, tel. 555-201-3344.", ("en",))     [Found(12, 16, NAME, …), Found(23, 35, PHONE)]

A file has ``[words]`` (lists), ``[parts]`` (pieces of expressions) and ``[[pattern]]``: ``kind``, ``find`` (an
expression whose group ``x`` is the identifier; ``{name}`` stands for a list or part), and where needed ``check`` (of
:data:`CHECKS`), ``whole`` (a name that is looked for elsewhere too) and ``wish`` (found on request only). A text is
read in full-width forms and traditional characters as well: it is normalised first, and places are those of the
original. Dates are found in :mod:`jointcoder.text.deid.dates`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jointcoder.text.deid.found import Found, Identifier
from jointcoder.text.normalise import Normalised, normalise
from jointcoder.text.resources import known_language, toml

_HOLE = re.compile(r"\{([a-z_]+)\}")
_LATIN_WORD = re.compile("[A-Za-z]{2}")
_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True)
class Pattern:
    kind: Identifier
    expression: re.Pattern[str]
    check: Callable[[str], bool] | None
    whole: bool
    wish: str


def levelled(text: str) -> Normalised:
    """The text as patterns read it: full-width forms and traditional characters levelled, case kept."""
    return normalise(text, lower=False)


def languages_of(text: str, language: str | None) -> tuple[str, ...]:
    """Whose patterns a text is searched with: Chinese where it holds Chinese, and those of its Latin language."""
    han = ("zh",) if _HAN.search(text) or language == "zh" else ()
    if not _LATIN_WORD.search(text) and han:
        return han
    return (*han, "es" if language == "es" else "en")


def find(text: str, languages: Sequence[str], *, wishes: frozenset[str] = frozenset()) -> Iterator[Found]:
    """Identifiers in a levelled text, dates aside; they may overlap. InputError JC105 for an unknown language."""
    for language in ("any", *languages):
        for pattern in patterns(language):
            if pattern.wish and pattern.wish not in wishes:
                continue
            for match in pattern.expression.finditer(text):
                start, end = match.span("x")
                if pattern.check is None or pattern.check(match["x"]):
                    yield Found(start, end, pattern.kind, whole=pattern.whole)


@cache
def patterns(language: str) -> tuple[Pattern, ...]:
    """The patterns of a language, or ``any``: those of all."""
    data = toml("deid") if language == "any" else toml("deid", known_language(language))
    fill = _Fill(data.get("words", {}), data.get("parts", {}))
    return tuple(
        Pattern(
            Identifier(entry["kind"]),
            re.compile(fill(entry["find"]), re.MULTILINE),
            CHECKS[entry["check"]] if "check" in entry else None,
            bool(entry.get("whole", False)),
            str(entry.get("wish", "")),
        )
        for entry in data["pattern"]
    )


@cache
def words(name: str, language: str) -> tuple[str, ...]:
    """A list of the language's file."""
    found: Sequence[str] = toml("deid", known_language(language))["words"].get(name, ())
    return tuple(found)


class _Fill:
    """Puts lists and parts into an expression."""

    def __init__(self, lists: Mapping[str, Sequence[str]], parts: Mapping[str, str]) -> None:
        self._lists, self._parts = lists, parts

    def __call__(self, expression: str) -> str:
        return _HOLE.sub(lambda hole: self._part(hole[1]), expression)

    def _part(self, name: str) -> str:
        if name in self._parts:
            return f"(?:{self(self._parts[name])})"
        ordered = sorted({normalise(word, lower=False).text for word in self._lists[name]}, key=lambda w: (-len(w), w))
        return f"(?:{'|'.join(map(re.escape, ordered))})"


# --------------------------------------------------------------------------------------------------- check digits

_CN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CN_MARKS = "10X98765432"
_ES_MARKS = "TRWAGMYFPDXBNJZSQVHLCKE"


def cn_mark(digits: str) -> str:
    """The last character of a Chinese identity number, of its first 17 (GB 11643, ISO 7064 MOD 11-2)."""
    return _CN_MARKS[sum(int(digit) * weight for digit, weight in zip(digits, _CN_WEIGHTS, strict=True)) % 11]


def es_mark(number: str) -> str:
    """The letter of a Spanish DNI or NIE (number modulo 23)."""
    return _ES_MARKS[int(number) % 23]


def _cn_id(text: str) -> bool:
    return cn_mark(text[:17]) == text[17:].upper()


def _es_id(text: str) -> bool:
    bare = text.upper().replace("-", "").replace(".", "").replace(" ", "")
    number = bare[:-1]
    if number[0] in "XYZ":
        number = str("XYZ".index(number[0])) + number[1:]
    return number.isdecimal() and es_mark(number) == bare[-1]


def _luhn(text: str) -> bool:
    digits = [int(char) for char in text if char.isdecimal()][::-1]
    return sum(digits[::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10


def _ipv4(text: str) -> bool:
    return all(int(part) <= 255 for part in text.split("."))


CHECKS: Mapping[str, Callable[[str], bool]] = {"cn_id": _cn_id, "es_id": _es_id, "luhn": _luhn, "ipv4": _ipv4}
