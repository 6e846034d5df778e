"""Whether each diagnosis was present on admission: part of reconcile, last of the flow.

UB-04 letters, which the Chinese front page numbers as 入院病情: Y 有, W 临床未确定, U 情况不明, N 无. Sources: Official
Guidelines of ICD-10-CM, appendix I; 住院病案首页部分项目填写说明 (卫医政发〔2011〕84号). In this order:

    on the exempt list                                                               exempt
    told in what the patient brought along (chief complaint … admission diagnosis)   Y
    a sentence of the course says that it was there before ("on admission", 入院时)  Y
    told there, but only as possible                                                 W, or Y for ICD-10-CM
    a sentence says that it arose in hospital ("hospital-acquired", 术后第3天出现)   N
    nothing tells                                                                    U where the form asks, else open

A mention counts for a code if it is one of the code's own, or if its wording (or the name that the code book has for
it) begins one of them or the other way round (高血压 and 高血压3级): what stands before a condition's name changes it,
what stands behind it refines it. Denied mentions and those of relatives do not count. Cues and sections are data. Looks
at no other record and asks no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jointcoder.records import Assertion, AssignedCode, Kind, PresentOnAdmission, Role
from jointcoder.steps.admission_cues import ARISEN, POSSIBLE, PRESENT, cues, enough, pattern
from jointcoder.steps.base import State, Tools, edition_date
from jointcoder.steps.common import step_data
from jointcoder.text.assertion import assert_spans
from jointcoder.text.normalise import Normalised, normalise
from jointcoder.text.resources import known_language
from jointcoder.text.segment import sentences

EXEMPT = "poa-exempt"
_UNTOLD = frozenset({Assertion.NEGATED, Assertion.FAMILY})


def with_admission(codes: Iterable[AssignedCode], state: State, tools: Tools) -> list[AssignedCode]:
    """The diagnoses, ranked, with their indicators; one that no rule reaches keeps what it had."""
    told, on = _Told(state, tools), edition_date(state.encounter)
    found = []
    for code in codes:
        if EXEMPT in tools.book.edits(code.system, code.code, on):
            indicator: PresentOnAdmission | None = PresentOnAdmission.EXEMPT
        else:
            indicator = _indicator(code, told.of(code))
        found.append(code.with_(present_on_admission=indicator) if indicator else code)
    return found


def sign_at(text: str, start: int, end: int, *, lang: str) -> str:
    """What the sentence around a condition says: ``present``, ``arisen`` or "" (InputError JC105)."""
    return _Text(text, known_language(lang)).cue(start, end)


def same_condition(one: str, other: str) -> bool:
    """Whether two wordings of letters only are one, or the shorter begins the longer and names a condition."""
    short, long = sorted((one, other), key=len)
    return one == other or (enough(short) and long.startswith(short))


def _indicator(code: AssignedCode, signs: frozenset[str]) -> PresentOnAdmission | None:
    table = step_data("admission")
    if PRESENT in signs:
        return PresentOnAdmission.YES
    if POSSIBLE in signs:
        return PresentOnAdmission(table["possible"].get(code.system, PresentOnAdmission.YES))
    if ARISEN in signs:
        return PresentOnAdmission.NO
    letter = table["untold"].get(code.system)
    if code.role is Role.PRINCIPAL:
        letter = table["principal"].get(code.system, letter)
    return PresentOnAdmission(letter) if letter else None


@dataclass(frozen=True)
class _Place:
    """A condition named somewhere. ``wordings``: as written and as the book names it, squeezed; ``id``: of its mention,
    "" where it was only spotted here."""

    id: str
    document: int
    start: int
    end: int
    section: str
    assertion: Assertion
    wordings: frozenset[str]


class _Told:
    """What one record says of its diagnoses' time; every document is taken apart once."""

    def __init__(self, state: State, tools: Tools) -> None:
        table = step_data("admission")
        self.state = state
        self._tools = tools
        self._exact = float(table["least"]["score"])
        self._brought = frozenset(table["sections"])
        self._passed = frozenset(table["passed_over"])
        self._texts: dict[int, _Text] = {}
        self._cues = cues(state.language)
        self._places = [*self._mentioned(), *self._spotted()]

    def of(self, code: AssignedCode) -> frozenset[str]:
        """The signs that the record gives of a code: present, possible, arisen."""
        own = [place for place in self._places if place.id and place.id in code.mentions]
        wordings = frozenset({_squeezed(code.name)}.union(*(place.wordings for place in own)))
        signs = set()
        for place in self._places:
            if place in own or any(same_condition(told, wording) for told in place.wordings for wording in wordings):
                signs.add(self._sign(place.section, place.assertion, place.document, place.start, place.end))
        texts = (self.state.encounter.documents[p.document].text[p.start : p.end] for p in own)
        quotes = {normalise(text, accents=True).text.strip() for text in texts}
        signs |= set(self._repeated({*quotes, *(self._cues.core(quote) for quote in quotes)}))
        return frozenset(signs - {""})

    def _mentioned(self) -> Iterator[_Place]:
        """The diagnoses that earlier steps found; what the patient brought along goes by the name that the book has for
        exactly that wording (冠心病), too."""
        lookup, language = self._tools.lookup, self.state.language
        for mention in self.state.mentions:
            if mention.kind is not Kind.DIAGNOSIS:
                continue
            names, span = {mention.name, mention.span.quote}, mention.span
            if mention.section in self._brought:
                hits = lookup.search(mention.name, kind=Kind.DIAGNOSIS, lang=language, k=1, source="lexical")
                names |= {hit.name for hit in hits if hit.score >= self._exact}
            wordings = frozenset(map(_squeezed, names)) - {""}
            yield _Place(mention.id, span.document, span.start, span.end, mention.section, mention.assertion, wordings)

    def _spotted(self) -> Iterator[_Place]:
        """Wordings of the book in the admission's sections, where no earlier step has looked for them."""
        if any(mention.source == "dictionary" for mention in self.state.mentions):
            return
        for section in self.state.sections:
            if section.name not in self._brought:
                continue
            text = self.state.encounter.documents[section.document].text[section.start : section.end]
            found = self._tools.lookup.spot(text, self.state.language, kinds=(Kind.DIAGNOSIS,))
            spans = [(one.start, one.end) for one in found]
            told = assert_spans(text, spans, lang=self.state.language, sections=[section.name] * len(spans))
            for one, assertion in zip(found, told, strict=True):
                names = {text[one.start : one.end], *(hit.name for hit in one.hits if hit.score >= self._exact)}
                start, end = section.start + one.start, section.start + one.end
                wordings = frozenset(map(_squeezed, names)) - {""}
                yield _Place("", section.document, start, end, section.name, assertion, wordings)

    def _repeated(self, quotes: Iterable[str]) -> Iterator[str]:
        """Signs of the words of a code's evidence, wherever else the record holds them."""
        wanted = [words for words in quotes if len(words) > 1]
        for section in self.state.sections:
            if section.name in self._passed:
                continue
            whole = self._text(section.document)
            places = [place for words in wanted for place in whole.find(words, section.start, section.end)]
            if not places:
                continue
            text = whole.text[section.start : section.end]
            spans = [(start - section.start, end - section.start) for start, end in places]
            told = assert_spans(text, spans, lang=self.state.language, sections=[section.name] * len(spans))
            for (start, end), assertion in zip(places, told, strict=True):
                yield self._sign(section.name, assertion, section.document, start, end)

    def _sign(self, section: str, assertion: Assertion, document: int, start: int, end: int) -> str:
        """What one place says of the condition that stands there."""
        if assertion in _UNTOLD or section in self._passed:
            return ""
        if section in self._brought:
            return POSSIBLE if assertion is Assertion.POSSIBLE else PRESENT
        if assertion is Assertion.HISTORICAL:
            return PRESENT
        return self._text(document).cue(start, end)

    def _text(self, document: int) -> _Text:
        if document not in self._texts:
            text = self.state.encounter.documents[document].text
            self._texts[document] = _Text(text, self.state.language)
        return self._texts[document]


class _Text:
    """A document: its sentences, and its normalised form with the way back."""

    def __init__(self, text: str, language: str) -> None:
        self.text = text
        self._cues = cues(language)
        self._normal: Normalised = normalise(text, accents=True)
        self._sentences = sentences(text, language)

    def cue(self, start: int, end: int) -> str:
        """What the sentence around ``text[start:end]`` says, or ""."""
        first, last = next(((a, b) for a, b in self._sentences if a <= start < b), (start, end))
        left, right = self._normal.normalised_span(first, max(last, end))
        here, there = self._normal.normalised_span(start, end)
        whole = self._normal.text
        return self._cues.nearest(whole[left:here], whole[here:there], whole[there:right])

    def find(self, words: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where ``text[start:end]`` holds normalised ``words``, as offsets into the text."""
        first, last = self._normal.normalised_span(start, end)
        for match in re.compile(pattern(words)).finditer(self._normal.text, first, last):
            yield self._normal.original_span(match.start(), match.end())


def _squeezed(text: str) -> str:
    return "".join(letter for letter in normalise(text, accents=True).text if letter.isalnum())
