"""Which parts coded data can teach; trains them, chooses thresholds, measures, and writes the pack.

    learn([Path("coded.jsonl")], Path("packs/ours"), book=book)

| data | part |
|---|---|
| encounters whose codes have marked evidence | ``mentions`` |
| encounters with codes alone, ordered or not | ``labels`` |
| term pairs (mention → standard name) | ``terms`` |
| encounters, and a coder with a model | ``drafts``, only when asked for |

Thresholds come from held-out scores: out of fold on the training data, or on a dev set where one is given. Records of
the dev set that are among the training data too are left out of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointcoder import __version__
from jointcoder.corpora import Corpus, TermCorpus, load, load_terms
from jointcoder.corpora.base import lines
from jointcoder.corpora.terms import matches as are_terms
from jointcoder.errors import InputError, UsageError, name_list
from jointcoder.learn.measure import HeldOut, figures, held_out
from jointcoder.learn.write import PartReport, describe, draft, ready
from jointcoder.packs.pack import Origin, Pack, PackInfo, sha256_of
from jointcoder.records import System

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.coder import Coder

TRAINERS = {
    "mentions": "jointcoder.learn.mentions",
    "labels": "jointcoder.learn.labels",
    "terms": "jointcoder.learn.terms",
    "drafts": "jointcoder.learn.drafts",
}
NEEDS = {
    "mentions": "mentions needs encounters whose codes have spans",
    "labels": "labels needs coded encounters",
    "terms": "terms needs pairs of mention and normalized names",
    "drafts": "drafts needs coded encounters",
}
CODING = ("mentions", "labels")
TELLING = ("mentions", "terms")  # can say what they would have said unseen
Progress = Callable[[str, int, int], None]  # what is being done, steps done, steps in all


@dataclass(frozen=True)
class Terms:
    """Under which terms a pack may be used: what ``pack.json`` says of the data's licence."""

    licence: str = ""
    attribution: str = ""
    shareable: bool = False


@dataclass(frozen=True)
class Learnt:
    """A finished pack: its description, what each part reported, and the held-out scores for a picture."""

    folder: Path
    info: PackInfo
    reports: dict[str, PartReport]
    held_out: dict[str, HeldOut] = field(default_factory=dict)


