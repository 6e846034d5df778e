"""Codes as people write them → the key under which a book files them.

A code is opaque text: `x` fillers, `+…*` dagger/asterisk pairs and glued morphology codes of the Chinese
editions are kept. Only what never distinguishes two codes is levelled: case, dots, width and blanks, and the signs that
stand for a dagger, an asterisk or the filler `x`.
This module knows nothing of which codes exist.
"""

from __future__ import annotations

import unicodedata

SIGNS = str.maketrans({"†": "+", "∗": "*", "⁎": "*", "×": "x"})
"""Signs written for the ``+`` of a dagger, the ``*`` of an asterisk and the filler ``x``."""

_DROPPED = dict.fromkeys(map(ord, ".。·•"))


def normalise_code(text: str) -> str:
    """The comparison key of a code: ``"ｅ１１.9 "`` → ``"E119"``. Idempotent; the empty text gives the empty key."""
    if text.isascii():
        return "".join(text.upper().replace(".", "").split())
    before, key = None, text
    while key != before:  # taking a blank away may let two characters compose
        before = key
        key = "".join(unicodedata.normalize("NFKC", key.translate(SIGNS).upper()).translate(_DROPPED).split())
    return key


def with_dot(code: str) -> str:
    """An undotted ICD-10-CM code with its dot after the third character: ``"E119"`` → ``"E11.9"``."""
    return code if len(code) <= 3 or "." in code or "-" in code else f"{code[:3]}.{code[3:]}"
