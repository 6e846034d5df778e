"""The ICD-10-CM tabular list (the XML that CDC/NCHS publishes) → nodes.

One pass with expat's pull parser. The 7th characters of a heading are spelt out at its leaves: padded with the
placeholder X to six characters, title and 7th-character definition joined by a comma (guideline I.A.4, I.A.5).
A note may withdraw some of them ("7th characters D and S do not apply to codes in category S06 with 6th character 7
…"): it is read and obeyed, else 76 codes too many arise. This module knows nothing of validity dates or names in
other languages.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jointcoder.codebook.build.files import malformed, parse_xml, text_of
from jointcoder.codebook.build.writer import Draft
from jointcoder.records import System

NOTE_TAGS = {
    "includes": "includes",
    "inclusionTerm": "inclusion_terms",
    "excludes1": "excludes1",
    "excludes2": "excludes2",
    "codeFirst": "code_first",
    "useAdditionalCode": "use_additional",
    "codeAlso": "code_also",
    "sevenChrNote": "seventh_note",
    "notes": "notes",
}
_WITHDRAWN = re.compile(
    r"7th characters? (?P<seventh>[A-Z0-9](?:(?:,| and|, and) [A-Z0-9])*) do(?:es)? not apply to codes in "
    r"(?:sub)?category (?P<stem>[A-Z0-9.]+) with 6th character (?P<rest>.+)"
)
_SIXTH = re.compile(r"(?:^|, or |, |or )([0-9A-Z])(?= -|\b(?![a-z]))")


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """7th characters that do not exist for codes under ``stem`` with one of the ``sixth`` characters."""

    stem: str
    sixth: frozenset[str]
    seventh: frozenset[str]

    @classmethod
    def read(cls, note: str) -> Withdrawal | None:
        m = _WITHDRAWN.match(note)
        if m is None:
            return None
        sixth = frozenset(_SIXTH.findall(m["rest"]))
        return cls(m["stem"].replace(".", ""), sixth, frozenset(re.findall(r"\b[A-Z0-9]\b", m["seventh"])))

    def forbids(self, stem: str, seventh: str) -> bool:
        """``stem``: six characters, no dot."""
        return stem.startswith(self.stem) and stem[5] in self.sixth and seventh in self.seventh


_Sevenths = tuple[tuple[str, str], ...]


def read_tabular(path: Path) -> tuple[str, list[Draft]]:
    """(edition year, nodes in pre-order). CodeBookError JC502 naming file and line when the file is malformed."""
    root = parse_xml(path, "ICD10CM.tabular", "an ICD-10-CM tabular list")
    chapters = root.findall("chapter")
    if not chapters:
        raise malformed(path, "the tabular list holds no chapters", line=1)
    drafts: list[Draft] = []
    for chapter in chapters:
        _Reader(path, drafts).node(chapter, None, "chapter", (), ())
    return text_of(root.find("version")), drafts


class _Reader:
    def __init__(self, file: Path, drafts: list[Draft]) -> None:
        self._file, self._drafts = file, drafts

    def node(
        self,
        element: ET.Element,
        parent: int | None,
        level: str,
        sevenths: _Sevenths,
        withdrawn: tuple[Withdrawal, ...],
    ) -> None:
        code = text_of(element.find("name")) or element.get("id", "")
        name = text_of(element.find("desc"))
        if not code or not name:
            where = code or (self._drafts[parent].code if parent is not None else "the first chapter")
            raise malformed(self._file, "an entry has no code or no title", at=where)
        if level == "block" and "-" not in code:
            code = f"{code}-{code}"  # a block of one category would bear the category's code
        number = len(self._drafts)
        notes = list(_notes(element))
        draft = Draft(System.ICD10CM, code, name, level, False, parent, notes=notes)
        draft.terms = [("en", "inclusion", text) for kind, _, text in notes if kind == "inclusion_terms"]
        if level == "category":
            draft.terms += [("en", "include", text) for kind, _, text in notes if kind == "includes"]
        self._drafts.append(draft)
        sevenths = tuple((label, text) for kind, label, text in notes if kind == "seventh_characters") or sevenths
        found = (Withdrawal.read(text) for kind, _, text in notes if kind == "notes")
        withdrawn = (*withdrawn, *(rule for rule in found if rule))
        children = [child for child in element if child.tag in ("section", "diag")]
        for child in children:
            below = "block" if child.tag == "section" else "category"
            self.node(child, number, below, sevenths, withdrawn)
        if not children and level == "category":
            self._finish(number, sevenths, withdrawn)

    def _finish(self, number: int, sevenths: _Sevenths, withdrawn: tuple[Withdrawal, ...]) -> None:
        """A leaf of the file is a code, or the heading of its 7th-character codes."""
        draft = self._drafts[number]
        if not sevenths:
            draft.level, draft.billable = "code", True
            return
        stem = draft.code.replace(".", "").ljust(6, "X")
        for label, meaning in sevenths:
            if any(rule.forbids(stem, label) for rule in withdrawn):
                continue
            code = f"{stem[:3]}.{stem[3:]}{label}"
            self._drafts.append(Draft(draft.system, code, f"{draft.name}, {meaning}", "code", True, number))


def _notes(element: ET.Element) -> Iterator[tuple[str, str, str]]:
    for child in element:
        if child.tag == "sevenChrDef":
            yield from _sevenths(child)
        elif kind := NOTE_TAGS.get(child.tag):
            yield from ((kind, "", text) for note in child if (text := text_of(note)))


def _sevenths(element: ET.Element) -> Iterator[tuple[str, str, str]]:
    found: list[tuple[str, str]] = []
    for child in element:
        if child.tag == "extension":
            found.append((child.get("char", ""), text_of(child)))
        elif found and child.tag == "note":  # the definition goes on in a note
            label, text = found[-1]
            found[-1] = (label, f"{text}/{text_of(child)}")
    yield from (("seventh_characters", label, text) for label, text in found)
