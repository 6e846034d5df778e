"""What comes in: one encounter with its place, its flags and the codes it came with — or a coded error with its place.

    Place      where in which file: sheet and row, or line
    Coded      a code that the file gives the encounter (coded history; never shown to a workflow)
    Incoming   the encounter, or why there is none

Messages name file, sheet, row and column; never what stands there. This module knows no file format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jointcoder.errors import InputError, JointCoderError
from jointcoder.records import Encounter, Flag, Kind, System

STEP = "exchange"
UNREADABLE_CODE = "JC128"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands. ``row`` counts as a spreadsheet shows it, ``line`` as an editor does, ``record`` along a
    list, ``message`` along the messages of HL7 v2; 0: not by that. A file that is one encounter has no number."""

    file: str
    sheet: str = ""
    row: int = 0
    line: int = 0
    record: int = 0
    message: int = 0

    def __str__(self) -> str:
        parts = [self.file]
        if self.sheet:
            parts.append(f"sheet {self.sheet}")
        if self.row:
            parts.append(f"row {self.row}")
        if self.line:
            parts.append(f"line {self.line}")
        if self.record:
            parts.append(f"record {self.record}")
        if self.message:
            parts.append(f"message {self.message}")
        return ", ".join(parts)

    @property
    def number(self) -> int:
        """Row, line, record or message, whichever counts here."""
        return self.row or self.line or self.record or self.message

    @property
    def counted_in(self) -> str:
        """``row``, ``line``, ``record`` or ``message``."""
        return "row" if self.row else "line" if self.line else "message" if self.message else "record"

    def error(self, code: str, problem: str, *, hint: str = "") -> InputError:
        """An error that begins with this place."""
        return InputError(code, f"{self}: {problem}", hint=hint)

    def flag(self, code: str, problem: str) -> Flag:
        """A remark that begins with this place."""
        return Flag(code=code, step=STEP, message=f"{self}: {problem}")

    def of(self, error: JointCoderError) -> JointCoderError:
        """The error, its message beginning with this place."""
        return type(error)(error.code, f"{self}: {error.message}", hint=error.hint)


@dataclass(frozen=True, slots=True)
class Coded:
    """A code as the file gives it, levelled in writing. ``code`` is "" where the file gives only a name. ``rank``
    counts from 1 within its kind; ``primary`` marks the principal of its kind. ``edition`` is what the mapping says.
    ``given`` is the whole entry of a JSON record (evidence spans …), kept as it came."""

    system: str
    code: str
    name: str = ""
    primary: bool = False
    rank: int = 0
    edition: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind | None:
        """None for a system that is not coded here (CPT …)."""
        return System(self.system).kind if self.system in set(System) else None


@dataclass(frozen=True, slots=True)
class Incoming:
    """One record of a file: ``encounter``, or the ``error`` that kept it from becoming one, never both.

    ``id`` is that of the encounter, or what the file calls the record where it could not become one ("" if unknown).
    ``flags`` are to be kept with the result. ``codes`` are in the file's order, principal first, by kind.
    ``files``: the files that it was put together from, where it stands in several.
    """

    place: Place
    id: str = ""
    encounter: Encounter | None = None
    error: JointCoderError | None = None
    flags: tuple[Flag, ...] = ()
    codes: tuple[Coded, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def codes_whole(self) -> bool:
        """Whether every code that came with the record could be read, by code and not by name alone."""
        return all(code.code for code in self.codes) and all(flag.code != UNREADABLE_CODE for flag in self.flags)


def failed(place: Place, error: JointCoderError, *, id: str = "") -> Incoming:
    """A record that could not be read."""
    return Incoming(place, id=id, error=error)
