"""What stands instead of an identifier: a typed placeholder, or a surrogate of the same shape.

    [NAME-1] … [ID-2]            placeholders, numbered within one encounter
    Ellen Hart → Robin Larkin    surrogates: "Hart" alone is then "Larkin"; identity numbers keep a valid check digit

The same words get the same stand-in throughout an encounter; ids (of the patient, of insurance …) throughout all
encounters of a key. Surrogates avoid numbers that somebody may have: telephone numbers of the ranges kept for fiction,
addresses of documentation networks, identity numbers of no region. Words are data.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from jointcoder.text.deid.found import Identifier
from jointcoder.text.deid.key import Key
from jointcoder.text.deid.patterns import CHECKS, cn_mark, es_mark, levelled, words
from jointcoder.text.resources import toml

_TRIES = 50
_HAN = re.compile("[\u3400-\u9fff]")
_TOKEN = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]*)*")
_CN_ID = re.compile(r"\d{17}[\dXx]")
_ES_ID = re.compile(r"[XYZ]?\d{7,8}[A-Z]", re.IGNORECASE)
_MOBILE = re.compile(r"1[3-9]\d{9}")
_NANP = re.compile(r"(\D*(?:1\D+)?\d{3}\D*)\d{3}(\D*)\d{4}(\D.*)?", re.DOTALL)
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O, which look like digits


class StandIns:
    """The stand-ins of one encounter (or of all encounters of one patient)."""

    def __init__(self, key: Key, whose: str, *, surrogates: bool) -> None:
        self._key, self._whose, self._surrogates = key, whose, surrogates
        self._numbers: dict[tuple[Identifier, str], int] = {}
        self._persons: list[set[str]] = []
        self._made: dict[tuple[str, str], str] = {}
        self._taken: set[tuple[str, str]] = set()

    def __call__(self, words_found: str, kind: Identifier, language: str) -> str:
        """What stands instead of ``words_found``."""
        folded = _folded(words_found)
        if not self._surrogates or kind is Identifier.DATE:
            return self._placeholder(words_found, folded, kind, language)
        if kind is Identifier.NAME:
            return self._name(words_found, language)
        return self._once(kind.value, folded, lambda draw: self._shaped(draw, words_found, kind, language))

    # ------------------------------------------------------------------------------------------------ placeholders

    def _placeholder(self, words_found: str, folded: str, kind: Identifier, language: str) -> str:
        word = toml("deid", language)["placeholders"][kind.value]
        if kind is Identifier.DATE:
            return f"[{word}]"
        number = self._person(words_found) if kind is Identifier.NAME else self._number(kind, folded)
        return f"[{word}-{number}]"

    def _number(self, kind: Identifier, folded: str) -> int:
        counted = sum(known is kind for known, _ in self._numbers)
        return self._numbers.setdefault((kind, folded), counted + 1)

    def _person(self, name: str) -> int:
        """The number of the person: names that share all words of the shorter one are one person's."""
        told = set(_parts(name))
        for number, known in enumerate(self._persons, start=1):
            if told <= known or (known <= told and known):
                known |= told
                return number
        self._persons.append(told)
        return len(self._persons)

    # -------------------------------------------------------------------------------------------------- surrogates

    def _once(self, kind: str, folded: str, make: Callable[[random.Random], str]) -> str:
        """Made once for the same words, and never the same for two, nor what it stands for."""
        whose = "" if kind == Identifier.ID else self._whose
        if (kind, folded) not in self._made:
            for attempt in range(_TRIES):
                made = make(self._key.draw(kind, whose, folded, str(attempt)))
                if (kind, made) not in self._taken and _folded(made) != folded:
                    break
            self._taken.add((kind, made))
            self._made[kind, folded] = made
        return self._made[kind, folded]

    def _name(self, name: str, language: str) -> str:
        if _HAN.search(name):
            return self._chinese_name(name)
        language = "es" if language == "es" else "en"
        given, family = words("surrogate_given", language), words("surrogate_family", language)
        tokens = list(_TOKEN.finditer(name))
        last = 0 if "," in name else len(tokens) - 1
        pieces: list[str] = []
        place = 0
        for number, token in enumerate(tokens):
            plain = token[0].rstrip(".")
            pieces.append(name[place : token.start()])
            place = token.end()
            if plain[:1].islower():
                pieces.append(token[0])
                continue
            choice = family if number == last else given
            if len(plain) == 1:
                made = self._once("initial", plain, lambda draw: draw.choice(_LETTERS))
            else:
                made = self._known_token(plain) or self._once(
                    "token",
                    _folded(plain),
                    lambda draw, choice=choice: draw.choice(choice),  # type: ignore[misc]
                )
            pieces.append((made.upper() if plain.isupper() and len(plain) > 1 else made) + token[0][len(plain) :])
        return "".join([*pieces, name[place:]])

    def _known_token(self, token: str) -> str | None:
        return self._made.get(("token", _folded(token)))

    def _chinese_name(self, name: str) -> str:
        compound = next((one for one in words("compound_surnames", "zh") if name.startswith(one)), "")
        nickname = name[0] in words("nicknames", "zh") and len(name) == 2
        first = compound or name[1 if nickname else 0]
        family = self._once("surname", first, lambda draw: draw.choice(words("surrogate_family", "zh")))
        if nickname:
            return name[0] + family
        rest = name[len(first) :]
        hidden = not _HAN.search(rest) or rest in words("hidden_given", "zh")
        if hidden:
            return family + rest
        made = "".join(
            self._once("given", char, lambda draw: draw.choice(words("surrogate_given", "zh")))
            if _HAN.match(char)
            else char
            for char in rest[:2]
        )
        return family + made

    def _shaped(self, draw: random.Random, text: str, kind: Identifier, language: str) -> str:
        if kind is Identifier.EMAIL:
            return f"user{draw.randrange(1000, 10000)}@example.org"
        if kind is Identifier.URL:
            return f"https://example.org/{draw.randrange(1000, 10000)}"
        if kind is Identifier.IP:
            return f"2001:db8::{draw.randrange(1, 65536):x}" if ":" in text else f"192.0.2.{draw.randrange(1, 255)}"
        if kind is Identifier.PHONE:
            return self._phone(draw, text)
        if kind is Identifier.ADDRESS:
            return self._address(draw, text, language)
        if kind is Identifier.HOSPITAL:
            house = draw.choice(words("surrogate_hospitals", language))
            return str(_forms(language)["hospital"]).format(town=self._place(draw, language), hospital=house)
        return self._id(draw, text)

    def _id(self, draw: random.Random, text: str) -> str:
        plain = levelled(text).text
        if _CN_ID.fullmatch(plain) and CHECKS["cn_id"](plain):  # 99: no province
            digits = f"99{draw.randrange(10000):04d}{draw.randrange(1930, 2020)}{draw.randrange(1, 13):02d}"
            digits += f"{draw.randrange(1, 29):02d}{draw.randrange(1000):03d}"
            return digits + cn_mark(digits)
        if _ES_ID.fullmatch(plain) and plain[0].isdecimal():
            number = f"{draw.randrange(10**8):08d}"
            return number + es_mark(number)
        return _likewise(draw, text)

    def _phone(self, draw: random.Random, text: str) -> str:
        plain = levelled(text).text
        digits = re.sub(r"\D", "", plain)
        if _MOBILE.fullmatch(digits):
            return f"{digits[:2]}{draw.randrange(10)}0000{draw.randrange(10000):04d}"
        if (found := _NANP.fullmatch(plain)) and len(digits) in (10, 11) and digits[0] != "0":
            return f"{found[1]}555{found[2]}01{draw.randrange(100):02d}"
        return _likewise(draw, text)

    def _address(self, draw: random.Random, text: str, language: str) -> str:
        street, town = draw.choice(words("surrogate_streets", language)), self._place(draw, language)
        form = _forms(language)["address" if re.search(r"\d", text) else "town"]
        return str(form).format(street=street, town=town, number=draw.randrange(1, 200))

    def _place(self, draw: random.Random, language: str) -> str:
        return draw.choice(words("surrogate_towns", language))


def _forms(language: str) -> Any:
    return toml("deid", language)["forms"]


def _likewise(draw: random.Random, text: str) -> str:
    """Digits for digits, letters for letters, marks as they are."""

    def other(char: str) -> str:
        if char.isdecimal():
            return str(draw.randrange(10))
        if char.isascii() and char.isalpha():
            return draw.choice(_LETTERS) if char.isupper() else draw.choice(_LETTERS).lower()
        return char

    return "".join(map(other, text))


def _folded(text: str) -> str:
    return " ".join(levelled(text).text.casefold().split())


def _parts(name: str) -> list[str]:
    """The words that two names of one person share."""
    if _HAN.search(name):
        return [f"{place}{char}" for place, char in enumerate(levelled(name).text)]
    plain = [token[0].rstrip(".").casefold() for token in _TOKEN.finditer(name)]
    long = [token for token in plain if len(token) > 1 and token not in ("de", "la", "del", "van", "von", "der")]
    return long or plain
