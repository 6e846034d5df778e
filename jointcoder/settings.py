"""Where things lie and how the program is tuned: TOML file < environment < command-line flags.

The file is ``$JOINTCODER_CONFIG`` or ``settings.toml`` in the user's configuration folder; environment names are
the field names in capitals behind ``JOINTCODER_`` (``JOINTCODER_CACHE``, ``JOINTCODER_MODEL`` …).
"""

from __future__ import annotations

import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jointcoder.errors import UsageError


class Settings(BaseModel):
    """All settings; frozen. Paths are expanded. ``None`` means "decide at run time" (see ``doctor``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache: Path = Path("~/.cache/jointcoder")
    model: str = "qwen2.5-coder-1.5b-instruct-q4_k_m"
    code_book: str | None = None
    dense: Literal["auto", "on", "off"] = "auto"  # search by meaning: where it can be had, or insist, or never
    workflow: str = "jointcoder"
    pack: str | None = None  # a learned pack: name or folder
    backend: str = "llamacpp"
    context_tokens: int = 8192
    threads: int | None = None
    gpu_layers: int = 0
    memory_mb: int | None = Field(None, gt=0)  # what the engine may take; a context that needs more is made smaller
    data: Path | None = None
    # Backend "http" only. The key is no setting: it is read from JOINTCODER_API_KEY and never written anywhere.
    server_url: str = "http://127.0.0.1:8080/v1"
    server_model_sha256: str = ""  # servers do not tell it; it goes into records and lets completions be cached
    server_timeout_s: float = Field(120.0, gt=0)
    server_retries: int = Field(4, ge=0)
    server_concurrency: int = Field(8, ge=1)
    server_adapters: dict[str, str] = {}  # adapter → the server's model name, where the two differ
    allow_remote: bool = False  # let notes go to a server whose address is not a private one
    completion_cache_mb: int = Field(0, ge=0)  # 0: no completion cache

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Settings from file, environment and ``flags`` (``None`` flags are ignored). UsageError JC001."""
        values = _from_file() | _from_environment(cls) | {k: v for k, v in flags.items() if v is not None}
        try:
            settings = cls(**values)
        except ValidationError as error:
            problems = "; ".join(f"{e['loc'][0] if e['loc'] else ''}: {e['msg']}" for e in error.errors())
            known = ", ".join(cls.model_fields)
            raise UsageError("JC001", f"settings: {problems}", hint=f"known settings: {known}") from None
        return settings.model_copy(update={"cache": settings.cache.expanduser()})

    @cached_property
    def models_dir(self) -> Path:
        return self.cache.expanduser() / "models"

    @cached_property
    def books_dir(self) -> Path:
        return self.cache.expanduser() / "codebooks"

    @cached_property
    def packs_dir(self) -> Path:
        """Learned packs of this user: what `jointcoder learn` made here."""
        return self.cache.expanduser() / "packs"

    @cached_property
    def vectors_dir(self) -> Path:
        """Vectors of every text embedded so far: what makes rebuilding a code book with vectors cheap."""
        return self.cache.expanduser() / "vectors"

    @cached_property
    def sources_dir(self) -> Path:
        """Downloaded official files and package archives, kept for rebuilding."""
        return self.cache.expanduser() / "sources"


def _from_file() -> dict[str, Any]:
    named = os.environ.get("JOINTCODER_CONFIG")
    if named is None:
        from platformdirs import user_config_path

        path = user_config_path("jointcoder") / "settings.toml"
        if not path.is_file():
            return {}
    else:
        path = Path(named)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError("JC001", f"settings file {path}: {error}") from None


def _from_environment(cls: type[Settings]) -> dict[str, str]:
    names = {field: f"JOINTCODER_{field.upper()}" for field in cls.model_fields}
    return {field: os.environ[name] for field, name in names.items() if os.environ.get(name)}
