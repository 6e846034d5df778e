"""Passwords: what is accepted as one, and argon2id hashes of them.

The rules follow NIST SP 800-63B: length, no rules about kinds of characters, no forced change; the text is normalised
(NFKC), so that what a keyboard composes and what it decomposes are one password. A hash takes tens of megabytes of
memory, so only a few are made at a time. Knows no database.
"""

from __future__ import annotations

import threading
import unicodedata
from dataclasses import dataclass
from typing import Any

from jointcoder.errors import UsageError

SHORTEST, LONGEST = 12, 1024
FEWEST_DISTINCT = 5
AT_A_TIME = 4


@dataclass(frozen=True)
class Cost:
    """What a hash costs; the defaults are the second choice of RFC 9106, for machines that do other work too."""

    passes: int = 3
    memory_kib: int = 65_536
    lanes: int = 4


class Hasher:
    """Hashes and compares. UsageError JC002 where argon2-cffi is not installed."""

    def __init__(self, cost: Cost | None = None) -> None:
        try:
            from argon2 import PasswordHasher
        except ImportError:
            hint = "pip install 'jointcoder[server]'"
            raise UsageError("JC002", "accounts need the package argon2-cffi", hint=hint) from None
        cost = cost or Cost()
        self._argon: Any = PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes)
        self._room = threading.BoundedSemaphore(AT_A_TIME)
        self._nobody: str | None = None

    def hash(self, password: str) -> str:
        """A salted argon2id hash, with its parameters."""
        with self._room:
            made: str = self._argon.hash(_normal(password))
        return made

    def matches(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password. ``None``, no such account, takes as long as any other."""
        from argon2.exceptions import InvalidHashError, VerificationError

        if len(password) > LONGEST:
            return False
        if self._nobody is None:
            self._nobody = self.hash("nobody has this password")
        with self._room:
            try:
                self._argon.verify(hashed or self._nobody, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    def outdated(self, hashed: str) -> bool:
        """Whether the hash was made at another cost."""
        return bool(self._argon.check_needs_rehash(hashed))


def require_acceptable(password: str, *, name: str) -> None:
    """UsageError JC477 for a password too short, too long, too uniform, or made of the account's name."""
    text = _normal(password)
    if len(text) < SHORTEST:
        raise UsageError("JC477", f"a password has at least {SHORTEST} characters")
    if len(password) > LONGEST:
        raise UsageError("JC477", f"a password has at most {LONGEST} characters")
    rest = text.casefold().replace(name.casefold(), "")
    if len(set(rest)) < FEWEST_DISTINCT:
        raise UsageError(
            "JC477", "the password is too easily guessed", hint="several words that do not belong together"
        )


def _normal(password: str) -> str:
    # A password is compared byte by byte; a stray surrogate is part of it like anything else.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode("utf-8")
