"""Headings of a problem list: the lines under which an assessment is ordered.

    ASSESSMENT AND PLAN                        [(20, 33), (65, 77)]
    1. Hypertension.                     →     "Hypertension", "Chest pain, likely muscular"
       Continue lisinopril 20 mg daily.
    2. Chest pain, likely muscular.

A physician who orders an assessment by problems has named what the visit was about; such a heading is worth more than
any other wording in the note. It is known by its layout: a short line of its own, numbered or bare, without the verbs
of a sentence and without a label's colon. The words that tell are data (``data/<language>/problems.toml``); a language
without that file has no such headings. Knows no codes, and does not decide what is a disease.

>>> text = "1. Hypertension, uncontrolled.\\n- Labs will be ordered.\\n2. Gout."
>>> [text[a:b] for a, b in problem_headings(text, "en")]
['Hypertension, uncontrolled', 'Gout']
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

from jointcoder.text.resources import known_language, toml

Span = tuple[int, int]

_NUMBER = re.compile(r"[ \t]*(?:#[ \t]*)?(?:[(（]?\d{1,2}[.)）:、][ \t]*|#[ \t]*)?")
_BULLET = re.compile(r"[ \t]*[-*•●○◦▪■□◆◇·‣–—]")
_WORD = re.compile(r"[^\W_]+(?:[-'’/][^\W_]+)*")
_EDGE = " \t.;:,*"


@dataclass(frozen=True)
class _Rules:
    longest: int
    sentence: re.Pattern[str]
    joins: re.Pattern[str]
    equals: re.Pattern[str]
    leads: re.Pattern[str]


@cache
def _rules(language: str) -> _Rules | None:
    if not (files("jointcoder.text") / "data" / known_language(language) / "problems.toml").is_file():
        return None
    data = toml("problems", language)

    def any_of(words: list[str]) -> str:
        return "|".join(re.escape(word) for word in sorted(words, key=lambda one: (-len(one), one)))

    return _Rules(
        longest=int(data["longest"]),
        sentence=re.compile(rf"(?<!\w)(?:{any_of(data['sentence'])})(?!\w)", re.IGNORECASE),
        joins=re.compile(any_of([*data["equals"], *data["joins"]]), re.IGNORECASE),
        equals=re.compile(any_of(data["equals"]), re.IGNORECASE),
        leads=re.compile(rf"(?:(?:{any_of(data['leads'])})\s+)+", re.IGNORECASE),
    )


def problem_headings(text: str, language: str, *, start: int = 0, end: int | None = None) -> list[Span]:
    """Offsets of the headings between ``start`` and ``end``, in order, without number and closing punctuation.

    Raises InputError JC105 for an unknown language.
    """
    rules = _rules(language)
    if rules is None:
        return []
    bare: list[Span] = []
    bulleted: list[Span] = []
    prose = False  # bullets under prose are what was said or planned, not the problems themselves
    place = start
    for line in text[start:end].splitlines(keepends=True):
        bullet = _BULLET.match(line)
        lead = bullet or _NUMBER.match(line)
        first, last = place + (lead.end() if lead else 0), place + len(line)
        place += len(line)
        while first < last and (text[first] in _EDGE or text[first].isspace()):
            first += 1
        while last > first and (text[last - 1] in _EDGE or text[last - 1].isspace()):
            last -= 1
        if not _is_heading(text[first:last], rules):
            prose = prose or first < last
        elif not bullet:
            bare.append((first, last))
        elif not prose:
            bulleted.append((first, last))
    return bare or bulleted


def problem_parts(text: str, span: Span, language: str) -> list[Span]:
    """The members of a heading that joins several, and what each names without words in front that add nothing.

    ``Newly diagnosed gout and hypertension`` → gout, hypertension; the heading itself is not among them.
    """
    rules = _rules(language)
    if rules is None:
        return []
    start, end = span
    edges = [(start, start), *((m.start(), m.end()) for m in rules.joins.finditer(text, start, end)), (end, end)]
    parts: list[Span] = []
    for (_, first), (last, _) in pairwise(edges):
        stripped = rules.leads.match(text, first, last)
        for piece in ((first, last), (stripped.end(), last) if stripped else None):
            if piece and piece != span and piece not in parts and _WORD.search(text, *piece):
                parts.append(piece)
    return parts


def is_subordinate(text: str, heading: Span, part: Span, language: str) -> bool:
    """Whether a part of a heading is joined to what stands before it as a cause, a sign or a doubt ("… due to gout",
    "…, likely gout") and not as its equal ("… and gout")."""
    rules = _rules(language)
    if rules is None or part[0] <= heading[0]:
        return False
    joins = list(rules.joins.finditer(text, heading[0], part[0]))
    between = text[joins[-1].end() : part[0]] if joins else text[heading[0] : part[0]]
    return bool(between.strip()) or not joins or any(not rules.equals.fullmatch(join[0]) for join in joins)


def _is_heading(line: str, rules: _Rules) -> bool:
    words = _WORD.findall(line)
    if not 1 <= len(words) <= rules.longest or ":" in line or not any(c.isalpha() for c in line):
        return False
    if rules.sentence.search(line):
        return False
    return ". " not in line
