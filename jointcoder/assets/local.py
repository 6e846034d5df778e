"""Models and adapters of the user's own: ``<cache>/models/local.toml``, entries like the manifest's.

    [[model]]        the manifest's fields, without sources
    [[adapter]]      a LoRA file: name, base (a model's name), activated, file, size, sha256, licence
    [[superseded]]   adapters that others took the place of; their files stay (versions.py)

``jointcoder models add`` writes it; everything that takes a model's name reads it. A model of the manifest's name is
ignored: the manifest decides what its names mean. An adapter goes before a shipped one of its name. This module loads
no weights.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jointcoder.assets.manifest import AdapterAsset, Asset, Manifest, ModelAsset
from jointcoder.assets.store import file_hash, mismatch, missing, writing
from jointcoder.errors import AssetError
from jointcoder.settings import Settings

FILE = "local.toml"
HEAD = "# Written by `jointcoder models add`.\n"


class LocalModel(ModelAsset):
    """Weights that the user put there."""

    @property
    def setup_command(self) -> str:
        return f"jointcoder models add FILE --name {self.name} --replace"


@dataclass(frozen=True)
class LocalAdapter:
    """An adapter's file, and whether it acts behind the shared prefix only."""

    path: Path
    activated: bool
    sha256: str


@dataclass(frozen=True)
class Registry:
    """What the user registered. ``superseded``: earlier versions of adapters, the oldest first."""

    models: tuple[LocalModel, ...] = ()
    adapters: tuple[AdapterAsset, ...] = ()
    superseded: tuple[AdapterAsset, ...] = ()

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
            superseded = tuple(AdapterAsset(**entry) for entry in data.get("superseded", ()))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise AssetError("JC208", f"{path}: {where}: {first['msg']}", hint=_hint(path)) from None
        except TypeError as error:
            raise AssetError("JC208", f"{path}: {error}", hint=_hint(path)) from None
        return cls(models, adapters, superseded)

    def having(self, model: LocalModel) -> Registry:
        """The registry with ``model``, in place of one of its name."""
        return replace(self, models=(*(m for m in self.models if m.name != model.name), model))

    def write(self, settings: Settings) -> Path:
        """Write the file; the old one stays whole until the new one is. Raises AssetError JC205."""
        path = settings.models_dir / FILE
        part = path.with_name(FILE + ".part")
        tables = {"model": self.models, "adapter": self.adapters, "superseded": self.superseded}
        text = HEAD + "".join(line for name, entries in tables.items() for line in _tables(name, entries))
        with writing(settings.models_dir):
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        return path


def known_models(settings: Settings) -> Manifest:
    """The manifest's models and the user's own, by name. Raises AssetError JC208."""
    manifest = Manifest.models()
    own = tuple(model for model in Registry.read(settings).models if model.name not in manifest)
    return replace(manifest, entries=(*manifest.entries, *own))


def adapters_in_force(settings: Settings) -> tuple[AdapterAsset, ...]:
    """Every adapter that can be used: the user's own, and the shipped ones whose names these leave free. Raises
    AssetError JC208."""
    own = Registry.read(settings).adapters
    taken = {(adapter.base, adapter.name) for adapter in own}
    return (*(a for a in Manifest.models().adapters if (a.base, a.name) not in taken), *own)


def adapters_of(
    settings: Settings, model_name: str, *, only: Container[str] | None = None
) -> Mapping[str, LocalAdapter]:
    """The adapters of a model by name (``only`` those), verified. Raises AssetError JC201 (a file is gone), JC202 (a
    file is another than was registered), JC208."""
    found = {}
    for entry in adapters_in_force(settings):
        if entry.base == model_name and (only is None or entry.name in only):
            found[entry.name] = LocalAdapter(verified(entry, settings), entry.activated, entry.sha256)
    return found


def verified(entry: AdapterAsset, settings: Settings, *, again: bool = False) -> Path:
    """The adapter's file, which is what was registered; hashed anew if it changed since, or ``again``. Raises
    AssetError JC201, JC202."""
    path, what = entry.path(settings), f"adapter {entry.name} of {entry.base}"
    if not path.is_file():
        raise missing(what, path, entry.setup_command)
    try:
        sha256 = file_hash(path, settings, again=again)
    except OSError as error:
        raise AssetError("JC201", f"{what}: {path} cannot be read ({error.strerror})") from None
    if sha256 != entry.sha256:
        raise mismatch(what, path, entry.sha256, sha256, entry.setup_command)
    return path


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
