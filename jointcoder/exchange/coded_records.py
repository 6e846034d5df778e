"""Coded records as `jointcoder code --json` prints them: one object, a list, or JSON lines → records, one by one. A
Parquet table of codes (:mod:`jointcoder.exchange.parquet_coded`) gives its records too.

Lines stream. A line that holds something else is an error with its place (JC141), also one that says itself that its
encounter could not be coded; the others go on. Messages name the place and the fields, never what stands there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from jointcoder.errors import InputError, JointCoderError
from jointcoder.exchange.incoming import Place
from jointcoder.exchange.source import Source, torn
from jointcoder.records import CodedRecord

SHOWN = 3  # problems of a record that a message names


@dataclass(frozen=True, slots=True)
class CodedLine:
    """One record of the file, or why there is none."""

    place: Place
    record: CodedRecord | None = None
    error: JointCoderError | None = None


def read_coded(source: Source) -> Iterator[CodedLine]:
    """The records in order. InputError JC101 for a file without any, JC106 or JC107 for one that cannot be read."""
    if source.kind == "parquet":
        from jointcoder.exchange.parquet_coded import read_parquet

        yield from read_parquet(source)
        return
    empty = True
    with source.lines(newline="\n") as lines:
        gathered: list[str] = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            empty = False
            place = Place(source.name, line=number)
            if not gathered:
                value = _parsed(line)
                if value is not None and not isinstance(value, list):
                    yield coded(value, place)
                    continue
                if number > 1 and value is None and not line[0].isspace():
                    yield CodedLine(place, error=_broken(place, line))
                    continue
            gathered.append(line)  # one object or list over several lines
        if gathered:
            yield from _whole("".join(gathered), Place(source.name))
    if empty:
        raise InputError("JC101", f"{source.name} holds no record")


def coded(value: Any, place: Place) -> CodedLine:
    """One JSON value → a record."""
    if isinstance(value, dict) and "error" in value and "codes" not in value:
        return CodedLine(place, error=place.error("JC141", "the encounter was not coded", hint="see what coding said"))
    try:
        return CodedLine(place, record=CodedRecord.model_validate(value))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        problems = "; ".join(
            f"{'.'.join(str(p) for p in one['loc']) or 'record'}: {one['msg']}" for one in found[:SHOWN]
        )
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        hint = "records are what `jointcoder code --json` prints"
        return CodedLine(place, error=place.error("JC141", f"no coded record ({problems}{more})", hint=hint))


def _whole(text: str, place: Place) -> Iterator[CodedLine]:
    value = _parsed(text)
    if value is None:
        yield CodedLine(place, error=_broken(place, text))
    elif isinstance(value, list):
        for number, one in enumerate(value, start=1):
            yield coded(one, Place(place.file, row=number))
    else:
        yield coded(value, place)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _broken(place: Place, text: str) -> InputError:
    if torn(text):
        return place.error("JC106", "characters that the file's encoding does not have")
    return place.error("JC104", "not valid JSON", hint="records are what `jointcoder code --json` prints")
