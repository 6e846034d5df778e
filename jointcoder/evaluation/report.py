"""The report of a run: one JSON object that other programs read, a table for people, a row for a README.

    n, data, workflow, metrics {systems, joint, principal_accuracy, ndcg3, evidence_f1, ccl25_acc, other_diagnoses,
    invalid_code_rate, compliance, ece, auto_share}, cost, versions, predictions

Keys beyond these are additions (``counts``, ``by_length``, ``evidence`` …). A measure that does not apply is absent.
Every figure is a share between 0 and 1 unless its name says otherwise. No note text enters a report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jointcoder.evaluation import bootstrap, calibration, evidence, metrics
from jointcoder.evaluation.metrics import Counts
from jointcoder.evaluation.scored import Key, Scored
from jointcoder.records import Cost, Kind

if TYPE_CHECKING:
    from rich.console import Group

Report = dict[str, Any]


def measures(
    scored: Sequence[Scored],
    systems: Sequence[str],
    *,
    slack: int | None = None,
    closed: bool = False,
    training: Mapping[Key, int] | None = None,
    seed: int = 0,
    resamples: int = bootstrap.RESAMPLES,
) -> Report:
    """The ``metrics`` object for encounters already restricted to ``systems``.

    ``slack``: None scores evidence exactly (MDACE), a number by containment (CodiEsp-X). ``closed``: labels come
    from a closed set, so figures within it are added and CCL25's measure applies. ``training``: how often each
    code occurs in training, for the rare-code bins.
    """
    figures = partial(block, scored, closed=closed, training=training, seed=seed, resamples=resamples)
    found: Report = {
        "systems": {system: figures(system) for system in systems},
        "joint": figures(None),
        "principal_accuracy": _present({kind.value: metrics.principal_accuracy(scored, kind) for kind in Kind}),
        "ndcg3": _present({kind.value: metrics.ndcg(scored, kind) for kind in Kind}),
        "ccl25_acc": metrics.ccl25_accuracy(scored) if closed else None,
        "other_diagnoses": (others := metrics.other_diagnoses(scored) if closed else None) and prf(others),
        "ece": calibration.expected_calibration_error(scored),
        "auto_share": {},
        "auto_threshold": {},
        "macro_over": "codes that are gold or predicted at least once",
    }
    for level in calibration.LEVELS:
        share = calibration.auto_share(scored, level)
        if share is not None:
            found["auto_share"][str(level)], found["auto_threshold"][str(level)] = share
    return _present(found | _evidence(scored, slack))


def block(
    scored: Sequence[Scored],
    system: str | None,
    *,
    closed: bool = False,
    training: Mapping[Key, int] | None = None,
    seed: int = 0,
    resamples: int = bootstrap.RESAMPLES,
) -> Report:
    """The figures of one system, or of all jointly (None)."""
    counts = metrics.micro(scored, system)
    interval = bootstrap.interval(metrics.count_matrix(scored, system), seed=seed, resamples=resamples)
    struck = metrics.without_only_negated(scored, system)
    lengths = metrics.by_length(scored) if system == "ICD-10-PCS" else None
    return _present(
        {
            **prf(counts),
            "macro_f1": metrics.macro_f1(scored, system),
            "map": metrics.mean_average_precision(scored, system),
            "jaccard": metrics.jaccard(scored, system),
            "exact_match": metrics.exact_match(scored, system),
            "category_f1": metrics.micro_category(scored, system).f1,
            "interval": list(interval) if interval else None,
            "counts": counts._asdict(),
            "without_only_negated": struck and prf(struck),
            "by_length": lengths and {name: prf(c) for name, c in lengths.items()},
            "within_labels": prf(metrics.within_labels(scored, system)) if closed else None,
            "frequency": training is not None
            and {name: prf(c, gold=True) for name, c in metrics.frequency_bins(scored, training, system).items()},
            "stages": {name: prf(c) for name, c in metrics.stage_counts(scored, system).items()},
        }
    )


def prf(counts: Counts, *, gold: bool = False) -> Report:
    """precision, recall, micro_f1 as far as they are defined; with ``gold`` the number of gold codes too."""
    values: Report = {"precision": counts.precision, "recall": counts.recall, "micro_f1": counts.f1}
    return _present(values | ({"gold": counts.tp + counts.fn} if gold else {}))


def cost(costs: Sequence[Cost]) -> Report:
    """Means per encounter of seconds, tokens and model calls; empty when nothing was coded."""
    if not costs:
        return {}
    spent, n = sum(costs, Cost()), len(costs)
    return {
        "seconds_per_encounter": spent.seconds / n,
        "prompt_tokens": spent.prompt_tokens / n,
        "reused_tokens": spent.reused_tokens / n,
        "generated_tokens": spent.generated_tokens / n,
        "calls": spent.calls / n,
    }


def comparison(before: Sequence[Scored], after: Sequence[Scored], systems: Sequence[str], *, seed: int = 0) -> Report:
    """Micro F1 of ``after`` minus ``before`` on the same encounters, per system and jointly, paired bootstrap."""
    found: Report = {}
    for system in (*systems, None):
        difference = bootstrap.paired_difference(
            metrics.count_matrix(before, system), metrics.count_matrix(after, system), seed=seed
        )
        if difference:
            found[system or "joint"] = {
                "difference": difference.difference,
                "interval": list(difference.interval),
                "p": difference.p,
            }
    return found


def markdown_row(report: Report, system: str | None = None) -> str:
    """``| data | system | n | P | R | F1 [interval] | category F1 | MAP | s/encounter |`` for a table."""
    name = system or "joint"
    figures = report["metrics"]["systems"][system] if system else report["metrics"]["joint"]
    cells = [
        str(report["data"]),
        name,
        str(report["n"]),
        *(_figure(figures.get(key)) for key in ("precision", "recall")),
        _with_interval(figures),
        *(_figure(figures.get(key)) for key in ("category_f1", "map")),
        _figure(report.get("cost", {}).get("seconds_per_encounter"), "{:.1f}"),
    ]
    return "| " + " | ".join(cells) + " |"


def table(report: Report, *, words: Callable[[str], str] = str) -> Group:
    """The report for a person at a terminal (a rich renderable). ``words``: each label in the person's language."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if "systems" not in report["metrics"]:
        return Group(_term_table(report, words))
    codes = Table(title=f"{report['data']} · {report['workflow']} · n = {report['n']}", title_justify="left")
    codes.add_column("")
    for head in ("P", "R", "F1 [95 %]", "macro F1", "category F1", "MAP", "Jaccard", "exact"):
        codes.add_column(words(head), justify="right")
    systems = report["metrics"]["systems"]
    joint = (
        {"joint": {k: v for k, v in report["metrics"]["joint"].items() if k != "stages"}} if len(systems) > 1 else {}
    )
    for name, figures in {**systems, **joint}.items():
        _rows(codes, name, figures, words)
    for name, figures in report.get("comparison", {}).get("micro_f1", {}).items():
        low, high = figures["interval"]
        gain = f"{figures['difference']:+.3f} [{low:+.3f}, {high:+.3f}] p {figures['p']:.3f}"
        codes.add_row(f"  {words(f'{name} against baseline')}", "", "", gain)
    simple = {name: value for name, value in report["metrics"].items() if name in _SIMPLE}
    parts: list[Any] = [codes, _pairs(simple, words), _pairs(report.get("cost", {}), words, "{:.1f}")]
    parts += [Text(f"{name}: {value}") for name, value in report.get("remarks", {}).items() if value]
    return Group(*parts)


