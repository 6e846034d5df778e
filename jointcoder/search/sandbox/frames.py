"""Messages between the sandbox and its parent: a length of four bytes, big-endian, then so many bytes of JSON.

The parent reads what a hostile program may have written, so everything is checked before it is believed: the length
before memory is taken, that it is one JSON object, that numbers are finite and of sane length, that nesting is bounded.
JSON is written in ASCII with escapes: text goes to and fro unchanged, lone surrogates included (two that make a pair
come back as the character they mean). The child has its own few lines for the same; it imports nothing of this package.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any

HEADER = struct.Struct(">I")
ENVELOPE = 64  # bytes of a message around what it carries
DIGITS = 40  # of an integer; longer ones cost quadratic time


class FrameError(ValueError):
    """What arrived is no message; the text says in what way and quotes nothing."""


def packed(message: Any) -> bytes:
    """The bytes of a message. TypeError, ValueError or RecursionError for what is no JSON."""
    body = _ENCODER.encode(message).encode("ascii")
    return HEADER.pack(len(body)) + body


def size(header: bytes, *, limit: int) -> int:
    """The announced length. FrameError above ``limit``."""
    (length,) = HEADER.unpack(header)
    if length > limit:
        raise FrameError(f"a message of {length:,} bytes is announced, the limit is {limit:,}")
    return int(length)


def parsed(body: bytes) -> dict[str, Any]:
    """The message. FrameError where it is not one JSON object in ASCII."""
    try:
        message = _DECODER.decode(body.decode("ascii"))
    except RecursionError:
        raise FrameError("a message is nested too deeply") from None
    except ValueError as error:
        reason = "not ASCII" if isinstance(error, UnicodeError) else "no JSON, or numbers that are none"
        raise FrameError(f"a message is {reason}") from None
    if not isinstance(message, dict):
        raise FrameError("a message is no JSON object")
    return message


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError("too many digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_number)
