"""One record while it is being judged: its codes with their facts, in the order in which they are sequenced.

Every rule module takes a :class:`Case` and yields findings; :meth:`Case.finding` fills in severity and citation from
the catalogue.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from jointcoder.codebook.rules.catalogue import rules
from jointcoder.codebook.rules.facts import FactBook, Facts, Named, Place
from jointcoder.records import AssignedCode, Finding, Kind, Patient, Role, Severity, System

CHINESE = (System.ICD10CN, System.ICD9CM3)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One code of the record; ``order``: its place in the sequence of its kind, the principal one first."""

    code: AssignedCode
    facts: Facts
    order: int

    @property
    def shown(self) -> str:
        return self.code.code

    @property
    def key(self) -> str:
        return self.facts.key

    @property
    def system(self) -> System:
        return self.facts.system

    @property
    def principal(self) -> bool:
        return self.code.role is Role.PRINCIPAL


class Case:
    """``items`` in the order given; ``diagnoses`` (one assigned twice counts once) and ``procedures`` in sequence;
    ``clinical``: the ICD-10-CM codes among them in the order of their keys; ``on`` as yyyymmdd or None.

    ``inpatient``: True where asked for; False where ruled out; None: taken for one when a code bears an indicator of
    presence on admission.
    """

    def __init__(
        self,
        book: FactBook,
        codes: Sequence[AssignedCode],
        *,
        on: int | None,
        patient: Patient,
        inpatient: bool | None,
    ) -> None:
        self.book, self.on, self.patient, self.asked_inpatient = book, on, patient, inpatient
        orders = _orders(codes)
        self.items = [
            Item(code, book.facts(code.system, code.code), order) for code, order in zip(codes, orders, strict=True)
        ]
        sequence = sorted(self.items, key=lambda item: item.order)
        first: dict[tuple[System, str], Item] = {}
        for item in sequence:
            if item.system in (System.ICD10CM, System.ICD10CN):
                first.setdefault((item.system, item.key), item)
        self.diagnoses = list(first.values())
        self.procedures = [item for item in sequence if item.system in (System.ICD10PCS, System.ICD9CM3)]
        self.clinical = [item for item in self.diagnoses if item.system is System.ICD10CM]
        self.clinical.sort(key=lambda item: item.key)
        self._keys = [item.key for item in self.clinical]
        self._meets: dict[int, list[tuple[Named, Item]]] = {}

    @cached_property
    def flags(self) -> dict[Item, set[str]]:
        """The editor's flags of every code on the day."""
        return {item: self.book.flags(item.facts, self.on) for item in self.items}

    @cached_property
    def inpatient(self) -> bool:
        if self.asked_inpatient is not None:
            return self.asked_inpatient
        return any(item.code.present_on_admission is not None for item in self.diagnoses)

    @cached_property
    def chinese(self) -> bool:
        return any(item.system in CHINESE for item in self.items)

    def named_by(self, named: Iterable[Named]) -> list[tuple[Named, Item]]:
        """The ICD-10-CM codes of the record among those that a note names."""
        keys, found = self._keys, []
        for one in named:
            at = bisect_left(keys, one.reference.first)
            while at < len(keys) and keys[at] <= one.past:
                if one.reference.covers_key(keys[at]):
                    found.append((one, self.clinical[at]))
                at += 1
        return found

    def excluded_at(self, place: Place, kind: str) -> list[tuple[Named, Item]]:
        """The codes of the record that an excludes note printed at ``place`` names."""
        number = place.node * 2 + (kind == "excludes2")
        found = self._meets.get(number)
        if found is None:
            found = self._meets[number] = self.named_by(getattr(self.book.printed(place), kind))
        return found

    def finding(
        self,
        rule: str,
        *items: Item,
        message: str,
        severity: Severity | None = None,
        citation: str = "",
        remedy: str = "",
    ) -> Finding:
        """A finding about ``items``; ``message`` follows the first code; ``citation`` stands before the catalogue's."""
        entry = rules()[rule]
        own = entry.chinese if items and items[0].system in CHINESE else entry.citation
        return Finding(
            rule=rule,
            severity=severity or entry.severity,
            codes=tuple(item.shown for item in items),
            message=f"{items[0].shown} {message}" if items else message,
            citation="; ".join(part for part in (citation, own) if part),
            remedy=remedy,
        )


def _orders(codes: Sequence[AssignedCode]) -> list[int]:
    """The place of each code in the sequence of its kind: the principal code, then by rank where all have one."""
    orders = [0] * len(codes)
    for kind in Kind:
        places = [place for place, code in enumerate(codes) if code.kind is kind]
        ranked = all(codes[place].rank for place in places)
        places.sort(
            key=lambda place: (codes[place].role is not Role.PRINCIPAL, codes[place].rank if ranked else 0, place)
        )
        for order, place in enumerate(places):
            orders[place] = order
    return orders
