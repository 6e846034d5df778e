"""The ICD-10-PCS definitions and index (the XML that CMS publishes) → tables of a book, and wordings of its nodes.

A definition belongs to labels ("Foot Muscle, Left" and "…, Right" share one); that of a device may hold in a context
only ("Cardiac Lead in Heart and Great Vessels"). The keys turn round into synonyms: what a body part or device
*includes*, and what the index says to *use*. An index line that leads to a code, or to a table and body part, is a
wording of that node. This module knows no legality.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jointcoder.codebook.build.files import malformed, parse_xml, text_of
from jointcoder.codebook.build.pcs_tables import PcsTable, book_table
from jointcoder.codebook.build.pcs_titles import data_rows
from jointcoder.codebook.build.writer import Table
from jointcoder.codebook.pcs_axes import LETTERS, label_key

DEFINITIONS, INDEX = "ICD10PCS.definitions", "ICD10PCS.index"
KEYS = (4, 6)  # the characters whose definitions are keys: body part; device, substance or technology
MOST = 6  # body parts an index line may lead to, sides aside, and still be a wording of each

LONGEST = 6  # words of a synonym beyond which it is a sentence, not a wording

_CONTEXT = re.compile(r" (?:in|for) | \((?=[A-Z])")
_BRACKETS = re.compile(r"\s*\((?!R\)|tm\))[^()]*\)")
_SPELT_OUT = re.compile(r"(\w?[A-Z][A-Z0-9-]+) \(([^()]{6,})\)")
_SIDE = re.compile(r", (?:Right|Left|Bilateral)$")
_REFERENCES = {"see": "see", "use": "use", "code": "code", "codes": "code", "tab": "code"}
_PREFIX = re.compile(f"[{LETTERS}]{{3,7}}")


@dataclass(frozen=True, slots=True)
class Line:
    """One reference of the index: path, kind (``code``, ``see``, ``use``), text, code or beginning of one."""

    path: tuple[str, ...]
    kind: str
    text: str
    prefix: str


@dataclass
class Terms:
    """What both files give; tables by :meth:`tables`, wordings by :meth:`wordings`."""

    labels: Mapping[int, frozenset[str]]  # of each character
    parts: Mapping[str, str]  # heading of four characters → label of its body part
    headings: Mapping[str, Sequence[str]]  # table → its headings
    entries: list[tuple[int, str, int, str, str, str]] = field(default_factory=list)
    texts: list[tuple[int, int, str, str]] = field(default_factory=list)
    nodes: list[tuple[int, int | None, str, str]] = field(default_factory=list)
    references: list[tuple[int, int, str, str, str]] = field(default_factory=list)
    synonyms: dict[tuple[str, int, str], str] = field(default_factory=dict)  # key, character, label → as printed
    lines: list[Line] = field(default_factory=list)

    @classmethod
    def of(cls, tables: Sequence[PcsTable]) -> Terms:
        """``tables``: whose labels the terms belong to."""
        labels: dict[int, set[str]] = {}
        parts: dict[str, str] = {}
        for table in tables:
            for row in table.rows:
                parts |= {table.prefix + value: label for value, label in row[0].values}
                for place, axis in enumerate((*table.head, *row), start=1):
                    labels.setdefault(place, set()).update(label for _, label in axis.values)
        headings: dict[str, list[str]] = {}
        for heading in sorted(parts):
            headings.setdefault(heading[:3], []).append(heading)
        return cls({place: frozenset(found) for place, found in labels.items()}, parts, headings)

    def tables(self) -> list[Table]:
        """For the book."""
        return [
            book_table("pcs_term", self.entries),
            book_table("pcs_text", self.texts),
            book_table("pcs_synonym", sorted(self.synonyms)),
            book_table("pcs_index", self.nodes),
            book_table("pcs_reference", self.references),
        ]

    def read_definitions(self, path: Path) -> None:
        """CodeBookError JC502 naming the file and the line or the section."""
        root = parse_xml(path, DEFINITIONS, "the ICD-10-PCS definitions")
        sections = root.findall("section")
        if not sections:
            raise malformed(path, "the file holds no sections", line=1)
        for section in sections:
            name = section.get("code", "")
            for axis in section.findall("axis"):
                place = axis.get("pos", "")
                if name not in LETTERS or len(name) != 1 or place not in set("1234567"):
                    raise malformed(path, f"no axis {place!r} of a section {name!r}", at=text_of(section.find("title")))
                for term in axis.findall("terms"):
                    self._define(path, term, name, int(place))

    def read_index(self, path: Path) -> None:
        """CodeBookError JC502 naming the file and the line or the main term."""
        root = parse_xml(path, INDEX, "the ICD-10-PCS index")
        mains = list(root.iterfind("letter/mainTerm"))
        if not mains:
            raise malformed(path, "the file holds no main terms", line=1)
        for number, main in enumerate(mains, start=1):
            if not text_of(main.find("title")):
                raise malformed(path, "a main term has no title", at=f"main term {number}")
            self._line(path, main, None, ())
        for line in self.lines:
            if line.kind == "use":
                self._use(line)

    def wordings(self, codes: Collection[str]) -> Iterator[tuple[str, str]]:
        """(node's code, wording): index lines that lead to a code, or to few body parts of a table.

        ``codes``: the codes of the book. Lines that name a table only lead to the body part that their word begins
        with (`data/en/pcs_roots.tsv`: "nephr…", Kidney). Entries that are labels of the tables say nothing new.
        """
        known = {label_key(label) for found in self.labels.values() for label in found}
        structural = tuple(f"{label} " for label in self.labels.get(3, ()))  # "Insertion of device in"
        roots = {root: parts.split("; ") for root, parts in data_rows("pcs_roots")}
        targets: dict[str, dict[str, None]] = {}
        for line in self.lines:
            main = line.path[0]
            if line.kind == "use" or label_key(main) in known or main.startswith(structural):
                continue
            nodes = self._nodes(line.prefix, main.casefold(), codes, roots)
            for wording in _variants(line.path) if nodes else ():
                if label_key(wording) not in known:
                    targets.setdefault(wording, {}).update(dict.fromkeys(nodes))
        yield from self._chosen(targets)

    def named(self) -> Iterator[tuple[str, str]]:
        """(heading, synonym of its body part) in the sections where body parts have keys."""
        of_label: dict[str, dict[str, None]] = {}
        for (_, place, label), form in self.synonyms.items():
            if place == KEYS[0] and len(form.split()) <= LONGEST:
                of_label.setdefault(label, {})[form] = None
        sections = {section for _, section, place, *_ in self.entries if place == KEYS[0]}
        for heading, label in self.parts.items():
            if heading[0] in sections:
                yield from ((heading, form) for form in of_label.get(label, ()))

    def _nodes(self, prefix: str, main: str, codes: Collection[str], roots: Mapping[str, Sequence[str]]) -> list[str]:
        """The code or the headings that a reference means."""
        if len(prefix) == 7:
            return [prefix] if prefix in codes else []
        if len(prefix) > 3:
            return [prefix[:4]] if prefix[:4] in self.parts else []
        root = max((root for root in roots if main.startswith(root)), key=len, default="")
        return [h for h in self.headings.get(prefix, ()) if root and unsided(self.parts[h]) in roots[root]]

    def _chosen(self, targets: Mapping[str, Mapping[str, None]]) -> Iterator[tuple[str, str]]:
        either = {first: (second, word) for first, second, word in data_rows("pcs_either")}
        for wording, nodes in targets.items():
            if len({(node[:3], unsided(self.parts[node[:4]])) for node in nodes}) > MOST:
                continue
            for node in nodes:
                second, word = either.get(node[2], ("", ""))
                both = second and any(n[:2] == node[:2] and n[2] == second for n in nodes)
                yield node, f"{word} {wording}" if both else wording

    def _define(self, path: Path, term: ET.Element, section: str, place: int) -> None:
        titles = [text_of(title) for title in term.findall("title")]
        if not titles or not all(titles):
            raise malformed(path, f"a term of axis {place} has no title", at=f"section {section}")
        entry = self.entries[-1][0] + 1 if self.entries else 0
        for title in titles:
            label, context = self._split(title, place)
            self.entries.append((entry, section, place, label, context, label_key(label)))
        children = [child for child in term if child.tag in ("definition", "explanation", "includes")]
        for number, child in enumerate(children):
            text = text_of(child)
            self.texts.append((entry, number, child.tag, text))
            if child.tag == "includes" and place in KEYS and text:
                for title in titles:
                    self._synonym(text, place, self._split(title, place)[0])

    def _split(self, title: str, place: int) -> tuple[str, str]:
        """A title → the label of the tables it begins with, and the context that limits it."""
        known = self.labels.get(place, frozenset())
        if title in known:
            return title, ""
        for m in reversed(list(_CONTEXT.finditer(title))):
            if title[: m.start()] in known:
                return title[: m.start()], title[m.start() :].strip(" ()")
        return title, ""

    def _synonym(self, text: str, place: int, label: str) -> None:
        for form in dict.fromkeys((_BRACKETS.sub("", text), text)):
            key = label_key(form)
            if key and key != label_key(label):
                self.synonyms.setdefault((key, place, label), form)

    def _use(self, line: Line) -> None:
        text = re.sub(r" (?:in|for)$", "", line.text)
        for place in KEYS:
            label, _ = self._split(text, place)
            if label in self.labels.get(place, ()):
                self._synonym(line.path[0], place, label)

    def _line(self, path: Path, element: ET.Element, parent: int | None, above: tuple[str, ...]) -> None:
        title = text_of(element.find("title"))
        number = len(self.nodes)
        way = (*above, title) if title else above
        self.nodes.append((number, parent, title, label_key(title)))
        places = 0
        for child in element:
            kind = _REFERENCES.get(child.tag)
            if kind is not None:
                self._reference(path, child, kind, way, number, places)
                places += 1
            elif child.tag == "term":
                self._line(path, child, number, way)

    def _reference(
        self, path: Path, element: ET.Element, kind: str, way: tuple[str, ...], number: int, place: int
    ) -> None:
        inner = next((child for child in element if child.tag in _REFERENCES), None)
        prefix = text_of(element if kind == "code" else inner)
        if (prefix or kind == "code") and not _PREFIX.fullmatch(prefix):
            raise malformed(path, f"{prefix!r} is no code and no beginning of one", at=", ".join(way))
        text = prefix if kind == "code" else " ".join((element.text or "").split())
        self.references.append((number, place, kind, text, prefix))
        self.lines.append(Line(way, kind, text, prefix))


def unsided(label: str) -> str:
    """``"Kidney, Right"`` → ``"Kidney"``."""
    return _SIDE.sub("", label)


def _variants(path: tuple[str, ...]) -> Iterator[str]:
    """The wordings of an index line: its path; an abbreviation and what it stands for, "EGD (esophago…)"; each of
    several spellings, "Discectomy, diskectomy"."""
    main, *subterms = path
    tail = "".join(f", {part}" for part in subterms)
    spellings = main.split(", ")
    m = _SPELT_OUT.fullmatch(main)
    if m:
        spellings = [m[1], m[2], main]
    elif " " in "".join(spellings) or len({spelling[-4:] for spelling in spellings}) > 1:
        spellings = [main]
    yield from (f"{spelling}{tail}" for spelling in spellings)
