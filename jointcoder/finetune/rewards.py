"""Rewards of answers, as pure functions: what a hospital wants of a coded record, put into numbers.

Each takes the model's answer (text) and what is known of the example (:class:`Wanted`), and gives a number. Built so
that the cheap ways out do not pay:

| way out | what stands against it |
|---|---|
| code everything that is offered | each wrong code costs ``FALSE_POSITIVE`` beside what it costs in F1 |
| answer nothing | an empty answer where codes are wanted gets -1, not 0 |
| repeat a right code | repeats count once as right, and each repeat as wrong |
| invent codes | each that the code book does not hold costs as much as the answer can gain |
| quote what is not there | each quote that the text does not hold is subtracted |

Codes are compared as normalised. This module knows no model, no trainer and no file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FALSE_POSITIVE = 0.1
PRINCIPAL = 0.25
INVALID = 1.0
EMPTY = -1.0
UNREADABLE = -1.0
_CODE = re.compile(r"[^\W_][\w.+*]*")


@dataclass(frozen=True)
class Wanted:
    """What an answer is measured by: ``codes`` in order of importance; ``offered``, the codes or letters that the
    prompt lists; ``valid`` says of a code whether the code book holds it; ``text``, what quotes must stand in."""

    codes: tuple[str, ...]
    offered: tuple[str, ...] = ()
    valid: Callable[[str], bool] = field(default=lambda code: True)
    text: str = ""
    quotes: tuple[str, ...] = ()


def codes_of(answer: str) -> list[str] | None:
    """The codes (or letters) of an answer, in order and with repeats: a JSON list, or text parted by commas, blanks or
    lines. None where it is neither."""
    text = answer.strip()
    if text.startswith(("[", "{")):
        try:
            value = json.loads(text)
        except ValueError:
            return None
        if isinstance(value, dict):
            lists = [entry for entry in value.values() if isinstance(entry, list)]
            value = [item for entry in lists for item in entry]
        found = _strings(value, "code")
        return None if found is None else [code_key(item) for item in found]
    parts = [part for part in re.split(r"[\s,;、，；>]+", text) if part]
    if any(not _CODE.fullmatch(part) for part in parts):
        return None
    return [code_key(part) for part in parts]


def code_key(code: str) -> str:
    """A code as compared: capitals, no dots or blanks."""
    return "".join(code.upper().replace(".", "").split())


def f1(answer: str, wanted: Wanted) -> float:
    """F1 of the set of codes less ``FALSE_POSITIVE`` for each wrong one (repeats are wrong); never above 1.

    1 for saying nothing where nothing is wanted, ``EMPTY`` for saying nothing where something is.
    """
    said = codes_of(answer)
    if said is None:
        return UNREADABLE
    gold = {code_key(code) for code in wanted.codes}
    if not said:
        return EMPTY if gold else 1.0
    right = len(set(said) & gold)
    wrong = len(said) - right
    return 2 * right / (len(said) + len(gold)) - FALSE_POSITIVE * wrong


def principal(answer: str, wanted: Wanted) -> float:
    """``PRINCIPAL`` if the first code said is the first one wanted, else 0."""
    said = codes_of(answer)
    return PRINCIPAL if said and wanted.codes and said[0] == code_key(wanted.codes[0]) else 0.0


def order(answer: str, wanted: Wanted) -> float:
    """NDCG of the codes as said against the wanted order (the first is worth most); repeats and wrong codes take a
    place and bring nothing. 0 for an empty or unreadable answer."""
    said = codes_of(answer) or []
    worth = {code_key(code): len(wanted.codes) - place for place, code in enumerate(wanted.codes)}
    if not worth:
        return 0.0
    gained, seen = [], set()
    for code in said:
        gained.append(0 if code in seen else worth.get(code, 0))
        seen.add(code)
    return _dcg(gained) / _dcg(sorted(worth.values(), reverse=True))


def valid(answer: str, wanted: Wanted) -> float:
    """-``INVALID`` for each code that the code book does not hold; ``UNREADABLE`` where no codes can be read."""
    said = codes_of(answer)
    if said is None:
        return UNREADABLE
    return 0.0 - INVALID * sum(not wanted.valid(code) for code in said)


def evidence(answer: str, wanted: Wanted) -> float:
    """F1 of the answer's quotes that stand in the text, against the marked ones, less 1 for each quote that the text
    does not hold. An answer without quotes where some are wanted gets ``EMPTY``."""
    said = quotes_of(answer)
    if said is None:
        return UNREADABLE
    gold = {_plain(quote) for quote in wanted.quotes}
    if not said:
        return EMPTY if gold else 1.0
    text = _plain(wanted.text)
    invented = sum(_plain(quote) not in text for quote in said)
    right = len({_plain(quote) for quote in said} & gold)
    return 2 * right / (len(said) + len(gold)) - 1.0 * invented - FALSE_POSITIVE * (len(said) - right)


def quotes_of(answer: str) -> list[str] | None:
    """The quotes of a JSON answer: strings, or the ``quote`` of objects, in all its lists. None where there are none to
    read."""
    try:
        value = json.loads(answer)
    except ValueError:
        return None
    lists = [value] if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else None
    if lists is None or not all(isinstance(one, list) for one in lists):
        return None
    return _strings([item for one in lists for item in one], "quote")


def concise(answer: str, wanted: Wanted) -> float:
    """Share of the answer that is codes and what parts them: 1 for a bare list, towards 0 for prose. It shows the way
    from no readable answer to one."""
    text = answer.strip()
    if not text:
        return 0.0
    offered = {code_key(one) for one in (*wanted.offered, *wanted.codes)}
    words = [word for word in re.split(r"[\s,;、，；>]+", text) if word]
    return sum(code_key(word.strip("[]\"'")) in offered for word in words) / max(1, len(words))


REWARDS: Mapping[str, Callable[[str, Wanted], float]] = {
    "f1": f1,
    "principal": principal,
    "order": order,
    "valid": valid,
    "evidence": evidence,
    "concise": concise,
}


def reward(answer: str, wanted: Wanted, weights: Mapping[str, float]) -> float:
    """The weighted sum of the named rewards."""
    return math.fsum(weight * REWARDS[name](answer, wanted) for name, weight in weights.items())


def group_advantages(values: Sequence[float]) -> list[float]:
    """Rewards of one prompt's answers less their mean, in units of their spread (GRPO); all 0 where they are equal."""
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / spread if spread > 1e-9 else 0.0 for value in values]


def _strings(items: Sequence[Any], key: str) -> list[str] | None:
    """The strings among which ``items`` are, or that stand under ``key`` of objects; None if one is neither."""
    found = [item.get(key) if isinstance(item, dict) else item for item in items]
    strings = [item for item in found if isinstance(item, str)]
    return strings if len(strings) == len(found) else None


def _dcg(worth: Sequence[float]) -> float:
    return math.fsum(value / math.log2(place + 1) for place, value in enumerate(worth, start=1))


def _plain(text: Any) -> str:
    return " ".join(str(text).casefold().split())
