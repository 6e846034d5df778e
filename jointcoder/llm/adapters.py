"""LoRA adapters: plain ones act on the whole request, activated ones only behind the prefix that all agents share.

    plain       [ prefix A | question | answer ]   the adapter changes the prefix's keys and values: a cache of its own
    activated   [ prefix ] [ question | answer ]   the prefix is the base model's, and every agent's

An activated adapter (Greenewald et al. 2025, "Activated LoRA") must have been trained so. peft's carry their invocation
tokens: the adapter acts from their last occurrence on. Others act on all that follows the context. This module knows
no engine and no batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jointcoder.errors import ModelError


@dataclass(frozen=True)
class Adapter:
    """A LoRA file (GGUF). ``activated``: trained to act behind the shared prefix only; a file with invocation tokens
    is one anyway. ``sha256``: the file's, where the caller knows it."""

    path: Path
    activated: bool = False
    sha256: str = ""

    def version(self) -> str:
        """What decides how it acts: the file's hash, and whether it was told to be activated. Reads the file where the
        hash is not known. Raises OSError."""
        sha256 = self.sha256
        if not sha256:
            with self.path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return f"{sha256} activated" if self.activated else sha256


@dataclass(frozen=True)
class Activation:
    """Where an adapter begins to act. ``plain``: from the start of the request; else behind the prefix, from the last
    occurrence of ``invocation`` (empty: at once)."""

    plain: bool = True
    invocation: tuple[int, ...] = ()

    def split(self, suffix: Sequence[int], *, adapter: str) -> tuple[list[int], list[int]]:
        """The suffix as (what the base model reads, what the adapter reads).

        Raises ModelError JC305 when the invocation tokens are missing: the adapter would silently not act.
        """
        if self.plain or not self.invocation:
            return [], list(suffix)
        length = len(self.invocation)
        for at in range(len(suffix) - length, -1, -1):
            if tuple(suffix[at : at + length]) == self.invocation:
                return list(suffix[:at]), list(suffix[at:])
        raise ModelError(
            "JC305",
            f"adapter {adapter!r} is activated by tokens that the request does not hold",
            hint="it was trained for another chat template or prompt",
        )
