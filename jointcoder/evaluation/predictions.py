"""The file of predictions: one JSON line per record, written as each is done, so that a run can be taken up again.

    {"id": record id, "key": hash of what was asked, "record": CodedRecord}      coding
    {"id": term id,   "key": …,                       "terms": [[name, code]]}   term normalisation

``key`` covers the input, the versions of everything that produced the line, and the program's own source: a line is
used again only if all are the same. Later lines with the same id win. The file quotes the records (evidence), so it is
made readable for its owner alone. A line that was cut off while it was written is removed before the next is appended.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

from pydantic import ValidationError

from jointcoder.errors import InputError
from jointcoder.records import CodedRecord


def key_of(*parts: Any) -> str:
    """A hash of JSON values: equal inputs and versions, equal key."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


class PredictionsFile:
    """Open for appending. ``done`` maps key → line of what the file already held (empty unless ``resume``).

    Raises InputError JC107 (cannot be read or written) or JC104 (an existing file is something else; it is left
    alone).
    """

    def __init__(self, path: Path, *, resume: bool = True) -> None:
        self.path = path
        held = list(_lines(path)) if path.exists() else []
        self.done: dict[str, dict[str, Any]] = {line["key"]: line for line in held} if resume else {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _mend(path)
            flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if resume else os.O_TRUNC)
            self._file: IO[str] = os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise InputError("JC107", f"{path} cannot be written ({type(error).__name__})") from None

    def put(self, identity: str, key: str, **payload: Any) -> None:
        """Append one line and flush it."""
        line = {"id": identity, "key": key, **payload}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read_records(path: Path) -> dict[str, CodedRecord]:
    """Record id → coded record, from a predictions file or from plain CodedRecord lines; the last line of an id
    wins. Raises InputError JC107, JC104 or JC101."""
    records: dict[str, CodedRecord] = {}
    for line in _lines(path, bare=True):
        record = record_of(line, path)
        records[str(line.get("id", record.encounter))] = record
    if not records:
        raise InputError("JC101", f"{path.name} holds no prediction")
    return records


def record_of(line: dict[str, Any], path: Path) -> CodedRecord:
    """The coded record of a line. Raises InputError JC104 if it is none, or one of another version."""
    try:
        return CodedRecord.model_validate(line.get("record", line))
    except ValidationError:
        raise InputError(
            "JC104", f"{path.name}: a line holds no coded record of this version", hint="start a new file"
        ) from None


def _lines(path: Path, *, bare: bool = False) -> Iterator[dict[str, Any]]:
    """Whole lines; a last line without an end is taken only if it can be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError("JC107", f"{path} cannot be read ({type(error).__name__})") from None
    rows = data.split(b"\n")
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            line = json.loads(row)
        except (ValueError, RecursionError):
            line = None
            if number == len(rows):
                return
        if not isinstance(line, dict) or not (bare or isinstance(line.get("key"), str)):
            raise InputError(
                "JC104",
                f"{path.name}, line {number}: not a line of predictions",
                hint="name another --predictions file",
            )
        yield line


def _mend(path: Path) -> None:
    """Remove a line that was cut off, or end one that only lacks its line break."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        data = file.read()
        if not data or data.endswith(b"\n"):
            return
        begin = data.rfind(b"\n") + 1
        try:
            json.loads(data[begin:])
            file.write(b"\n")
        except ValueError:
            file.truncate(begin)
