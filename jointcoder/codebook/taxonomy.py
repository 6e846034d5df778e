"""The hierarchy tools under the names of MedDCR (Zheng et al.), with the meaning of the package simple-icd-10-cm.

>>> taxonomy = load_taxonomy(book)                                            # doctest: +SKIP
>>> taxonomy.get_ancestors("E11.22")                                          # doctest: +SKIP
['E11.2', 'E11', 'E08-E13', '4']

One code system of one book: ICD-10-CM (chapter, block, category, subdivisions, 7th-character codes), ICD-10-PCS
(section, table, code) or a Chinese edition, whose assignable codes may have extensions below them. Codes come in any
case and width, with or without their dot, and go out as printed; an unknown one raises CodeBookError JC501, "" says
that there is none. A block of one category is called as its category (B99 stands in the block B99): the category is
meant unless ``prioritize_blocks`` asks for the block.

Two things differ from the package on purpose. :meth:`Taxonomy.is_leaf` follows the official list: twelve blocks that
only group other blocks (C00-C96 …) have nothing below them in print, and are no leaves here. And :meth:`is_ancestor`
understands a first code without its dot. Searching by likeness is the business of `lookup.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from jointcoder.codebook.analysis import language_of, level
from jointcoder.codebook.tree import BLOCK, CHAPTER, Tree
from jointcoder.errors import CodeBookError, name_list
from jointcoder.records import Kind, System

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.lookup import Lookup

SHOWN = 24  # characters of an unknown code that a message repeats


class Taxonomy:
    """See the module. A handle: the arrays behind it are loaded once a book; safe to share between threads."""

    def __init__(self, book: CodeBook, system: System | None = None) -> None:
        """``system``: default the book's first system of diagnoses. CodeBookError JC503 where it is not held."""
        self.book = book
        self.system = system or (*book.systems(Kind.DIAGNOSIS), *book.info.systems)[0]
        if self.system not in book.info.systems:
            held = name_list(book.info.systems)
            raise CodeBookError("JC503", f"the code book {book.info.id} does not hold {system}; it holds {held}")

    def __repr__(self) -> str:
        return f"Taxonomy({self.book.info.id!r}, {self.system})"

    def __len__(self) -> int:
        return len(self.tree)

    @cached_property
    def tree(self) -> Tree:
        """The arrays; for this package and the steps."""
        return self.book.kept(f"tree {self.system}", lambda: Tree.load(self.book, self.system))

    # ---------------------------------------------------------------------------------------------- what a code is

    def is_valid_code(self, code: str, *, prioritize_blocks: bool = False, on: dt.date | None = None) -> bool:
        """Whether the taxonomy holds the code, headings too; with a date, whether it may be assigned on that day."""
        node = self.tree.find(code)
        if on is None:
            return node >= 0
        if prioritize_blocks and node >= 0 and self.tree.block_of(node) != node:
            return False
        return self.book.is_valid(self.system, code, on)  # the calendar also knows codes of other years

    def is_leaf(self, code: str, *, prioritize_blocks: bool = False) -> bool:
        """Whether the code is assignable and nothing is below it."""
        node = self.place(code, prioritize_blocks)
        return bool(self.tree.billable[node]) and self.tree.last[node] == node

    def is_chapter(self, code: str) -> bool:
        """Whether the code is a chapter (a section of ICD-10-PCS); False for an unknown code, as all of its kind."""
        node = self.tree.find(code)
        return node >= 0 and self.tree.level[node] == CHAPTER

    def is_block(self, code: str) -> bool:
        """Whether the code is a range of categories, or a category that is a block of its own."""
        node = self.tree.find(code)
        return node >= 0 and self.tree.level[self.tree.block_of(node)] == BLOCK

    def is_category(self, code: str) -> bool:
        """Whether the code stands highest under a block, chapter or root: E11, 0FT, 51."""
        node = self.tree.find(code)
        return node >= 0 and self._is_category(node)

    def is_subcategory(self, code: str) -> bool:
        """Whether the code is a subdivision of a category, 7th-character codes included."""
        node = self.tree.find(code)
        return node >= 0 and self.tree.level[node] > BLOCK and not self._is_category(node)

    def is_chapter_or_block(self, code: str) -> bool:
        """Either of the two."""
        return self.is_chapter(code) or self.is_block(code)

    def is_category_or_subcategory(self, code: str) -> bool:
        """Either of the two."""
        node = self.tree.find(code)
        return node >= 0 and self.tree.level[node] > BLOCK

    # ------------------------------------------------------------------------------------------------ where it stands

    def get_parent(self, code: str, *, prioritize_blocks: bool = False) -> str:
        """The code above, "" for a chapter."""
        above = self.tree.parent[self.place(code, prioritize_blocks)]
        return self.tree.code(above) if above >= 0 else ""

    def get_children(self, code: str, *, prioritize_blocks: bool = False) -> list[str]:
        """The codes directly below, in printed order."""
        return list(map(self.tree.code, self.tree.children(self.place(code, prioritize_blocks))))

    def get_ancestors(self, code: str, *, prioritize_blocks: bool = False) -> list[str]:
        """All codes above, from the parent up to the chapter."""
        return list(map(self.tree.code, self.tree.ancestors(self.place(code, prioritize_blocks))))

    def get_descendants(self, code: str, *, prioritize_blocks: bool = False) -> list[str]:
        """All codes below, in printed order."""
        node = self.place(code, prioritize_blocks)
        return self.tree.spelt(node + 1, self.tree.last[node])

    def is_ancestor(
        self, a: str, b: str, *, prioritize_blocks_a: bool = False, prioritize_blocks_b: bool = False
    ) -> bool:
        """Whether the code a stands above the code b; no code stands above itself."""
        return self.tree.above(self.place(a, prioritize_blocks_a), self.place(b, prioritize_blocks_b))

    def is_descendant(
        self, a: str, b: str, *, prioritize_blocks_a: bool = False, prioritize_blocks_b: bool = False
    ) -> bool:
        """Whether the code a stands below the code b."""
        return self.is_ancestor(b, a, prioritize_blocks_a=prioritize_blocks_b, prioritize_blocks_b=prioritize_blocks_a)

    def get_nearest_common_ancestor(
        self, a: str, b: str, *, prioritize_blocks_a: bool = False, prioritize_blocks_b: bool = False
    ) -> str:
        """The nearest code that is each of the two or stands above it; "" where they lie in different chapters."""
        node = self.tree.common(self.place(a, prioritize_blocks_a), self.place(b, prioritize_blocks_b))
        return self.tree.code(node) if node >= 0 else ""

    def get_all_codes(self) -> list[str]:
        """Every entry in printed order; a block of one category and its category both, under their one name."""
        return self.tree.spelt(0, len(self.tree) - 1)

    # -------------------------------------------------------------------------------------------------- words and codes

    def code_to_text(self, code: str, *, prioritize_blocks: bool = False, lang: str | None = None) -> str:
        """The printed name, in the language asked for where the book has it, else in the book's first."""
        return self.texts([self.place(code, prioritize_blocks)], lang=lang)[0]

    get_description = code_to_text

    def text_to_codes(self, text: str, *, lang: str | None = None) -> list[str]:
        """The codes with exactly this name or printed wording (case, width, accents and blanks levelled), in printed
        order; none where there is no such wording. ``lang``: default by the characters of the text."""
        wanted = _levelled(text)
        if not wanted:
            return []
        held = self.book.info.languages
        spoken = language_of(text)
        fitting = [lang] if lang else [one for one in held if (one == "zh") == (spoken == "zh")]
        nodes = {node for one in fitting if one in held for node in self._worded(text, wanted, one)}
        nodes |= {node for name, node in self._headings() if name == wanted}
        return list(dict.fromkeys(self.tree.code(node) for node in sorted(nodes)))

    # ------------------------------------------------------------------------------------------------- for this package

    def texts(self, nodes: Sequence[int], *, lang: str | None = None) -> list[str]:
        """The names of entries by number, as :meth:`code_to_text` gives them."""
        names: dict[int, str] = {}
        for first in range(0, len(nodes), 500):
            ids = [node + self.tree.base for node in nodes[first : first + 500]]
            marks = ",".join("?" * len(ids))
            names.update(self.book.rows(f"SELECT id, name FROM node WHERE id IN ({marks})", *ids))
            if lang and lang != self.book.info.languages[0]:
                statement = f"SELECT node, text FROM name WHERE node IN ({marks}) AND lang = ?"
                names.update(self.book.rows(statement, *ids, lang))
        return [names[node + self.tree.base] for node in nodes]

    def node(self, code: str) -> int | None:
        """The number of a code in :attr:`tree`, None for an unknown one."""
        found = self.tree.find(code)
        return None if found < 0 else found

    def place(self, code: str, prioritize_blocks: bool = False) -> int:
        """The number of a code in :attr:`tree`. CodeBookError JC501 for an unknown one."""
        node = self.tree.find(code)
        if node < 0:
            shown = code if len(code) <= SHOWN else f"{code[:SHOWN]}…"
            message = f"unknown code {shown!r}: not in {self.system} of the code book {self.book.info.id}"
            raise CodeBookError("JC501", message, hint="find codes by wording with `jointcoder codebook search TEXT`")
        return self.tree.block_of(node) if prioritize_blocks else node

    def _is_category(self, node: int) -> bool:
        above = self.tree.parent[node]
        return self.tree.level[node] > BLOCK and (above < 0 or self.tree.level[above] <= BLOCK)

    def _worded(self, text: str, wanted: str, language: str) -> list[int]:
        """Entries with that wording, through the keys of the lexical index."""
        lookup = self.book.kept("wordings", lambda: _lookup(self.book))
        shard = lookup.shard(language, self.system)
        if shard is None:
            return []
        engine = lookup.analyser(language)
        key = engine.analyse(text, procedures=self.system.kind is Kind.PROCEDURE).key
        documents = shard.find_key(key) if key else ()
        terms = {int(shard.term[document]): int(shard.node[document]) for document in documents}
        found = []
        for term, node in terms.items():
            (wording,) = self.book.rows("SELECT text FROM term WHERE id = ?", term)[0]
            if _levelled(wording) == wanted:
                found.append(node - self.tree.base)
        return found

    def _headings(self) -> tuple[tuple[str, int], ...]:
        """Levelled names of chapters and blocks, which the lexical index leaves out, with their numbers."""

        def load() -> tuple[tuple[str, int], ...]:
            rows = self.book.rows(
                "SELECT m.text, n.id FROM node n JOIN name m ON m.node = n.id"
                " WHERE n.system = ? AND n.level IN ('chapter', 'block')",
                self.system,
            )
            return tuple((_levelled(name), node - self.tree.base) for name, node in rows)

        return self.book.kept(f"headings {self.system}", load)


def load_taxonomy(book: CodeBook, system: System | None = None) -> Taxonomy:
    """The taxonomy of one system of the book (default: its diagnoses), its arrays loaded. CodeBookError JC503."""
    taxonomy = Taxonomy(book, system)
    len(taxonomy)
    return taxonomy


def _levelled(text: str) -> str:
    return " ".join(level(text).split())


def _lookup(book: CodeBook) -> Lookup:
    from jointcoder.codebook.lookup import Lookup

    return Lookup(book)
