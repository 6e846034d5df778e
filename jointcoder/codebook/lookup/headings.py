"""The assignable code that a heading stands for, for many headings at once; what is found is remembered.

On the side that the query names, where a heading divides by side; else through :mod:`jointcoder.codebook.defaults`.
This module knows row numbers of the book, and nothing of queries and scores.
"""

from __future__ import annotations

from collections.abc import Sequence

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.defaults import Child, children_of, default_among
from jointcoder.codebook.postings import Array

NONE = -1


class Headings:
    """Over one book; safe to share between threads, of which the last to find an answer keeps it."""

    def __init__(self, book: CodeBook) -> None:
        self._book = book
        self._known: dict[tuple[int, int, str], int] = {}

    def defaults(self, headings: Sequence[int], side: int, index: str, side_of: Array | None) -> dict[int, int]:
        """Row number of a heading → that of its default code, or :data:`NONE`.

        ``side``: the side asked for, 0 for none; ``side_of[node]``: the side that an entry's name in ``index`` names.
        """
        found = {h: self._known[key] for h in headings if (key := (h, side, index)) in self._known}
        at = {heading: heading for heading in headings if heading not in found}
        while at:
            children = children_of(self._book, list(dict.fromkeys(at.values())))
            sided = _sided(children, side, side_of)
            steps = default_among(self._book, {p: c for p, c in children.items() if p not in sided}) | sided
            for heading, place in list(at.items()):
                child = steps.get(place)
                if child is None or child.billable:
                    found[heading] = NONE if child is None else child.node
                    self._known[heading, side, index] = found[heading]
                    del at[heading]
                else:
                    at[heading] = child.node
        return found


def _sided(families: dict[int, list[Child]], side: int, side_of: Array | None) -> dict[int, Child]:
    """Headings of whose children exactly one is on the side."""
    if not side or side_of is None:
        return {}
    found = {}
    for parent, children in families.items():
        on_side = [child for child in children if child.node < len(side_of) and side_of[child.node] == side]
        if len(on_side) == 1:
            found[parent] = on_side[0]
    return found
