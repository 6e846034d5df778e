"""A name or a path → the weights to load. Knows manifests, the user's own models and hashes, not engines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jointcoder.assets.local import known_models
from jointcoder.assets.manifest import ModelAsset
from jointcoder.assets.store import VerifyResult, file_hash, locate, missing, verify
from jointcoder.errors import AssetError, name_list
from jointcoder.settings import Settings


@dataclass(frozen=True)
class ResolvedModel:
    """Weights on disk. ``entry`` is None for a file that neither the manifest nor the user's own list knows."""

    path: Path
    name: str
    sha256: str
    entry: ModelAsset | None = None


def resolve_model(settings: Settings, name_or_path: str | None = None) -> ResolvedModel:
    """The weights for a known name or a path to a ``.gguf`` file; default: ``settings.model``.

    The first use of a file hashes it (seconds), later ones remember. Raises AssetError JC206 for an unknown
    name, JC201 for a missing file, JC202 for a manifest model whose file has another hash.
    """
    wanted = name_or_path or settings.model
    if _is_path(wanted):
        return _from_path(Path(wanted).expanduser(), settings)
    manifest = known_models(settings)
    if wanted not in manifest:
        raise AssetError(
            "JC206",
            f"unknown model '{wanted}'",
            hint=f"known: {name_list(manifest.names())}; or give the path of a .gguf file (jointcoder models add)",
        )
    entry = manifest[wanted]
    assert isinstance(entry, ModelAsset)
    path = entry.path(settings)
    if not path.is_file():
        raise missing(f"model {entry.name}", path, entry.setup_command)
    if locate(entry, settings) is None or file_hash(path, settings) != entry.sha256:
        # Only now, when something is wrong, is the hash worth taking again: the message names both.
        result: VerifyResult = verify(entry, settings)
        result.require()
    return ResolvedModel(path, entry.name, entry.sha256, entry)


def _is_path(wanted: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return wanted.lower().endswith(".gguf") or any(mark in wanted for mark in separators)


def _from_path(path: Path, settings: Settings) -> ResolvedModel:
    if not path.is_file():
        raise AssetError(
            "JC201",
            f"the model file {path} does not exist",
            hint="check the path, or get the default model with: jointcoder setup",
        )
    try:
        return ResolvedModel(path, path.stem, file_hash(path, settings))
    except OSError as error:
        raise AssetError("JC201", f"the model file {path} cannot be read ({error.strerror})") from None
