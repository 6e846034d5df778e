"""The codes that came with a stay: DG1 and PR1 of the last message that has them.

They are coded history (:class:`jointcoder.exchange.incoming.Coded`), for learning, evaluating and comparing; no
workflow sees them. Of diagnoses the final ones count, working ones where there are no others, those of admission last.
What was deleted (DG1-21, PR1-20) is left out. Codes of other systems keep the name of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from jointcoder.codebook.codes import with_dot
from jointcoder.exchange.hl7_message import Message, Segment, words
from jointcoder.exchange.incoming import Coded
from jointcoder.records import Kind, PresentOnAdmission, System

_LAST = 1 << 30
_TYPES = ("F", "W", "")  # of diagnoses, best first; admission diagnoses ("A") after all others
_DELETED = "D"
_EXEMPT = {"E": PresentOnAdmission.EXEMPT, "1": PresentOnAdmission.EXEMPT}


@dataclass(frozen=True, slots=True)
class CodeGiven:
    """A code as a message gives it: ``priority`` 1 is the principal one, 0 or None: not ranked; ``day`` as it came."""

    coded: Coded
    priority: int | None = None
    number: int = _LAST
    on_admission: PresentOnAdmission | None = None
    day: str = ""
    type: str = ""


def came_with(messages: Sequence[Message]) -> tuple[Coded, ...]:
    """The codes of a stay's messages, by kind, in order, the principal marked where the sender marks one."""
    found: list[Coded] = []
    for kind in Kind:
        once: dict[tuple[str, str], CodeGiven] = {}
        for one in codes_of(messages, kind):
            once.setdefault((one.coded.system, one.coded.code), one)
        found += [_ranked(one, rank) for rank, one in enumerate(once.values(), start=1)]
    return tuple(found)


def codes_of(messages: Sequence[Message], kind: Kind) -> list[CodeGiven]:
    """The codes of one kind, in the order of their priority, then of their numbers."""
    name = "DG1" if kind is Kind.DIAGNOSIS else "PR1"
    last = next((one for one in reversed(messages) if one.all(name)), None)
    if last is None:
        return []
    read = _diagnosis if kind is Kind.DIAGNOSIS else _procedure
    chinese = is_chinese(last)
    found = [one for segment in last.all(name) if (one := read(segment, chinese)) is not None]
    if kind is Kind.DIAGNOSIS:
        found = _final(found)
    return sorted(found, key=lambda one: (one.priority or _LAST, one.number))


def is_chinese(message: Message) -> bool:
    """Whether a message comes from China, by its country (MSH-17), its character set, or its words."""
    head = message.first("MSH")
    if head is None:
        return False
    if head.value(17).upper() in ("CHN", "CN") or head.raw(18).upper().startswith("GB"):
        return True
    names = "".join(one.raw(number) for name in ("DG1", "PR1") for one in message.all(name) for number in (3, 4))
    return any("\u4e00" <= letter <= "\u9fff" for letter in names)


def _final(found: Sequence[CodeGiven]) -> list[CodeGiven]:
    for type in _TYPES:
        if of_type := [one for one in found if one.type == type]:
            return of_type
    return [one for one in found if one.type != "A"] or list(found)


def _diagnosis(segment: Segment, chinese: bool) -> CodeGiven | None:
    coded = _coded(segment, Kind.DIAGNOSIS, chinese)
    if coded is None or segment.value(21) == _DELETED:
        return None
    return CodeGiven(
        coded,
        priority=_number(segment.value(15)),
        number=_number(segment.value(1)) or _LAST,
        on_admission=_indicator(segment.value(26)),
        day=segment.value(5),
        type=segment.value(6),
    )


def _procedure(segment: Segment, chinese: bool) -> CodeGiven | None:
    coded = _coded(segment, Kind.PROCEDURE, chinese)
    if coded is None or segment.value(20) == _DELETED:
        return None
    number, priority = _number(segment.value(1)) or _LAST, _number(segment.value(14))
    return CodeGiven(coded, priority=priority, number=number, day=segment.value(5))


def _coded(segment: Segment, kind: Kind, chinese: bool) -> Coded | None:
    """The code of DG1-3 or PR1-3: that of a system we code in, else the first of the two it may hold."""
    found: list[Coded] = []
    for first, version in ((1, 7), (4, 8)):
        if code := segment.value(3, first):
            system = _system(segment.value(3, first + 2) or segment.value(2), kind, chinese)
            name = segment.value(3, first + 1) or segment.value(4)
            dotted = with_dot(code) if system == System.ICD10CM else code
            found.append(Coded(system, dotted, name, edition=segment.value(3, version)))
    ours = set(System)
    return next((one for one in found if one.system in ours), found[0] if found else None)


def _system(named: str, kind: Kind, chinese: bool) -> str:
    """Our name of a coding system, or the sender's where its codes are not coded here."""
    found = words()["systems"][kind.value].get(named.upper(), named)
    if found == "plain":
        return (System.ICD10CN if chinese else System.ICD10CM).value
    return str(found)


def _indicator(value: str) -> PresentOnAdmission | None:
    if value in _EXEMPT:
        return _EXEMPT[value]
    return PresentOnAdmission(value) if value in {one.value for one in PresentOnAdmission} else None


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _ranked(one: CodeGiven, rank: int) -> Coded:
    """With its rank; what a table of codes has no column for stands in ``given``."""
    coded = replace(one.coded, primary=one.priority == 1, rank=rank)
    if one.on_admission is None:
        return coded
    given = {"system": coded.system, "code": coded.code, "primary": coded.primary, "rank": rank}
    given |= {name: text for name in ("name", "edition") if (text := getattr(coded, name))}
    return replace(coded, given={**given, "present_on_admission": one.on_admission.value})


def numbered_days(given: Iterable[CodeGiven]) -> Iterator[tuple[int, str, str]]:
    """(number, code, day) of the procedures whose day is told."""
    for number, one in enumerate(given, start=1):
        if one.day:
            yield number, one.coded.code, one.day
