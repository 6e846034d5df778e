"""What the encounter page says that is more than one phrase: labels of rows, lines of the history, text as HTML.

    Speaker(words).row_label(row)      what a screen reader hears of a code
    written(text)                      note text as HTML that gives the same text back

Phrases come from ``data/<language>/encounter.toml``; this module only puts them together. Knows no request and no desk.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from jointcoder.desk.views_text import Part, Sheet, shown
from jointcoder.records import AssignedCode, Encounter, Finding, Severity, System
from jointcoder.server.pages import i18n

if TYPE_CHECKING:
    from jointcoder.desk.decisions import Decided
    from jointcoder.desk.views_codes import ReviewView, Row
    from jointcoder.store.encounters import Line

SEVERITY_CLASSES = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.ADVICE: "info"}


def written(text: str) -> Markup:
    """Note text, escaped. A browser reads a carriage return as a line feed unless it is written as a reference, and a
    page must hold the document as it is."""
    safe = str(escape(shown(text)))
    return Markup(safe.replace("\r", "&#13;") if "\r" in safe else safe)


def severity_class(severity: Severity) -> str:
    """The colour of a finding, by the names of the style sheet."""
    return SEVERITY_CLASSES[severity]


@dataclass(frozen=True)
class Speaker:
    """Puts phrases of one language together. ``names``: codes in that language, where the book has them; ``items``: row
    → its code, the model's where it has one."""

    words: i18n.Words
    names: Mapping[tuple[System, str], str] = field(default_factory=dict)
    items: Mapping[str, str] = field(default_factory=dict)

    def context(self) -> dict[str, Any]:
        """What the templates call."""
        language = self.words.language
        return {
            "written": written,
            "severity_class": severity_class,
            "finding_text": partial(_in_language, i18n.finding_text, language),
            "remedy_text": partial(_in_language, i18n.remedy_text, language),
            "section_label": self.section,
            "sheet_title": self.sheet,
            "row_label": self.row,
            "decision_line": self.decision,
            "name_of": self.name,
            "suggestion_values": suggestion_values,
        }

    def section(self, part: Part) -> str:
        """A section's name: a canonical one in the reader's language, else as it is written."""
        key = f"encounter.section.{part.name}"
        if self.words.has(key):
            return self.words.t(key)
        return shown(part.heading.strip() or part.name)

    def sheet(self, sheet: Sheet) -> str:
        """A document's title, else its kind, else its number."""
        known = shown(sheet.document.title.strip() or sheet.document.kind.strip())
        return known or self.words.t("encounter.document_n", n=sheet.index + 1)

    def name(self, code: AssignedCode) -> str:
        return self.names.get((code.system, code.code), code.name)

    def row(self, row: Row) -> str:
        """Number, code, name, role and state, in that order: what tells rows apart first."""
        parts = [f"{row.rank}." if row.stands else "", row.code.code, row.name]
        if row.principal:
            parts.append(self.words.t("encounter.principal"))
        parts.append(self.words.t(f"encounter.state.{row.state}"))
        return " ".join(part for part in parts if part)

    def decision(self, one: Decided) -> str:
        """A line of the history: what was decided, about which row, by whom and when."""
        when = (one.at if one.at.tzinfo else one.at.replace(tzinfo=dt.UTC)).astimezone()
        about = about_of(one)
        about = self.items.get(about, about)
        what = self.words.t(f"encounter.decided.{one.decision.kind}")
        return " · ".join(part for part in (what, about, one.by, when.strftime("%Y-%m-%d %H:%M")) if part)

    def facts(self, line: Line, encounter: Encounter) -> list[str]:
        """What is known of patient and stay, in short."""
        t = self.words.t
        patient = encounter.patient
        found = []
        if patient.sex != "unknown":
            found.append(t(f"encounter.sex.{patient.sex}"))
        if patient.age_years is not None:
            found.append(t("encounter.age", n=f"{patient.age_years:g}"))
        if encounter.admitted or encounter.discharged:
            days = [day.isoformat() if day else "…" for day in (encounter.admitted, encounter.discharged)]
            found.append(" – ".join(days))
        if line.language and self.words.has(f"encounter.language.{line.language}"):
            found.append(t(f"encounter.language.{line.language}"))
        found.append(self.words.tn("encounter.characters", encounter.characters))
        if line.versions > 1:
            found.append(self.words.tn("encounter.versions", line.versions))
        return found

    def shortcuts(self) -> list[tuple[str, str]]:
        """The keys of the page and what they do, for the help overlay."""
        return [(keys, self.words.t(f"encounter.keys.{name}")) for name, keys in KEYS.items()]


KEYS = {
    "next": "j",
    "previous": "k",
    "evidence": "Enter",
    "evidence_next": "e",
    "mark_next": "]",
    "mark_previous": "[",
    "accept": "a",
    "reject": "x",
    "replace": "r",
    "add": "n",
    "up": "Alt ↑",
    "down": "Alt ↓",
    "principal": "p",
    "poa": "o",
    "link": "l",
    "comment": "c",
    "query": "q",
    "why": "w",
    "finding": "f",
    "override": "v",
    "bulk": "b",
    "undo": "u",
    "claim": "t",
    "finish": "F",
    "fold": "z",
    "scan": "i",
    "drg": "d",
    "sides": "s",
}
"""What each key of ``encounter.js`` is called in the phrases; a test holds the three together."""


def about_of(one: Decided) -> str:
    """The code or row a decision was about; never a person's words."""
    decision = one.decision
    for name in ("code", "item", "procedure", "threshold"):
        if found := getattr(decision, name, ""):
            return str(found)
    return ""


def suggestion_values(code: AssignedCode) -> str:
    """The form of an ``add`` decision that takes a suggestion with its evidence, as JSON for htmx."""
    spans = [{"document": s.document, "start": s.start, "end": s.end} for s in code.evidence]
    values = {"kind": "add", "system": str(code.system), "code": code.code, "evidence": json.dumps(spans)}
    return json.dumps(values)


def _in_language(speak: Callable[[Finding, str], str], language: str, finding: Finding) -> str:
    return speak(finding, language)


def codes_of(view: ReviewView) -> dict[str, str]:
    """Row → code, for links to rows."""
    return {row.id: row.code.code for row in (*view.rows, *view.gone)}
