"""With which workflows an archive begins: MedDCR's seeds, expert workflows in plug-and-play mode, an earlier search.

Names are data (``data/seeds.toml``). What the library does not have, or what cannot work here (another language, no
learned pack), is passed over with the reason. The workflow that is to be beaten comes first.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jointcoder.coder import Coder
from jointcoder.errors import JointCoderError
from jointcoder.search.conditions import Conditions
from jointcoder.workflow.check import plan, require_needs
from jointcoder.workflow.spec import Workflow, library_names, load_workflow


@dataclass(frozen=True)
class Seed:
    """A workflow to begin with; ``unfit``: why it cannot be used here, "" where it can."""

    workflow: Workflow
    unfit: str = ""


def seeds(
    start: Workflow, conditions: Conditions, coder: Coder, languages: Sequence[str], *, more: Iterable[Workflow] = ()
) -> list[Seed]:
    """The seeds, ``start`` first, each workflow once; only ``start`` where the conditions ask for none."""
    found: dict[str, Seed] = {start.hash: Seed(start)}
    if conditions.shows.seed:
        for flow in (*_named(conditions), *more):
            found.setdefault(flow.hash, Seed(flow, _unfit(flow, coder, languages)))
    return list(found.values())


def _named(conditions: Conditions) -> Iterator[Workflow]:
    table = tomllib.loads((files("jointcoder.search") / "data" / "seeds.toml").read_text("utf-8"))
    known = library_names()
    for name in (*table["basic"], *(table["expert"] if conditions.mode == "plug-and-play" else ())):
        if name in known:
            yield load_workflow(name)


def _unfit(flow: Workflow, coder: Coder, languages: Sequence[str]) -> str:
    wanted = set(flow.needs.languages)
    if wanted and not wanted & set(languages):
        return f"made for {', '.join(sorted(wanted))}"
    try:
        steps = plan(flow)
        require_needs(coder.running(steps).plan, coder.tools, coder.model)
    except JointCoderError as error:
        return error.message
    return ""
