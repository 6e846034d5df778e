"""The model card of an adapter: what it is, from what data, how it was trained and measured, what it is not for.

    card(Facts(…))  → Markdown, put beside the adapter's file
    distribution(training, base_licence)  → whether it may be passed on, and why not

``training`` is the ``training.json`` of a run; evaluations, gate and agreement are the reports of these commands. What
was not measured is said to be so. The wording is in ``data/en/card.md``. This module reads and writes no file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from jointcoder.errors import name_list

# Licences under which base models may be passed on, by their SPDX names in lower case.
FREE = frozenset({"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0"})
LOCAL_ONLY = "local only, not for distribution"
PURPOSES: Mapping[str, str] = {
    "standardise": "chooses among the code book's names for a wording of the record.",
    "validate": "judges whether a drafted code is coded for this stay.",
    "prioritise": "puts the codes of a stay in order.",
    "mine": "finds the procedures of a stay.",
    "extract": "copies the wordings of diagnoses and procedures out of the record.",
}
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What a card tells. ``training``: None where nothing is known of it."""

    name: str
    file: str
    sha256: str
    size: int
    rank: int
    parameters: int
    invocation: tuple[int, ...]
    kind: str
    base: str
    base_sha256: str
    base_licence: str
    training: Json | None = None
    evaluations: Sequence[Json] = ()
    gate: Json | None = None
    agreement: Json | None = None
    notes: str = field(default="")


@dataclass(frozen=True)
class Distribution:
    """Whether an adapter may be passed on, and the licence or what stands against it."""

    free: bool
    licence: str
    obstacles: tuple[str, ...] = ()


def distribution(training: Json | None, base_licence: str) -> Distribution:
    """Free only where every source is known to be, and the base, too."""
    obstacles = []
    sources = _sources(training)
    if not sources:
        obstacles.append("nothing is known of its training data")
    closed = [f"{s.get('name', '?')} ({s.get('licence') or 'licence not known'})" for s in sources if not _shippable(s)]
    if closed:
        obstacles.append(f"trained on {name_list(closed)}")
    elif sources and training is not None and not training.get("shippable", False):
        obstacles.append("its training was marked as not to be passed on")
    if base_licence.strip().lower() not in FREE:
        obstacles.append(f"the licence of its base is {base_licence or 'not known'}")
    return Distribution(not obstacles, base_licence if not obstacles else LOCAL_ONLY, tuple(obstacles))


def card(facts: Facts) -> str:
    """The card as Markdown."""
    training: Json = facts.training or {}
    status = distribution(facts.training, facts.base_licence)
    agent = str(training.get("agent", ""))
    recipe: Json = training.get("recipe") or {}
    shape = f"{facts.kind}, rank {facts.rank}, {facts.parameters / 1e6:.1f} M parameters"
    if facts.invocation:
        shape += f", activated by the tokens {list(facts.invocation)}"
    elif recipe.get("method") == "alora":
        shape += ", activated"
    closed = f"**{LOCAL_ONLY[0].upper()}{LOCAL_ONLY[1:]}**: {'; '.join(status.obstacles)}."
    return _template().substitute(
        title=f"{facts.name}, an adapter of {facts.base}",
        status="May be passed on under the licence below, with the attributions." if status.free else closed,
        agent=agent or "not recorded",
        base=facts.base,
        base_sha256=facts.base_sha256 or "not recorded",
        base_licence=facts.base_licence or "licence not known",
        file=facts.file,
        sha256=facts.sha256,
        size=f"{facts.size / 1e6:.1f} MB",
        shape=shape,
        licence=status.licence,
        trained=_trained(training),
        data=_data(training),
        recipe=_recipe(recipe, training),
        measured=_measured(facts, training),
        agreement=_agreement(facts.agreement),
        purpose=PURPOSES.get(agent.partition("_")[0], "the step that names it."),
    ).rstrip() + (f"\n\n{facts.notes.strip()}\n" if facts.notes else "\n")


def _sources(training: Json | None) -> list[Json]:
    found = (training or {}).get("sources") or ()
    return [source for source in found if isinstance(source, Mapping)]


def _shippable(source: Json) -> bool:
    return source.get("shippable") is True


def _trained(training: Json) -> str:
    if not training:
        return "not recorded"
    versions: Json = training.get("versions") or {}
    said = ", ".join(f"{name} {versions[name]}" for name in sorted(versions) if versions[name] and name != "threads")
    return f"{training.get('steps', '?')} steps in {float(training.get('seconds') or 0) / 60:.0f} min; {said}"


