"""What decides a coded record besides the encounter: workflow, model, adapters, code books, pack, the house's words.

    conditions = conditions_of(coder)
    identity(version, conditions.digest)      # names one result: this content, coded under these conditions

A run goes on under the conditions it began with. The program's version is kept, and is no condition: a corrected
program goes on with the night's work; who wants all of it anew names new conditions. A manifest of an earlier version
may lack some: what it does not say is no difference, and its records are coded anew (:meth:`Conditions.unsaid_in`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jointcoder.errors import InputError
from jointcoder.packs.pack import sha256_of
from jointcoder.settings import Settings

if TYPE_CHECKING:
    from jointcoder.coder import Coder

DIGITS = 16
NO_CONDITION = ("program",)


@dataclass(frozen=True)
class Conditions:
    """By name and hash. ``code_books``: id → hash of every edition at hand, ``search``: the way of looking up;
    ``context_tokens``: how much of a note a step sees at once; ``user_dictionary`` and ``abbreviations``: hashes of the
    house's own tables, "" without one."""

    workflow: str = ""
    workflow_hash: str = ""
    model: str = ""
    model_hash: str = ""
    backend: str = ""
    context_tokens: int = 0
    adapters: Mapping[str, str] = field(default_factory=dict)
    code_books: Mapping[str, str] = field(default_factory=dict)
    pack: str = ""
    search: str = ""
    systems: tuple[str, ...] = ()
    user_dictionary: str = ""
    abbreviations: str = ""
    program: str = ""

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that change when a record may change."""
        said = {name: value for name, value in asdict(self).items() if name not in NO_CONDITION}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:DIGITS]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest; with the digest."""
        return {**asdict(self), "systems": list(self.systems), "digest": self.digest}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The way back; what it does not know is left aside."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        return cls(**{**known, "systems": tuple(known.get("systems", ()))})

    def differs_from(self, other: Conditions) -> list[str]:
        """The names of what changes records, sorted."""
        mine, others = asdict(self), asdict(other)
        return sorted(name for name in mine if name not in NO_CONDITION and mine[name] != others[name])

    @classmethod
    def unsaid_in(cls, values: Mapping[str, Any]) -> list[str]:
        """The names of conditions that an earlier version did not write down, sorted."""
        return sorted(one.name for one in fields(cls) if one.name not in values)


def conditions_of(coder: Coder) -> Conditions:
    """Those of a coder, with every edition it may choose by date. Raises InputError JC107 where a table of the house
    cannot be read."""
    made = coder.versions
    words = Settings.load()  # as the modules of `text` read them, whatever settings the coder has
    return Conditions(
        workflow=made.workflow,
        workflow_hash=made.workflow_hash,
        model=made.model,
        model_hash=made.model_hash,
        backend=coder.settings.backend if coder.model is not None else "",
        context_tokens=coder.tools.context_tokens,
        adapters=dict(made.adapters),
        code_books={book.info.id: book.info.sha256 for book in coder.editions.books},
        pack=made.pack,
        search=made.search,
        systems=tuple(system.value for system in coder.systems),
        user_dictionary=_hash_of(words.user_dictionary),
        abbreviations=_hash_of(words.abbreviations),
        program=made.program,
    )


def _hash_of(table: Path | None) -> str:
    if table is None:
        return ""
    try:
        return sha256_of(table)
    except OSError as error:
        raise InputError("JC107", f"{table}: {error.strerror or type(error).__name__}") from None


def identity(version: str, digest: str) -> str:
    """The name of a result: hash of an encounter's content (``store.encounters.version_of``) and of what coded it."""
    return hashlib.sha256(f"{version}:{digest}".encode()).hexdigest()[: 2 * DIGITS]
