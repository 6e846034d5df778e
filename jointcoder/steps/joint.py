"""Diagnoses and procedures together: what one says of the other. Part of *reconcile*, for the Chinese code sets.

    PCI ↔ 急性心肌梗死       the procedure is explained by the diagnosis, both bear the link
    阑尾切除术, 阑尾炎        the operated disease gains as main diagnosis, its operation as main operation
    PCI术后, PCI today       the state of this stay's operation is no diagnosis, unless there was an earlier one
    DIC, 凝血功能障碍         the disease takes the finding in

Pairs, weights and citations are data (``data/joint.toml``). Reads codes and where the record tells of earlier
operations; what else the text says is :mod:`jointcoder.steps.support`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jointcoder.records import AssignedCode, Finding, Flag, Link, Mention, Reason, Severity, System
from jointcoder.steps.common import has_data, step_data
from jointcoder.text.normalise import normalise
from jointcoder.text.status import state as named_state

if TYPE_CHECKING:
    from jointcoder.steps.base import State

BEFORE = frozenset(  # sections that tell of the time before the stay
    {"chief_complaint", "history_present_illness", "past_history", "admission_condition", "admission_diagnosis"}
)
STEP = "reconcile"
Codes = list[AssignedCode]


def linked(procedure: AssignedCode, diagnoses: Sequence[AssignedCode]) -> AssignedCode | None:
    """The diagnosis that explains a procedure: of the likeliest kind, the first in the record's order. None where no
    pair of the table speaks of the procedure, or none of its diagnoses is coded."""
    for pair in pairs_of(procedure):
        for prefix in pair["diagnoses"]:
            found = next((d for d in diagnoses if d.system is System.ICD10CN and d.code.startswith(prefix)), None)
            if found is not None:
                return found
    return None


def pairs_of(procedure: AssignedCode) -> list[Mapping[str, Any]]:
    """The rows of the table that speak of a procedure; none for other classifications."""
    if procedure.system is not System.ICD9CM3:
        return []
    rows = step_data("joint")["pair"]
    return [row for row in rows if procedure.code.startswith(tuple(row["procedures"]))]


def is_operation(procedure: AssignedCode) -> bool:
    """Whether a diagnosis of the record has to explain the procedure."""
    return any(row.get("operation") for row in pairs_of(procedure))


def with_links(diagnoses: Sequence[AssignedCode], procedures: Sequence[AssignedCode]) -> tuple[Codes, Codes]:
    """Both kinds with the links between them, each procedure to the one diagnosis that explains it best."""
    explained: dict[str, AssignedCode] = {}
    for procedure in procedures:
        if diagnosis := linked(procedure, diagnoses):
            explained[procedure.code] = diagnosis
    with_procedures = [_linked(p, "explained_by", explained[p.code]) if p.code in explained else p for p in procedures]
    by_diagnosis = {d.code: [p for p in procedures if explained.get(p.code) is d] for d in diagnoses}
    with_diagnoses = list(diagnoses)
    for place, diagnosis in enumerate(with_diagnoses):
        for procedure in by_diagnosis[diagnosis.code]:
            with_diagnoses[place] = _linked(with_diagnoses[place], "explains", procedure)
    return with_diagnoses, with_procedures


def _linked(code: AssignedCode, relation: str, other: AssignedCode) -> AssignedCode:
    link = Link(relation=relation, system=other.system, code=other.code)
    return code if link in code.links else code.with_(links=(*code.links, link))


def ordered(diagnoses: Sequence[AssignedCode], procedures: Sequence[AssignedCode]) -> tuple[Codes, Codes]:
    """The order after what operations say of the main diagnosis and it of the main operation. Codes whose order was
    not weighed (no reasons of *prioritise*) stay where they are."""
    first, second = list(diagnoses), list(procedures)
    if not first or not second or first[0].system is not System.ICD10CN:
        return first, second
    weights = step_data("joint")["weights"]
    operated = {found.code for p in second if is_operation(p) and (found := linked(p, first))}
    if operated:
        first = [_weighed(d, "operated", weights["operated"]) if d.code in operated else d for d in first]
        first = _by_weight(first)
    main = first[0].code
    second = [
        _weighed(p, "matches", weights["matches"]) if any(link.code == main for link in p.links) else p for p in second
    ]
    return first, _by_weight(second)


def _weighed(code: AssignedCode, feature: str, weight: float) -> AssignedCode:
    return code.with_(order=(*code.order, Reason(feature=feature, value=1.0, weight=weight)))


def _by_weight(codes: Sequence[AssignedCode]) -> Codes:
    """By the sum of the reasons that speak of the order; companions without any keep their place behind."""
    weighed = [code for code in codes if len(code.order) > 1]  # more than what this module adds
    rest = [code for code in codes if len(code.order) <= 1]
    return [*sorted(weighed, key=lambda code: -sum(reason.weight for reason in code.order)), *rest]


def without_states(
    diagnoses: Sequence[AssignedCode], procedures: Sequence[AssignedCode], state: State
) -> tuple[Codes, list[Finding]]:
    """The diagnoses without states that an operation of this very stay left, each drop a finding."""
    mentions = {mention.id: mention for mention in state.mentions}
    kept: Codes = []
    findings: list[Finding] = []
    for code in diagnoses:
        now = _done_now(code, procedures, mentions, state)
        if now is None:
            kept.append(code)
            continue
        findings.append(
            Finding(
                rule="state_of_this_stay",
                severity=Severity.ADVICE,
                codes=(code.code, now.code),
                message=f"{code.code} {code.name} is the state of {now.code}, done in this stay, and was left out",
                citation="ICD-10 Z80–Z98",
            )
        )
    return kept, findings


def _done_now(
    code: AssignedCode, procedures: Sequence[AssignedCode], mentions: Mapping[str, Mention], state: State
) -> AssignedCode | None:
    """The procedure of this stay whose state a diagnosis names, where nothing tells of an earlier one."""
    if code.system is not System.ICD10CN or not code.code.startswith("Z"):
        return None
    own = [mentions[m] for m in code.mentions if m in mentions]
    named = [found.operation for m in own if (found := named_state(m.span.quote, state.language)) and found.operation]
    if not named:
        return None
    row = next((row for row in step_data("joint")["state"] if code.code.startswith(tuple(row["states"]))), None)
    if row is not None:
        words = _words(state.language).get(row["words"], named)
        done = next((p for p in procedures if p.code.startswith(tuple(row["procedures"]))), None)
    else:
        words = named
        quotes = {p.code: _quotes(p, mentions) for p in procedures}
        done = next((p for p in procedures if any(word in quote for word in words for quote in quotes[p.code])), None)
    return None if done is None or _told_before(words, state) else done


def _quotes(procedure: AssignedCode, mentions: Mapping[str, Mention]) -> list[str]:
    """The wordings of a procedure, and its name."""
    return [procedure.name, *(mentions[m].span.quote for m in procedure.mentions if m in mentions)]


def _told_before(words: Sequence[str], state: State) -> bool:
    for section in state.sections:
        if section.name in BEFORE:
            text = normalise(state.encounter.documents[section.document].text[section.start : section.end]).text
            if any(normalise(word).text in text for word in words):
                return True
    return False


def _words(language: str) -> Mapping[str, Sequence[str]]:
    name = f"{language}/joint"
    words: Mapping[str, Sequence[str]] = step_data(name)["words"] if has_data(name) else {}
    return words


def flags(
    states: Sequence[Finding], diagnoses: Sequence[AssignedCode], procedures: Sequence[AssignedCode]
) -> tuple[Flag, ...]:
    """For a person to look at: states that were left out, and operations that no diagnosis explains."""
    found = []
    if states:
        left_out = ", ".join(finding.codes[0] for finding in states)
        found.append(Flag(code="JC612", step=STEP, message=f"left by an operation of this stay: {left_out}"))
    alone = [p.code for p in procedures if is_operation(p) and linked(p, diagnoses) is None]
    if alone:
        found.append(Flag(code="JC615", step=STEP, message=f"no diagnosis explains {', '.join(alone)}"))
    return tuple(found)


def without_taken_in(diagnoses: Sequence[AssignedCode]) -> tuple[Codes, list[Finding]]:
    """The diagnoses without findings that a coded disease takes in, and without a disease "without complications"
    beside its complication."""
    table = step_data("joint")
    kept: Codes = []
    findings: list[Finding] = []
    for code in diagnoses:
        taken = _taken_in(code, diagnoses, table) or _complicated(code, diagnoses, table)
        if taken is None:
            kept.append(code)
            continue
        disease, citation = taken
        findings.append(
            Finding(
                rule="taken_in",
                severity=Severity.ADVICE,
                codes=(code.code, disease.code),
                message=f"{code.code} {code.name} is part of {disease.code} and was left out",
                citation=citation,
            )
        )
    return kept, findings


def _taken_in(
    code: AssignedCode, diagnoses: Sequence[AssignedCode], table: Mapping[str, Any]
) -> tuple[AssignedCode, str] | None:
    for row in table["integral"]:
        if code.system is System.ICD10CN and code.code.startswith(tuple(row["finding"])):
            disease = next((d for d in diagnoses if d.code.startswith(tuple(row["by"]))), None)
            if disease is not None:
                return disease, row["citation"]
    return None


def _complicated(
    code: AssignedCode, diagnoses: Sequence[AssignedCode], table: Mapping[str, Any]
) -> tuple[AssignedCode, str] | None:
    category = code.code[:3]
    if code.system is not System.ICD10CN or category not in table["plain"]["categories"]:
        return None
    plain = f"{category}.9"
    if not code.code.startswith(plain):
        return None
    found = next((d for d in diagnoses if d.code.startswith(category) and not d.code.startswith(plain)), None)
    return (found, table["plain"]["citation"]) if found else None