def _data(training: Json) -> str:
    sources = _sources(training)
    if not sources:
        return "Not recorded."
    rows = [
        "| source | file | records | sha256 | licence and attribution | may be passed on |",
        "|---|---|---|---|---|---|",
    ]
    for s in sources:
        cells = (s.get("name"), s.get("file"), s.get("records"), f"`{s.get('sha256')}`", s.get("licence"))
        rows.append("| " + " | ".join(_cell(c) for c in cells) + f" | {'yes' if _shippable(s) else 'no'} |")
    examples: Json = training.get("examples") or {}
    if examples:
        rows += ["", f"{examples.get('train', '?')} examples to train on, {examples.get('dev', '?')} held out."]
    return "\n".join(rows)


def _recipe(recipe: Json, training: Json) -> str:
    if not recipe:
        return "Not recorded."
    shown = {key: value for key, value in recipe.items() if key not in ("data", "name", "agent", "base")}
    return "\n".join(
        [
            "```toml",
            *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in shown.items() if value is not None),
            "```",
        ]
    )


def _measured(facts: Facts, training: Json) -> str:
    parts = []
    before: Json = training.get("dev_before") or {}
    after: Json = training.get("dev_after") or {}
    if after:
        rows = ["| held-out examples | base | adapter |", "|---|---|---|"]
        keys = [key for key, value in after.items() if isinstance(value, (int, float)) and key != "rows"]
        rows += [f"| {key} | {_number(_of(before, key))} | {_number(after[key])} |" for key in keys]
        parts.append("\n".join(rows))
    if facts.evaluations:
        rows = ["| data | system | n | precision | recall | F1 [95 %] |", "|---|---|---|---|---|---|"]
        for report in facts.evaluations:
            rows += _evaluation(report)
        parts.append("Whole workflow (`jointcoder evaluate`):\n\n" + "\n".join(rows))
    if facts.gate:
        rows = ["| slice | n | before | with the adapter | difference [interval] |", "|---|---|---|---|---|"]
        rows += [_slice(one) for one in facts.gate.get("slices", ())]
        rule = facts.gate.get("rule", "")
        parts.append(f"Against what was in force before ({facts.gate.get('data', '')}). {rule}\n\n" + "\n".join(rows))
    return "\n\n".join(parts) or "Not measured."


def _evaluation(report: Json) -> list[str]:
    rows = []
    for system, figures in (report.get("metrics", {}).get("systems") or {}).items():
        interval = figures.get("interval")
        span = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
        cells = [
            report.get("data"),
            system,
            report.get("n"),
            *(_number(figures.get(k)) for k in ("precision", "recall")),
        ]
        rows.append("| " + " | ".join(_cell(c) for c in cells) + f" | {_number(figures.get('micro_f1'))}{span} |")
        for times, part in (figures.get("frequency") or {}).items():
            count, f1 = part.get("gold", "–"), _number(part.get("micro_f1"))
            rows.append(f"| | seen {times} times in training | {count} codes | | | {f1} |")
    return rows


def _slice(one: Json) -> str:
    low, high = one.get("interval") or (None, None)
    span = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else ""
    gain = one.get("difference")
    said = f"{gain:+.3f}{span}" if gain is not None else "–"
    before, after = _number(one.get("before")), _number(one.get("after"))
    return f"| {one.get('system')}: {one.get('slice')} | {one.get('encounters')} | {before} | {after} | {said} |"


def _agreement(agreement: Json | None) -> str:
    if agreement is None:
        return "Not checked."
    columns = ("over", "prompts", "tokens", "mean |Δ log p|", "largest", "divergence", "of the adapter", "same text")
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for run in agreement.get("runs", ()):
        same = f"{run['same']} of {run['prompts']}" + (f", {run['ties']} near ties" if run["ties"] else "")
        cells = [run["over"], run["prompts"], run["tokens"], f"{run['mean']:.4f}", f"{run['worst']:.4f}"]
        cells += [f"{run['kl']:.5f}", f"{run['effect']:.4f}", same]
        rows.append("| " + " | ".join(str(c) for c in cells) + " |")
    return "\n".join([*rows, "", "Passed." if agreement.get("passed") else "**Not passed.**"])


@cache
def _template() -> Template:
    return Template((files("jointcoder.finetune") / "data" / "en" / "card.md").read_text("utf-8"))


def _of(values: Json, key: str) -> Any:
    return values.get(key, values.get(f"dev_{key}"))


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _cell(value: Any) -> str:
    return str("–" if value is None else value).replace("|", "\\|").replace("\n", " ")
