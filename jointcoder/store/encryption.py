"""Note text encrypted at rest: the sealer with a key, AES-256-GCM.

    sealer = sealer_from(settings)              # encrypt_notes = true; key in JOINTCODER_NOTE_KEY or …_KEY_FILE
    sealer.seal(b"...", bound=version)          # "jcs1" key id (8) nonce (12) ciphertext and tag

What is sealed opens only under its key and for what it is bound to, so it can be neither read nor moved to another
encounter. Several keys: the first seals, all open; that is how keys are changed (``jointcoder store seal``). What was
never sealed is opened as it is, so encryption can be switched on later. Ids, dates and counts, the audit log and
accounts are not sealed. Whoever has the key and the database reads everything.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointcoder.errors import InputError, UsageError

if TYPE_CHECKING:
    from jointcoder.settings import Settings

KEY_VARIABLE, FILE_VARIABLE = "JOINTCODER_NOTE_KEY", "JOINTCODER_NOTE_KEY_FILE"
KEY_BYTES = 32
_MAGIC, _ID, _NONCE, _TAG = b"jcs1", 8, 12, 16
_HINT = (
    f"keys are 32 bytes in base64, in {KEY_VARIABLE} or the file of {FILE_VARIABLE}; `jointcoder store key` makes one"
)


class AesGcm:
    """A ``sealing.Sealer`` under keys of 32 bytes. ``sealing=False``: opens what is sealed, seals nothing (encryption
    was switched off). Safe to share between threads.

    Raises UsageError JC479 (sealing without a key), JC002 (cryptography is not installed).
    """

    def __init__(self, keys: Sequence[bytes], *, sealing: bool = True) -> None:
        if sealing and not keys:
            raise UsageError("JC479", "note text is to be encrypted, but there is no key", hint=_HINT)
        if any(len(key) != KEY_BYTES for key in keys):
            raise UsageError("JC479", f"a key has {KEY_BYTES} bytes", hint=_HINT)
        self._ciphers = {_id(key): _cipher(key) for key in keys}
        self._first = _id(keys[0]) if sealing else None

    @property
    def first(self) -> str | None:
        """The name of the key that seals, None where nothing is sealed."""
        return self._first.hex() if self._first is not None else None

    def seal(self, data: bytes, *, bound: str = "") -> bytes:
        """Encrypted under the first key."""
        if self._first is None:
            return data
        header, nonce = _MAGIC + self._first, secrets.token_bytes(_NONCE)
        sealed: bytes = self._ciphers[self._first].encrypt(nonce, data, header + bound.encode())
        return header + nonce + sealed

    def open(self, data: bytes, *, bound: str = "") -> bytes:
        """Decrypted. InputError JC479 where the key is another one, or the data are damaged or not of ``bound``."""
        from cryptography.exceptions import InvalidTag

        key = key_id(data)
        if key is None:
            return data
        if bytes.fromhex(key) not in self._ciphers:
            raise InputError("JC479", f"sealed under the key {key}, which is not here", hint=_HINT)
        start = len(_MAGIC) + _ID
        header, nonce, rest = data[:start], data[start : start + _NONCE], data[start + _NONCE :]
        try:
            opened: bytes = self._ciphers[bytes.fromhex(key)].decrypt(nonce, rest, header + bound.encode())
        except InvalidTag:
            raise InputError("JC479", f"sealed under the key {key}, and damaged or moved since") from None
        return opened

    def current(self, data: bytes) -> bool:
        """Whether it lies as this sealer would seal it now: what does not is to be sealed anew."""
        return key_id(data) == self.first


def sealer_from(settings: Settings) -> AesGcm:
    """The sealer of the settings and the environment. UsageError JC479 without a key, or with one that is none."""
    return AesGcm(_keys(), sealing=settings.encrypt_notes)


def new_key() -> str:
    """A new key, as it is written down."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def key_id(data: bytes) -> str | None:
    """By which key the data are sealed, None where they are not."""
    whole = len(data) >= len(_MAGIC) + _ID + _NONCE + _TAG and data.startswith(_MAGIC)
    return data[len(_MAGIC) : len(_MAGIC) + _ID].hex() if whole else None


def _keys() -> list[bytes]:
    text = os.environ.get(KEY_VARIABLE, "")
    if not text and (named := os.environ.get(FILE_VARIABLE)):
        try:
            text = Path(named).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("JC479", f"{FILE_VARIABLE}: {type(error).__name__}", hint=_HINT) from None
    try:
        return [base64.b64decode(one, validate=True) for one in text.replace(",", " ").split()]
    except (binascii.Error, ValueError):
        raise UsageError("JC479", "a key is not written in base64", hint=_HINT) from None


def _id(key: bytes) -> bytes:
    return hashlib.sha256(b"jointcoder note key\n" + key).digest()[:_ID]


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        hint = "pip install 'jointcoder[server]'"
        raise UsageError("JC002", "encryption needs the package cryptography", hint=hint) from None
    return AESGCM(key)
