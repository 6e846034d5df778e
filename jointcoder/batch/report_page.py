"""The report of a run as one page of HTML: self-contained, without script, light and dark, English or Chinese.

    html = page(facts, name="night-1", language="zh")

Made from :func:`jointcoder.batch.report.facts`; every value is escaped. Wordings and the frame of the page are data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from jointcoder.errors import CATALOGUE
from jointcoder.text import phrases

_NUMBERS = {"records", "count", "codes", "attempts", "seconds", "share"}
_NUMBERS |= {"done", "failed", "already", "rate", "workers", "lost"}
_CONDITIONS: tuple[str, ...] = (
    "digest",
    "program",
    "workflow",
    "model",
    "backend",
    "context_tokens",
    "adapters",
    "pack",
    "code_books",
)
_CONDITIONS += ("systems", "search", "user_dictionary", "abbreviations")


def page(facts: Mapping[str, Any], *, name: str, language: str = "en") -> str:
    """The page. ``name``: of the run."""
    words = _Words(language)
    title = words("title", name=name)
    lead = words(
        "lead", state=words.of("state", facts["state"]), made=_clock(facts["made"]) + " UTC", program=facts["program"]
    )
    body = "\n".join(part for part in _parts(facts, words) if part)
    frame = Template(_data("report.html"))
    return frame.substitute(language=language, title=escape(title), lead=escape(lead), body=body)


class _Words:
    """What a page says in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._said = tomllib.loads(_data(f"report.{language}.toml"))

    def __call__(self, key: str, **values: object) -> str:
        return str(self._said[key]).format(**values)

    def of(self, table: str, key: str) -> str:
        """A word of a table; what it does not know is said as it is."""
        return str(self._said[table].get(key, key))

    def known(self, table: str, key: str) -> bool:
        return key in self._said[table]

    def meaning(self, key: str) -> str:
        """What a reason, an error's code or a rule's id stands for."""
        if self.known("reasons", key):
            return self.of("reasons", key)
        if key in CATALOGUE:
            english = CATALOGUE[key]
            return english if self.language == phrases.ENGLISH else _chinese(self.language).errors.get(key, english)
        return self.rule(key)

    def rule(self, key: str) -> str:
        """The title of a rule."""
        from jointcoder.codebook.rules import rules

        rule = rules().get(key)
        english = rule.title if rule is not None else key
        return english if self.language == phrases.ENGLISH else _chinese(self.language).titles.get(key, english)


def _parts(facts: Mapping[str, Any], words: _Words) -> Iterable[str]:
    yield _tiles(facts, words)
    yield _ways(facts, words)
    yield _confidence(facts, words)
    yield "<div class='columns'>"
    yield _counted(words, "why", facts["why"], "records")
    yield _counted(words, "findings", facts["findings"], "count", first="rule")
    yield _counted(words, "flags", facts["flags"], "count")
    yield _failures(facts, words)
    yield "</div>"
    yield _persons(facts, words)
    yield _failed(facts, words)
    yield _changed(facts, words)
    yield "<div class='columns'>"
    yield _versions(facts, words)
    yield _steps(facts, words)
    yield "</div>"
    yield _sittings(facts, words)


def _tiles(facts: Mapping[str, Any], words: _Words) -> str:
    speed, tokens, routes = facts["throughput"], facts["tokens"], facts["routes"]
    tiles = [
        ("review", facts["records"]["results"], words("results")),
        ("failed", facts["records"]["failed"], words("failed")),
        ("query", facts["persons"]["count"], words("persons")),
        ("auto", routes.get("auto", 0), words("auto_out")),
        ("none", speed["per_second"], words("per_second")),
        ("none", speed["per_worker_hour"], words("per_worker_hour")),
        ("none", round(speed["seconds"] / 60, 1), words("minutes")),
    ]
    if tokens["calls"]:
        tiles.append(("none", tokens["prompt_tokens"], words("tokens", reused=_number(tokens["reused_tokens"]))))
        tiles.append(("none", tokens["generated_tokens"], words("written")))
    shown = [f"<div class='{kind}'><b>{_number(value)}</b>{escape(label)}</div>" for kind, value, label in tiles]
    return f"<div class='tiles'>{''.join(shown)}</div>"


def _ways(facts: Mapping[str, Any], words: _Words) -> str:
    routes = {key: facts["routes"].get(key, 0) for key in ("auto", "review", "query")}
    routing, calibration = facts["routing"], facts["calibration"] or {}
    if routing.get("threshold") is None:
        said = words("no_threshold", reason=words.of("reason", routing.get("reason", "")))
    else:
        share = _share(routing["precision"])
        said = words("yes_threshold", threshold=f"{routing['threshold']:.3f}", precision=share)
        known = {name: _share(calibration.get(name)) for name in ("lower", "recall")}
        right = _share(calibration.get("precision"))
        numbers = {name: _number(calibration.get(name)) for name in ("records", "codes")}
        said += " " + words.of("measured", routing["reason"]).format(right=right, **known, **numbers)
    return f"<h2>{escape(words('ways'))}</h2>{_bar(routes, words, 'route')}<p class='dim'>{escape(said)}</p>"


def _confidence(facts: Mapping[str, Any], words: _Words) -> str:
    bands = {key: facts["bands"].get(key, 0) for key in ("high", "medium", "low")}
    bands["none"] = facts["bands"].get("", 0)
    bins: Sequence[int] = facts["confidence"]
    most, total = max([*bins, 1]), sum(bins) or 1
    columns = "".join(
        f"<div title='{count:,}'>{_percent(count / total)}<i style='height:{count / most * 5:.2f}rem'></i>"
        f"{place / 10:.1f}</div>"
        for place, count in enumerate(bins)
    )
    return (
        f"<h2>{escape(words('bands'))}</h2><p class='dim'>{escape(words('bands_of_records'))}</p>"
        f"{_bar(bands, words, 'band')}<p class='dim'>{escape(words('histogram'))}</p>"
        f"<div class='histogram'>{columns}</div>"
    )


