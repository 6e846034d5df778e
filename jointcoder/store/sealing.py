"""How note text lies in the store: as it is, or sealed by whoever holds a key.

    seal(bytes) -> bytes        on the way in           open(bytes) -> bytes        on the way out

Everything that may quote a note passes here: encounters, coded records (their evidence quotes), decisions (comments and
reasons), pictures of pages. What the worklist shows (ids, dates, counts) does not. This module knows no cipher.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol


class Sealer(Protocol):
    """Seals and opens. ``open(seal(data)) == data``; ``open`` raises a coded error where the key is another one.

    ``bound``: what the data belong to (the version of the encounter); a cipher opens them under the same one only."""

    def seal(self, data: bytes, *, bound: str = "") -> bytes: ...
    def open(self, data: bytes, *, bound: str = "") -> bytes: ...


class _Plain:
    def seal(self, data: bytes, *, bound: str = "") -> bytes:
        return data

    def open(self, data: bytes, *, bound: str = "") -> bytes:
        return data


PLAIN: Sealer = _Plain()
"""No encryption: the file's own mode and the disk's encryption protect it."""


def sealed_json(sealer: Sealer, value: Any, *, bound: str = "") -> bytes:
    """A JSON value, sealed."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return sealer.seal(text.encode("utf-8", "surrogatepass"), bound=bound)


def opened_json(sealer: Sealer, data: bytes, *, bound: str = "") -> Mapping[str, Any]:
    """The way back."""
    found: Mapping[str, Any] = json.loads(sealer.open(bytes(data), bound=bound).decode("utf-8", "surrogatepass"))
    return found
