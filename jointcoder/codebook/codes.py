"""Codes as people write them → the key under which a book files them.

A code is opaque text: `x` fillers, `+…*` dagger/asterisk pairs and glued morphology codes of the Chinese
editions are kept. Only what never distinguishes two codes is levelled: case, dots, width and blanks.
This module knows nothing of which codes exist.
"""

from __future__ import annotations

import unicodedata

_DROPPED = dict.fromkeys(map(ord, ".。·•"))


def normalise_code(text: str) -> str:
    """The comparison key of a code: ``"ｅ１１.9 "`` → ``"E119"``. Idempotent; the empty text gives the empty key."""
    before, key = None, text
    while key != before:  # taking a blank away may let two characters compose
        before = key
        key = "".join(unicodedata.normalize("NFKC", key.upper()).translate(_DROPPED).split())
    return key


def with_dot(code: str) -> str:
    """An undotted ICD-10-CM code with its dot after the third character: ``"E119"`` → ``"E11.9"``."""
    return code if len(code) <= 3 or "." in code or "-" in code else f"{code[:3]}.{code[3:]}"
