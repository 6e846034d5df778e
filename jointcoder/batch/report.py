"""What came of a run: ``report.json`` for programs, ``report.html`` for people, from the folder alone.

    write(folder, language="en")

The results are read once, line by line; what is kept in memory are counts and the first few hundred records that need a
person. Neither file holds note text. Pages are worded by ``data/report.en.toml`` and ``data/report.zh.toml``.
"""

from __future__ import annotations

import datetime as dt
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jointcoder.batch.folder import RunFolder, note_of, put_whole
from jointcoder.batch.index import DONE, FAILED
from jointcoder.batch.routing import Route

JSON, HTML = "report.json", "report.html"
SHOWN = 500  # records that need a person, and changed ones; the counts are of all
BINS = 10
_WEAKEST_FIRST = {"low": 0, "medium": 1, "": 2, "high": 3}
_COUNTED = ("bands", "routes", "why", "languages", "findings", "severity", "flags")
_COSTS = ("seconds", "calls", "prompt_tokens", "reused_tokens", "generated_tokens")


@dataclass
class _Sums:
    """What is counted while the lines pass by."""

    counters: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in (*_COUNTED, "conditions", "steps")}
    )
    cost: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    confidence: list[int] = field(default_factory=lambda: [0] * BINS)
    persons: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    changed_count: int = 0
    records: int = 0
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, value: Mapping[str, Any]) -> None:
        """One line of the results."""
        note = note_of(value) or {}
        self.records += 1
        route, band = str(note.get("route", "")), str(note.get("band", ""))
        for name, said in (("routes", route), ("bands", band), ("languages", value.get("language", ""))):
            self.counters[name][str(said)] += 1
        self.counters["conditions"][str(note.get("conditions", ""))] += 1
        self.versions.setdefault(str(note.get("conditions", "")), value.get("versions", {}))
        self.counters["why"].update(note.get("why", ()))
        for finding in value.get("findings", ()):
            self.counters["findings"][finding["rule"]] += 1
            self.counters["severity"][finding["severity"]] += 1
        self.counters["flags"].update(flag["code"] for flag in value.get("flags", ()))
        for name in _COSTS:
            self.cost[name] += value.get("cost", {}).get(name, 0)
        for step in value.get("trace", ()):
            self.counters["steps"][step["step"]] += step.get("cost", {}).get("seconds", 0)
        for code in value.get("codes", ()):
            self.codes[code["system"]] += 1
            self.confidence[min(BINS - 1, int(code["confidence"] * BINS))] += 1
        if "replaces" in note:
            self.changed_count += 1
            if len(self.changed) < SHOWN:
                self.changed.append(value["encounter"])
        if route != Route.AUTO:
            self._need(value, note, route, band)

    def _need(self, value: Mapping[str, Any], note: Mapping[str, Any], route: str, band: str) -> None:
        """Keep the records that need a person most: questions, then the weakest; of equals the first."""
        rank = (route != Route.QUERY, _WEAKEST_FIRST.get(band, 2), self.records)
        row = {
            "id": value["encounter"],
            "route": route,
            "band": band,
            "why": list(note.get("why", ())),
            "source": note.get("source", {}),
            "codes": len(value.get("codes", ())),
        }
        kept = (tuple(-int(one) for one in rank), row)  # a heap whose smallest is what is needed least
        if len(self.persons) < SHOWN:
            heapq.heappush(self.persons, kept)
        else:
            heapq.heappushpop(self.persons, kept)


def facts(folder: RunFolder) -> dict[str, Any]:
    """The report as plain values."""
    sums, manifest = _Sums(), folder.manifest
    for value in folder.lines(DONE):
        sums.add(value)
    failures: Counter[tuple[str, str]] = Counter()
    failed: list[dict[str, Any]] = []
    for line in folder.lines(FAILED):
        failures[line.get("step", ""), line["code"]] += 1
        if len(failed) < SHOWN:
            failed.append({name: line[name] for name in ("id", "source", "step", "code", "attempts")})
    return {
        "format": 1,
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "program": manifest.get("program", ""),
        "state": manifest.get("state", ""),
        "records": {"results": sums.records, "failed": failures.total(), "all": sums.records + failures.total()},
        "conditions": manifest.get("conditions", {}),
        "versions": sums.versions,
        "routing": manifest.get("routing", {}),
        "calibration": manifest.get("calibration"),
        "throughput": _throughput(manifest),
        "tokens": {name: round(sums.cost[name], 3) for name in _COSTS},
        "steps": {name: round(value, 3) for name, value in sums.counters["steps"].most_common()},
        "codes": dict(sums.codes),
        "confidence": sums.confidence,
        **{name: dict(sums.counters[name].most_common()) for name in _COUNTED},
        "by_conditions": dict(sums.counters["conditions"]),
        "failures": [{"step": step, "code": code, "count": n} for (step, code), n in failures.most_common()],
        "failed": failed,
        "persons": {"count": sums.records - sums.counters["routes"][Route.AUTO], "first": _persons(sums)},
        "changed": {"count": sums.changed_count, "first": sums.changed},
        "sittings": manifest.get("sittings", []),
    }


def write(folder: RunFolder, *, language: str = "en") -> dict[str, Any]:
    """Put both reports into the folder; the report as plain values. Raises RunError JC704."""
    from jointcoder.batch.report_page import page

    found = facts(folder)
    put_whole(folder.path / JSON, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    put_whole(folder.path / HTML, page(found, name=folder.path.resolve().name, language=language))
    return found


def _persons(sums: _Sums) -> list[dict[str, Any]]:
    return [row for _, row in sorted(sums.persons, key=lambda kept: kept[0], reverse=True)]


def _throughput(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Over all sittings that coded anything."""
    sittings = [one for one in _sittings(manifest) if one["done"] + one["failed"] and one["seconds"]]
    coded = sum(one["done"] + one["failed"] for one in sittings)
    seconds = sum(one["seconds"] for one in sittings)
    worked = sum(one["seconds"] * one["workers"] for one in sittings)
    return {
        "coded": coded,
        "seconds": round(seconds, 3),
        "per_second": round(coded / seconds, 3) if seconds else None,
        "per_worker_hour": round(3600 * coded / worked, 1) if worked else None,
    }


def _sittings(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from manifest.get("sittings", [])
