"""The codes that came with a stay: of its Claim, else of what its Encounter lists, else of its Conditions and
Procedures.

They are coded history (:class:`jointcoder.exchange.incoming.Coded`), for learning and for comparing; no workflow sees
them. Codes of other systems (SNOMED CT …) keep the URI of theirs. What is refuted, entered in error or not done is left
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from jointcoder.exchange.fhir_element import Element, Pool, Resource, extension
from jointcoder.exchange.fhir_terms import DIAGNOSIS_ROLE, DIAGNOSIS_TYPE, PROCEDURE_TYPE, SUGGESTION, system_of
from jointcoder.exchange.incoming import Coded
from jointcoder.records import Kind, System

_REFUTED = ("refuted", "entered-in-error")
_PRINCIPAL = {(DIAGNOSIS_TYPE, "principal"), (PROCEDURE_TYPE, "primary")}
_LAST = 1 << 30


def came_with(encounter: Resource | None, others: Sequence[Resource], pool: Pool) -> tuple[Coded, ...]:
    """The codes of a stay, by kind, in order, the principal marked where the source marks one. InputError JC161."""
    claims = [one for one in others if one.type == "Claim"]
    if claims:
        return _ranked(_claimed(claims[-1], pool))
    diagnoses = list(_listed(encounter, pool)) if encounter is not None else []
    conditions = [one for one in others if one.type == "Condition" and _stands(one)]
    if not diagnoses:
        diagnoses = [(_coded(one, "code", Kind.DIAGNOSIS), _LAST) for one in conditions]
    done = [one for one in others if one.type == "Procedure" and one.text("status") not in ("not-done", *_REFUTED)]
    return _ranked([*diagnoses, *((_coded(one, "code", Kind.PROCEDURE), _LAST) for one in done)])


def coded_as(concept: Element, kind: Kind) -> Coded | None:
    """The code of a CodeableConcept: that of a system we code in, else the first."""
    found: list[Coded] = []
    for coding in concept.children("coding"):
        if code := coding.text("code"):
            system = system_of(coding.text("system"), kind)
            name = coding.text("display") or concept.text("text")
            found.append(Coded(system, code, name, edition=coding.text("version")))
    ours = set(System)
    return next((one for one in found if one.system in ours), found[0] if found else None)


def row_types(row: Element) -> set[tuple[str, str]]:
    """(system, code) of all types of a Claim's row."""
    return {
        (coding.text("system"), coding.text("code"))
        for concept in row.children("type")
        for coding in concept.children("coding")
    }


def is_principal(row: Element) -> bool:
    """Whether a Claim's row says that it is the principal one of its kind."""
    return bool(row_types(row) & _PRINCIPAL)


def sequence_of(row: Element) -> int:
    """The row's number; rows without one come last."""
    number = row.number("sequence")
    return _LAST if number is None else int(number)


def _claimed(claim: Resource, pool: Pool) -> Iterator[tuple[Coded | None, int]]:
    for name, kind in (("diagnosis", Kind.DIAGNOSIS), ("procedure", Kind.PROCEDURE)):
        for row in claim.children(name):
            concept = row.child(f"{name}CodeableConcept")
            if not concept:
                behind = pool.behind(row.child(f"{name}Reference"), within=claim)
                concept = behind.child("code") if behind is not None else concept
            found = coded_as(concept, kind)
            yield (replace(found, primary=is_principal(row)) if found else None), sequence_of(row)


def _listed(encounter: Resource, pool: Pool) -> Iterator[tuple[Coded | None, int]]:
    """What the Encounter lists as diagnoses; those of admission alone only where there are no others."""
    rows = encounter.children("diagnosis")
    admission = [(DIAGNOSIS_ROLE, "AD") in row.codings("use") for row in rows]
    for row, admitting in zip(rows, admission, strict=True):
        behind = pool.behind(row.child("condition"), within=encounter)
        if behind is None or behind.type != "Condition" or not _stands(behind) or (admitting and not all(admission)):
            continue
        rank = row.number("rank")
        found = _coded(behind, "code", Kind.DIAGNOSIS)
        yield (replace(found, primary=rank == 1) if found else None), _LAST if rank is None else int(rank)


def _coded(resource: Resource, name: str, kind: Kind) -> Coded | None:
    return coded_as(resource.child(name), kind)


def _stands(condition: Resource) -> bool:
    refuted = any(code in _REFUTED for _, code in condition.codings("verificationStatus"))
    return not refuted and extension(condition, SUGGESTION) is None


def _ranked(found: Iterable[tuple[Coded | None, int]]) -> tuple[Coded, ...]:
    """By kind and number, ranks from 1, each code of a kind once."""
    rows = [(one, number) for one, number in found if one is not None]
    codes: list[Coded] = []
    for kind in (Kind.DIAGNOSIS, Kind.PROCEDURE, None):
        of_kind = sorted((row for row in rows if row[0].kind is kind), key=lambda row: row[1])
        seen: dict[tuple[str, str], Coded] = {}
        for one, _ in of_kind:
            seen.setdefault((one.system, one.code), one)
        codes += [replace(one, rank=rank) for rank, one in enumerate(seen.values(), start=1)]
    return tuple(codes)
