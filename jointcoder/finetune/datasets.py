"""Sources and an agent → a folder of training examples, split by encounter. See ``examples.py`` for the format.

    build("validate_dx", ["train.jsonl"], book, folder, dev=["dev.jsonl"], options=DataOptions(), count_tokens=…)

Without files of their own for ``dev``, encounters (or wordings) are drawn for it by their names. Everything the lookup
or the history knows when a training example is made, it learnt from other folds; for held-out examples, from the
training part alone. This module knows which builder serves which agent, not how prompts read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jointcoder import __version__
from jointcoder.codebook.book import CodeBook
from jointcoder.errors import InputError, UsageError
from jointcoder.finetune import choosing, ordering, ranked, verdicts, writing
from jointcoder.finetune.asking import DataOptions, Desk, desk, fold_of
from jointcoder.finetune.examples import Example, write
from jointcoder.finetune.sources import Case, Source, Unseen, read_source, read_unseen

Progress = Callable[[int, int], None]
OF_DEV = 997  # folds for drawing held-out encounters: fine enough for any share
NEEDS = {
    "extract": "encounters with marked wordings (spans)",
    "mine": "encounters with two or more marked procedures",
    "standardise": "marked wordings or term pairs whose codes the code book holds",
    "prioritise": "encounters with a principal code, or codes in order",
    "validate": "encounters whose text is kept, with codes of the book's system",
}


def build(
    agent: str,
    sources: Sequence[str],
    book: CodeBook,
    folder: Path,
    *,
    dev: Sequence[str] = (),
    options: DataOptions | None = None,
    count_tokens: Callable[[str], int],
    counted_by: str = "",
    context_tokens: int = 8192,
    dense: str = "auto",
    limit: int | None = None,
    unseen: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make the examples, write them, return the manifest. ``unseen``: for verdicts, a file of what a pack is unsure of.

    Raises UsageError JC001 (unknown agent, a book without the kind), InputError JC113 when the sources yield no
    training example for this agent, and what the loaders raise.
    """
    options = options or DataOptions()
    at = desk(agent, book, options, count_tokens=count_tokens, context_tokens=context_tokens, dense=dense)
    if at.kind is not None:
        at.system()
    read = [read_source(source, book, limit=limit) for source in sources]
    held = [read_source(source, book, limit=limit) for source in dev]
    stage = agent.partition("_")[0]
    if unseen is not None and stage != "validate":
        raise UsageError("JC001", "a pack's doubts are for the agents validate_dx and validate_px")
    validate = partial(_validate, said=read_unseen(unseen) if unseen else None)
    maker: dict[str, Callable[..., Parts]] = {
        "standardise": _standardise,
        "validate": validate,
        "prioritise": _prioritise,
    }
    parts = maker.get(stage, _write)(read, held, at, progress)
    parts = {
        "train": _selected(parts["train"], at, options.rows),
        "dev": _selected(parts["dev"], at, options.dev_rows, as_found=True),
    }
    if not parts["train"]:
        raise InputError(
            "JC113",
            f"{agent} finds nothing to learn in {', '.join(source.file for source in read)}",
            hint=f"{stage} needs {NEEDS[stage]} (code book: {book.info.id})",
        )
    facts = {
        "agent": agent,
        "program": __version__,
        "seed": options.seed,
        "options": {name: getattr(options, name) for name in options.__dataclass_fields__},
        "book": {"id": book.info.id, "edition": book.info.edition, "sha256": book.info.sha256},
        "search": at.tools.lookup.way,
        "tokens_by": counted_by,
        "sources": [source.described() for source in read],
        "dev_sources": [source.described() for source in held],
        "shippable": all(source.shippable for source in read),
    }
    return write(folder, parts, facts)


def is_held_out(group: str, options: DataOptions) -> bool:
    """Whether an encounter or wording is drawn for the held-out part."""
    import dataclasses

    fine = dataclasses.replace(options, folds=OF_DEV, seed=options.seed + 1)
    return fold_of(group, fine) < options.dev_share * OF_DEV


Parts = dict[str, list[Example]]


def _cases(read: Sequence[Source], held: Sequence[Source], at: Desk) -> tuple[list[Case], list[Case]]:
    train = _unlike([case for source in read for case in source.cases])
    if held:
        known = {case.id for case in train}
        return train, [case for source in held for case in source.cases if case.id not in known]
    return (
        [case for case in train if not is_held_out(case.id, at.options)],
        [case for case in train if is_held_out(case.id, at.options)],
    )


def _unlike(cases: Sequence[Case]) -> list[Case]:
    return list({case.id: case for case in cases}.values())


def _standardise(read: Sequence[Source], held: Sequence[Source], at: Desk, progress: Progress | None) -> Parts:
    """Choices among the lookup's candidates, or a pack's where the sources hold those."""
    parts = _ranked(read, held, at)
    if any(source.cases or source.wordings for source in read):
        found = _looked_up(read, held, at, progress)
        parts = {split: parts[split] + found[split] for split in parts}
    return parts


def _ranked(read: Sequence[Source], held: Sequence[Source], at: Desk) -> Parts:
    rows = [item for source in read for item in source.ranked]
    later = [item for source in held for item in source.ranked]
    dev = later or [item for item in rows if is_held_out(item.group, at.options)]
    groups = {item.group for item in dev}
    train = [item for item in rows if item.group not in groups]
    made = {"train": (train, True), "dev": (dev, False)}
    return {
        split: [one for item in items if (one := ranked.ranked_choice(item, at, training=training))]
        for split, (items, training) in made.items()
    }


