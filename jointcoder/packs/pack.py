"""A learned pack: a folder that says what it was learnt from, holds parts, and is verified when opened.

    pack = Pack.open(Path("codiesp-es"))          # or Pack.find(settings, "codiesp-es")
    pack.info.language, pack.info.parts
    part = pack.part("mentions", lookup=lookup)

| file | what |
|---|---|
| `pack.json` | :class:`PackInfo`: origin, licence, thresholds, measures, and the sha256 of every other file |
| `PART/…` | what the part wrote; only the part's own module reads it |

A part is a class with ``load(folder, info, lookup)``; those that code encounters have
``propose(encounter, language) -> list[Proposal]``. Knows nothing of steps and workflows.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from importlib import import_module, resources
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jointcoder.errors import AssetError, UsageError, name_list
from jointcoder.records import System
from jointcoder.settings import Settings

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup

FILE = "pack.json"
FORMAT = 1
PARTS = {
    "mentions": "jointcoder.packs.mentions:Mentions",
    "terms": "jointcoder.packs.terms:Terms",
    "labels": "jointcoder.packs.labels:Labels",
    "drafts": "jointcoder.packs.drafts:Drafts",
    "priors": "jointcoder.packs.priors:Priors",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Frozen):
    """One file that the pack was learnt from. The data themselves are never in the pack's description."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    records: int = Field(ge=0)
    codes: int = Field(default=0, ge=0)


class PackInfo(_Frozen):
    """What ``pack.json`` says.

    ``headings``: the training data code headings and prefixes (CodiEsp: three-character categories, four characters of
    ICD-10-PCS), and the pack's codes may be such; they are reported as not billable. ``as_of``: a day on which the
    edition of the training data was in force; codes of encounters without a date of their own are then judged by it.
    ``workflow``: the one whose drafts the part ``drafts`` was taught to judge; it fits no other.
    ``shareable``: the licence of the data lets the pack leave the premises. ``thresholds``: part (and system) →
    probability from which a code is given.
    ``metrics``: what was measured when it was made, out of fold or on a stated dev set. ``files``: path → sha256.
    """

    format: int = FORMAT
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    summary: str = ""
    languages: tuple[str, ...]
    systems: tuple[System, ...]
    parts: tuple[str, ...] = Field(min_length=1)
    book: str = ""
    headings: bool = False
    as_of: dt.date | None = None
    workflow: str = ""
    licence: str = ""
    attribution: str = ""
    shareable: bool = False
    origins: tuple[Origin, ...] = ()
    made_by: str = ""
    made_on: dt.date | None = None
    thresholds: dict[str, float] = {}
    metrics: dict[str, Any] = {}
    files: dict[str, str] = {}


class Pack:
    """An opened pack. Parts are loaded on first use; safe to share between threads."""

    def __init__(self, folder: Path, info: PackInfo, sha256: str) -> None:
        self.folder, self.info, self.sha256 = folder, info, sha256
        self._parts: dict[tuple[str, int], Any] = {}
        self._lock = Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read and verify. Raises AssetError JC211 (absent), JC212 (damaged or of another format), JC202 (a file
        that is not the one described)."""
        path = folder / FILE
        if not path.is_file():
            raise AssetError("JC211", f"no pack at {folder}", hint="`jointcoder learn CODED.jsonl -o DIR` makes one")
        try:
            data = path.read_bytes()
            info = PackInfo.model_validate_json(data)
        except (OSError, ValidationError, ValueError) as error:
            raise AssetError("JC212", f"{path} is no pack description ({type(error).__name__})") from None
        if info.format != FORMAT:
            raise AssetError("JC212", f"pack {info.id} has format {info.format}, this program reads {FORMAT}")
        for name, expected in info.files.items():
            file = folder / name
            if not file.is_file():
                raise AssetError("JC212", f"pack {info.id} lacks {name}")
            if sha256_of(file) != expected:
                raise AssetError("JC202", f"pack {info.id}: {name} is not the file that was described")
        return cls(folder, info, hashlib.sha256(data).hexdigest())

    @classmethod
    def find(cls, settings: Settings, name: str) -> Self:
        """A pack by path, or by name among the user's and those that come with the program. UsageError JC213."""
        given = Path(name).expanduser()
        if (given / FILE).is_file():
            return cls.open(given)
        known = {folder.name: folder for place in places(settings) for folder in packs_in(place)}
        if name not in known:
            raise UsageError("JC213", f"no pack called {name!r}", hint=f"known packs: {name_list(known)}")
        return cls.open(known[name])

    @property
    def version(self) -> str:
        """For records: name and the first characters of the hash of its description, which holds all others."""
        return f"{self.info.id}@{self.sha256[:12]}"

    def has(self, part: str) -> bool:
        """Whether the pack holds the part."""
        return part in self.info.parts

    def part(self, name: str, lookup: Lookup | None = None) -> Any:
        """The part, loaded once a lookup. UsageError JC213 where the pack does not hold it."""
        if not self.has(name):
            raise UsageError("JC213", f"pack {self.info.id} has no part {name!r}", hint=name_list(self.info.parts))
        key = (name, id(lookup))
        with self._lock:
            if key not in self._parts:
                module, _, attribute = PARTS[name].partition(":")
                loaded = getattr(import_module(module), attribute).load(self.folder / name, self.info, lookup)
                self._parts[key] = loaded
            return self._parts[key]


def places(settings: Settings) -> tuple[Path, ...]:
    """Where packs are sought: those that come with the program, then the user's (which win by name)."""
    packaged = resources.files("jointcoder") / "shipped" / "packs"
    beside = Path(__file__).parents[2] / "packs"
    shipped = Path(str(packaged)) if packaged.is_dir() else beside
    return (shipped, settings.packs_dir)


def packs_in(place: Path) -> list[Path]:
    """The folders in ``place`` that are packs, by name."""
    return sorted(path.parent for path in place.glob(f"*/{FILE}")) if place.is_dir() else []


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