_SIMPLE = (
    *("principal_accuracy", "ndcg3", "evidence_f1", "ccl25_acc", "other_diagnoses"),
    *("invalid_code_rate", "compliance", "ece", "auto_share"),
)


def _rows(codes: Any, name: str, figures: Report, words: Callable[[str], str]) -> None:
    keys = ("macro_f1", "category_f1", "map", "jaccard", "exact_match")
    first = [_figure(figures.get("precision")), _figure(figures.get("recall")), _with_interval(figures)]
    codes.add_row(words(name), *first, *(_figure(figures.get(key)) for key in keys))
    parts = {"without only negated": figures.get("without_only_negated"), "closed set": figures.get("within_labels")}
    lengths = {"4": "4 characters", "7": "7 characters", "either": "4 or 7 characters"}
    parts |= {lengths[length]: part for length, part in figures.get("by_length", {}).items()}
    parts |= {f"seen {times} times": part for times, part in figures.get("frequency", {}).items()}
    # A stage that left none of this system's codes worked on the other kind.
    stages = {stage: part for stage, part in figures.get("stages", {}).items() if "precision" in part}
    parts |= {f"after {stage}": part for stage, part in stages.items()}
    for label, part in parts.items():
        if part:
            codes.add_row(f"  {words(label)}", *(_figure(part.get(key)) for key in ("precision", "recall", "micro_f1")))


def _term_table(report: Report, words: Callable[[str], str]) -> Any:
    from rich.table import Table

    found = Table(title=f"{report['data']} · {report['workflow']} · n = {report['n']}", title_justify="left")
    for head in ("", "n", "accuracy", "P", "R", "F1"):
        found.add_column(words(head), justify="right" if head else "left")
    blocks = {"names": {"n": report["n"], **report["metrics"]}}
    blocks |= {f"codes {edition}": figures for edition, figures in report["metrics"].get("codes", {}).items()}
    for name, figures in blocks.items():
        values = (_figure(figures.get(key)) for key in ("accuracy", "precision", "recall", "f1"))
        found.add_row(words(name), str(figures["n"]), *values)
    return found


def _pairs(values: Mapping[str, Any], words: Callable[[str], str], form: str = "{:.3f}") -> Any:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, value in values.items():
        shown = value if isinstance(value, Mapping) else {"": value}
        figures = ", ".join(f"{words(key)} {_figure(v, form)}".strip() for key, v in shown.items())
        grid.add_row(words(name.replace("_", " ")), figures)
    return grid


def _evidence(scored: Sequence[Scored], slack: int | None) -> Report:
    exact = evidence.exact(scored)
    if exact is None:
        return {}
    detail = {name: prf(counts) for name, counts in exact.items()}
    main = exact["span"]
    if slack is not None and (contained := evidence.contained(scored, slack=slack)):
        detail["contained"], main = prf(contained), contained
    return {"evidence_f1": main.f1, "evidence": detail}


def _present(values: Report) -> Report:
    """Without what does not apply; zeros stay."""
    return {name: v for name, v in values.items() if v is not None and v is not False and v != {}}


def _figure(value: Any, form: str = "{:.3f}") -> str:
    return form.format(value) if isinstance(value, (int, float)) else "–" if value is None else str(value)


def _with_interval(figures: Report) -> str:
    bounds = figures.get("interval")
    shown = _figure(figures.get("micro_f1"))
    return f"{shown} [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else shown
