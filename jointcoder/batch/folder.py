"""A run folder: what a batch writes, so that nothing is lost or doubled whatever happens to the process.

    results.jsonl    one coded record a line, as ``jointcoder code --json`` prints it; the last step of its trace,
                     ``batch``, says from which content, conditions and place it came, and its route
    failed.jsonl     one failure a line: id, place, step, code, attempts; no note text
    manifest.json    conditions, options and sittings of the run; written whole or not at all
    index.sqlite     which id stands where; made anew from the two files if it is lost
    report.html, report.json

Lines are only appended. While a run is under way the last line of an id counts; when it ends, or is drained, lines that
are out of date are taken out. A line counts once its end is written: what a killed process left of one is cut off. One
run at a time works in a folder. This module knows nothing of coding.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

import pydantic_core

from jointcoder.batch.index import DONE, FAILED, Index, Row
from jointcoder.errors import RunError

RESULTS, FAILURES, MANIFEST, INDEX = "results.jsonl", "failed.jsonl", "manifest.json", "index.sqlite"
STEP = "batch"
FORMAT = 1
SYNC_S = 2.0
_FILES = {DONE: RESULTS, FAILED: FAILURES}


class RunFolder:
    """An opened run folder, locked until it is closed. ``sync_s``: after how many seconds of work at most what was
    written is on the disk itself. Raises RunError JC700 (not a run folder, or of a newer program), JC702 (another run
    is at work in it), JC704 (it cannot be written), JC705 (a line within the results is no record)."""

    def __init__(self, path: Path, *, sync_s: float = SYNC_S) -> None:
        self.path, self.sync_s = path, sync_s
        self._lock = _locked(path)
        self._files: dict[str, IO[bytes]] = {}
        try:
            self.manifest = read_manifest(path)
            for state, name in _FILES.items():
                self._files[state] = _appending(path / name)
            self.index = Index(path / INDEX)
            self._catch_up()
        except BaseException:
            self.close()
            raise
        self._synced = time.monotonic()
        self.seq = self.index.number("seq")

    # ------------------------------------------------------------------------------------------------------ writing

    def append(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Write lines (without their ends) and know them: all of those of one file, or none. Raises RunError JC704;
        what stood there before is unharmed."""
        for state in _FILES:
            own = [(row, line) for row, line in rows if row.state == state]
            if own:
                start = self._write(state, b"".join(line + b"\n" for _, line in own))
                for row, line in own:
                    self.index.put(replace(row, offset=start))
                    start += len(line) + 1
        if time.monotonic() - self._synced >= self.sync_s:
            self.checkpoint()

    def next_seq(self) -> int:
        """A number greater than that of every line before."""
        self.seq += 1
        return self.seq

    def checkpoint(self) -> None:
        """Bring everything to the disk. Raises RunError JC704."""
        for state, file in self._files.items():
            try:
                os.fsync(file.fileno())
            except OSError as error:
                raise refused(self.path / _FILES[state], error) from None
            self.index.set(f"covered_{state}", _size(file))
        self.index.set("seq", self.seq)
        self.index.commit()
        self._synced = time.monotonic()

    def write_manifest(self, values: Mapping[str, Any]) -> None:
        """Put the manifest in the place of the one before. Raises RunError JC704."""
        self.manifest = {"format": FORMAT, **values}
        put_whole(self.path / MANIFEST, json.dumps(self.manifest, ensure_ascii=False, indent=1) + "\n")

    # ------------------------------------------------------------------------------------------------------ reading

    def line_at(self, row: Row) -> bytes:
        """The line of a row."""
        with (self.path / _FILES[row.state]).open("rb") as file:
            file.seek(row.offset)
            return file.readline()

    def lines(self, state: str = DONE) -> Iterator[dict[str, Any]]:
        """Every line that counts, as plain values, in the order of the file."""
        for offset, line in _lines(self.path / _FILES[state]):
            value = _parsed(line)
            row = self.index.get(key_of(value, state)) if value is not None else None
            if value is not None and row is not None and row.state == state and row.offset == offset:
                yield value

    # ----------------------------------------------------------------------------------------------------- tidying

    def tidy(self) -> int:
        """Take out the lines that are out of date; how many. Raises RunError JC704, the files then unharmed."""
        taken = 0
        for state, name in _FILES.items():
            if self.index.number(f"stale_{state}"):
                self.checkpoint()
                taken += self._tidy(state, self.path / name)
        return taken

    def rewrite(self, change: Any) -> None:
        """Every result line through ``change(values) -> values``, in place of the file. Raises RunError JC704."""
        self.checkpoint()
        self._tidy(DONE, self.path / RESULTS, change)

    def close(self) -> None:
        """Give the folder back. Safe to call twice."""
        if hasattr(self, "index"):
            self.index.close(commit=False)
        for file in self._files.values():
            file.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ----------------------------------------------------------------------------------------------------- private

    def _write(self, state: str, data: bytes) -> int:
        """Append to a file, or leave it as it was; where the data begins."""
        file = self._files[state]
        start = _size(file)
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(file.fileno(), start)
            raise refused(self.path / _FILES[state], error) from None
        return start

    def _catch_up(self) -> None:
        """Make the index say what the files do: read what came after its last commit, cut off a torn end."""
        index = self.index
        sizes = {state: _size(file) for state, file in self._files.items()}
        whole = index.number("tidying") or any(index.number(f"covered_{s}") > size for s, size in sizes.items())
        if whole:
            index.clear()
        for state in _FILES:
            covered = index.number(f"covered_{state}")
            if sizes[state] > covered:
                self._read_on(state, covered)
        self.seq = index.number("seq")
        self.checkpoint()

    def _read_on(self, state: str, covered: int) -> None:
        path, bad = self.path / _FILES[state], -1
        seq = self.index.number("seq")
        for offset, line in _lines(path, covered):
            row = row_of(_parsed(line) if line.endswith(b"\n") else None, state, offset)
            if row is None:
                bad = offset if bad < 0 else bad
                continue
            if bad >= 0:
                hint = "take that line out; its encounter is coded again"
                raise RunError("JC705", f"{path}: the line at byte {bad} is no record, and others follow it", hint=hint)
            self.index.put(row)
            seq = max(seq, row.seq)
        if bad >= 0:
            os.ftruncate(self._files[state].fileno(), bad)
        self.index.set("seq", seq)

    def _tidy(self, state: str, path: Path, change: Any = None) -> int:
        index, scratch = self.index, path.with_name(f".{path.name}.tidy")
        index.set("tidying", 1)
        index.commit()
        taken, end = 0, 0
        try:
            with os.fdopen(_private(scratch, os.O_WRONLY | os.O_TRUNC), "wb") as out:
                for offset, line in _lines(path):
                    value = _parsed(line)
                    row = index.get(key_of(value, state)) if value is not None else None
                    if value is None or row is None or row.state != state or row.offset != offset:
                        taken += 1
                        continue
                    if change is not None:
                        line = json.dumps(change(value), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                    out.write(line)
                    index.move(row.id, end)
                    end += len(line)
                out.flush()
                os.fsync(out.fileno())
            self._files[state].close()
            scratch.replace(path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            index.roll_back()
            raise refused(path, error) from None
        finally:
            if self._files[state].closed:
                self._files[state] = _appending(path)
        for name, number in ((f"stale_{state}", 0), (f"covered_{state}", end), ("tidying", 0)):
            index.set(name, number)
        index.commit()
        return taken


# ------------------------------------------------------------------------------------------------------------ lines


def key_of(value: Mapping[str, Any], state: str) -> str:
    """Under which key the index knows a line: its encounter, or for what has no name its place."""
    return str(value.get("encounter", "") if state == DONE else value.get("key") or value.get("id", ""))


def note_of(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the batch noted on a result."""
    trace = value.get("trace")
    last = trace[-1] if isinstance(trace, list) and trace else None
    notes = last.get("notes") if isinstance(last, dict) and last.get("step") == STEP else None
    return notes if isinstance(notes, dict) else None


def row_of(value: Any, state: str, offset: int) -> Row | None:
    """What a line says of its id; None for one that is no line of a run."""
    if not isinstance(value, dict):
        return None
    note = note_of(value) if state == DONE else value
    key = key_of(value, state)
    if note is None or not key:
        return None
    try:
        return Row(
            id=key,
            state=state,
            version=str(note["version"]),
            conditions=str(note["conditions"]),
            offset=offset,
            seq=int(note["seq"]),
            attempts=int(note.get("attempts", 1)),
            code=str(value.get("code", "")) if state == FAILED else "",
            source=str(note.get("source", {}).get("file", "")),
            route=str(note.get("route", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _lines(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Offset and line, its end included, from an offset on."""
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            yield start, line
            start += len(line)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = pydantic_core.from_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


# ------------------------------------------------------------------------------------------------------------ files


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run folder, {} where there is none yet. Raises RunError JC700."""
    try:
        values = json.loads((path / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunError("JC700", f"{path / MANIFEST} cannot be read ({type(error).__name__})") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise RunError("JC700", f"{path / MANIFEST} was written by another version of the program")
    return values


def put_whole(path: Path, text: str) -> None:
    """Write a file as a whole or not at all. Raises RunError JC704."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(_private(scratch, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise refused(path, error) from None


def refused(path: Path, error: OSError) -> RunError:
    """The coded error for a write that failed."""
    hint = "free the disk; the same command goes on where the run stopped"
    return RunError("JC704", f"{path}: {error.strerror or type(error).__name__}", hint=hint)


def _locked(path: Path) -> IO[bytes]:
    """The lock of a folder, which is made if it is not there. The system gives it back when the process dies."""
    if path.exists() and (not path.is_dir() or _foreign(path)):
        hint = "name an empty or new folder, or one that an earlier run made"
        raise RunError("JC700", f"{path} is no run folder", hint=hint)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (path / ".lock").open("a+b")
    except OSError as error:
        raise refused(path, error) from None
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            raise RunError("JC702", f"another run is at work in {path}", hint="wait for it, or stop it") from None
    return handle


def _foreign(path: Path) -> bool:
    """Whether a folder holds things but none of a run."""
    names = {entry.name for entry in path.iterdir()}
    return bool(names) and not names & {MANIFEST, RESULTS, ".lock"}


def _private(path: Path, flags: int) -> int:
    """A file of its owner alone: results quote notes."""
    return os.open(path, flags | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)


def _appending(path: Path) -> IO[bytes]:
    try:
        return os.fdopen(_private(path, os.O_WRONLY | os.O_APPEND), "ab", buffering=0)
    except OSError as error:
        raise refused(path, error) from None


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size
