"""Wordings that name the state an operation left, not the disease: 阑尾炎术后, PCI术后, 胆囊切除术后状态.

    state("右眼白内障术后", "zh")   State("右眼白内障", ("眼术后", "右眼白内障术后"), ("眼术后",))
    state("肺癌术后", "zh")         None, because the tumour may still be under treatment

The words are data (``data/<language>/status.toml``); a language without them has no such wordings. Knows no codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jointcoder.text.fit import sites
from jointcoder.text.normalise import normalise
from jointcoder.text.resources import known_language, toml

_EDGE = " \t\u3000.。,，;；、:：()（）"


@dataclass(frozen=True)
class State:
    """What a wording names: the ``operation`` (or the disease that was operated on) without its ending, what to look up
    for its state, the likeliest first, and for the state of the organs it names."""

    operation: str
    wordings: tuple[str, ...]
    organs: tuple[str, ...]


def state(term: str, language: str) -> State | None:
    """The state that ``term`` names, None where it names none. Raises InputError JC105 for an unknown language."""
    data = _data(language)
    plain = normalise(term, lower=False).text.strip(_EDGE)
    if data is None or not plain.endswith(tuple(data["endings"])) or any(word in plain for word in data["unless"]):
        return None
    ending = max((word for word in data["endings"] if plain.endswith(word)), key=len)
    known = (row["name"] for row in data["operation"] if all(any(w in plain for w in group) for group in row["all"]))
    named = next(known, None)
    if any(word in plain for word in data["no_organ"]):
        return State(plain[: -len(ending)], (), ())
    organs = tuple(data["of_site"].format(site=site) for site in sites(plain, language))
    return State(plain[: -len(ending)], (named, plain) if named else (plain,), organs)


@cache
def _data(language: str) -> Mapping[str, Any] | None:
    held = (files("jointcoder.text") / "data" / known_language(language) / "status.toml").is_file()
    return toml("status", language) if held else None
