"""Records on their way out of the house: a record that came in → a row without identifiers, its codes' evidence moved.

    row(incoming, deid)     {"id", "text" …, "codes": [{…, "spans": moved}]}, laid out by `exchange.writing`

Gold codes keep system, code, order and what else they say; ``spans`` and ``mentions`` (fragments and quotes) are moved
to where the words stand now. What they say in words of their own is searched for the identifiers of the encounter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jointcoder.errors import InputError
from jointcoder.exchange.incoming import Coded, Incoming
from jointcoder.exchange.writing import to_row
from jointcoder.records import Flag
from jointcoder.text.deid import Deidentified, Deidentifier

STEP = "deid"


@dataclass(frozen=True)
class Row:
    """A record without identifiers, as it is written; ``done``: the encounter and where its words went."""

    row: dict[str, Any]
    done: Deidentified
    flags: tuple[Flag, ...]


def row(incoming: Incoming, deid: Deidentifier, *, codes: bool = True) -> Row:
    """The record without identifiers. Raises its own error where it is one, and InputError JC722 where the evidence of
    a code does not fit its text."""
    if incoming.encounter is None:
        assert incoming.error is not None
        raise incoming.error
    done = deid.encounter(incoming.encounter)
    moving = _Moving(done)
    try:
        moved = tuple(moving.code(code) for code in incoming.codes) if codes else ()
    except InputError as error:
        raise incoming.place.of(error) from None
    flags = done.flags
    if moving.touched:
        message = f"evidence of {moving.touched} places lay within identifiers and reads otherwise now"
        flags = (*flags, Flag(code="JC721", step=STEP, message=message))
    clean = replace(incoming, id=done.encounter.id, encounter=done.encounter, codes=moved)
    return Row(to_row(clean, codes=codes), done, flags)


class _Moving:
    """Moves the evidence of codes; ``touched``: places that lay within identifiers."""

    def __init__(self, done: Deidentified) -> None:
        self._done, self.touched = done, 0

    def code(self, code: Coded) -> Coded:
        given = {
            name: value if name in ("system", "code") else self._words(value)
            for name, value in code.given.items()
            if name not in ("spans", "mentions")
        }
        spans, mentions = code.given.get("spans"), code.given.get("mentions")
        if spans is not None:
            given["spans"] = [self._span(span) for span in spans] if isinstance(spans, list) else _misfit("spans")
        if mentions is not None:
            listed = mentions if isinstance(mentions, list) else _misfit("mentions")
            given["mentions"] = [self._mention(mention) for mention in listed]
        ordered = {name: given[name] for name in code.given}
        return replace(code, name=self._done.scrubbed(code.name), given=ordered)

    def _span(self, span: Any) -> Any:
        """[start, end], [document, start, end] or an object of these, possibly with its quote."""
        if isinstance(span, Mapping):
            start, end = self._place(span.get("document", 0), span.get("start"), span.get("end"))
            moved = {**span, "start": start, "end": end}
            if "quote" in span:
                moved["quote"] = self._text(span.get("document", 0))[start:end]
            return moved
        if isinstance(span, list) and len(span) == 3:
            return [span[0], *self._place(*span)]
        if isinstance(span, list) and len(span) == 2:
            return list(self._place(0, *span))
        return _misfit("spans")

    def _mention(self, mention: Any) -> Any:
        if not (isinstance(mention, Mapping) and isinstance(mention.get("fragments"), list)):
            return self._words(mention)
        fragments = [self._span(fragment) for fragment in mention["fragments"]]
        moved = {**mention, "fragments": fragments}
        if "quote" in mention:
            moved["quote"] = " ".join(self._text(0)[start:end] for start, end in fragments)
        return moved

    def _place(self, document: Any, start: Any, end: Any) -> tuple[int, int]:
        if not all(type(value) is int for value in (document, start, end)):
            _misfit("spans")
        place = self._done.place(document, start, end)
        self.touched += self._done.touched(document, start, end)
        return place

    def _text(self, document: int) -> str:
        return self._done.moves[document].text

    def _words(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._done.scrubbed(value)
        if isinstance(value, list):
            return [self._words(one) for one in value]
        if isinstance(value, Mapping):
            return {name: self._words(one) for name, one in value.items()}
        return value


def _misfit(name: str) -> Any:
    raise InputError("JC722", f"{name} of a code must hold pairs of offsets [start, end]")
