"""What a stage has found so far, as marks for the text: while a record is being coded.

    live_places(event, encounter)  →  Place per code and span (before codes: per mention)

Events hold offsets, never text; the quotes are cut from the encounter here. A code that a stage left without a span has
no mark.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jointcoder.desk.views_text import Place
from jointcoder.records import Encounter, Span

if TYPE_CHECKING:
    from jointcoder.desk.stages import StageEvent


def live_places(event: StageEvent, encounter: Encounter) -> tuple[Place, ...]:
    """Places of the event's codes, or of its mentions where it has no codes yet."""
    found = []
    for number, code in enumerate(event.codes):
        for count, span in enumerate(_spans(code.places, encounter), start=1):
            found.append(
                Place(f"e-s{number}-{count}", f"s{number}", count, span, code.code, code.name, code.system.kind)
            )
    if found:
        return tuple(found)
    for number, mention in enumerate(event.mentions):
        for span in _spans((mention.place,), encounter):
            found.append(Place(f"e-m{number}-1", f"m{number}", 1, span, "", "", mention.kind))
    return tuple(found)


def _spans(places: Iterable[tuple[int, int, int]], encounter: Encounter) -> Iterable[Span]:
    for document, start, end in places:
        if document < len(encounter.documents) and 0 <= start < end <= len(encounter.documents[document].text):
            quote = encounter.documents[document].text[start:end]
            yield Span(document=document, start=start, end=end, quote=quote)
