"""Coded records → a file of FHIR Bundles: one Bundle a line, or for a name that ends in ``.json`` one Bundle of all.

The file appears under its name when it is whole. Lines are written as records come; the one Bundle is gathered first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jointcoder.exchange.fhir import checked, coded_bundle, merged
from jointcoder.exchange.frontpage_write import Files
from jointcoder.records import CodedRecord, Encounter


class FhirWriter:
    """Takes records, one by one."""

    def __init__(self, files: Files, out: Path, *, check: bool) -> None:
        self._check = check
        self._gathered: list[dict[str, Any]] | None = [] if out.suffix.casefold() == ".json" else None
        self._file = files.open(out, encoding="utf-8")
        if self._gathered is not None:
            files.at_end(self._write_gathered)

    def add(self, record: CodedRecord, encounter: Encounter | None) -> None:
        """Write a record. InputError JC165 where its Bundle is not valid (only with ``check``)."""
        bundle = coded_bundle(encounter, record)
        if self._check:
            checked(bundle)
        if self._gathered is None:
            self._file.write(json.dumps(bundle, ensure_ascii=False) + "\n")
        else:
            self._gathered.append(bundle)

    def _write_gathered(self) -> None:
        self._file.write(json.dumps(merged(self._gathered or []), ensure_ascii=False, indent=1) + "\n")


@contextmanager
def fhir_writer(out: Path, *, check: bool = False) -> Iterator[FhirWriter]:
    """The writer of a file. ``check``: against the models of `fhir.resources`. InputError JC148 where the file cannot
    be written, UsageError JC002 where checking needs what is not installed."""
    with Files("utf-8") as files:
        yield FhirWriter(files, out, check=check)
