"""What a run folder knows of every id: where its line stands, from which content and conditions, and its attempts.

A SQLite file beside the results, so that memory does not grow with the run. It holds nothing that the results do not:
lost or damaged, it is made anew from them. What it says is as old as its last commit; ``covered`` says up to where in
the two files that reached, and the folder reads on from there. Used by one thread of one process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from jointcoder.errors import RunError

DONE, FAILED, UNSEEN = "done", "failed", ""
FORMAT = 1
_CACHE_KB = 16_000
_COLUMNS = "id, state, version, conditions, offset, seq, attempts, code, passed, seen, source, stored, route"
_TABLES = f"""
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, version TEXT NOT NULL, conditions TEXT NOT NULL, offset INTEGER NOT NULL,
    seq INTEGER NOT NULL, attempts INTEGER NOT NULL, code TEXT NOT NULL, passed INTEGER NOT NULL, seen TEXT NOT NULL,
    source TEXT NOT NULL, stored INTEGER NOT NULL, route TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unread ON records (source) WHERE version = '';
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of an id. ``state``: where its line is (``done``: results, ``failed``: failures, "": nowhere yet),
    at which ``offset`` in bytes; ``version`` and ``conditions`` of that line; ``seq`` orders the lines of both files;
    ``passed``: the last pass over the input that met the id, with which content (``seen``); ``stored``: whether the
    desk's store has the result."""

    id: str
    state: str = UNSEEN
    version: str = ""
    conditions: str = ""
    offset: int = -1
    seq: int = 0
    attempts: int = 0
    code: str = ""
    passed: int = 0
    seen: str = ""
    source: str = ""
    stored: bool = False
    route: str = ""


class Index:
    """See the module. Raises RunError JC704 where the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = self._opened()

    # ------------------------------------------------------------------------------------------------------ records

    def get(self, id: str) -> Row | None:
        """What is known of an id."""
        with self._guarded():
            found = self._connection.execute(f"SELECT {_COLUMNS} FROM records WHERE id = ?", (id,)).fetchone()
        return None if found is None else _row(found)

    def meet(self, id: str, *, version: str, number: int, source: str) -> None:
        """The pass of that number met the id with this content."""
        sql = (
            "INSERT INTO records VALUES (?, '', '', '', -1, 0, 0, '', ?, ?, ?, 0, '') "
            "ON CONFLICT (id) DO UPDATE SET passed = excluded.passed, seen = excluded.seen, source = excluded.source"
        )
        with self._guarded():
            self._connection.execute(sql, (id, number, version, source))

    def put(self, row: Row) -> None:
        """The line that speaks for an id from now on; one that did before is out of date."""
        with self._guarded():
            before = self.get(row.id)
            if before is not None and before.seq > row.seq:
                self.add(f"stale_{row.state}", 1)
                return
            if (
                before is not None
                and before.state != UNSEEN
                and (before.state, before.offset) != (row.state, row.offset)
            ):
                self.add(f"stale_{before.state}", 1)
            if before is not None and not row.passed:
                row = replace(row, passed=before.passed, seen=before.seen)
            values = tuple(getattr(row, name) for name in _COLUMNS.split(", "))
            marks = ", ".join("?" * len(values))
            self._connection.execute(f"INSERT OR REPLACE INTO records VALUES ({marks})", values)

    def move(self, id: str, offset: int) -> None:
        """The line of an id stands elsewhere now."""
        with self._guarded():
            self._connection.execute("UPDATE records SET offset = ? WHERE id = ?", (offset, id))

    def mark_stored(self, id: str) -> None:
        """The desk's store has the result of an id."""
        with self._guarded():
            self._connection.execute("UPDATE records SET stored = 1 WHERE id = ?", (id,))

    def forget_unread(self, source: str, before: int) -> int:
        """Drop failures to read that a later, whole reading of their file did not meet again; how many."""
        sql = "DELETE FROM records WHERE version = '' AND source = ? AND passed < ? AND state = 'failed'"
        with self._guarded():
            dropped = self._connection.execute(sql, (source, before)).rowcount
            self.add("stale_failed", dropped)
        return dropped

    def counts(self, conditions: str = "") -> dict[str, int]:
        """How many are done and failed; with ``conditions``, how many done ones are of those."""
        sql = "SELECT state, count(*) FROM records WHERE (? = '' OR conditions = ? OR version = '') GROUP BY state"
        with self._guarded():
            found = dict(self._connection.execute(sql, (conditions, conditions)).fetchall())
        return {DONE: found.get(DONE, 0), FAILED: found.get(FAILED, 0)}

    def codes(self) -> dict[str, int]:
        """Failures by their code."""
        sql = "SELECT code, count(*) FROM records WHERE state = 'failed' GROUP BY code ORDER BY 2 DESC, 1"
        with self._guarded():
            return dict(self._connection.execute(sql).fetchall())

    # ------------------------------------------------------------------------------------------------------ numbers

    def number(self, name: str) -> int:
        """A number kept with the index; 0 where it was never set."""
        with self._guarded():
            found = self._connection.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return 0 if found is None else int(found[0])

    def set(self, name: str, value: int) -> None:
        with self._guarded():
            self._connection.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, value))

    def add(self, name: str, amount: int) -> None:
        if amount:
            self.set(name, self.number(name) + amount)

    # ------------------------------------------------------------------------------------------------------- commit

    def commit(self) -> None:
        """What was said so far outlives the process."""
        with self._guarded():
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN")

    def roll_back(self) -> None:
        """Unsay what was said since the last commit."""
        with self._guarded():
            self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")

    def clear(self) -> None:
        """Forget everything, to begin anew from the files."""
        with self._guarded():
            self._connection.execute("DELETE FROM records")
            self._connection.execute("DELETE FROM numbers")

    def close(self, *, commit: bool = True) -> None:
        """Safe to call twice."""
        with suppress(sqlite3.Error, RunError):
            if commit:
                self.commit()
        self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.DatabaseError as error:
            if _is_full(error):
                raise _refused(self.path, error) from None
        for name in (self.path.name, f"{self.path.name}-journal"):
            self.path.with_name(name).unlink(missing_ok=True)  # damaged: made anew from the results
        try:
            return self._connected()
        except sqlite3.Error as error:
            raise _refused(self.path, error) from None

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA synchronous = NORMAL")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, FORMAT):
                raise sqlite3.DatabaseError("another format")
            connection.executescript(_TABLES)
            connection.execute("BEGIN")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _refused(self.path, error) from None


def _row(values: tuple[object, ...]) -> Row:
    fields = dict(zip(_COLUMNS.split(", "), values, strict=True))
    return Row(**{**fields, "stored": bool(fields["stored"])})  # type: ignore[arg-type]


def _is_full(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.OperationalError)


def _refused(path: Path, error: sqlite3.Error) -> RunError:
    said = str(error).split(":")[0]  # of SQLite itself: it quotes no value
    return RunError("JC704", f"{path}: {said}", hint="free the disk; the same command goes on where the run stopped")
