"""The rules by id, and the tables they go by (``codebook/data/<language>/rules/*.toml``).

The tables are consulted when a record is checked and are no part of a code book: changing one asks for no rebuild.
This module knows no codes of a record and no code book.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from jointcoder.codebook.codes import normalise_code
from jointcoder.records import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it finds, what it looks at (``kind``), how severe it is at most, and what it cites for the US
    editions (``citation``) and the Chinese ones (``chinese``); an empty citation: not applied there."""

    id: str
    title: str
    kind: str
    severity: Severity
    milder: tuple[Severity, ...]
    citation: str
    chinese: str


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order of the catalogue."""
    found = {}
    for name, row in table("en", "catalogue").items():
        severity, *milder = (Severity(word) for word in row["severity"].split(" or "))
        found[name] = Rule(name, row["title"], row["kind"], severity, tuple(milder), row["citation"], row["chinese"])
    return MappingProxyType(found)


@cache
def table(language: str, name: str) -> dict[str, Any]:
    """One table as its file holds it; read once, never changed."""
    file = resources.files("jointcoder.codebook").joinpath("data", language, "rules", f"{name}.toml")
    return tomllib.loads(file.read_text("utf-8"))


def stems(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Code prefixes as they stand in the data → prefixes of normalised codes."""
    return tuple(normalise_code(prefix) for prefix in prefixes)


@dataclass(frozen=True, slots=True)
class Combination:
    """Conditions that one code classifies together (``combinations.toml``); all prefixes normalised."""

    all: tuple[tuple[str, ...], ...]
    unless: tuple[str, ...]
    becomes: str
    gives_way: tuple[int, ...]
    section: str
    remedy: str = ""
    without: str = ""
    with_code: tuple[str, ...] = ()
    coded_is_silent: bool = True


@cache
def combinations(language: str) -> tuple[Combination, ...]:
    """The combination rules of the US (``en``) or the Chinese (``zh``) editions."""
    found = []
    for row in table(language, "combinations")["combination"]:
        fields = dict(row)
        fields["all"] = tuple(stems(group) for group in row["all"])
        fields["unless"] = stems(row.get("unless", ()))
        fields["with_code"] = stems(row.get("with_code", ()))
        fields["gives_way"] = tuple(row["gives_way"])
        found.append(Combination(**fields))
    return tuple(found)


@cache
def integral() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """(symptoms, diseases they are integral to), as prefixes of normalised codes. Guideline I.B.5."""
    return tuple((stems(row["finding"]), stems(row["explained_by"])) for row in table("en", "integral")["integral"])


@cache
def symptom_categories() -> frozenset[str]:
    """The categories that :func:`integral` names as symptoms."""
    return frozenset(symptom[:3] for symptoms, _ in integral() for symptom in symptoms)


def integral_citation() -> str:
    """What :func:`integral` rests on."""
    return str(table("en", "integral")["citation"])


def is_integral(symptom: str, disease: str) -> bool:
    """Whether the code ``symptom`` is integral to the disease of the code ``disease``. Guideline I.B.5."""
    one, other = normalise_code(symptom), normalise_code(disease)
    return any(one.startswith(symptoms) and other.startswith(diseases) for symptoms, diseases in integral())


@cache
def cues(name: str, key: str) -> tuple[str, ...]:
    """A list of words or phrases of a table."""
    return tuple(table("en", name)[key])


def holds(text: str, phrases: Sequence[str]) -> bool:
    """Whether ``text`` holds one of ``phrases`` (small letters)."""
    lower = text.casefold()
    return any(phrase in lower for phrase in phrases)
