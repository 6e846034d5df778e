"""The filter of system calls, run by a small machine of our own: every number of both architectures."""

from __future__ import annotations

import errno
import re
import struct
from functools import cache
from pathlib import Path

import pytest

from jointcoder.search.sandbox import seccomp

HEADERS = {
    "x86_64": (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h")),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"),),
}
LARGEST = 600  # numbers looked at
ENOSYS = seccomp.ERRNO | errno.ENOSYS


@cache
def compiled(machine: str) -> tuple[tuple[int, ...], ...]:
    """The program's instructions."""
    return tuple(struct.iter_unpack("<HBBI", seccomp.program(machine)))


def verdict(machine: str, number: int, *, architecture: int | None = None, second: int = 0) -> int:
    """What the program answers to a call: classic BPF as far as the program uses it."""
    code = compiled(machine)
    made_for = seccomp.ARCHITECTURES[machine] if architecture is None else architecture
    data = struct.pack("<IIQ6Q", number, made_for, 0, 1 << 40, second, 3, 4, 5, 6)
    held, at = 0, 0
    while True:
        operation, yes, no, operand = code[at]
        at += 1
        if operation == 0x20:
            (held,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x06:
            return int(operand)
        elif operation == 0x15:
            at += yes if held == operand else no
        elif operation == 0x35:
            at += yes if held >= operand else no
        else:
            raise AssertionError(f"operation {operation:#x}")


@pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)
def test_every_number_gets_the_answer_of_the_table(machine: str) -> None:
    named = {rule.numbers[machine]: rule for rule in seccomp.rules() if machine in rule.numbers}
    for number in range(LARGEST):
        rule = named.get(number)
        if rule is None:
            assert verdict(machine, number) == ENOSYS
        elif rule.only:
            for second in (*range(16), 1024, 1029, 1030, 1031, 1 << 31):
                allowed = second in rule.only
                answer = seccomp.ALLOW if allowed else seccomp.ERRNO | errno.EPERM
                assert verdict(machine, number, second=second) == answer
        else:
            assert verdict(machine, number) == rule.answer


@pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)
def test_calls_of_another_architecture_end_the_process(machine: str) -> None:
    others = [0x40000003, 0x40000028, 0, *(a for m, a in seccomp.ARCHITECTURES.items() if m != machine)]
    for other in others:
        assert verdict(machine, 0, architecture=other) == seccomp.KILL
    for number in (0x40000000, 0x40000001, 0x7FFFFFFF, 0xFFFFFFFF):
        assert verdict(machine, number) == seccomp.KILL


def test_the_table_names_each_call_once_and_what_must_not_be() -> None:
    table = seccomp.rules()
    names = [rule.name for rule in table]
    assert len(set(names)) == len(names)
    for machine in seccomp.ARCHITECTURES:
        numbers = [rule.numbers[machine] for rule in table if machine in rule.numbers]
        assert len(set(numbers)) == len(numbers)
    allowed = {rule.name for rule in table if rule.action == "allow"}
    never = "socket clone clone3 fork vfork ptrace mount unshare setns bpf kill memfd_create prctl ioctl io_uring_setup"
    assert not allowed & set(never.split())


@pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)
def test_numbers_are_those_of_the_kernel_s_headers(machine: str) -> None:
    header = next((path for path in HEADERS[machine] if path.exists()), None)
    if header is None:
        pytest.skip("the kernel's headers are not installed (Debian, Ubuntu: apt install linux-libc-dev)")
    text = header.read_text("utf-8")
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", text, re.M)}
    known |= {one: known[of] for one, of in re.findall(r"#define __NR_(\w+) __NR3264_(\w+)", text) if of in known}
    checked = 0
    for rule in seccomp.rules():
        if machine in rule.numbers and rule.name in known:
            assert known[rule.name] == rule.numbers[machine], rule.name
            checked += 1
    assert checked > 0.9 * sum(machine in rule.numbers for rule in seccomp.rules())


def test_a_machine_without_a_table_has_no_filter() -> None:
    with pytest.raises(KeyError):
        seccomp.program("riscv64")
