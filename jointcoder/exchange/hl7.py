"""HL7 v2 in and out: files of messages → encounters, coded records → messages.

    read_files([Source, …])                the encounters of all messages of the files, one by one, errors as data
    coded_message(encounter, record)       what was coded as ADT^A08 or BAR^P05: DG1, PR1, on wish DRG
    read_coded(data)                       coded records of such messages
    validate(text)                         what hl7apy (extra ``hl7``) says against a message

Files are read twice: once to note of every message whose it is, then a stay at a time, its messages alone. Memory does
not grow with the number of messages (the notes are in a temporary file), but with the messages of one stay. Versions
2.3 to 2.8. What cannot be read is an error with file and message number; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import IO

from jointcoder.errors import InputError
from jointcoder.exchange import hl7_frames
from jointcoder.exchange.hl7_back import records_in
from jointcoder.exchange.hl7_documents import day_of
from jointcoder.exchange.hl7_frames import SUFFIXES, Frame, frames, text_of
from jointcoder.exchange.hl7_index import Entry, Index, id_of
from jointcoder.exchange.hl7_message import Message
from jointcoder.exchange.hl7_stay import Told, iso_day, patients_of, stay_of
from jointcoder.exchange.hl7_write import coded_message, validate
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.rows import Seen
from jointcoder.exchange.source import Source
from jointcoder.records import CodedRecord, Flag
from jointcoder.text.decode import decode

__all__ = ["SUFFIXES", "begins", "coded_message", "messages", "read_coded", "read_files", "validate"]
_OPEN = 32  # files kept open between two messages
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def begins(source: Source) -> bool:
    """Whether a file holds HL7 v2 messages: by its ending, or because it begins like it. InputError JC107."""
    return source.suffix in SUFFIXES or hl7_frames.begins(source.head)


def read_files(sources: Sequence[Source], seen: Seen | None = None) -> Iterator[Incoming]:
    """The encounters of the files together, in the order in which their first messages come; before them what is no
    message that can be read: JC170 to JC173, JC106, and JC101 for a file without any. ``seen``: ids that came before.
    Errors of an encounter: JC174, JC177, JC178, JC164 and those of the readers of PDF files and images. Raises
    AssetError JC205."""
    known = Seen() if seen is None else seen
    with Index() as index, _Files(sources) as files:
        whole = True
        for number, source in enumerate(sources):
            empty = True
            for frame, problem in _noted(index, files, number):
                empty = False
                if problem is not None:
                    whole = False
                    place = Place(source.name, message=frame.number, record=frame.batch)
                    yield failed(place, place.of(problem))
            if empty:
                whole = False
                yield failed(Place(source.name), InputError("JC101", f"{source.name} holds no record"))
        alone = index.group() == 1 and whole and len(sources) == 1
        for stay, entries in index.stays():
            yield _once(_stay(stay, entries, files, alone=alone), known)


def messages(data: bytes, *, name: str = "HL7") -> Iterator[Message]:
    """The messages of a file's bytes. InputError for the first that cannot be read."""
    source = Source.of(data, name=name)
    with _Files([source]) as files:
        for frame in frames(files.file(0)):
            if frame.error is not None:
                raise frame.error
            yield files.message(0, frame.start, frame.size, Place(name, message=frame.number))[0]


def read_coded(data: bytes) -> list[CodedRecord]:
    """The coded records of messages that :func:`coded_message` made. InputError JC170 to JC173."""
    return [record for message in messages(data) for record in records_in(message)]


def _noted(index: Index, files: _Files, number: int) -> Iterator[tuple[Frame, InputError | None]]:
    """Each message of a file, noted in the index; with what keeps it from being read."""
    source = files.sources[number]
    try:
        for frame in frames(files.file(number)):
            if frame.error is not None:
                yield frame, frame.error
                continue
            place = Place(source.name, message=frame.number)
            try:
                message, _ = files.message(number, frame.start, frame.size, place)
            except InputError as error:
                yield frame, InputError(error.code, error.message.removeprefix(f"{place}: "), hint=error.hint)
                continue
            index.add(_entry(message, number, frame))
            yield frame, None
    except InputError as error:
        yield Frame(0), InputError(error.code, error.message.removeprefix(f"{source.name}: "), hint=error.hint)


def _entry(message: Message, file: int, frame: Frame) -> Entry:
    patients = patients_of(message)
    return Entry(
        file,
        frame.number,
        frame.start,
        frame.size,
        visit=message.value("PV1", 19),
        account=message.value("PID", 18),
        patient=patients[0] if patients else "",
        admitted=iso_day(message.value("PV1", 44)),
        discharged=iso_day(message.value("PV1", 45)),
        day=iso_day(day_of(message)),
    )


def _stay(stay: str, entries: Sequence[Entry], files: _Files, *, alone: bool) -> Incoming:
    """The encounter of a stay's messages, read again."""
    told: list[Told] = []
    notes: dict[str, Flag] = {}
    first = files.place(entries[0])
    for entry in entries:
        at = files.place(entry)
        try:
            message, flags = files.message(entry.file, entry.start, entry.size, at)
        except InputError as error:  # the file was changed or taken away meanwhile
            return failed(at, error, id=id_of(stay))
        told.append((at, message))
        for flag in flags:
            notes.setdefault(flag.code, flag)
    place = replace(first, message=0) if alone else first
    names = tuple(dict.fromkeys(at.file for at, _ in told))
    one = stay_of(told, id=id_of(stay), place=place, notes=tuple(notes.values()))
    return replace(one, files=names) if len(names) > 1 else one


def _once(one: Incoming, seen: Seen) -> Incoming:
    """An error instead of an encounter whose id came before."""
    if one.encounter is not None and one.id and (before := seen.before(one.id, one.place)):
        return failed(one.place, one.place.error("JC123", f"the same id as in {before}"), id=one.id)
    return one


class _Files:
    """The files of a reading, the last few of them open."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self._open: dict[int, tuple[IO[bytes], ExitStack]] = {}

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *exc: object) -> None:
        for _, stack in self._open.values():
            stack.close()

    def file(self, number: int) -> IO[bytes]:
        """A file, open. InputError JC107."""
        if number not in self._open:
            if len(self._open) >= _OPEN:
                self._open.pop(next(iter(self._open)))[1].close()
            stack = ExitStack()
            self._open[number] = (stack.enter_context(self._narrow(number).open()), stack)
        return self._open[number][0]

    def message(self, number: int, start: int, size: int, place: Place) -> tuple[Message, tuple[Flag, ...]]:
        """The message that stands there, and what is to be said of its encoding. InputError."""
        data = hl7_frames.read(self.file(number), Frame(0, start, size))
        text, charset, flags = text_of(data, str(place))
        return Message.parse(text, charset=charset), flags

    def place(self, entry: Entry) -> Place:
        return Place(self.sources[entry.file].name, message=entry.number)

    def _narrow(self, number: int) -> Source:
        """The source; one in UTF-16, whose messages cannot be found in its bytes, as UTF-8 in memory."""
        source = self.sources[number]
        if not source.head.startswith(_WIDE):
            return source
        return replace(source, path=None, data=decode(source.read()).text.encode("utf-8"))
