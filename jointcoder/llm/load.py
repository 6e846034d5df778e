"""Opens the model that the settings name.

Backends are entry points of the group ``jointcoder.backends``; each is a class with a class method
``open(Opening) -> LanguageModel``. The built-in ones also work where the package is not installed (a checkout).
This module knows nothing of manifests: the caller says which file it is and what its hash is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from jointcoder.errors import UsageError, name_list
from jointcoder.llm.adapters import Adapter
from jointcoder.llm.base import LanguageModel
from jointcoder.llm.options import EngineOptions, load_options
from jointcoder.settings import Settings

GROUP = "jointcoder.backends"
BUILT_IN = {
    "http": "jointcoder.llm.http:Http",
    "llamacpp": "jointcoder.llm.llamacpp:LlamaCpp",
    "scripted": "jointcoder.llm.scripted:Scripted",
}
OPTIONS_FILE = "engine.json"  # in the cache folder; written by ``doctor``


@dataclass(frozen=True)
class Server:
    """A model server, for the backends that ask one. ``adapters``: adapter → the server's model name."""

    url: str = "http://127.0.0.1:8080/v1"
    timeout_s: float = 120.0
    retries: int = 4
    concurrency: int = 8
    adapters: Mapping[str, str] = field(default_factory=dict)
    allow_remote: bool = False


@dataclass(frozen=True)
class Opening:
    """What a backend gets to open a model with. ``options`` is None where this machine was never probed; ``name`` is
    "" where a backend without a weights file was not told which model; ``adapters`` are files beside the weights
    (a server's adapters are in ``server``)."""

    path: Path
    name: str
    sha256: str = ""
    context_tokens: int = 8192
    threads: int | None = None
    gpu_layers: int = 0
    options: EngineOptions | None = None
    server: Server = field(default_factory=Server)
    adapters: Mapping[str, Adapter] = field(default_factory=dict)


def open_model(
    settings: Settings,
    *,
    path: Path | None = None,
    name: str | None = None,
    sha256: str = "",
    backend: str | None = None,
    adapters: Mapping[str, Adapter] | None = None,
) -> LanguageModel:
    """Open ``path`` (default: the settings' model in the models folder) with ``backend`` (default: the settings'), and
    the ``adapters`` that steps may name, for backends that read files.

    The engine options that ``doctor`` saved for this model and machine are applied. Raises UsageError JC001
    (unknown backend, naming the known ones) and whatever the backend raises.
    """
    opener = _backend(backend or settings.backend)
    if not _needs_file(opener):
        # The settings' default model is a file; a server knows its own, unless the user names one.
        named = settings.model if "model" in settings.model_fields_set else ""
        path, name, sha256 = Path(), name or named, sha256 or settings.server_model_sha256
    else:
        path = path or settings.models_dir / f"{settings.model}.gguf"
        name = name or path.stem
    options = load_options(settings.cache / OPTIONS_FILE, path)
    model: LanguageModel = opener.open(
        Opening(
            path=path,
            name=name,
            sha256=sha256,
            context_tokens=_context_tokens(settings, path, options) if _needs_file(opener) else settings.context_tokens,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            options=options,
            server=Server(
                url=settings.server_url,
                timeout_s=settings.server_timeout_s,
                retries=settings.server_retries,
                concurrency=settings.server_concurrency,
                adapters=settings.server_adapters,
                allow_remote=settings.allow_remote,
            ),
            adapters=dict(adapters or {}),
        )
    )
    return model


def cached(model: LanguageModel, settings: Settings) -> LanguageModel:
    """``model``, behind the completion cache where the settings ask for one. Raises UsageError JC001 and AssetError
    JC205 as :class:`jointcoder.llm.cache.Cached`, the model closed."""
    if not settings.completion_cache_mb:
        return model
    from jointcoder.llm.cache import Cached

    try:
        return Cached(model, settings.cache / "completions", settings.completion_cache_mb * 2**20)
    except BaseException:
        model.close()
        raise


def needs_file(backend: str) -> bool:
    """Whether ``backend`` opens a weights file on this machine. Raises UsageError JC001 (unknown backend)."""
    return _needs_file(_backend(backend))


def backends() -> dict[str, EntryPoint]:
    """The known backends by name: built-in ones and those of installed packages."""
    known = {name: EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()}
    return known | {point.name: point for point in entry_points(group=GROUP)}


def _context_tokens(settings: Settings, path: Path, options: EngineOptions | None) -> int:
    """The settings' context, made smaller where ``memory_mb`` asks for it. Raises ModelError JC311 where no context of
    use fits. A file whose header does not tell is left to the backend."""
    from jointcoder.assets.gguf import GgufError, read_header
    from jointcoder.llm import memory

    if settings.memory_mb is None:
        return settings.context_tokens
    try:
        header = read_header(path)
    except (GgufError, OSError):
        return settings.context_tokens
    found = memory.need(
        header,
        context_tokens=settings.context_tokens,
        options=options or EngineOptions(),
        gpu_layers=settings.gpu_layers,
    )
    if found is None:
        return settings.context_tokens
    room = settings.memory_mb * 10**6
    if tokens := memory.fitting(found, room):
        return tokens
    memory.require(found, room, what=path.name, remedy="raise memory_mb")
    return settings.context_tokens


def _needs_file(opener: Any) -> bool:
    return bool(getattr(opener, "needs_file", True))


def _backend(name: str) -> Any:
    known = backends()
    if name not in known:
        raise UsageError("JC001", f"unknown backend {name!r}; known: {name_list(known)}")
    module, _, attribute = known[name].value.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError("JC001", f"backend {name!r} cannot be imported from {module}") from error
