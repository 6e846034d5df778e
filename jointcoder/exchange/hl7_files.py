"""Coded records → a file of HL7 v2 messages, one after the other, in UTF-8.

The file appears under its name when it is whole. Messages are written as records come.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jointcoder.exchange.frontpage_write import Files
from jointcoder.exchange.hl7_write import Structure, coded_message
from jointcoder.records import CodedRecord, Encounter

FORMATS: dict[str, Structure] = {"hl7": "ADT", "hl7-bar": "BAR"}
"""What ``--to`` calls the messages."""


class Hl7Writer:
    """Takes records, one by one."""

    def __init__(self, files: Files, out: Path, *, recorded: dt.datetime, structure: Structure, group: bool) -> None:
        self._recorded, self._structure, self._group = recorded, structure, group
        self._file = files.open(out, encoding="utf-8")

    def add(self, record: CodedRecord, encounter: Encounter | None) -> None:
        """Write a record. InputError JC179 where its message would not be valid: then nothing of it is written."""
        text = coded_message(encounter, record, recorded=self._recorded, structure=self._structure, group=self._group)
        self._file.write(text)


@contextmanager
def hl7_writer(out: Path, to: str, *, recorded: dt.datetime, group: bool = False) -> Iterator[Hl7Writer]:
    """The writer of a file in one of :data:`FORMATS`. InputError JC148 where the file cannot be written, UsageError
    JC002 without what checks the messages or groups them."""
    with Files("utf-8") as files:
        yield Hl7Writer(files, out, recorded=recorded, structure=FORMATS[to], group=group)
