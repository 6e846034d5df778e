"""Encounters without what tells who they are about: find, decide, replace, move the evidence along.

    deid = Deidentifier(key=Key.read(path))
    done = deid.encounter(encounter)
    done.encounter, done.counts, done.span(span), done.record(coded_record)

One encounter at a time, nothing kept between them, so a stream of any length needs the memory of one. What patterns
cannot know stays: a name without title, label or relation that is in no list; pictures of pages; what is odd enough to
point to somebody without naming them. ``finders`` add recognisers of your own (a tagger of names …).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jointcoder.errors import InputError
from jointcoder.records import CodedRecord, Document, Encounter, Flag, Line, Section, Span
from jointcoder.text.deid import dates
from jointcoder.text.deid.found import Change, Found, Identifier, Moved, settled
from jointcoder.text.deid.key import Key
from jointcoder.text.deid.patterns import find, languages_of, levelled, words
from jointcoder.text.deid.stand_ins import StandIns
from jointcoder.text.language import detect
from jointcoder.text.normalise import Normalised

Finder = Callable[[str, str], Iterable[Found]]
"""A recogniser: (text, language) → what it finds in the text as it is."""

STEP = "deid"
_SPAN_TOUCHED, _LEFT = "JC721", "JC724"
_HAN = re.compile("[\u3400-\u9fff]")
_LEFTOVER = re.compile(r"(?<![\d.])\d{9,}(?![\d.]|\s?(?:/|%|mg|ml|copies|IU|个|拷贝))|[\w.]@[\w.]")
_ID_FIELDS = ("fhir.encounter", "fhir.patient", "hl7.account", "hl7.patient", "hl7.visit")  # hold nothing but ids
_PLAIN_ID = re.compile(r"\d{1,3}")
_ELSEWHERE = (Identifier.NAME, Identifier.ID, Identifier.PHONE, Identifier.EMAIL, Identifier.ADDRESS)
_SHORTEST_WORD = 3  # letters of a part of a name that is looked for alone
OLDEST_SAID = dates.OLDEST + 1


@dataclass(frozen=True)
class Wishes:
    """What is done beyond the names, numbers, places and dates of persons. ``surrogates``: plausible words instead of
    placeholders. ``hospitals``, ``wards``: those too. ``keep_ids``: ids of encounters stay. ``patient_field``: the
    administrative field that says whose encounter it is, so that all of a patient's move by the same days (which
    may take a stay into another edition of the code books)."""

    surrogates: bool = False
    hospitals: bool = False
    wards: bool = False
    keep_ids: bool = False
    patient_field: str = ""

    @property
    def asked(self) -> frozenset[str]:
        return frozenset(name for name in ("hospitals", "wards") if getattr(self, name))


@dataclass(frozen=True)
class Deidentified:
    """An encounter after its changes. ``moves``: one a document. ``counts``: identifiers replaced, by kind. ``flags``:
    JC724 where something still looks like one."""

    encounter: Encounter
    moves: tuple[Moved, ...]
    counts: Counter[str]
    flags: tuple[Flag, ...]
    shift_days: int
    replaced: tuple[tuple[str, str], ...]  # words of the original → stand-in, longest first
    found: tuple[tuple[Found, ...], ...]  # what was replaced, by document, in offsets of the original

    def span(self, span: Span) -> Span:
        """Evidence moved along, its quote as the new text reads. InputError JC722 for one that lies outside."""
        if span.document >= len(self.moves):
            raise InputError("JC722", f"a span points to document {span.document}, which is not there")
        start, end = self.place(span.document, span.start, span.end)
        return Span(document=span.document, start=start, end=end, quote=self.moves[span.document].text[start:end])

    def place(self, document: int, start: int, end: int) -> tuple[int, int]:
        """Offsets into the original document → offsets into the new one. InputError JC722."""
        if not (0 <= document < len(self.moves)):
            raise InputError("JC722", f"a span points to document {document}, which is not there")
        moved = self.moves[document]
        length = len(moved.text) + sum(change.end - change.start - len(change.text) for change in moved.changes)
        if not 0 <= start <= end <= length:
            raise InputError("JC722", f"a span lies outside document {document}")
        return moved.span(start, end)

    def touched(self, document: int, start: int, end: int) -> bool:
        """Whether words between the offsets of the original were replaced."""
        return self.moves[document].touched(start, end)

    def record(self, record: CodedRecord) -> CodedRecord:
        """A coded record of this encounter: evidence moved, id and repeated identifiers replaced; codes, confidences
        and order as they were. InputError JC722 where evidence does not fit; JC721 flags evidence that was replaced."""
        row = record.model_dump(mode="json")
        row["encounter"] = self.encounter.id
        hit = 0
        for code in (*row["codes"], *row["suggestions"]):
            for number, given in enumerate(code["evidence"]):
                span = Span(**given)
                new = self.span(span)
                hit += self.touched(span.document, span.start, span.end)
                code["evidence"][number] = new.model_dump(mode="json")
            for name in ("verdicts", "reasons", "order", "checks"):
                code[name] = self._scrubbed(code[name])
        for name in ("flags", "findings", "trace"):
            row[name] = self._scrubbed(row[name])
        if hit:
            message = f"evidence of {hit} places lay within identifiers and reads otherwise now"
            row["flags"].append(Flag(code=_SPAN_TOUCHED, step=STEP, message=message).model_dump(mode="json"))
        return CodedRecord.model_validate(row)

    def scrubbed(self, text: str) -> str:
        """A text about the encounter, without the identifiers that were found in it."""
        for old, new in self.replaced:
            text = text.replace(old, new)
        return text

    def _scrubbed(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.scrubbed(value)
        if isinstance(value, list):
            return [self._scrubbed(one) for one in value]
        if isinstance(value, dict):
            return {name: self._scrubbed(one) for name, one in value.items()}
        return value


@dataclass(frozen=True)
class _Text:
    """A text of the encounter with what was found in it."""

    plain: Normalised
    languages: tuple[str, ...]
    found: tuple[Found, ...]


class Deidentifier:
    """Replaces identifiers. ``key``: who has it can make the same shifts and stand-ins again; default: a random one."""

    def __init__(self, *, key: Key | None = None, wishes: Wishes | None = None, finders: Sequence[Finder] = ()) -> None:
        self.key, self.wishes, self._finders = key or Key.random(), wishes or Wishes(), tuple(finders)

    def text(self, text: str, *, language: str | None = None) -> tuple[str, Moved, Counter[str]]:
        """One text alone, with the way of its offsets and the counts by kind. InputError JC101 for a blank one."""
        done = self.encounter(Encounter.from_text(text, language=language))
        return done.moves[0].text, done.moves[0], done.counts

    def encounter(self, encounter: Encounter) -> Deidentified:
        """All documents, fields and dates of an encounter. InputError JC105 for an unknown language."""
        patient = encounter.fields.get(self.wishes.patient_field)
        whose = patient or encounter.id
        # All stays of a patient move alike, so none of them can ask for its own edition.
        anchors = () if patient else tuple(day for day in (encounter.admitted, encounter.discharged) if day)
        days = self.key.shift(whose, anchors)
        language = encounter.language or _detected(encounter)
        work = _Work(self, encounter, StandIns(self.key, whose, surrogates=self.wishes.surrogates), days, language)
        return work.done()

    def look(self, text: str, language: str, *, days: int, year: int | None, reference: Any = None) -> _Text:
        """A text read by the patterns, the dates and the finders."""
        plain = levelled(text)
        languages = languages_of(plain.text, language)
        found = list(find(plain.text, languages, wishes=self.wishes.asked))
        found = [
            Found(one.start, one.end, one.kind, becomes=str(OLDEST_SAID)) if one.kind is Identifier.AGE else one
            for one in found
        ]
        found += dates.moved(plain.text, languages, days=days, year=year, reference=reference)
        for finder in self._finders:
            for one in finder(text, languages[0]):
                start, end = plain.normalised_span(one.start, one.end)
                found.append(Found(start, end, one.kind, whole=one.whole, becomes=one.becomes))
        return _Text(plain, languages, tuple(found))


class _Work:
    """One encounter on its way."""

    def __init__(self, owner: Deidentifier, encounter: Encounter, stand: StandIns, days: int, language: str) -> None:
        self._owner, self._encounter, self._stand, self._days = owner, encounter, stand, days
        self._language = language
        self._anchor = encounter.discharged or encounter.admitted
        self._counts: Counter[str] = Counter()
        self._replaced: dict[str, str] = {}

    def done(self) -> Deidentified:
        encounter, days = self._encounter, self._days
        texts = [self._look(document.text) for document in encounter.documents]
        titles = [self._look(document.title) for document in encounter.documents]
        fields = {name: self._look(f"{name}: {value}") for name, value in encounter.fields.items()}
        names = _Names([*texts, *titles, *fields.values()])
        found = [self._found(text, names) for text in texts]
        pairs = zip(encounter.documents, found, strict=True)
        moves = tuple(self._moved(document.text, places) for document, places in pairs)
        documents = tuple(
            self._document(document, moved, self._moved(document.title, self._found(title, names)).text)
            for document, moved, title in zip(encounter.documents, moves, titles, strict=True)
        )
        written = {name: self._field(name, text, names) for name, text in fields.items()}
        age = encounter.patient.age_years
        old = age is not None and age > dates.OLDEST
        self._counts[Identifier.AGE.value] += old
        new = Encounter(
            id=encounter.id if self._owner.wishes.keep_ids else self._owner.key.pseudonym(encounter.id),
            documents=documents,
            sections=tuple(self._section(section, moves) for section in encounter.sections),
            patient=encounter.patient.model_copy(update={"age_years": float(OLDEST_SAID)})
            if old
            else encounter.patient,
            admitted=dates.shifted(encounter.admitted, days) if encounter.admitted else None,
            discharged=dates.shifted(encounter.discharged, days) if encounter.discharged else None,
            language=encounter.language,
            fields=written,
        )
        replaced = sorted(self._replaced.items(), key=lambda pair: -len(pair[0]))
        left = self._left(moves)
        return Deidentified(new, moves, +self._counts, left, days, tuple(replaced), tuple(found))

    def _look(self, text: str) -> _Text:
        year = self._anchor.year if self._anchor else None
        return self._owner.look(text, self._language, days=self._days, year=year, reference=self._anchor)

    def _found(self, text: _Text, names: _Names) -> tuple[Found, ...]:
        """What is to be replaced, in offsets of the original."""
        kept = settled([*text.found, *names.repeated(text.plain.text)])
        places = (text.plain.original_span(one.start, one.end) for one in kept)
        return tuple(replace(one, start=start, end=end) for one, (start, end) in zip(kept, places, strict=True))

    def _field(self, name: str, text: _Text, names: _Names) -> str:
        """The value of an administrative field, read as what its name says it is."""
        if name in _ID_FIELDS and not self._owner.wishes.keep_ids:
            type, slash, id = self._encounter.fields[name].rpartition("/")  # a reference of FHIR keeps its type
            return f"{type}{slash}{self._owner.key.pseudonym(id)}"
        lead = f"{name}: "
        inside = [one for one in self._found(text, names) if one.start >= len(lead)]
        return self._moved(lead + self._encounter.fields[name], inside).text[len(lead) :]

    def _moved(self, original: str, found: Iterable[Found]) -> Moved:
        changes = []
        for one in found:
            words_found = original[one.start : one.end]
            new = one.becomes
            if new is None:
                new = self._stand(words_found, one.kind, self._language)
                if one.kind in _ELSEWHERE and len(words_found) > (1 if _HAN.search(words_found) else 3):
                    self._replaced[words_found] = new
            self._counts[one.kind.value] += not one.further
            changes.append(Change(one.start, one.end, new))
        return Moved.of(original, changes)

    def _document(self, document: Document, moved: Moved, title: str) -> Document:
        id = document.id
        if not (self._owner.wishes.keep_ids or _PLAIN_ID.fullmatch(id)):
            id = self._owner.key.pseudonym(id)
        changed: dict[str, Any] = {"id": id, "text": moved.text, "title": title, "lines": _lines(document.lines, moved)}
        return Document(**{name: getattr(document, name) for name in Document.model_fields} | changed)

    def _section(self, section: Section, moves: Sequence[Moved]) -> Section:
        start, end = moves[section.document].span(section.start, section.end)
        heading = section.heading
        for old, new in self._replaced.items():
            heading = heading.replace(old, new)
        return Section(name=section.name, heading=heading, document=section.document, start=start, end=end)

    def _left(self, moves: Sequence[Moved]) -> tuple[Flag, ...]:
        made = set(self._replaced.values())
        left = sum(
            not any(match[0] in new for new in made)
            and not any(
                start < match.end() and match.start() < start + len(change.text)
                for start, change in zip(moved.starts, moved.changes, strict=True)
            )
            for moved in moves
            for match in _LEFTOVER.finditer(moved.text)
        )
        message = f"{left} long numbers or addresses were left; a person should look"
        return (Flag(code=_LEFT, step=STEP, message=message),) if left else ()


class _Names:
    """Names that titles or labels gave, found again wherever they stand in the encounter."""

    def __init__(self, texts: Iterable[_Text]) -> None:
        texts = list(texts)
        whole: set[str] = set()
        for text in texts:
            for one in settled(text.found):
                if one.whole and one.kind is Identifier.NAME:
                    whole.add(text.plain.text[one.start : one.end])
        eponymous = "|".join(re.escape(word) for word in words("eponymous", "en"))
        guard = rf"(?!(?:['’]s?)?[ -](?:{eponymous})\b)"
        forms: set[str] = set()
        for name in whole:
            if _HAN.search(name):
                if len(name) > 1 and name not in words("common_words", "zh"):
                    forms.add(re.escape(name))
                continue
            tokens = [re.escape(token) for token in re.split("[ ,]+", name)]
            if len(tokens) > 1:
                forms.add(rf"(?i:\b{'[ ,]+'.join(tokens)}\b){guard}")
            forms.update(rf"\b(?:{re.escape(word)}|{re.escape(word.upper())})\b{guard}" for word in _alone(name))
        self._forms = re.compile("|".join(sorted(forms, key=len, reverse=True))) if forms else None

    def repeated(self, text: str) -> Iterable[Found]:
        """Where they stand in a levelled text."""
        for match in self._forms.finditer(text) if self._forms else ():
            yield Found(match.start(), match.end(), Identifier.NAME)


def _alone(name: str) -> list[str]:
    """The words of a Latin name that mean the person when they stand alone."""
    common = {word.casefold() for language in ("en", "es") for word in words("common_words", language)}
    common |= {word.casefold() for language in ("en", "es") for word in words("not_names", language)}
    tokens = [token.strip(".,") for token in name.split()]
    return [
        token[:1] + token[1:].lower() if token.isupper() else token
        for token in tokens
        if len(token) >= _SHORTEST_WORD and token[:1].isupper() and token.casefold() not in common
    ]


def _lines(lines: Iterable[Line], moved: Moved) -> tuple[Line, ...]:
    """Places of lines on their pages; one that a replacement took in whole is gone."""
    kept: list[Line] = []
    last = 0
    for line in lines:
        start, end = moved.span(line.start, line.end)
        start = max(start, last)
        if start < end:
            kept.append(line.model_copy(update={"start": start, "end": end}))
            last = end
    return tuple(kept)


def _detected(encounter: Encounter) -> str:
    try:
        return detect("\n".join(document.text for document in encounter.documents)).language
    except InputError:
        return "en"  # a script that is not coded here; numbers and addresses are found all the same
