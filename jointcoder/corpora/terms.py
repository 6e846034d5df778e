"""Term pairs: a mention as written → the standard term(s) and their codes (CHIP-CDN, Yidu-N7K, or your own).

A row is ``{"id", "mention", "normalized": [names], "codes" | "codes_EDITION": [codes]}``; a code list runs
parallel to the names, with "" where the edition has no code. CHIP-CDN pairs diagnoses (Beijing v601), Yidu-N7K
procedures (Xiehe and 医保 editions of ICD-9-CM-3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jointcoder.corpora.base import Row, Where, checked_limit, lines
from jointcoder.errors import InputError
from jointcoder.records import Kind

_PREFIX = "codes_"
_KNOWN = {"bj601": ("chip_cdn", Kind.DIAGNOSIS), "xiehe": ("yidu_n7k", Kind.PROCEDURE)}


@dataclass(frozen=True, slots=True)
class TermPair:
    """A mention, its standard names, and per edition their codes (parallel to ``names``; "" where none)."""

    id: str
    mention: str
    names: tuple[str, ...]
    codes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class TermCorpus:
    """A loaded file of term pairs, all of one kind and language."""

    name: str
    path: Path
    kind: Kind
    language: str
    items: tuple[TermPair, ...]

    def __len__(self) -> int:
        return len(self.items)


def matches(row: Row) -> bool:
    return "mention" in row and "normalized" in row


def load_terms(path: Path, *, kind: Kind | None = None, limit: int | None = None) -> TermCorpus:
    """Read term pairs. ``kind`` is needed only where the edition does not tell it (rows may also carry ``kind``).

    Raises InputError JC101, JC102, JC104, JC107 as :func:`jointcoder.corpora.base.lines`, JC108 if a row is
    malformed, an id comes twice, or the kind is not known.
    """
    limit = checked_limit(limit)
    items: list[TermPair] = []
    seen: set[str] = set()
    first: Row = {}
    for where, row in lines(path):
        if not matches(row):
            raise where.error("not a term pair: mention and normalized are needed")
        first = first or row
        pair = _pair(row, where)
        if pair.id in seen:
            raise where.error("an id comes twice")
        seen.add(pair.id)
        items.append(pair)
    known = next((value for edition, value in _KNOWN.items() if edition in items[0].codes), None)
    stated = first.get("kind")
    if kind is None and stated in set(Kind):
        kind = Kind(stated)
    if kind is None and known is None:
        raise InputError(
            "JC108",
            f"{path.name}: the kind of term is not known",
            hint="give rows a field kind: diagnosis or procedure",
        )
    name, default = known or ("terms", Kind.DIAGNOSIS)
    language = first.get("lang")
    return TermCorpus(
        name, path, kind or default, language if isinstance(language, str) else "zh", tuple(items[:limit])
    )


def _pair(row: Row, where: Where) -> TermPair:
    identity, mention, names = row.get("id", str(where.line)), row["mention"], row["normalized"]
    if not isinstance(identity, str) or not isinstance(mention, str) or not mention.strip():
        raise where.error("id and mention must be strings")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n.strip() for n in names):
        raise where.error("normalized must be a list of names")
    codes: dict[str, tuple[str, ...]] = {}
    for field, value in row.items():
        if field != "codes" and not field.startswith(_PREFIX):
            continue
        if not isinstance(value, list) or not all(isinstance(code, str) for code in value) or len(value) != len(names):
            raise where.error(f"{field} must list one code per name")
        codes[field.removeprefix(_PREFIX) if field != "codes" else ""] = tuple(value)
    return TermPair(identity, mention, tuple(names), codes)
