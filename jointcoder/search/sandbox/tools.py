"""The code book by request: the tools that generated Python may call, and an account of the codes they gave.

    get_parent · get_children · get_ancestors · get_descendants · get_nearest_common_ancestor
    is_ancestor · is_descendant · is_leaf · is_valid_code                       a code, or two; ``system``
    code_to_text · text_to_codes                                                ``lang``; ``system``
    search                                                                      words, ``kind``, ``limit``

The names and meanings are those of :mod:`jointcoder.codebook.taxonomy`; ``is_valid_code`` asks whether a code may be
assigned on the encounter's day. ``system`` is one of this run's; without it, the first that holds the code. Everything
is text, numbers and lists, in and out. The tools see no gold label: they know the book, the language and the date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jointcoder.codebook.taxonomy import Taxonomy
from jointcoder.errors import CodeBookError, name_list
from jointcoder.records import Kind, System
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, State, Tools, validity_date

ONE_CODE = ("get_parent", "get_children", "get_ancestors", "get_descendants", "is_leaf", "code_to_text")
TWO_CODES = ("is_ancestor", "is_descendant", "get_nearest_common_ancestor")
GIVES_CODES = ("get_parent", "get_children", "get_ancestors", "get_descendants", "get_nearest_common_ancestor")
LONGEST, MOST_HITS = 2_000, 50  # characters searched for, hits given


class CodeTools:
    """One record's tools. ``gave`` knows every code that went into the sandbox: with the inputs or by a tool."""

    def __init__(self, state: State, tools: Tools) -> None:
        self.state, self.book_tools = state, tools
        slots = (*CODE_SLOTS.values(), *CANDIDATE_SLOTS.values())
        self._given = {(item.system, item.code) for slot in slots for item in getattr(state, slot)}

    def gave(self, system: System, code: str) -> bool:
        """Whether this code went in."""
        return (system, code) in self._given

    def tools(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        found: dict[str, Callable[..., Any]] = {name: self._walk(name, 1) for name in ONE_CODE}
        found |= {name: self._walk(name, 2) for name in TWO_CODES}
        return found | {
            "is_valid_code": self.is_valid_code,
            "text_to_codes": self.text_to_codes,
            "search": self.search,
        }

    def is_valid_code(self, code: str, *, system: str | None = None, prioritize_blocks: bool = False) -> bool:
        taxonomy = self._taxonomy(system, code)
        on = validity_date(self.state.encounter, self.book_tools.pack)
        if on is None:
            return self.book_tools.book.is_billable(taxonomy.system, code)
        return taxonomy.is_valid_code(code, prioritize_blocks=bool(prioritize_blocks), on=on)

    def text_to_codes(self, text: str, *, system: str | None = None, lang: str | None = None) -> list[str]:
        taxonomy = self._taxonomy(system)
        return self._noted(taxonomy.system, taxonomy.text_to_codes(str(text)[:LONGEST], lang=lang))

    def search(self, text: str, *, kind: str = "diagnosis", limit: int = 10) -> list[dict[str, Any]]:
        """Hits of the lookup, best first: ``{"system", "code", "name", "score"}``."""
        wanted = Kind(kind)
        system = self.book_tools.system(wanted)
        if system is None:
            return []
        hits = self.book_tools.lookup.search(
            str(text)[:LONGEST],
            kind=wanted,
            lang=self.state.language or None,
            k=max(1, min(int(limit), MOST_HITS)),
            system=system,
        )
        self._noted(system, (hit.code for hit in hits))
        return [{"system": hit.system, "code": hit.code, "name": hit.name, "score": hit.score} for hit in hits]

    def _walk(self, name: str, codes: int) -> Callable[..., Any]:
        """A method of the taxonomy, whose positional arguments are ``codes`` codes."""

        def ask(*given: str, system: str | None = None, **named: Any) -> Any:
            if len(given) != codes:
                raise TypeError(f"{name} takes {codes}")
            taxonomy = self._taxonomy(system, given[0])
            found = getattr(taxonomy, name)(*map(str, given), **named)
            if name in GIVES_CODES:
                self._noted(taxonomy.system, [found] if isinstance(found, str) else found)
            return found

        return ask

    def _noted(self, system: System, codes: Iterable[str]) -> list[str]:
        found = [code for code in codes if code]
        self._given.update((system, code) for code in found)
        return found

    def _taxonomy(self, system: str | None, code: str = "") -> Taxonomy:
        """CodeBookError JC503 for a system that this run does not assign."""
        known = self.book_tools.systems
        if system is not None:
            if system not in known:
                raise CodeBookError("JC503", f"no such code system in this run; it has {name_list(known)}")
            return Taxonomy(self.book_tools.book, System(system))
        taxonomies = [Taxonomy(self.book_tools.book, one) for one in known]
        return next((one for one in taxonomies if code and one.node(str(code)) is not None), taxonomies[0])
