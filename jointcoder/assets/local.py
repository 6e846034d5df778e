"""Models and adapters of the user's own: ``<cache>/models/local.toml``, entries like the manifest's.

    [[model]]     the manifest's fields, without sources
    [[adapter]]   a LoRA file: name, base (a model's name), activated, file, size, sha256, licence

``jointcoder models add`` writes it; everything that takes a model's name reads it. An entry of the manifest's name is
ignored: the manifest decides what its names mean. This module checks no file and loads no weights.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from jointcoder.assets.manifest import Asset, Manifest, ModelAsset
from jointcoder.assets.store import missing, writing
from jointcoder.errors import AssetError
from jointcoder.settings import Settings

FILE = "local.toml"
HEAD = "# Written by `jointcoder models add`.\n"


class LocalModel(ModelAsset):
    """Weights that the user put there."""

    @property
    def setup_command(self) -> str:
        return f"jointcoder models add FILE --name {self.name} --replace"


class AdapterAsset(Asset):
    """A LoRA adapter of the model ``base``. ``activated``: it acts behind the shared prefix only."""

    base: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    activated: bool = False
    quantisation: str = ""
    architecture: str = ""

    @property
    def setup_command(self) -> str:
        mark = " --activated" if self.activated else ""
        return f"jointcoder models add FILE --adapter-of {self.base} --name {self.name}{mark} --replace"

    def path(self, settings: Settings) -> Path:
        return settings.models_dir / self.file


@dataclass(frozen=True)
class LocalAdapter:
    """An adapter's file, and whether it acts behind the shared prefix only."""

    path: Path
    activated: bool
    sha256: str


@dataclass(frozen=True)
class Registry:
    """What the user registered."""

    models: tuple[LocalModel, ...] = ()
    adapters: tuple[AdapterAsset, ...] = ()

    @classmethod
    def read(cls, settings: Settings) -> Registry:
        """The registry; empty if there is none. Raises AssetError JC208 (invalid)."""
        path = settings.models_dir / FILE
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise AssetError("JC208", f"{path}: {error}", hint=_hint(path)) from None
        try:
            models = tuple(LocalModel(**entry) for entry in data.get("model", ()))
            adapters = tuple(AdapterAsset(**entry) for entry in data.get("adapter", ()))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise AssetError("JC208", f"{path}: {where}: {first['msg']}", hint=_hint(path)) from None
        except TypeError as error:
            raise AssetError("JC208", f"{path}: {error}", hint=_hint(path)) from None
        return cls(models, adapters)

    def having(self, entry: LocalModel | AdapterAsset) -> Registry:
        """The registry with ``entry``, in place of one of its name (an adapter's: of its base, too)."""
        if isinstance(entry, AdapterAsset):
            others = tuple(a for a in self.adapters if (a.base, a.name) != (entry.base, entry.name))
            return Registry(self.models, (*others, entry))
        return Registry((*(m for m in self.models if m.name != entry.name), entry), self.adapters)

    def write(self, settings: Settings) -> Path:
        """Write the file; the old one stays whole until the new one is. Raises AssetError JC205."""
        path = settings.models_dir / FILE
        part = path.with_name(FILE + ".part")
        text = HEAD + "".join(_tables("model", self.models)) + "".join(_tables("adapter", self.adapters))
        with writing(settings.models_dir):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8")
            part.replace(path)
        return path


def known_models(settings: Settings) -> Manifest:
    """The manifest's models and the user's own, by name. Raises AssetError JC208."""
    manifest = Manifest.models()
    own = tuple(model for model in Registry.read(settings).models if model.name not in manifest)
    return Manifest((*manifest.entries, *own), path=manifest.path)


def adapters_of(settings: Settings, model_name: str) -> Mapping[str, LocalAdapter]:
    """The adapters registered for a model, by name. Raises AssetError JC201 (a file is gone), JC208."""
    found = {}
    for entry in Registry.read(settings).adapters:
        if entry.base == model_name:
            path = entry.path(settings)
            if not path.is_file():
                raise missing(f"adapter {entry.name} of {entry.base}", path, entry.setup_command)
            found[entry.name] = LocalAdapter(path, entry.activated, entry.sha256)
    return found


def _hint(path: Path) -> str:
    return f"mend or delete {path.name}, then register the files again: jointcoder models add FILE"


def _tables(name: str, entries: Iterable[Asset]) -> Iterable[str]:
    for entry in entries:
        fields = entry.model_dump(mode="json", exclude={"sources"})
        lines = (f"{key} = {_value(value)}\n" for key, value in fields.items())
        yield f"\n[[{name}]]\n{''.join(lines)}"


def _value(value: Any) -> str:
    # JSON's texts, numbers, truth values and lists are TOML's, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
