"""Opens the model that the settings name.

Backends are entry points of the group ``jointcoder.backends``; each is a class with a class method
``open(Opening) -> LanguageModel``. The built-in ones also work where the package is not installed (a checkout).
This module knows nothing of manifests: the caller says which file it is and what its hash is.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from jointcoder.errors import UsageError, name_list
from jointcoder.llm.base import LanguageModel
from jointcoder.llm.options import EngineOptions, load_options
from jointcoder.settings import Settings

GROUP = "jointcoder.backends"
BUILT_IN = {
    "llamacpp": "jointcoder.llm.llamacpp:LlamaCpp",
    "scripted": "jointcoder.llm.scripted:Scripted",
}
OPTIONS_FILE = "engine.json"  # in the cache folder; written by ``doctor``


@dataclass(frozen=True)
class Opening:
    """What a backend gets to open a model with. ``options`` is None where this machine was never probed."""

    path: Path
    name: str
    sha256: str = ""
    context_tokens: int = 8192
    threads: int | None = None
    gpu_layers: int = 0
    options: EngineOptions | None = None


def open_model(
    settings: Settings,
    *,
    path: Path | None = None,
    name: str | None = None,
    sha256: str = "",
    backend: str | None = None,
) -> LanguageModel:
    """Open ``path`` (default: the settings' model in the models folder) with ``backend`` (default: the settings').

    The engine options that ``doctor`` saved for this model and machine are applied. Raises UsageError JC001
    (unknown backend, naming the known ones) and whatever the backend raises.
    """
    path = path or settings.models_dir / f"{settings.model}.gguf"
    opener = _backend(backend or settings.backend)
    model: LanguageModel = opener.open(
        Opening(
            path=path,
            name=name or path.stem,
            sha256=sha256,
            context_tokens=settings.context_tokens,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            options=load_options(settings.cache / OPTIONS_FILE, path),
        )
    )
    return model


def backends() -> dict[str, EntryPoint]:
    """The known backends by name: built-in ones and those of installed packages."""
    known = {name: EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()}
    return known | {point.name: point for point in entry_points(group=GROUP)}


def _backend(name: str) -> Any:
    known = backends()
    if name not in known:
        raise UsageError("JC001", f"unknown backend {name!r}; known: {name_list(known)}")
    module, _, attribute = known[name].value.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError("JC001", f"backend {name!r} cannot be imported from {module}") from error
