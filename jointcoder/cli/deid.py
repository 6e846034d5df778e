"""``jointcoder deid INPUT… -o OUT``: encounters without what tells who they are about.

Records stream: one is read, changed and written before the next. Evidence of labelled records, and of coded records
given with --coded, is moved along. What is said is counts; no word of a record, and no key.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common, language
from jointcoder.cli.exchange import written
from jointcoder.cli.incoming import Tally, records
from jointcoder.errors import InputError, JointCoderError, UsageError

if TYPE_CHECKING:
    from jointcoder.exchange.deid import Row
    from jointcoder.exchange.incoming import Incoming
    from jointcoder.records import CodedRecord
    from jointcoder.text.deid import Deidentifier

PIPE = "-"
TEXT_ENDINGS = (".txt", ".md")
LOOK = "JC724"
KINDS = {
    "name": "names",
    "id": "numbers of persons and cases",
    "phone": "telephone numbers",
    "email": "e-mail addresses",
    "url": "web addresses",
    "ip": "network addresses",
    "address": "places",
    "hospital": "hospitals",
    "ward": "wards",
    "age": "ages over 89",
    "date": "dates moved",
}


def deid(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT…", help="Files that `jointcoder code` reads; - reads standard input.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON lines, .txt for one text; - writes standard output.")],
    key: Annotated[Path | None, typer.Option(help="Key file: makes shifts and pseudonyms reproducible.")] = None,
    new_key: Annotated[Path | None, typer.Option(help="Make a key, keep it in this new file, and use it.")] = None,
    surrogates: Annotated[bool, typer.Option("--surrogates", help="Plausible words instead of placeholders.")] = False,
    hospitals: Annotated[bool, typer.Option("--hospitals", help="Replace names of hospitals too.")] = False,
    wards: Annotated[bool, typer.Option("--wards", help="Replace wards, rooms and beds too.")] = False,
    keep_ids: Annotated[bool, typer.Option("--keep-ids", help="Leave the ids of encounters and documents.")] = False,
    patient_field: Annotated[
        str, typer.Option(help="Administrative field that names the patient: all of one's dates move alike.")
    ] = "",
    coded: Annotated[Path | None, typer.Option(help="Coded records of these encounters (JSON lines).")] = None,
    coded_out: Annotated[Path | None, typer.Option(help="Where the coded records go, evidence moved.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="TOML file that says what the columns of a table mean.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Name or number of a sheet.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first records only.")] = None,
    codes: Annotated[bool, typer.Option(help="Write the codes that came with the records.")] = True,
    report: Annotated[Path | None, typer.Option(help="Write the counts as JSON.")] = None,
) -> None:
    """Take out what tells who a record is about: names, numbers, places; dates are moved. Codes stay."""
    from jointcoder.text.deid import Deidentifier, Wishes

    if (coded is None) != (coded_out is None):
        raise UsageError("JC001", "--coded and --coded-out go together")
    plain = out.suffix.casefold() in TEXT_ENDINGS
    _check_targets(inputs, [one for one in (out, coded_out, report) if one is not None])
    incoming = islice(chain.from_iterable(_read(one, mapping, sheet) for one in inputs), limit)
    wishes = Wishes(surrogates, hospitals, wards, keep_ids, patient_field)
    worker = Deidentifier(key=_key(key, new_key), wishes=wishes)
    tally, done = Tally(), _Report()
    with ExitStack() as stack:
        target = stack.enter_context(written(out))
        beside = _Coded(coded, stack.enter_context(written(coded_out))) if coded and coded_out else None
        advance = stack.enter_context(common.progress("reading", None))
        for one in incoming:
            advance(1)
            row = _row(one, worker, tally, codes=codes)
            if row is None:
                continue
            if plain:
                _put_text(row, target, first=not tally.done, name=out.name)
            else:
                target.write(json.dumps(row.row, ensure_ascii=False) + "\n")
            tally.done += 1
            done.add(row)
            if beside is not None:
                beside.put(one, row, tally)
        if beside is not None:
            beside.close(tally)
    done.show(to_stderr=str(out) == PIPE)
    if report is not None:
        with written(report) as file:
            file.write(json.dumps(done.as_dict(tally), ensure_ascii=False, indent=2) + "\n")
    tally.close("written")


def _check_targets(inputs: list[str], targets: list[Path]) -> None:
    """No output may be an input, nor two outputs the same file."""
    places = [target.resolve() for target in targets if str(target) != PIPE]
    given = {Path(one).resolve() for one in inputs if one != PIPE}
    for place in places:
        if place in given or places.count(place) > 1:
            raise UsageError("JC001", f"{place.name} would be read and written", hint="name another file to write")


def _key(path: Path | None, new: Path | None) -> Any:
    from jointcoder.text.deid import Key

    if path and new:
        raise UsageError("JC001", "--key and --new-key exclude each other")
    if new:
        made = Key.create(new)
        common.say(f"key written to {new}: who has it can undo the shifts; keep it apart from the data")
        return made
    return Key.read(path) if path else Key.random()


def _read(given: str, mapping: Path | None, sheet: str | None) -> Iterator[Incoming]:
    """The records of a file; standard input streams where it holds JSON lines."""
    if given != PIPE or mapping:
        return records(given, mapping=mapping, sheet=sheet, limit=None)
    return _piped(sheet)


def _piped(sheet: str | None) -> Iterator[Incoming]:
    from jointcoder.exchange.incoming import Place, failed
    from jointcoder.exchange.json_records import record
    from jointcoder.exchange.reading import read
    from jointcoder.exchange.rows import Seen

    stream = sys.stdin.buffer
    first = stream.readline()
    while first and not first.strip():
        first = stream.readline()
    if not _is_encounter(first):
        yield from read(first + stream.read(), sheet=sheet)
        return
    seen = Seen()
    for number, line in enumerate(chain([first], stream), start=1):
        if not line.strip():
            continue
        place = Place("standard input", line=number)
        try:
            data = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            yield failed(place, place.error("JC106", "characters that are not UTF-8"))
        except (ValueError, RecursionError):
            yield failed(place, place.error("JC104", "not valid JSON", hint="one JSON object a line"))
        else:
            yield record(data, place, seen, ())


def _is_encounter(line: bytes) -> bool:
    """Whether the line is a JSON object by itself, and no FHIR resource."""
    try:
        data = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and "resourceType" not in data


def _row(one: Incoming, worker: Deidentifier, tally: Tally, *, codes: bool) -> Row | None:
    from jointcoder.exchange.deid import row

    try:
        return row(one, worker, codes=codes)
    except JointCoderError as error:
        tally.fails(error)
        return None


def _put_text(row: Row, target: IO[str], *, first: bool, name: str) -> None:
    if not first:
        raise UsageError("JC001", f"{name} takes one text, the input holds several", hint="write a .jsonl file")
    target.write("\n\n".join(document.text for document in row.done.encounter.documents))


@dataclass
class _Report:
    """What was done, as counts."""

    records: int = 0
    identifiers: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    look: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.records += 1
        self.identifiers += row.done.counts
        self.flags.update(flag.code for flag in row.flags)
        self.look += [row.row["id"]] if any(flag.code == LOOK for flag in row.flags) else []

    def as_dict(self, tally: Tally) -> dict[str, Any]:
        return {
            "records": self.records,
            "failed": dict(sorted(tally.failed.items())),
            "identifiers": {kind: self.identifiers[kind] for kind in KINDS if self.identifiers[kind]},
            "flags": dict(sorted(self.flags.items())),
            "to_look_at": self.look,
        }

    def show(self, *, to_stderr: bool) -> None:
        from rich.table import Table

        table = Table()
        table.add_column("identifiers")
        table.add_column("replaced", justify="right")
        for kind, word in KINDS.items():
            if self.identifiers[kind]:
                table.add_row(language.text(word), f"{self.identifiers[kind]:,}")
        if table.row_count and not common.OPTIONS.quiet:
            (common.stderr() if to_stderr else common.stdout()).print(table)
        if self.look:
            common.warn(LOOK, f"{len(self.look)} records may still hold an identifier; the report names them")


class _Coded:
    """Coded records beside their encounters: found by id in a file of JSON lines, whatever its order."""

    def __init__(self, path: Path, target: IO[str]) -> None:
        self._path, self._target = path, target
        self._file: IO[bytes]
        self._places: dict[str, int] = {}
        try:
            self._file = path.open("rb")
            place = 0
            for line in self._file:
                if line.strip():
                    self._places[_id_of(line, path)] = place
                place += len(line)
        except OSError as error:
            raise InputError("JC107", f"{path}: {error.strerror or type(error).__name__}") from None

    def put(self, one: Incoming, row: Row, tally: Tally) -> None:
        """The encounter's record, if there is one, after its encounter's changes."""
        place = self._places.pop(one.id, None)
        if place is None:
            return
        self._file.seek(place)
        try:
            record = row.done.record(_coded(self._file.readline(), self._path))
        except JointCoderError as error:
            tally.fails(error)
            return
        self._target.write(record.model_dump_json() + "\n")

    def close(self, tally: Tally) -> None:
        """Say which records found no encounter: they are not written."""
        self._file.close()
        for _ in self._places:
            tally.fails(InputError("JC723", f"{self._path.name}: a record belongs to none of the encounters"))


def _id_of(line: bytes, path: Path) -> str:
    try:
        return str(json.loads(line)["encounter"])
    except (ValueError, KeyError, TypeError):
        raise InputError("JC141", f"{path.name}: a line is no coded record") from None


def _coded(line: bytes, path: Path) -> CodedRecord:
    from pydantic import ValidationError

    from jointcoder.records import CodedRecord

    try:
        return CodedRecord.model_validate_json(line)
    except ValidationError:
        raise InputError("JC141", f"{path.name}: a line is no coded record") from None
