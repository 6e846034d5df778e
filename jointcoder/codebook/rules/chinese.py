"""Rules of the Chinese editions: ICD-10 with daggers, asterisks and morphology codes, and ICD-9-CM-3.

The tables (``data/zh/rules``) hold "另编码" (code also), "省略编码" (omit code) and adjunct codes of ICD-9-CM-3, the
behaviours of neoplasms, and what needs an external cause. Which dagger codes an asterisk code goes with is read from
the pairs that the code book itself prints (`E11.401+G63.2*`).

Rules: principal-asterisk (in `sequence.py`), asterisk-alone, asterisk-order, principal-morphology,
morphology-behaviour, external-cause-missing, procedure-code-also, procedure-adjunct-alone, procedure-omitted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jointcoder.codebook.rules.alone import MORPHOLOGY
from jointcoder.codebook.rules.case import Case, Item
from jointcoder.codebook.rules.catalogue import stems, table
from jointcoder.codebook.rules.facts import FactBook
from jointcoder.records import Finding, Severity, System

_BEHAVIOUR = re.compile(r"M\d{4,5}/(\d)")


def findings(case: Case) -> Iterator[Finding]:
    """Findings about diagnoses, then about procedures; none for a US record."""
    diagnoses = [item for item in case.diagnoses if item.system is System.ICD10CN]
    procedures = [item for item in case.procedures if item.system is System.ICD9CM3]
    if diagnoses:
        yield from _asterisks(case, diagnoses)
        yield from _morphology(case, diagnoses)
        yield from _external(case, diagnoses)
    if procedures:
        yield from _also(case, procedures)
        yield from _adjuncts(case, procedures)
        yield from _omitted(case, procedures)


def is_asterisk(item: Item) -> bool:
    """An asterisk code by itself; a glued pair is a dagger code that brings its asterisk along."""
    return item.key.endswith("*") and "+" not in item.key


def _asterisks(case: Case, diagnoses: list[Item]) -> Iterator[Finding]:
    daggers = [item for item in diagnoses if not item.key.endswith("*") and item.key[:1] not in "VWXYM"]
    for item in (one for one in diagnoses if is_asterisk(one)):
        if not daggers:
            message = "is an asterisk code; its dagger code is missing"
            yield case.finding("asterisk-alone", item, message=message, remedy="code the underlying disease")
            continue
        partners = _partners(case.book, item.key)
        fitting = [dagger for dagger in daggers if not partners or dagger.key[:3] in partners]
        if not fitting:
            known = ", ".join(sorted(partners)[:8])
            message = f"is an asterisk code; no code of the record is a dagger code it is paired with ({known} are)"
            remedy = "code the underlying disease"
            yield case.finding("asterisk-alone", item, severity=Severity.WARNING, message=message, remedy=remedy)
        elif not item.principal and all(dagger.order > item.order for dagger in fitting):
            message = f"stands before its dagger code {fitting[0].shown}"
            remedy = f"put {fitting[0].shown} first"
            yield case.finding("asterisk-order", item, fitting[0], message=message, remedy=remedy)


def _partners(book: FactBook, key: str) -> frozenset[str]:
    """The categories of the dagger codes that the book pairs with an asterisk code (or with its category)."""
    pairs = book.book.kept("rules.asterisks", lambda: _pairs(book))
    return pairs.get(key, frozenset()) | pairs.get(key[:3], frozenset())


def _pairs(book: FactBook) -> Mapping[str, frozenset[str]]:
    rows = book.book.rows("SELECT key FROM node WHERE system = ? AND key LIKE '%+%*'", str(System.ICD10CN))
    found: dict[str, set[str]] = {}
    for (key,) in rows:
        dagger, _, asterisk = key.partition("+")
        for place in {asterisk, asterisk.rstrip("*")[:3]}:
            found.setdefault(place, set()).add(dagger[:3])
    return {asterisk: frozenset(daggers) for asterisk, daggers in found.items()}


def _morphology(case: Case, diagnoses: list[Item]) -> Iterator[Finding]:
    neoplasms = [item for item in diagnoses if item.key[:1] in "CD" and item.key[:3] <= "D48"]
    for item in diagnoses:
        m = _BEHAVIOUR.search(item.key)
        if m is None:
            continue
        alone = MORPHOLOGY.fullmatch(item.key) is not None
        if alone and item.principal:
            message = "is a morphology code and cannot be principal"
            yield case.finding("principal-morphology", item, message=message, remedy="put the neoplasm code first")
        about = neoplasms if alone else [item]
        wanted = _behaviours().get(m[1])
        if wanted is None or not about:
            continue
        if not any(low <= one.key[:3] <= high for one in about for low, high in wanted):
            others = [one for one in about if one is not item][:1]
            ranges = ", ".join(f"{low}–{high}" for low, high in wanted)
            message = f"has the behaviour /{m[1]}, which belongs to {ranges}"
            remedy = "see the pathology report for the behaviour"
            yield case.finding("morphology-behaviour", item, *others, message=message, remedy=remedy)


@cache
def _behaviours() -> Mapping[str, tuple[tuple[str, str], ...]]:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for row in table("zh", "diagnoses")["behaviour"]:
        low, high = row["codes"]
        found[row["digit"]] = (*found.get(row["digit"], ()), (low, high))
    return found


def _external(case: Case, diagnoses: list[Item]) -> Iterator[Finding]:
    rows = table("zh", "diagnoses")["external"]
    if any(item.key[:1] in rows["causes"] for item in diagnoses):
        return
    injury = next(
        (
            item
            for item in diagnoses
            if item.key.startswith(tuple(rows["injuries"])) and not item.key.startswith(tuple(rows["exempt"]))
        ),
        None,
    )
    if injury is not None:
        message = "is an injury or poisoning; its external cause (V01–Y98) is not coded"
        yield case.finding("external-cause-missing", injury, message=message, remedy="add the external cause if known")


@cache
def _rows(name: str) -> tuple[Mapping[str, Any], ...]:
    """The rows of a table of procedures, prefixes normalised."""
    lists = ("when", "add", "codes", "needs", "omit", "with")
    return tuple(
        {field: stems(value) if field in lists else value for field, value in row.items()}
        for row in table("zh", "procedures")[name]
    )


def _also(case: Case, procedures: list[Item]) -> Iterator[Finding]:
    for row in _rows("code_also"):
        asking = next((item for item in procedures if item.key.startswith(row["when"])), None)
        if asking is None or any(item.key.startswith(row["add"]) for item in procedures):
            continue
        codes = _span(row["add"])
        severity = Severity(row["severity"])
        message = f"asks for a second code ({codes}): {row['what']}"
        remedy = f"add one of {codes}" if severity is Severity.WARNING else f"add one of {codes} if it applies"
        yield case.finding("procedure-code-also", asking, severity=severity, message=message, remedy=remedy)


def _adjuncts(case: Case, procedures: list[Item]) -> Iterator[Finding]:
    for row in _rows("adjunct"):
        adjunct = next((item for item in procedures if item.key.startswith(row["codes"])), None)
        if adjunct is None or any(
            item.key.startswith(row["needs"]) and not item.key.startswith(row["codes"]) for item in procedures
        ):
            continue
        message = f"is coded only beside {row['what']}, which is missing"
        yield case.finding("procedure-adjunct-alone", adjunct, message=message, remedy="add the operation")


def _omitted(case: Case, procedures: list[Item]) -> Iterator[Finding]:
    for row in _rows("omit"):
        done = next((item for item in procedures if item.key.startswith(row["with"])), None)
        if done is None:
            continue
        for item in procedures:
            if item.key.startswith(row["omit"]) and item is not done:
                message = f"is part of {done.shown} (approach or closure)"
                remedy = f"leave {item.shown} out"
                yield case.finding("procedure-omitted", item, done, message=message, remedy=remedy)


def _span(keys: tuple[str, ...]) -> str:
    """Normalised codes for people: ``("0040", "0041")`` → ``00.40, 00.41``."""
    return ", ".join(f"{key[:2]}.{key[2:]}" for key in keys)
