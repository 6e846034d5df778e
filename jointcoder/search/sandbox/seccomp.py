"""The filter of system calls: ``data/syscalls.tsv`` → a program for the kernel's seccomp.

A filter is classic BPF: instructions of eight bytes that look at the number of a system call, at the architecture it
was made for and at its arguments, and return what is to happen. bubblewrap installs it as the last thing before it
starts the interpreter; it holds for the process to its end and can only be made tighter. The kernel remembers which
numbers are always allowed, so the length of the table costs nothing.

Written by hand because it is a table and forty lines; libseccomp would be a native dependency for the same bytes. The
table is for little-endian x86-64 and 64-bit Arm. Elsewhere :func:`program` raises KeyError and the sandbox refuses.
Source: kernel documentation, userspace-api/seccomp_filter.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_* by the machine's name
X32_BIT = 0x40000000  # numbers of x86-64's second interface, which the table does not know

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000  # SECCOMP_RET_*; KILL ends the process with SIGSYS

_LOAD, _RETURN = 0x20, 0x06  # BPF_LD | BPF_W | BPF_ABS; BPF_RET | BPF_K
_IF_EQUAL, _IF_AT_LEAST = 0x15, 0x35  # BPF_JMP | BPF_JEQ | BPF_K; BPF_JMP | BPF_JGE | BPF_K
_NUMBER, _ARCHITECTURE, _SECOND_ARGUMENT = 0, 4, 24  # offsets into struct seccomp_data; the argument's lower half

Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, operand


@dataclass(frozen=True)
class Rule:
    """A line of the table. ``numbers``: machine → number; ``action``: "allow", "kill" or the name of an error;
    ``only``: values of the second argument to which an "allow" is limited."""

    name: str
    numbers: dict[str, int]
    action: str
    only: tuple[int, ...] = ()

    @property
    def answer(self) -> int:
        """What the kernel is told to do."""
        if self.action in ("allow", "kill"):
            return ALLOW if self.action == "allow" else KILL
        return ERRNO | int(getattr(errno, self.action))


def rules() -> tuple[Rule, ...]:
    """The table, in its order."""
    text = (files(__package__) / "data" / "syscalls.tsv").read_text("utf-8")
    return tuple(_rule(line.split("\t")) for line in text.splitlines() if line and not line.startswith("#"))


def program(machine: str) -> bytes:
    """The filter for a machine as ``platform.machine`` calls it. KeyError for one that the table does not know."""
    return b"".join(struct.pack("<HBBI", *step) for step in _instructions(machine, rules()))


def _rule(cells: list[str]) -> Rule:
    name, intel, arm, action, *only = cells
    numbers = {"x86_64": intel, "aarch64": arm}
    return Rule(
        name=name,
        numbers={machine: int(number) for machine, number in numbers.items() if number != "-"},
        action=action,
        only=tuple(int(value) for value in only[0].split(",")) if only else (),
    )


def _instructions(machine: str, table: tuple[Rule, ...]) -> Iterator[Instruction]:
    """Jumps count the instructions to skip."""
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _IF_EQUAL, 1, 0, ARCHITECTURES[machine]
    yield _RETURN, 0, 0, KILL
    yield _LOAD, 0, 0, _NUMBER
    yield _IF_AT_LEAST, 0, 1, X32_BIT
    yield _RETURN, 0, 0, KILL
    for rule in table:
        if machine not in rule.numbers:
            continue
        steps = _limited(rule) if rule.only else [(_RETURN, 0, 0, rule.answer)]
        yield _IF_EQUAL, 0, len(steps), rule.numbers[machine]
        yield from steps
    yield _RETURN, 0, 0, ERRNO | errno.ENOSYS


def _limited(rule: Rule) -> list[Instruction]:
    """Both ends return, so the number need not be loaded again."""
    last = len(rule.only) - 1
    values = [(_IF_EQUAL, last - place + 1, 0, value) for place, value in enumerate(rule.only)]
    ends = [(_RETURN, 0, 0, ERRNO | errno.EPERM), (_RETURN, 0, 0, rule.answer)]
    return [(_LOAD, 0, 0, _SECOND_ARGUMENT), *values, *ends]
