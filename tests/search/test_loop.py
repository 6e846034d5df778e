"""The whole search on small notes: it finds the edit that helps, says so only if it does, and survives any kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.llm.base import Prompt
from jointcoder.llm.scripted import Scripted
from jointcoder.search.accounts import accounts
from jointcoder.search.choice import Gain
from jointcoder.search.conditions import Budget, Conditions, require_same
from jointcoder.search.designer import Shows
from jointcoder.search.finals import Outcome
from jointcoder.search.score import Score
from jointcoder.search.sets import Sets
from jointcoder.store.archive import Archive, Candidate
from jointcoder.workflow.spec import Workflow, load_workflow

from . import bench
from .bench import HELPS, LEXICAL, Designing, draft, wants

SCORE = Score(0.6, 0.6, 0.5, 0.7, 0.6, 0.6, 1.0, 0.0, 0.0, 0.0, 0.0, 10, 0)
Begin = Callable[..., Any]
EDITS = Conditions(designs=0.0, offered=20, patience=50, first=4)


@pytest.fixture
def begin(small_us: CodeBook, archive: Archive, sets: Sets, tmp_path: Path) -> Begin:
    def make(**options: Any) -> Any:
        options = {"conditions": EDITS, **options}
        return bench.search(small_us, options.pop("archive", archive), options.pop("sets", sets), tmp_path, **options)

    return make


def candidates(archive: Archive) -> list[Candidate]:
    return archive.candidates("run00001")


# ------------------------------------------------------------------------------------------------- what it finds


def test_it_finds_the_edit_that_helps_and_proves_it_on_fresh_notes(begin: Begin, archive: Archive, sets: Sets):
    meta = Designing(edit=wants(HELPS)).model()
    outcome: Outcome = begin(meta=meta, budget=Budget(iterations=4)).go()
    assert outcome.chosen is not None
    winner = next(one for one in candidates(archive) if one.number == outcome.chosen)
    assert winner.parent is not None
    assert outcome.workflow.hash == winner.hash != load_workflow("lexical").hash
    assert next(s for s in outcome.workflow.step if s.use == "extract").options["trust_lists"] is False
    assert outcome.gains[0].low > 0
    assert outcome.selection[outcome.chosen].n == len(sets.selection)
    assert outcome.selection[outcome.chosen].f1 > outcome.selection[outcome.start].f1
    assert archive.run("run00001").state == "finished"


def test_where_nothing_is_better_the_start_stays(begin: Begin, small_us: CodeBook, tmp_path: Path):
    rows = [
        {**row, "codes": row["codes"][:1]} for row in bench.notes(20)
    ]  # only what is listed is coded: lexical is right
    from jointcoder.search.sets import split

    outcome: Outcome = begin(sets=split([bench.corpus(tmp_path, rows)]), budget=Budget(iterations=3)).go()
    assert outcome.chosen is None
    assert outcome.workflow.hash == load_workflow("lexical").hash


@pytest.mark.parametrize(
    ("chosen", "gains", "tokens", "expected"),
    [
        (None, {2: 0.0, 3: 0.01, 4: 0.0}, {1: 1000, 2: 400, 3: 500, 4: 900}, 2),
        (None, {2: -0.001, 3: 0.01}, {1: 1000, 2: 400, 3: 500}, 3),  # what loses anything is no thrift
        (None, {2: 0.0}, {1: 1000, 2: 900}, None),  # a tenth less is not worth a word
        (None, {2: 0.0}, {1: 0, 2: 0}, None),  # nothing is not less than nothing
        (2, {2: 0.05}, {1: 1000, 2: 100}, None),  # there is a winner
        (None, {}, {}, None),
    ],
)
def test_where_the_start_stays_the_cheapest_that_lost_nothing_is_told(
    chosen: int | None, gains: dict[int, float], tokens: dict[int, float], expected: int | None
):
    outcome = Outcome(
        load_workflow("lexical"),
        1,
        chosen,
        "iterations",
        tuple(Gain(number, gain, gain - 0.1, gain + 0.1, 0.95) for number, gain in gains.items()),
        {number: replace(SCORE, tokens=own) for number, own in tokens.items()},
    )
    found = outcome.thriftier
    assert (found.number if found else None) == expected
    assert (outcome.as_dict()["thriftier"] or {}).get("number") == expected


def test_the_test_set_decides_nothing_and_is_reported(begin: Begin, tmp_path: Path):
    from jointcoder.search.sets import split

    three = split(
        [bench.corpus(tmp_path, bench.notes(20))], test=bench.corpus(tmp_path, bench.notes(6, first=60), "test.jsonl")
    )
    outcome: Outcome = begin(sets=three, meta=Designing(edit=wants(HELPS)).model(), budget=Budget(iterations=4)).go()
    assert outcome.chosen is not None
    assert outcome.test[outcome.chosen].n == 6
    assert outcome.test_gain is not None
    assert outcome.test_gain.difference > 0


def test_a_designed_plan_is_archived_with_draft_critique_and_lineage(begin: Begin, archive: Archive):
    helped = {"settings": ["2 extract.trust_lists=false"]}
    meta = Designing(plans=[draft(*LEXICAL)], settings=[helped]).model()
    outcome: Outcome = begin(
        meta=meta, conditions=Conditions(designs=1.0, patience=50, first=4), budget=Budget(iterations=1)
    ).go()
    seed, designed = candidates(archive)[:2]
    assert (seed.origin, seed.status, designed.origin, designed.status) == ("seed", "done", "design", "done")
    assert designed.plan["draft"] == draft(*LEXICAL)
    assert designed.critique
    assert outcome.chosen == designed.number
    assert Workflow.from_toml(designed.workflow).hash == designed.hash


def test_a_plan_that_never_runs_is_recorded_and_an_edit_takes_its_turn(begin: Begin, archive: Archive):
    broken = draft(*LEXICAL, idea="look for I50.9 above all")
    meta = Designing(plans=[broken]).model()
    begin(meta=meta, conditions=Conditions(designs=1.0, patience=50, first=4), budget=Budget(iterations=1)).go()
    failed, edited = candidates(archive)[1:3]
    assert (failed.origin, failed.status, failed.error_code) == ("design", "failed", "JC437")
    assert (edited.origin, edited.parent) == ("mutation", 1)
    assert edited.status in ("done", "same")


def test_designs_that_keep_failing_give_way_to_edits(begin: Begin, archive: Archive):
    meta = Designing(plans=[draft(*LEXICAL, idea="look for I50.9 above all")]).model()
    conditions = Conditions(designs=1.0, patience=50, first=4, retries=0)
    begin(meta=meta, conditions=conditions, budget=Budget(iterations=9)).go()
    designed = [one for one in candidates(archive) if one.origin == "design"]
    edited = [one for one in candidates(archive) if one.origin == "mutation"]
    assert len(edited) == 9
    assert 4 <= len(designed) < 9


def test_without_seeds_the_designer_begins_with_nothing(begin: Begin, archive: Archive):
    meta = Designing(plans=[draft(*LEXICAL, idea="the very first plan of all")]).model()
    conditions = Conditions(shows=Shows.without(["seed"]), patience=50, first=4)
    begin(meta=meta, conditions=conditions, budget=Budget(iterations=1)).go()
    designs = [r.prompt.instruction for r in meta.requests if r.prompt and "Design a plan" in r.prompt.instruction]
    assert "There are no plans yet." in designs[0]
    assert [one.origin for one in candidates(archive)][:2] == ["seed", "design"]


# ------------------------------------------------------------------------------------------------- what it spends


def test_weak_plans_are_given_up_on_the_first_notes(begin: Begin, archive: Archive, sets: Sets):
    weak = draft("read", "extract", "standardise", "map_codes", "is_valid_code", idea="whatever comes, take it")
    worse = {"settings": ["3 standardise.none_score=1.0", "2 extract.sources=[problem]"]}
    meta = Designing(plans=[weak], settings=[worse], edit=wants(HELPS)).model()
    conditions = Conditions(designs=0.5, offered=20, patience=50, first=4, eta=3, seed=4)
    begin(meta=meta, conditions=conditions, budget=Budget(iterations=8)).go()
    every = candidates(archive)
    dropped = [one for one in every if one.status == "dropped"]
    done = [one for one in every if one.status == "done"]
    assert dropped
    assert all(one.scores["n"] < len(sets.search) for one in dropped)
    assert all(one.scores["n"] == len(sets.search) for one in done)
    assert every[0].status == "done"  # the start is never given up
    assert all(one.critique for one in dropped if one.scores["f1"] < 1)
    results = archive.results("run00001", "search")
    assert all(len(results[one.number]) == one.scores["n"] for one in (*dropped, *done))
    spared = accounts(archive, archive.run("run00001"), len(sets.search)).spared
    assert spared == sum(len(sets.search) - one.scores["n"] for one in dropped)


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        (Budget(iterations=2), "iterations"),
        (Budget(iterations=None, minutes=0.0), "minutes"),
        (Budget(None, None, 1), "tokens"),
    ],
)
def test_it_stops_when_the_budget_is_used_up_and_still_decides(
    begin: Begin, archive: Archive, budget: Budget, why: str
):
    meta = Designing(edit=wants(HELPS)).model()
    outcome: Outcome = begin(meta=meta, budget=budget).go()
    assert outcome.why == why
    assert archive.run("run00001").result["why"] == why


def test_an_edit_that_changes_nothing_is_told_so_and_is_no_ones_parent(begin: Begin, archive: Archive):
    begin(budget=Budget(iterations=15)).go()
    found = {one.number: one for one in candidates(archive)}
    idle = [one for one in found.values() if one.status == "same"]
    assert idle
    results = archive.results("run00001", "search")
    for one in idle:
        other = found[one.notes["same_as"]]
        assert other.status == "done"
        assert one.scores["objective"] <= other.scores["objective"]
        assert [(r.tp, r.fp, r.fn) for r in results[one.number]] == [(r.tp, r.fp, r.fn) for r in results[other.number]]
        assert one.critique == []
    assert {one.parent for one in found.values()}.isdisjoint(one.number for one in idle)
    done = [one for one in found.values() if one.status == "done"]
    counts = [tuple((r.tp, r.fp, r.fn) for r in results[one.number]) for one in done]
    assert len(set(counts)) == len(counts)  # of plans as good as each other one goes on


def test_it_stops_when_nothing_better_comes(begin: Begin, archive: Archive):
    conditions = Conditions(designs=0.0, offered=1, patience=2, first=4)
    outcome: Outcome = begin(conditions=conditions, budget=Budget(iterations=40)).go()
    assert outcome.why == "converged"
    assert len(candidates(archive)) < 40


def test_tokens_with_and_without_keeping_are_counted(begin: Begin, archive: Archive, sets: Sets):
    def agents(asked: Any) -> Any:
        if isinstance(asked, Prompt):
            return {"diagnoses": [], "procedures": []} if "procedures" in asked.instruction else {"diagnoses": []}
        return asked[1].options[0]

    model = Scripted(agents)
    begin(start="jointcoder", agents=model, conditions=EDITS, budget=Budget(iterations=3)).go()
    found = accounts(archive, archive.run("run00001"), len(sets.search))
    own, whole = _cost(model)
    assert own < found.spent <= whole  # a context counts at least once, and at most with every request
    assert found.asked > found.spent > 0
    assert found.kept_ratio is not None
    assert found.kept_ratio > 1.5
    assert found.reused > 0


def _cost(model: Scripted) -> tuple[int, int]:
    """Tokens that reached the engine by its own log, without contexts and with all of them."""
    own = whole = 0
    for request in model.requests:
        text = request.prompt.instruction if request.prompt else request.question.text  # type: ignore[union-attr]
        assert request.context is not None
        written = 20 if request.prompt else 0  # no answer of the script is longer
        own += model.count_tokens(text)
        whole += model.count_tokens(text) + written
        whole += model.count_tokens(request.context.text) + model.count_tokens(request.context.system)
    return own, whole


# --------------------------------------------------------------------------------------------- kill -9 and resume


class KilledError(BaseException):
    """Stands for kill -9: nothing after it runs."""


STATES = ["planned", "compiled", "a note", "scored", "done", "selection", "before anything", "an edit"]


def killing(archive: Archive, state: str) -> Callable[[], None]:
    """Make the archive die just before it writes ``state`` (of a candidate that is no seed, where that makes a
    difference); the function mends it."""
    record, add = archive.record, archive.add

    def dies(*args: Any, **changes: Any) -> Any:
        results = list(args[2]) if len(args) > 2 else []
        number = args[1]
        hit = {
            "compiled": changes.get("status") == "compiled",
            "failed": changes.get("status") == "failed",
            "scored": changes.get("status") == "scored" and number > 1,
            "done": changes.get("status") == "done" and number > 1,
            "a note": any(part == "search" and one.place == 2 for part, one, _ in results) and number > 1,
            "selection": any(part == "selection" and one.place == 3 for part, one, _ in results),
        }.get(state, False)
        if hit:
            raise KilledError
        return record(*args, **{**changes})

    def dies_adding(candidate: Candidate) -> Any:
        if (state == "planned" and candidate.status == "planned") or state == "before anything":
            raise KilledError
        if state == "an edit" and candidate.origin == "mutation":
            raise KilledError
        return add(candidate)

    archive.record, archive.add = dies, dies_adding  # type: ignore[method-assign]

    def mend() -> None:
        archive.record, archive.add = record, add  # type: ignore[method-assign]

    return mend


def course(archive: Archive) -> list[tuple[Any, ...]]:
    """What a search did, as far as it does not depend on the clock."""
    figures = ("f1", "objective", "n", "tokens")
    return [
        (c.number, c.origin, c.status, c.parent, c.edit, c.hash, [c.scores.get(name) for name in figures], c.attempts)
        for c in candidates(archive)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_us: CodeBook) -> tuple[list[Any], dict[str, Any]]:
    """The course of a search that nobody disturbed, and its outcome."""
    from jointcoder.store.engine import open_store

    folder = tmp_path_factory.mktemp("whole")
    with open_store(folder / "archive.sqlite") as store:
        archive = Archive(store)
        outcome = bench.search(small_us, archive, bench.sets(folder, 20), folder, **disturbed()).go()
        return course(archive), outcome.as_dict()


def disturbed() -> dict[str, Any]:
    """A search with a design and edits, the same every time."""
    meta = Designing(edit=wants(HELPS)).model()
    conditions = Conditions(designs=0.5, offered=12, patience=50, first=4, seed=1)
    return {"meta": meta, "conditions": conditions, "budget": Budget(iterations=4)}


@pytest.mark.parametrize("state", STATES)
def test_a_search_killed_in_any_state_goes_on_as_if_nothing_had_been(
    begin: Begin, archive: Archive, whole: tuple[list[Any], dict[str, Any]], state: str
):
    expected, outcome = whole
    mend = killing(archive, state)
    with pytest.raises(KilledError):
        begin(**disturbed()).go()
    mend()
    done_before = {c.number for c in candidates(archive) if c.status in ("done", "dropped", "failed")}
    tried: list[int] = []
    resumed = begin(**{**disturbed(), "tell": lambda c: tried.append(c.number)})
    found = resumed.go()
    assert course(archive) == expected
    assert {k: v for k, v in found.as_dict().items() if k != "selection"} == {
        k: v for k, v in outcome.items() if k != "selection"
    }
    assert not done_before & set(tried)  # nothing that was finished is done again


def test_a_plan_that_fails_after_a_kill_is_told_once_and_an_edit_takes_its_turn(begin: Begin, archive: Archive):
    meta = Designing(plans=[draft(*LEXICAL, idea="look for I50.9 above all")]).model()
    given = {"meta": meta, "conditions": Conditions(designs=1.0, patience=50, first=4), "budget": Budget(iterations=1)}
    mend = killing(archive, "failed")
    with pytest.raises(KilledError):
        begin(**given).go()
    mend()
    told: list[tuple[int, str]] = []
    begin(**given, tell=lambda one: told.append((one.number, one.status))).go()
    assert [number for number, _ in told] == [2, 3]
    assert [(one.origin, one.status) for one in candidates(archive)[1:]] == [("design", "failed"), ("mutation", "same")]


def test_a_finished_search_goes_on_with_a_larger_budget(begin: Begin, archive: Archive):
    first: Outcome = begin(meta=Designing().model(), budget=Budget(iterations=1)).go()
    assert first.chosen is None
    before = course(archive)
    second: Outcome = begin(meta=Designing(edit=wants(HELPS)).model(), budget=Budget(iterations=4)).go()
    assert course(archive)[: len(before)] == before
    assert second.chosen is not None
    assert archive.run("run00001").spent["iterations"] == 4


def test_other_conditions_are_refused_by_name():
    from jointcoder.errors import UsageError

    require_same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    with pytest.raises(UsageError) as caught:
        require_same({"a": 1, "sets": 2}, {"a": 1, "sets": 3})
    assert caught.value.code == "JC433"
    assert "sets" in caught.value.message


# ------------------------------------------------------------------------------------------------------ what leaks


def test_no_prompt_of_the_search_holds_a_code(begin: Begin):
    from jointcoder.steps.literals import code_literals

    critique = {"critique": [{"stage": "extract", "finding": "I50.9 is missed", "advice": "look for I50.9 and J18.9"}]}
    meta = Designing(edit=wants(HELPS), critiques=[critique]).model()
    begin(
        meta=meta, conditions=Conditions(designs=0.5, offered=12, patience=50, first=4), budget=Budget(iterations=5)
    ).go()
    kinds = set()
    for request in meta.requests:
        instruction = request.prompt.instruction if request.prompt else request.question.text  # type: ignore[union-attr]
        context = request.context
        assert context is not None
        assert code_literals("\n".join((context.system, context.text, instruction))) == []
        kinds.add("design" if "Design a plan" in instruction else "reflect" if "remedy" in instruction else "other")
    assert kinds == {"design", "reflect", "other"}


def test_notes_to_choose_on_reach_no_prompt(begin: Begin, sets: Sets):
    meta = Designing(edit=wants(HELPS)).model()
    begin(meta=meta, budget=Budget(iterations=3)).go()
    everything = str([(r.prompt, r.context, r.question) for r in meta.requests])
    for item in sets.selection:
        day = item.encounter.documents[0].text.split("\n\n")[1].split(".")[0]  # "Day 17 of the stay", one note's own
        assert day not in everything
