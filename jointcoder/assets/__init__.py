"""Manifest entry → verified local file: one way for models and code-book sources.

    manifest.py   what there is: entries, hashes, licences, sources
    store.py      what is here: paths, verified stamps, locks, room on the disk
    packages.py   package archives through pip, part by part, resumable
    sources.py    the other sources: installed packages, files, URLs with resume
    fetch.py      tries the sources in order, verifies, moves into place
    models.py     a name or a path → the weights to load
    local.py      models and adapters of the user's own
    register.py   a file of the user's own → checked, registered
    versions.py   adapters: which version is in force, and back to an earlier one
    gguf.py       the header of a weights file

Nothing here knows what a model or a code book means; a file is a name, a size and a sha256.
"""

from __future__ import annotations

from jointcoder.assets.fetch import fetch
from jointcoder.assets.local import LocalAdapter, LocalModel, adapters_in_force, adapters_of, known_models
from jointcoder.assets.manifest import AdapterAsset, Asset, Book, BookSource, Manifest, ModelAsset
from jointcoder.assets.models import ResolvedModel, resolve_model
from jointcoder.assets.store import VerifyResult, file_hash, is_verified, locate, locked, verify

__all__ = [
    "AdapterAsset",
    "Asset",
    "Book",
    "BookSource",
    "LocalAdapter",
    "LocalModel",
    "Manifest",
    "ModelAsset",
    "ResolvedModel",
    "VerifyResult",
    "adapters_in_force",
    "adapters_of",
    "fetch",
    "file_hash",
    "is_verified",
    "known_models",
    "locate",
    "locked",
    "resolve_model",
    "verify",
]
