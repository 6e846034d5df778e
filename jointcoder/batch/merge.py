"""Shards of a run, coded on several machines, into one folder.

    merge((Path("run-1"), Path("run-2")), Path("run"))

The shards must have been coded under the same conditions and hold different encounters; the same result twice counts
once, two results for one id are refused. Lines are copied as they are, one after the other; the shards stay untouched,
and the merged folder is one that ``jointcoder batch`` goes on in.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jointcoder import __version__
from jointcoder.batch.conditions import Conditions
from jointcoder.batch.folder import MANIFEST, RunFolder, read_manifest, row_of
from jointcoder.batch.index import DONE, FAILED
from jointcoder.errors import RunError

_AT_ONCE = 100


def merge(shards: Sequence[Path], target: Path) -> dict[str, int]:
    """How many results and failures the merged folder holds. Raises RunError JC700 (no run folder, or the target is not
    empty), JC702, JC704, JC706 (other conditions, or two results for one id)."""
    manifests = [_manifest(path) for path in shards]
    if (target / MANIFEST).exists():
        raise RunError("JC700", f"{target} holds a run already", hint="name a new folder")
    first = Conditions.from_dict(manifests[0]["conditions"])
    for path, manifest in zip(shards, manifests, strict=True):
        other = Conditions.from_dict(manifest["conditions"])
        if other.digest != first.digest:
            differs = ", ".join(other.differs_from(first))
            raise RunError("JC706", f"{path} was coded under other conditions than {shards[0]}: {differs}")
    with RunFolder(target) as folder:
        for path in shards:
            with RunFolder(path) as shard:
                _take(shard, folder)
        folder.checkpoint()
        folder.tidy()
        counts = folder.index.counts()
        folder.write_manifest(_merged(manifests, shards, counts))
    return counts


def _take(shard: RunFolder, folder: RunFolder) -> None:
    """Every line of a shard that counts."""
    for state in (DONE, FAILED):
        waiting: list[tuple[Any, bytes]] = []
        for value in shard.lines(state):
            notes = value["trace"][-1]["notes"] if state == DONE else value
            notes["seq"] = folder.next_seq()
            row = row_of(value, state, -1)
            assert row is not None
            known = folder.index.get(row.id)
            if known is not None and known.state == DONE:
                if (known.version, state) == (row.version, DONE):
                    continue
                message = f"{row.id}: {shard.path} and another shard hold different results for it"
                raise RunError("JC706", message, hint="were the shards made of the same input, by --shard i/n?")
            waiting.append((replace(row), json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()))
            if len(waiting) >= _AT_ONCE:
                folder.append(waiting)
                waiting = []
        folder.append(waiting)


def _merged(manifests: Sequence[dict[str, Any]], shards: Sequence[Path], counts: dict[str, int]) -> dict[str, Any]:
    states = {manifest["state"] for manifest in manifests}
    return {
        "program": __version__,
        "state": states.pop() if len(states) == 1 else "drained",
        "updated": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "conditions": manifests[0]["conditions"],
        "routing": manifests[0]["routing"],
        "calibration": manifests[0].get("calibration"),
        "shard": None,
        "merged": [path.name for path in shards],
        "results": counts[DONE],
        "failed": counts[FAILED],
        "sittings": list(_sittings(manifests)),
    }


def _sittings(manifests: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for manifest in manifests:
        yield from manifest["sittings"]


def _manifest(path: Path) -> dict[str, Any]:
    values = read_manifest(path)
    if not values:
        raise RunError("JC700", f"{path} is no run folder", hint="name folders that `jointcoder batch` made")
    return values