def _counted(words: _Words, title: str, counts: Mapping[str, int], unit: str, *, first: str = "code") -> str:
    rows = [(key, words.rule(key) if first == "rule" else words.meaning(key), count) for key, count in counts.items()]
    return f"<div>{_table(words, title, (first, 'what', unit), rows)}</div>"


def _failures(facts: Mapping[str, Any], words: _Words) -> str:
    rows = [(one["code"], words.meaning(one["code"]), one["step"], one["count"]) for one in facts["failures"]]
    return f"<div>{_table(words, 'failures', ('code', 'what', 'step', 'records'), rows)}</div>"


def _persons(facts: Mapping[str, Any], words: _Words) -> str:
    found = facts["persons"]
    rows = [
        (
            one["id"],
            words.of("route", one["route"]),
            words.of("band", one["band"] or "none"),
            "; ".join(words.meaning(key) for key in one["why"]),
            one["codes"],
            _place(one["source"]),
        )
        for one in found["first"]
    ]
    lead = words("needing_lead", shown=_number(len(rows)), count=_number(found["count"])) if rows else ""
    return _table(words, "needing", ("id", "way", "band", "why", "codes", "place"), rows, lead)


def _failed(facts: Mapping[str, Any], words: _Words) -> str:
    rows = [
        (one["id"], one["code"], words.meaning(one["code"]), one["step"], one["attempts"], _place(one["source"]))
        for one in facts["failed"]
    ]
    return _table(words, "failed_records", ("id", "code", "what", "step", "attempts", "place"), rows) if rows else ""


def _changed(facts: Mapping[str, Any], words: _Words) -> str:
    found = facts["changed"]
    if not found["count"]:
        return ""
    lead = words("changed_lead", shown=_number(len(found["first"])), count=_number(found["count"]))
    return _table(words, "changed", ("id",), [(one,) for one in found["first"]], lead)


def _versions(facts: Mapping[str, Any], words: _Words) -> str:
    conditions = facts["conditions"]
    rows = []
    for name in _CONDITIONS:
        value = conditions.get(name)
        if not value:
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {str(digest)[:12]}" for key, digest in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        elif name in ("user_dictionary", "abbreviations"):
            value = value[:12]
        digest = str(conditions.get(f"{name}_hash", ""))[:12]
        rows.append((words.of("condition", name), f"{value} {digest}".strip()))
    return f"<div>{_table(words, 'versions', ('name', 'value'), rows)}</div>"


def _steps(facts: Mapping[str, Any], words: _Words) -> str:
    total = sum(facts["steps"].values()) or 1
    rows = [(name, f"{value:,.1f}", _percent(value / total)) for name, value in facts["steps"].items() if value]
    return f"<div>{_table(words, 'steps', ('step', 'seconds', 'share'), rows)}</div>"


def _sittings(facts: Mapping[str, Any], words: _Words) -> str:
    rows = []
    for one in facts["sittings"]:
        tried = one["done"] + one["failed"]
        rate = f"{tried / one['seconds']:.1f}" if one["seconds"] and tried else "–"
        counts = (one["done"], one["failed"], one["already"], rate, one["workers"], one["lost"])
        rows.append((_clock(one["began"]), _clock(one["until"]), words.of("state", one["state"]), *counts))
    columns = ("began", "until", "state", "done", "failed", "already", "rate", "workers", "lost")
    return _table(words, "sittings", columns, rows)


# ------------------------------------------------------------------------------------------------------------ pieces


def _table(words: _Words, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], lead: str = "") -> str:
    head = f"<h2>{escape(words(title))}</h2>" + (f"<p class='dim'>{escape(lead)}</p>" if lead else "")
    if not rows:
        return f"{head}<p class='dim'>{escape(words('nothing'))}</p>"
    kinds = ["n" if column in _NUMBERS else "id" if column in ("id", "place") else "" for column in columns]
    names = "".join(
        f"<th class='{kind}'>{escape(words.of('column', name))}</th>" for name, kind in zip(columns, kinds, strict=True)
    )
    lines = "".join(
        "<tr>" + "".join(f"<td class='{k}'>{escape(_cell(v))}</td>" for v, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f"{head}<div class='wide'><table><tr>{names}</tr>{lines}</table></div>"


def _bar(counts: Mapping[str, int], words: _Words, table: str) -> str:
    total = sum(counts.values()) or 1
    shown = {key: count for key, count in counts.items() if count}
    spans = "".join(f"<span class='{key}' style='width:{count / total:.2%}'></span>" for key, count in shown.items())
    keys = "".join(
        f"<span class='key {key}'><i></i>{escape(words.of(table, key))}: {count:,} ({_percent(count / total)})</span>"
        for key, count in shown.items()
    )
    return f"<div class='bar'>{spans}</div><p>{keys}</p>"


def _cell(value: object) -> str:
    return _number(value) if isinstance(value, int | float) else str(value)


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _percent(value: float) -> str:
    return f"{value:.0%}" if value >= 0.01 or not value else "< 1%"


def _place(source: Mapping[str, Any]) -> str:
    """File and number; the folder is the run's own business."""
    name = str(source.get("file", "")).rpartition("/")[2]
    inner = [str(source[key]) for key in ("sheet", "row", "line", "record") if source.get(key)]
    return ":".join([name, *inner])


def _clock(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _chinese(language: str) -> phrases.Catalogue:
    return phrases.catalogue(language)


def _data(name: str) -> str:
    return resources.files("jointcoder.batch").joinpath("data", name).read_text("utf-8")
