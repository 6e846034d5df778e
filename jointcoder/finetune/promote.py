"""An adapter through the gate and into force, its predecessor kept.

    promote(adapter.gguf, "standardise_dx", of=model, candidate=…, current=…, data=dev, settings=…) → Promotion

The predictions must be whose they are said to be: the candidate's name the adapter by its sha256, and where an earlier
version is in force, the current ones name that. What was found is kept beside the adapter's file, and named in its
entry. The way back is ``jointcoder models rollback``. This module measures nothing itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointcoder.assets.register import Registered, Wish, check_fit, checked, register
from jointcoder.assets.versions import SHORT, in_force
from jointcoder.corpora import load
from jointcoder.errors import AssetError, InputError
from jointcoder.evaluation.predictions import read_records
from jointcoder.evaluation.run import training_counts
from jointcoder.finetune.gate import Rule, Verdict, judge, slices
from jointcoder.finetune.gguf_write import replacing
from jointcoder.records import CodedRecord
from jointcoder.settings import Settings

NO_TRAINING = "codes by how often training holds them: give --train"
Records = Mapping[str, CodedRecord]


@dataclass(frozen=True)
class Promotion:
    """``report``: what is kept of it, as JSON. ``registered``: None where the gate refused."""

    verdict: Verdict
    report: dict[str, Any]
    registered: Registered | None = None


@dataclass(frozen=True)
class Evidence:
    """The files on which is judged: predictions (JSON lines, or the report of ``jointcoder evaluate --json``) of the
    candidate and of what is in force, the dev set, and the training set for figures by code frequency. ``unnamed``:
    take predictions that do not say by which adapter they were made."""

    candidate: Path
    current: Path
    data: Path
    train: Path | None = None
    unnamed: bool = False


def promote(
    file: Path,
    name: str,
    *,
    of: str,
    evidence: Evidence,
    settings: Settings,
    rule: Rule | None = None,
    activated: bool = False,
    licence: str = "",
    other_weights: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Judge, and where the gate lets it through put the adapter in force.

    Raises AssetError JC201, JC209, JC210 (the file), JC226 (predictions of another adapter), InputError JC101, JC104,
    JC107, JC108 (predictions and data), and as :func:`jointcoder.assets.register.register`.
    """
    check_fit(file, checked(file), of, settings, other_weights=other_weights)
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    before = in_force(settings, of, name)
    candidate, current = predictions_of(evidence.candidate), predictions_of(evidence.current)
    if not evidence.unnamed:
        _require_made_by(candidate, name, sha256, evidence.candidate)
        if before is not None:
            _require_made_by(current, name, before.sha256, evidence.current)
    corpus = load(evidence.data)
    training = training_counts(load(evidence.train).items) if evidence.train else None
    parts = slices(corpus, candidate, current, training)
    verdict = judge(parts, rule or Rule(), untracked=() if training is not None else (NO_TRAINING,))
    report = {
        "adapter": {"name": name, "of": of, "sha256": sha256},
        "predecessor": before.sha256 if before else "",
        "data": evidence.data.name,
        "data_sha256": hashlib.sha256(evidence.data.read_bytes()).hexdigest(),
        "n": len(corpus.items),
        **verdict.to_json(),
    }
    if not verdict.promoted or dry_run:
        return Promotion(verdict, report)
    record = f"{of}--{name}--{sha256[:SHORT]}.json"
    with replacing(settings.models_dir / record) as out:
        out.write((json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode())
    wish = Wish(
        name=name,
        licence=licence,
        adapter_of=of,
        activated=activated,
        replace=True,
        record=record,
        other_weights=other_weights,
    )
    return Promotion(verdict, report, register(file, settings, wish))


def predictions_of(path: Path) -> dict[str, CodedRecord]:
    """The coded records of a predictions file, or of the run that a report of ``jointcoder evaluate --json`` names.

    Raises InputError JC107, JC104, JC101.
    """
    try:
        report = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        report = None
    named = report.get("predictions") if isinstance(report, dict) and "metrics" in report else None
    if not isinstance(named, str):
        return read_records(path)
    beside = path.parent / named
    places = (Path(named), beside, path.parent / Path(named).name)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError("JC107", f"{path.name} names predictions that are gone: {named}", hint="give the file itself")
    return read_records(found)


def _require_made_by(records: Records, name: str, sha256: str, path: Path) -> None:
    """Every record names the adapter, and by this hash."""
    made = {record.versions.adapters.get(name, "").partition(" ")[0] for record in records.values()}
    if made == {sha256}:
        return
    others = ", ".join(sorted(one[:SHORT] or "no adapter of that name" for one in made - {sha256}))
    raise AssetError(
        "JC226",
        f"{path.name} was made by {others}, not by {name} {sha256[:SHORT]}",
        hint="evaluate again with a workflow whose steps name the adapter; --unnamed takes the file as it is",
    )
