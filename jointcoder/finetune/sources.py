"""What training data comes from: a labelled corpus, term pairs, coders' decisions, or a code book itself.

    corpus      encounters with gold codes: with spans (CodiEsp), with ordered codes only (JointCoder, CCL25)
    term pairs  a wording and its standard names (CHIP-CDN, Yidu-N7K, your own)
    decisions   JSON lines of coded records with what coders made of them:
                {…CodedRecord…, "note": Encounter or null, "decisions": [{"system", "code", "decision", "to"?}]}
    ranked      a wording with what a pack would have said of it unseen (`jointcoder learn --held-out FILE`)
    book:ID     wordings that a code book gives its own codes: inclusion terms, lines of the index

A decision is ``accept``, ``reject``, ``change`` (``to``: the system and code put in its place) or ``add``. Codes
without one count neither as right nor as wrong. All become :class:`Case` or :class:`Wording`; what a step would be
asked about them is the business of the builders. Knows no model.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jointcoder.codebook.book import CodeBook
from jointcoder.corpora import load, load_terms, terms
from jointcoder.corpora.base import GoldCode, GoldSpan, Row, Where, lines
from jointcoder.errors import name_list
from jointcoder.parsing import parse_encounter
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Kind, System

BOOK = "book:"
DECISIONS = ("accept", "reject", "change", "add")
OWN_WORDINGS = ("inclusion", "index", "synonym")


@dataclass(frozen=True, slots=True)
class Case:
    """An encounter with the codes that are right, and those that a coder has turned down. ``quotes``: for encounters
    whose text is not kept, what the coded record quotes of it."""

    id: str
    encounter: Encounter | None
    language: str
    gold: tuple[GoldCode, ...]
    rejected: tuple[GoldCode, ...] = ()
    ordered: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """A wording of the codes it stands for (more than one where it names several things)."""

    id: str
    text: str
    kind: Kind
    language: str
    names: tuple[str, ...]
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A wording with its candidates, most probable first, as a pack ranks them that never saw it. ``group``: what it
    is split by; ``probability``, ``logodds``: the pack's own opinion; ``gold``: how many terms it holds."""

    group: str
    text: str
    language: str
    names: tuple[str, ...]
    codes: tuple[str, ...]
    probability: tuple[float, ...]
    logodds: tuple[float, ...]
    right: tuple[bool, ...]
    gold: int


@dataclass(frozen=True, slots=True)
class Unseen:
    """A code that a pack proposes for an encounter it never saw, with its probability and the places it rests on:
    (document, start, end)."""

    encounter: str
    system: str
    code: str
    probability: float
    right: bool
    spans: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Source:
    """A source, read. ``licence`` and ``shippable`` say what may be done with weights trained on it."""

    name: str
    file: str
    sha256: str
    licence: str
    shippable: bool
    cases: tuple[Case, ...] = ()
    wordings: tuple[Wording, ...] = ()
    ranked: tuple[Ranked, ...] = ()

    def described(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "name": self.name,
            "file": self.file,
            "sha256": self.sha256,
            "licence": self.licence,
            "shippable": self.shippable,
            "records": len(self.cases) or len(self.wordings) or len(self.ranked),
        }


def read_source(given: str, book: CodeBook, *, limit: int | None = None) -> Source:
    """Read what ``given`` names: a path, or ``book:`` for the wordings of ``book``. InputError as the loaders."""
    if given.startswith(BOOK):
        return _book(book, limit)
    path = Path(given)
    first = next(lines(path))[1]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if terms.matches(first):
        corpus = load_terms(path, limit=limit)
        wordings = tuple(
            Wording(f"{corpus.name}:{item.id}", item.mention, corpus.kind, corpus.language, item.names, codes)
            for item in corpus.items
            for codes in [_codes_of(item.codes, book, corpus.kind, item.names)]
        )
        return Source(corpus.name, path.name, digest, *licence(corpus.name), wordings=wordings)
    if "logodds" in first:
        found = tuple(_ranked(row, place) for place, row in lines(path))[:limit]
        name = str(first.get("source", "ranked"))
        return Source(name, path.name, digest, *licence(name), ranked=found)
    if "decisions" in first or ("versions" in first and "encounter" in first):
        cases = tuple(_decided(row, place) for place, row in lines(path))[:limit]
        return Source("decisions", path.name, digest, *licence("decisions"), cases=cases)
    labelled = load(path, limit=limit)
    cases = tuple(
        Case(
            item.encounter.id,
            item.encounter,
            item.encounter.language or "",
            item.gold,
            ordered=labelled.ordered,
            closed=labelled.closed,
        )
        for item in labelled.items
    )
    return Source(labelled.name, path.name, digest, *licence(labelled.name), cases=cases)


def read_unseen(path: Path) -> dict[str, list[Unseen]]:
    """Encounter → what a pack says of it unseen (`jointcoder learn --held-out FILE`). Raises InputError JC108."""
    found: dict[str, list[Unseen]] = {}
    for row, where in ((row, where) for where, row in lines(path)):
        try:
            spans = tuple((int(document), int(start), int(end)) for document, start, end in row["spans"])
            encounter, system, code = (str(row[name]) for name in ("encounter", "system", "code"))
            one = Unseen(encounter, system, code, float(row["probability"]), bool(row["right"]), spans)
        except (KeyError, TypeError, ValueError):
            raise where.error(
                "not what a pack says of an encounter", hint="`jointcoder learn --held-out FILE` writes it"
            ) from None
        found.setdefault(one.encounter, []).append(one)
    return found


def licence(name: str) -> tuple[str, bool]:
    """The licence of a known data set, and whether weights trained on it may be passed on."""
    entry = _licences().get(name, _licences()["other"])
    return entry["licence"], entry["shippable"]


