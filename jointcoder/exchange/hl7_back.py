"""Messages of ours → coded records again: codes, names, order, roles, present on admission, edition.

What a message does not carry (evidence, confidence, versions but the program's) is not made up: confidence is 1.
"""

from __future__ import annotations

from collections.abc import Iterator

from jointcoder.exchange.hl7_codes import CodeGiven, codes_of
from jointcoder.exchange.hl7_message import Message
from jointcoder.records import AssignedCode, CodedRecord, Kind, Role, System, Versions


def records_in(message: Message) -> Iterator[CodedRecord]:
    """The coded record of a message that has codes; nothing of another."""
    codes: list[AssignedCode] = []
    editions: list[str] = []
    for kind in Kind:
        ours = [one for one in codes_of([message], kind) if one.coded.system in set(System)]
        codes += [_assigned(one, rank) for rank, one in enumerate(ours, start=1)]
        editions += [one.coded.edition for one in ours if one.coded.edition]
    if not codes:
        return
    yield CodedRecord(
        encounter=message.value("PV1", 19) or message.value("PID", 18),
        language=message.value("MSH", 19),
        codes=tuple(codes),
        versions=Versions(program=message.value("SFT", 2), edition=next(iter(editions), "")),
    )


def _assigned(one: CodeGiven, rank: int) -> AssignedCode:
    return AssignedCode(
        system=System(one.coded.system),
        code=one.coded.code,
        name=one.coded.name,
        role=Role.PRINCIPAL if one.priority == 1 else Role.SECONDARY,
        rank=rank,
        confidence=1.0,
        present_on_admission=one.on_admission,
    )
