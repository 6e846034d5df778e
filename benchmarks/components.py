"""What the components that ask nobody take on one note, beside their limits, in milliseconds.

    python benchmarks/components.py [--json] [--book us-2026] [--rounds 5]

The note is a made one of some 4,000 characters. The process is warm: every component has run once before. Each runs on
the state that the one before it left; the first after the workflow ``reconcile``. Not covered: what the model takes
(benchmarks/engine.py), opening the book (benchmarks/program.py).
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from tables import row, show

LIMITS = {
    "desc_match": 1500.0,
    "tabular_index_search": 1000.0,
    "guideline_validator": 50.0,
    "evidence_linker": 300.0,
    "rerank": 50.0,
    "vote": 20.0,
}
PROBLEMS = (
    "Congestive heart failure",
    "Type 2 diabetes with diabetic chronic kidney disease",
    "Essential hypertension",
    "Osteoarthritis of the left knee",
    "Chronic obstructive pulmonary disease with acute exacerbation",
    "Acute kidney injury",
    "Hypothyroidism",
    "Atrial fibrillation",
    "Gastroesophageal reflux disease",
    "Anemia",
)
STORY = "The patient slept well, was seen by the physician in the morning, walked in the corridor and ate well. "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--book", default=None)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    from jointcoder.coder import Coder
    from jointcoder.records import Encounter
    from jointcoder.settings import Settings
    from jointcoder.steps import registry
    from jointcoder.workflow.run import answer, run

    note = f"HISTORY\n\n{STORY * 25}\n\nASSESSMENT AND PLAN\n\n" + "\n".join(
        f"{place}. {problem}. {STORY}" for place, problem in enumerate(PROBLEMS, start=1)
    )
    with Coder(Settings.load(), code_book=arguments.book, workflow="reconcile") as coder:
        encounter = Encounter.from_text(note)
        tools = coder.tools_for(encounter)
        run(coder.plan, [encounter], tools, None)  # warm
        times: dict[str, list[float]] = {name: [] for name in LIMITS}
        for _ in range(arguments.rounds):
            state: Any = run(coder.plan, [encounter], tools, None)[0].state
            for name, taken in times.items():
                options = {"of": ["mentions", "proposals"]} if name == "tabular_index_search" else {}
                step = registry.build(name, options)
                began = time.perf_counter()
                update = answer(step.run(state, tools), None)
                taken.append(1000 * (time.perf_counter() - began))
                state = state.updated(update)
    rows = [row(name, statistics.median(times[name]), limit, "ms") for name, limit in LIMITS.items()]
    show(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
