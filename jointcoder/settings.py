"""Where things lie and how the program is tuned: TOML file < environment < command-line flags.

The file is ``$JOINTCODER_CONFIG`` or ``settings.toml`` in the user's configuration folder; environment names are
the field names in capitals behind ``JOINTCODER_`` (``JOINTCODER_CACHE``, ``JOINTCODER_MODEL`` …).
"""

from __future__ import annotations

import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from jointcoder.errors import UsageError


def _listed(value: Any) -> Any:
    """The environment names several in one text: ``a, b``."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


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
    user_dictionary: Path | None = None  # words to keep whole when Chinese is segmented, in jieba's format
    abbreviations: Path | None = None  # the hospital's own short forms: form, expansion, tab-separated
    lang: Literal["en", "zh"] = "en"  # of tables and messages; JSON stays as it is
    # Backend "http" only. The key is no setting: it is read from JOINTCODER_API_KEY and never written anywhere.
    server_url: str = "http://127.0.0.1:8080/v1"
    server_model_sha256: str = ""  # servers do not tell it; it goes into records and lets completions be cached
    server_timeout_s: float = Field(120.0, gt=0)
    server_retries: int = Field(4, ge=0)
    server_concurrency: int = Field(8, ge=1)
    server_adapters: dict[str, str] = {}  # adapter → the server's model name, where the two differ
    allow_remote: bool = False  # let notes go to a server whose address is not a private one
    completion_cache_mb: int = Field(0, ge=0)  # 0: no completion cache
    store: str | None = None  # database of searches and approvals: a file or a URL; None: a file in the cache folder
    approved_only: bool = False  # production codes by workflows only that a person approved
    allow_python: bool = False  # run workflows that hold generated Python, in its sandbox
    # The service (`jointcoder serve`). Its secrets are no settings either: JOINTCODER_OIDC_SECRET, JOINTCODER_NOTE_KEY.
    host: str = "127.0.0.1"  # another address needs accounts
    port: int = Field(8417, ge=0, le=65535)  # 0: any that is free
    workers: int = Field(1, ge=1, le=64)  # coders side by side, each with a model of its own
    queue_bound: int = Field(1000, ge=1)  # encounters that wait; beyond them clients are told to come again (429)
    upload_bound: int = Field(5000, ge=1)  # encounters of uploads that wait behind a full queue
    body_limit_mb: float = Field(32.0, gt=0)  # the largest request (413)
    attempts: int = Field(3, ge=1)  # at one queued encounter, before it counts as failed
    hold_minutes: int = Field(30, ge=1)  # a coder's claim on an encounter, without a decision
    code_timeout_s: float = Field(300.0, gt=0)  # how long POST /v1/code waits for its record (504)
    allowed_hosts: Names = ()  # names under which the service is asked for; () those of this machine only
    trusted_proxies: Names = ()  # addresses whose word on the client's address and scheme is believed
    session_idle_minutes: int = Field(30, ge=1)  # without a request, then a session ends
    session_hours: int = Field(12, ge=1)  # then it ends in any case
    secure_cookies: bool = False  # send cookies over https only; set it behind a proxy that ends TLS
    request_rate: str = "1200/minute"  # of one account or address, in the notation of the package limits
    login_rate: str = "10/minute"  # sign-ins from one address; failures of a name are counted in the store
    encrypt_notes: bool = False  # note text is encrypted in the store, under the key of JOINTCODER_NOTE_KEY
    oidc_issuer: str = ""  # of an OpenID provider whose accounts may log in
    oidc_client_id: str = ""
    oidc_roles_claim: str = "roles"  # the claim that names a person's roles here; dots lead into it: realm_access.roles
    oidc_roles: dict[str, str] = {}  # what the claim says → role here; {}: it says coder, lead or admin
    oidc_name_claim: str = "preferred_username"  # the claim that becomes the account's name

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
    def store_place(self) -> str:
        """Where the store is: a path, or a URL that may hold a password."""
        return self.store or str(self.cache.expanduser() / "store.sqlite")

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
