"""Which messages belong to one stay, found from what each says of itself and where it stands: not from their texts.

    with Index() as index:
        index.add(Entry(…)) …
        for stay, entries in index.stays(): …

A stay goes by its visit number (PV1-19), else by its account number (PID-18); numbers that come together name one stay.
A message with neither goes to the stay of its patient that was admitted on the same day, else to the only one of its
patient, or the only one that was under way on its day; else it makes one of its own. The index is a temporary database
of SQLite, so that memory does not grow with the number of messages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Self

from jointcoder.errors import AssetError

_CACHE_KB = 16_000
_AT_ONCE = 1000
_TABLE = """
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY, file INTEGER, number INTEGER, start INTEGER, size INTEGER, visit TEXT, account TEXT,
    patient TEXT, admitted TEXT, discharged TEXT, day TEXT, stay TEXT);
"""
_KEYS = ("visit", "account", "patient", "stay")


@dataclass(frozen=True, slots=True)
class Entry:
    """A message: in which file, its number there, its bytes; and whose it is. Days as ISO 8601, "" where not said:
    ``admitted`` and ``discharged`` of the stay, ``day`` of the message or its document."""

    file: int
    number: int
    start: int
    size: int
    visit: str = ""
    account: str = ""
    patient: str = ""
    admitted: str = ""
    discharged: str = ""
    day: str = ""


_COLUMNS = ", ".join(one.name for one in fields(Entry))


class Index:
    """See the module. Raises AssetError JC205 where the temporary file cannot be written."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        with self._guarded():
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
            self._connection.execute("PRAGMA journal_mode = OFF")
            self._connection.executescript(_TABLE)
            self._connection.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    def add(self, entry: Entry) -> None:
        """Take a message in."""
        values = tuple(getattr(entry, one.name) for one in fields(Entry))
        with self._guarded():
            marks = ", ".join("?" * len(values))
            self._connection.execute(f"INSERT INTO messages ({_COLUMNS}, stay) VALUES ({marks}, '')", values)

    def group(self) -> int:
        """Give every message its stay; how many stays there are."""
        with self._guarded():
            run = self._connection.execute
            for key in _KEYS:
                run(f"CREATE INDEX by_{key} ON messages ({key})")
            run("UPDATE messages SET stay = 'n:' || visit WHERE visit <> ''")
            self._settle("visit = '' AND account <> ''", self._by_account)
            self._settle("stay = '' AND admitted <> '' AND patient <> ''", self._by_admission)
            self._settle("stay = ''", self._by_patient)
            found = run("SELECT count(DISTINCT stay) FROM messages").fetchone()
        return int(found[0])

    def stays(self) -> Iterator[tuple[str, list[Entry]]]:
        """Each stay's name (:func:`id_of` gives its id) and its messages, in the order in which the first of each
        came; after :meth:`group`."""
        sql = "SELECT stay FROM messages GROUP BY stay ORDER BY min(seq)"
        with self._guarded():
            for (stay,) in self._connection.execute(sql):
                rows = self._connection.execute(f"SELECT {_COLUMNS} FROM messages WHERE stay = ? ORDER BY seq", (stay,))
                yield stay, [Entry(*row) for row in rows]

    def _settle(self, which: str, stay_of: Callable[[Entry], str]) -> None:
        """Give the messages that meet a condition the stay that is found for each, a thousand at a time."""
        last = 0
        sql = f"SELECT seq, {_COLUMNS} FROM messages WHERE {which} AND seq > ? ORDER BY seq LIMIT {_AT_ONCE}"
        while rows := self._connection.execute(sql, (last,)).fetchall():
            for seq, *values in rows:
                stay = stay_of(Entry(*values))
                self._connection.execute("UPDATE messages SET stay = ? WHERE seq = ?", (stay, seq))
                last = seq

    def _by_account(self, entry: Entry) -> str:
        sql = "SELECT DISTINCT visit FROM messages WHERE account = ? AND visit <> '' AND patient IN (?, '') LIMIT 2"
        found = self._connection.execute(sql, (entry.account, entry.patient)).fetchall()
        return f"n:{found[0][0] if len(found) == 1 else entry.account}"

    def _by_admission(self, entry: Entry) -> str:
        sql = "SELECT DISTINCT stay FROM messages WHERE patient = ? AND admitted = ? AND stay <> '' LIMIT 2"
        found = self._connection.execute(sql, (entry.patient, entry.admitted)).fetchall()
        return str(found[0][0]) if len(found) == 1 else f"d:{entry.patient}-{entry.admitted.replace('-', '')}"

    def _by_patient(self, entry: Entry) -> str:
        alone = f"m:{entry.file}:{entry.number}"
        if not entry.patient:
            return alone
        theirs = "patient = ? AND stay <> '' AND stay NOT LIKE 'p:%' AND stay NOT LIKE 'm:%'"
        sql = f"SELECT stay, max(admitted), max(discharged) FROM messages WHERE {theirs} GROUP BY stay"
        found = self._connection.execute(sql, (entry.patient,)).fetchall()
        if len(found) > 1 and entry.day:
            found = [one for one in found if one[1] and one[1] <= entry.day and (not one[2] or entry.day <= one[2])]
        return str(found[0][0]) if len(found) == 1 else f"p:{entry.patient}"

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            said = str(error).split(":")[0]  # of SQLite itself: it quotes no value
            hint = "free the disk of temporary files, or name another in TMPDIR"
            raise AssetError("JC205", f"the index of messages cannot be written: {said}", hint=hint) from None


def id_of(stay: str) -> str:
    """The id of a stay's encounter: its number; patient and day, or patient, where it has none; "" where nothing names
    it."""
    kind, _, name = stay.partition(":")
    return {"n": name, "d": name, "p": f"patient-{name}"}.get(kind, "")