@cache
def _licences() -> Mapping[str, Any]:
    return tomllib.loads((files("jointcoder.finetune") / "data" / "licences.toml").read_text("utf-8"))


# --------------------------------------------------------------------------------------------------- term pairs


def _codes_of(
    codes: Mapping[str, tuple[str, ...]], book: CodeBook, kind: Kind, names: tuple[str, ...]
) -> tuple[str, ...]:
    """The codes of the edition that agrees best with the book: the same names at most codes, else most codes held."""
    systems = book.systems(kind)

    def agreement(edition: tuple[str, ...]) -> tuple[int, int]:
        held = [
            (name, book.name(system, code))
            for name, code in zip(names, edition, strict=True)
            if code
            for system in systems
        ]
        return sum(name == official for name, official in held), sum(official is not None for _, official in held)

    best = max(codes.values(), key=agreement, default=())
    return best if any(agreement(best)) else ("",) * len(names)


def _ranked(row: Row, where: Where) -> Ranked:
    """Raises InputError JC108 naming the line, never its content."""
    try:
        found = Ranked(
            str(row["group"]),
            str(row["text"]),
            str(row.get("language", "")),
            tuple(map(str, row["names"])),
            tuple(map(str, row["codes"])),
            tuple(map(float, row["probability"])),
            tuple(map(float, row["logodds"])),
            tuple(map(bool, row["right"])),
            int(row["gold"]),
        )
    except (KeyError, TypeError, ValueError):
        raise where.error("not a ranked wording", hint="`jointcoder learn --held-out FILE` writes them") from None
    if len({len(v) for v in (found.names, found.codes, found.probability, found.logodds, found.right)}) != 1:
        raise where.error("the lists of a ranked wording differ in length")
    return found


# ---------------------------------------------------------------------------------------------------- decisions


def _decided(row: Row, where: Where) -> Case:
    fields = dict(row)
    decisions, note = fields.pop("decisions", []), fields.pop("note", None)
    try:
        record = CodedRecord.model_validate(fields)
    except ValidationError as error:
        names = name_list({".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False)})
        raise where.error(f"not a coded record: {names}") from None
    if not isinstance(decisions, list):
        raise where.error("decisions must be a list")
    encounter = parse_encounter(note) if isinstance(note, Mapping) else None
    coded = {(code.system.value, code.code): code for code in record.codes}
    gold: list[GoldCode] = []
    rejected: list[GoldCode] = []
    for place, decision in enumerate(decisions):
        _decide(decision, coded, gold, rejected, where, f"decisions[{place}]")
    return Case(record.encounter, encounter, record.language, tuple(gold), tuple(rejected))


def _decide(
    decision: Any,
    coded: Mapping[tuple[str, str], AssignedCode],
    gold: list[GoldCode],
    rejected: list[GoldCode],
    where: Where,
    place: str,
) -> None:
    if not isinstance(decision, dict) or decision.get("decision") not in DECISIONS:
        raise where.error(f"{place}.decision is none of those known", hint=f"known: {name_list(DECISIONS)}")
    system, code = decision.get("system"), decision.get("code")
    if system not in set(System) or not isinstance(code, str) or not code:
        raise where.error(f"{place} needs a system and a code", hint=f"systems: {name_list(System)}")
    drafted = coded.get((system, code))
    if drafted is None and decision["decision"] != "add":
        raise where.error(f"{place} speaks of a code that the record does not hold")
    own = _gold(system, code, drafted)
    if decision["decision"] in ("accept", "add"):
        gold.append(own)
    else:
        rejected.append(own)
    if decision["decision"] == "change":
        to = decision.get("to")
        if not isinstance(to, dict) or to.get("system") not in set(System) or not isinstance(to.get("code"), str):
            raise where.error(f"{place}.to must name the system and code put in its place")
        gold.append(_gold(to["system"], to["code"], drafted))


def _gold(system: str, code: str, drafted: AssignedCode | None) -> GoldCode:
    spans = tuple(
        GoldSpan(span.document, span.start, span.end, span.quote, ((span.start, span.end),))
        for span in (drafted.evidence if drafted else ())
    )
    primary = drafted is not None and drafted.rank == 1 and drafted.code == code
    return GoldCode(system, code, primary=primary, spans=spans)


# --------------------------------------------------------------------------------------------------------- books


def _book(book: CodeBook, limit: int | None) -> Source:
    """Wordings other than the official name, each of an assignable code, in the book's order."""
    language = book.info.languages[0]
    marks = ",".join("?" * len(OWN_WORDINGS))
    rows = book.rows(
        f"SELECT t.id, t.text, n.system, n.code, n.name FROM term t JOIN node n ON n.id = t.node"
        f" WHERE t.lang = ? AND t.kind IN ({marks}) AND n.billable AND t.text != n.name ORDER BY t.id",
        language,
        *OWN_WORDINGS,
    )
    wordings = tuple(
        Wording(f"{book.info.id}:{number}", text, System(system).kind, language, (name,), (code,))
        for number, text, system, code, name in _first(rows, limit)
    )
    return Source(
        f"{BOOK}{book.info.id}", book.info.id, book.info.sha256, *licence(_kind_of_book(book)), wordings=wordings
    )


def _first(rows: list[tuple[Any, ...]], limit: int | None) -> Iterator[tuple[Any, ...]]:
    """``limit`` rows spread evenly over the book, for its beginning is one chapter."""
    if limit is None or limit >= len(rows):
        yield from rows
        return
    step = len(rows) / limit
    for number in range(limit):
        yield rows[int(number * step)]


def _kind_of_book(book: CodeBook) -> str:
    return "book_us" if System.ICD10CM in book.info.systems else "book"
