"""The secret that decides shifts and pseudonyms: who has the key file can make them again, nobody else.

    key = Key.create(path)     a new file, readable by its owner only
    key = Key.read(path)
    key = Key.random()         forgotten when the program ends

All drawing is by HMAC-SHA256 of the key over what is to be drawn for, so it depends on nothing else: not on the order
of the records, nor on how many there are.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from jointcoder.errors import InputError
from jointcoder.text.deid.dates import shifted

_BYTES = 32
_HEADER = "jointcoder-deid-key-1"
REACH = 365  # days that a date moves at most


@dataclass(frozen=True)
class Key:
    """32 secret bytes; never shown."""

    secret: bytes = field(repr=False)

    @classmethod
    def random(cls) -> Key:
        return cls(secrets.token_bytes(_BYTES))

    @classmethod
    def create(cls, path: Path) -> Key:
        """A new key in a new file. InputError JC720 where there is a file already or none can be written."""
        key = cls.random()
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{_HEADER} {key.secret.hex()}\n")
        except FileExistsError:
            raise InputError("JC720", f"{path} is there already", hint="use it with --key") from None
        except OSError as error:
            raise InputError("JC720", f"{path}: {error.strerror or type(error).__name__}") from None
        return key

    @classmethod
    def read(cls, path: Path) -> Key:
        """InputError JC720 for a file that is none or cannot be read."""
        try:
            header, _, written = path.read_text("ascii").strip().partition(" ")
            secret = bytes.fromhex(written)
        except OSError as error:
            raise InputError("JC720", f"{path}: {error.strerror or type(error).__name__}") from None
        except ValueError:
            header, secret = "", b""
        if header != _HEADER or len(secret) != _BYTES:
            raise InputError("JC720", f"{path} holds no key", hint="`jointcoder deid --new-key FILE` makes one")
        return cls(secret)

    def digest(self, *what: str) -> bytes:
        """32 bytes that depend on the key and on ``what``."""
        return hmac.new(self.secret, "\x1f".join(what).encode("utf-8", "surrogatepass"), hashlib.sha256).digest()

    def draw(self, *what: str) -> Random:
        """A generator that always draws the same for ``what``."""
        return Random(int.from_bytes(self.digest(*what)))

    def pseudonym(self, id: str) -> str:
        """An id that stands for another one."""
        return "e" + self.digest("id", id).hex()[:16]

    def shift(self, whose: str, anchors: tuple[dt.date, ...] = ()) -> int:
        """By how many days the dates of ``whose`` move: at most a year, never by whole weeks.

        The ``anchors`` (admission, discharge) stay in their half-year of code books, those that change on 1 April and 1
        October: the record is coded by the same edition before and after. Without anchors any shift may be drawn.
        """
        allowed = [
            days
            for days in range(-REACH, REACH + 1)
            if days % 7 and all(_edition(day) == _edition(shifted(day, days)) for day in anchors)
        ]
        if not allowed:  # a stay of more than half a year: its end decides
            return self.shift(whose, anchors[-1:])
        return self.draw("shift", whose).choice(allowed)


def _edition(day: dt.date) -> tuple[int, bool]:
    return (day.year - (day.month < 4), 4 <= day.month < 10)