def learn(
    data: Sequence[Path],
    folder: Path,
    *,
    parts: Sequence[str] = (),
    name: str = "",
    dev: Path | None = None,
    want_precision: float | None = None,
    lookup: Lookup | None = None,
    coder: Coder | None = None,
    terms: Terms | None = None,
    headings: bool | None = None,
    as_of: dt.date | None = None,
    unseen: Path | None = None,
    replace_old: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Learnt:
    """Train ``parts`` (default: those that the data can teach) and write them as one pack into ``folder``.

    ``headings``: whether headings may be proposed; by default where the data code some. ``as_of``: a day on which the
    data's edition was in force, where it is not the book's. ``coder``: needed for ``drafts``. ``unseen``: a file for
    what the part (one of ``mentions``, ``terms``) would have said of each training record had it not seen it: the
    material for a model that helps it (``python -m jointcoder.finetune data``).

    Raises InputError (JC108 for data that teach nothing, JC114 for too few), UsageError JC213 (unknown
    part), AssetError JC211 (a trainer's library is missing) or JC205.
    """
    if unknown := sorted(set(parts) - set(TRAINERS)):
        raise UsageError("JC213", f"unknown part {name_list(unknown)}", hint=f"known parts: {name_list(TRAINERS)}")
    dev_set = None if dev is None else load(dev)
    held_back = {item.encounter.id for item in dev_set.items} if dev_set else set()
    corpora = [without(read(path), held_back) for path in data]
    fitting = {part: of_part(part, corpora) for part in TRAINERS}
    chosen = tuple(parts) or tuple(p for p in ("mentions", "labels", "terms") if fitting[p])
    if empty := [part for part in chosen if not fitting[part]]:
        raise InputError("JC108", f"the data cannot teach {name_list(empty)}", hint="; ".join(NEEDS[p] for p in empty))
    if not chosen:
        raise InputError("JC108", "the data hold no codes to learn from")
    if unseen is not None and (len(chosen) > 1 or chosen[0] not in TELLING):
        raise UsageError("JC001", f"what a part says unseen is kept for one of {name_list(TELLING)} at a time")
    conditions = terms or Terms()
    if unseen is not None:
        ready(unseen)
    with draft(folder, replace=replace_old) as made:
        reports = {
            part: _train(part, fitting[part], made / part, lookup, coder, want_precision, seed, progress, unseen)
            for part in chosen
        }
        info = PackInfo(
            id=name or folder.name,
            languages=languages(corpora),
            systems=systems(corpora),
            parts=chosen,
            book=lookup.book.info.id if lookup else "",
            headings=codes_headings(corpora, lookup) if headings is None else headings,
            as_of=as_of,
            workflow=coder.workflow.name if coder is not None and "drafts" in chosen else "",
            licence=conditions.licence,
            attribution=conditions.attribution,
            shareable=conditions.shareable,
            origins=tuple(origin(path, corpus) for path, corpus in zip(data, corpora, strict=True)),
            made_by=f"jointcoder {__version__}",
            made_on=dt.datetime.now(dt.UTC).date(),
            thresholds={f"{part}:{k}": v for part, report in reports.items() for k, v in report.thresholds.items()},
            metrics={part: {"held out": report.metrics} for part, report in reports.items() if report.metrics},
        )
        info = describe(made, info)
        scores: dict[str, HeldOut] = {}
        if dev_set is not None:
            info, scores = _on_dev(made, info, dev_set, lookup, want_precision, progress)
    return Learnt(folder, info, reports, scores)


def read(path: Path) -> Corpus | TermCorpus:
    """Encounters or term pairs, whichever the file holds."""
    _, first = next(lines(path))
    return load_terms(path) if are_terms(first) else load(path)


def without(corpus: Corpus | TermCorpus, ids: Set[str]) -> Corpus | TermCorpus:
    """The corpus without records of these ids: what is held out for choosing may not teach."""
    if isinstance(corpus, TermCorpus) or not ids:
        return corpus
    return replace(corpus, items=tuple(item for item in corpus.items if item.encounter.id not in ids))


def of_part(part: str, corpora: Sequence[Corpus | TermCorpus]) -> list[Any]:
    """The corpora that can teach the part."""
    if part == "terms":
        return [c for c in corpora if isinstance(c, TermCorpus)]
    encounters = [c for c in corpora if isinstance(c, Corpus) and c.codes]
    if part == "mentions":
        return [c for c in encounters if marked(c)]
    if part == "labels":
        return [c for c in encounters if not marked(c)]
    return list(encounters)


def marked(corpus: Corpus) -> bool:
    """Whether most codes have marked evidence."""
    spans = sum(bool(code.spans) for item in corpus.items for code in item.gold)
    return 2 * spans > corpus.codes


def languages(corpora: Sequence[Corpus | TermCorpus]) -> tuple[str, ...]:
    """The languages that the records state, most frequent first; those that state none are left to detection."""
    from collections import Counter

    counts: Counter[str] = Counter()
    for corpus in corpora:
        if isinstance(corpus, TermCorpus):
            counts[corpus.language] += len(corpus)
        else:
            counts.update(item.encounter.language for item in corpus.items if item.encounter.language)
    return tuple(language for language, _ in counts.most_common())


def systems(corpora: Sequence[Corpus | TermCorpus]) -> tuple[System, ...]:
    """The code systems that the data code; none for term pairs, whose codes the code book gives."""
    found = {system for corpus in corpora if isinstance(corpus, Corpus) for system in corpus.systems}
    return tuple(system for system in System if system.value in found)


def codes_headings(corpora: Sequence[Corpus | TermCorpus], lookup: Lookup | None) -> bool:
    """Whether the data code headings of the book at all (more than one code in fifty)."""
    if lookup is None:
        return False
    book = lookup.book
    seen: dict[tuple[str, str], bool] = {}
    stems = total = 0
    for corpus in corpora:
        if not isinstance(corpus, Corpus):
            continue
        for label in (label for item in corpus.items for label in item.gold):
            system = System(label.system)
            if system not in book.info.systems:
                continue
            key = (label.system, label.code)
            if key not in seen:
                seen[key] = not book.is_billable(system, label.code) and book.is_stem(system, label.code)
            total, stems = total + 1, stems + seen[key]
    return 50 * stems > total


def origin(path: Path, corpus: Corpus | TermCorpus) -> Origin:
    """The file's name, hash and size: what tells it again, nothing of what it says."""
    codes = corpus.codes if isinstance(corpus, Corpus) else sum(len(item.names) for item in corpus.items)
    return Origin(name=path.name, sha256=sha256_of(path), records=len(corpus), codes=codes)


def _train(
    part: str,
    corpora: Sequence[Any],
    folder: Path,
    lookup: Lookup | None,
    coder: Coder | None,
    want_precision: float | None,
    seed: int,
    progress: Progress | None,
    unseen: Path | None,
) -> PartReport:
    folder.mkdir()
    trainer = import_module(TRAINERS[part])
    more = {"held_out": unseen} if unseen is not None else {}
    report: PartReport = trainer.train(
        corpora,
        folder,
        lookup=lookup,
        coder=coder,
        seed=seed,
        want_precision=want_precision,
        progress=(lambda done, total: progress(part, done, total)) if progress else None,
        **more,
    )
    return report


def _on_dev(
    folder: Path,
    info: PackInfo,
    corpus: Corpus,
    lookup: Lookup | None,
    want_precision: float | None,
    progress: Progress | None,
) -> tuple[PackInfo, dict[str, HeldOut]]:
    """Thresholds of the coding parts chosen anew on a dev set, with its figures.

    Where labels come from a closed set, the part's own balance of F1 and recall stays, unless a precision is wanted.
    """
    thresholds, metrics, rows = dict(info.thresholds), dict(info.metrics), {}
    for part in (part for part in info.parts if part in CODING):
        pack = Pack.open(folder)
        done = 0

        def step(number: int, part: str = part) -> None:
            nonlocal done
            done += number
            if progress:
                progress(f"{part} on dev", done, len(corpus))

        found, scored = held_out(pack.part(part, lookup).propose, corpus.items, corpus.systems, progress=step)
        rows.update({f"{part}:{system}": row for system, row in found.items()})
        if not corpus.closed or want_precision is not None:
            thresholds |= {f"{part}:{system}": row.threshold(want_precision) for system, row in found.items()}
            info = describe(folder, info.model_copy(update={"thresholds": dict(thresholds)}))
            _, scored = held_out(Pack.open(folder).part(part, lookup).propose, corpus.items, corpus.systems)
        metrics[part] = {**metrics.get(part, {}), "dev": figures(scored, corpus.systems)}
    return describe(folder, info.model_copy(update={"metrics": metrics})), rows