def _looked_up(read: Sequence[Source], held: Sequence[Source], at: Desk, progress: Progress | None) -> Parts:
    train = [item for source in read for item in choosing.named(source, at)]
    if held:
        groups = {item.group for item in train}
        dev = [item for source in held for item in choosing.named(source, at) if item.group not in groups]
    else:
        dev = [item for item in train if is_held_out(item.group, at.options)]
        train = [item for item in train if not is_held_out(item.group, at.options)]
    chance = at.chance("order")
    chance.shuffle(train)
    wanted = at.options.rows
    # A choice costs a search: make no more than the selection of hard ones needs.
    train = train if wanted is None else train[: 3 * wanted]
    dev = dev if at.options.dev_rows is None else sorted(dev, key=lambda item: at.chance(item.id).random())
    parts: Parts = {"train": [], "dev": []}
    total, done = len(train) + min(len(dev), at.options.dev_rows or len(dev)), 0
    learnt = at.options.aliases and any(source.cases or not source.name.startswith("book:") for source in read)
    known = [item for source in read for item in choosing.named(source, at) if not source.name.startswith("book:")]
    known = [item for item in known if held or not is_held_out(item.group, at.options)]
    for fold in range(at.options.folds):
        inside = [item for item in train if fold_of(item.group, at.options) == fold]
        others = [item for item in known if fold_of(item.group, at.options) != fold]
        own = at.with_aliases(choosing.aliases(others)) if learnt and inside else at
        for item in inside:
            if example := choosing.choice(item, own, training=True):
                parts["train"].append(example)
            done += 1
            if progress:
                progress(done, total)
    own = at.with_aliases(choosing.aliases(known)) if learnt and dev else at
    for item in dev:
        if at.options.dev_rows is not None and len(parts["dev"]) >= at.options.dev_rows:
            break
        if example := choosing.choice(item, own, training=False):
            parts["dev"].append(example)
        done += 1
        if progress:
            progress(done, total)
    return parts


def _validate(
    read: Sequence[Source],
    held: Sequence[Source],
    at: Desk,
    progress: Progress | None,
    said: dict[str, list[Unseen]] | None = None,
) -> Parts:
    train, dev = _cases(read, held, at)
    history = verdicts.History(train, at.system(), at) if said is None else said

    def of(cases: Sequence[Case], held_out: bool) -> list[Example]:
        found: list[Example] = []
        for number, case in enumerate(cases, start=1):
            found += verdicts.verdicts(case, history, at, held_out=held_out)
            if progress:
                progress(number, len(cases))
        return found

    return {"train": of(train, False), "dev": of(dev, True)}


def _prioritise(read: Sequence[Source], held: Sequence[Source], at: Desk, progress: Progress | None) -> Parts:
    train, dev = _cases(read, held, at)
    others = ordering.principals(train, at)

    def of(cases: Sequence[Case], training: bool) -> list[Example]:
        found = (ordering.ordered(case, others, at, training=training) for case in cases)
        return [example for example in found if example is not None]

    return {"train": of(train, True), "dev": of(dev, False)}


def _write(read: Sequence[Source], held: Sequence[Source], at: Desk, progress: Progress | None) -> Parts:
    train, dev = _cases(read, held, at)
    make = writing.extracted if at.agent == "extract" else writing.mined
    return {split: [e for case in cases for e in make(case, at)] for split, cases in (("train", train), ("dev", dev))}


def _selected(rows: Sequence[Example], at: Desk, wanted: int | None, *, as_found: bool = False) -> list[Example]:
    """The rows in a drawn order, ``wanted`` of them: a share of hard ones in training, as they come for measuring."""
    rows = sorted(rows, key=lambda row: at.chance("draw", row.id).random())
    if wanted is None or len(rows) <= wanted:
        return rows
    if as_found:
        return rows[:wanted]
    answers = sorted({row.answer for row in rows})
    if _is_verdict(rows):  # as many of either answer, as far as there are
        fewest = min(sum(row.answer == answer for row in rows) for answer in answers)
        share = min(fewest, wanted // 2)
        few = min(answers, key=lambda answer: sum(row.answer == answer for row in rows))
        own = _hard_first([row for row in rows if row.answer == few], share, at.options.hard)
        return [row for row in rows if row.id in own | _hard_first(
            [row for row in rows if row.answer != few], wanted - share, at.options.hard)]  # fmt: skip
    chosen = _hard_first(rows, wanted, at.options.hard)
    return [row for row in rows if row.id in chosen]


def _is_verdict(rows: Sequence[Example]) -> bool:
    return (
        len({row.options for row in rows}) == 1 and len(rows[0].options) == 2 and len({row.answer for row in rows}) == 2
    )


def _hard_first(rows: Sequence[Example], wanted: int, share: float) -> set[str]:
    """Ids of ``wanted`` rows, of which ``share`` are hard, as far as there are."""
    hard = [row for row in rows if row.facts.get("hard")]
    easy = [row for row in rows if not row.facts.get("hard")]
    taken = hard[: max(round(share * wanted), wanted - len(easy))]
    return {row.id for row in [*taken, *easy[: max(0, wanted - len(taken))]]}
