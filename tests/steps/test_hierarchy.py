"""The twelve hierarchy tools as steps: what each makes of drafts and of candidates, and a workflow around each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.writer import Dated, Draft, Plan, write
from jointcoder.codebook.lookup import Lookup
from jointcoder.coder import Coder, guessed_tokens
from jointcoder.errors import CodeBookError, WorkflowError
from jointcoder.records import AssignedCode, Candidate, Encounter, Kind, Mention, Role, Span, System
from jointcoder.steps import registry
from jointcoder.steps.base import State, Tools, Update
from jointcoder.steps.prompting import Prompts
from jointcoder.workflow.check import plan, problems
from jointcoder.workflow.run import answer, run
from jointcoder.workflow.spec import Workflow, load_workflow
from tests.cli.command import jointcoder

CM, CN = System.ICD10CM, System.ICD10CN
TEXT = "Osteoarthritis of knee, the left one. Type 2 diabetes with chronic kidney disease."
TWELVE = {
    "load_taxonomy",
    "text_to_codes",
    "code_to_text",
    "get_parent",
    "get_ancestors",
    "get_children",
    "get_descendants",
    "is_ancestor",
    "is_descendant",
    "get_nearest_common_ancestor",
    "is_leaf",
    "is_valid_code",
}


def span(quote: str, text: str = TEXT) -> Span:
    start = text.index(quote)
    return Span(document=0, start=start, end=start + len(quote), quote=quote)


def draft(code: str, *, sure: float = 0.8, system: System = CM, **more: Any) -> AssignedCode:
    return AssignedCode(system=system, code=code, name="?", confidence=sure, **more)


def candidate(code: str, *, score: float = 0.8, mention: str = "m1", system: System = CM) -> Candidate:
    return Candidate(mention=mention, system=system, code=code, name="?", score=score, sources=("test",))


KNEE = Mention(id="m1", kind=Kind.DIAGNOSIS, span=span("Osteoarthritis of knee"), name="left knee osteoarthritis")
SUGAR = Mention(id="m2", kind=Kind.DIAGNOSIS, span=span("Type 2 diabetes"), name="Type 2 diabetes")


def tools_of(book: CodeBook, *systems: System) -> Tools:
    return Tools(
        book=book,
        lookup=Lookup(book),
        prompts=Prompts,
        count_tokens=guessed_tokens,
        context_tokens=4096,
        systems=systems or book.info.systems,
    )


@pytest.fixture
def work(small_us: CodeBook) -> Callable[..., Update]:
    """``work(name, items, **options)``: the update that a step makes of drafts or candidates."""

    def do(
        name: str, items: list[Any], *, book: CodeBook = small_us, day: dt.date | None = None, **options: Any
    ) -> Update:
        on = "candidates" if items and isinstance(items[0], Candidate) else "codes"
        slot = {"codes": "diagnoses", "candidates": "diagnosis_candidates"}[on]
        encounter = Encounter.from_text(TEXT, discharged=day)
        state = State(encounter, language="en", mentions=(KNEE, SUGAR), **{slot: tuple(items)})
        step = registry.build(name, {"kind": "diagnosis", "on": on, **options})
        update: Update = answer(step.run(state, tools_of(book)), None)
        assert set(update.values) <= step.writes
        return update

    return do


Work = Callable[..., Update]


def codes(update: Update) -> list[str]:
    (items,) = update.values.values()
    return [item.code for item in items]


def weights(update: Update) -> dict[str, float]:
    (items,) = update.values.values()
    return {i.code: round(i.score if isinstance(i, Candidate) else i.confidence, 6) for i in items}


class TestWalks:
    def test_a_doubtful_code_falls_back_to_its_less_specific_one(self, work: Work) -> None:
        drafts = [draft("M17.11", sure=0.3, evidence=(span("knee"),)), draft("I10", sure=0.9)]
        update = work("get_parent", drafts, keep=False, at_most=0.4)
        assert weights(update) == {"M17.10": 0.24, "I10": 0.9}
        fallen = update.values["diagnoses"][0]
        assert fallen.name == "Unilateral primary osteoarthritis, unspecified knee"
        assert fallen.evidence == (span("knee"),)
        assert (fallen.rank, fallen.role, fallen.stages) == (1, Role.PRINCIPAL, ("get_parent",))
        assert update.notes == {"looked_at": 2, "offered": 1, "unknown": 0}

    def test_what_is_offered_stands_behind_and_is_less_sure(self, work: Work) -> None:
        update = work("get_ancestors", [draft("M17.11"), draft("J18.9")], discount=0.5, assignable=False)
        assert weights(update) == {"M17.11": 0.8, "J18.9": 0.8, "M17.1": 0.4, "M17": 0.2, "J18": 0.4}

    def test_headings_stand_for_their_default_code(self, work: Work) -> None:
        assert codes(work("get_ancestors", [draft("M17.11")])) == ["M17.11", "M17.10"]
        assert codes(work("get_parent", [draft("J18.9")])) == ["J18.9"]  # its parent's default is the code itself

    def test_children_nearest_in_wording_first(self, work: Work) -> None:
        update = work("get_children", [candidate("M17.1")], limit=2)
        assert codes(update)[:2] == ["M17.1", "M17.12"]  # the mention is of the left knee
        assert len(codes(update)) == 3
        assert weights(update)["M17.12"] == 0.64
        offered = update.values["diagnosis_candidates"][1]
        assert (offered.mention, offered.sources) == ("m1", ("test", "get_children"))

    def test_a_heading_becomes_its_best_worded_code(self, work: Work) -> None:
        heading = draft("M17", evidence=(span("Osteoarthritis of knee, the left"),), links=(), stages=("standardise",))
        update = work("get_descendants", [heading], keep=False, limit=1)
        assert codes(update) == ["M17.12"]
        assert update.values["diagnoses"][0].stages == ("standardise", "get_descendants")

    def test_descendants_lose_a_share_with_every_level(self, work: Work) -> None:
        update = work("get_descendants", [draft("E11", sure=1.0)], discount=0.5)
        assert weights(update) == {"E11": 1.0, "E11.22": 0.25, "E11.9": 0.5}
        everything = work("get_descendants", [draft("E11", sure=1.0)], assignable=False)
        assert set(codes(everything)) == {"E11", "E11.2", "E11.22", "E11.9"}

    def test_unknown_codes_are_left_alone_and_counted(self, work: Work) -> None:
        update = work("get_children", [draft("Q99.9")])
        assert codes(update) == ["Q99.9"]
        assert update.notes["unknown"] == 1

    def test_a_code_that_is_there_already_is_joined(self, work: Work) -> None:
        drafts = [draft("M17.10", sure=0.2), draft("M17.11", evidence=(span("knee"),))]
        update = work("get_parent", drafts)
        assert weights(update) == {"M17.10": 0.64, "M17.11": 0.8}
        assert update.values["diagnoses"][0].evidence == (span("knee"),)

    def test_candidates_stay_with_their_mention_best_first(self, work: Work) -> None:
        update = work("get_parent", [candidate("M17.11", score=0.5), candidate("E11.9", score=0.9, mention="m2")])
        shown = [(c.mention, c.code) for c in update.values["diagnosis_candidates"]]
        assert shown == [("m1", "M17.11"), ("m1", "M17.10"), ("m2", "E11.9")]


class TestFilters:
    def test_headings_and_inventions_are_dropped_and_said(self, work: Work) -> None:
        update = work("is_leaf", [draft("E11.9"), draft("E11"), draft("Q99.9")])
        assert codes(update) == ["E11.9"]
        assert update.notes == {"looked_at": 3, "completed": 0, "dropped": 2}
        (flag,) = update.flags
        assert (flag.code, flag.step) == ("JC501", "is_leaf")
        assert flag.message.endswith("dropped: E11, Q99.9")

    def test_or_completed(self, work: Work) -> None:
        update = work("is_valid_code", [draft("J18"), draft("M17.1"), draft("Q99.9")], otherwise="complete")
        assert codes(update) == ["J18.9", "M17.10"]
        assert update.notes["completed"] == 2

    def test_candidates_go_without_a_flag(self, work: Work) -> None:
        update = work("is_leaf", [candidate("E11"), candidate("E11.9")])
        assert codes(update) == ["E11.9"]
        assert update.flags == ()

    def test_the_day_of_discharge_counts(self, work: Work, tmp_path: Path) -> None:
        drafts = [Draft(CM, "A01", "Old thing", "code", True), Draft(CM, "A02", "New thing", "code", True)]
        periods = [Dated(CM, "A01", 20151001, 20200930), Dated(CM, "A02", 20201001, 20260930)]
        write(Plan("dated", "dated", "en", drafts, [], periods=periods), tmp_path / "dated")
        book = CodeBook.open(tmp_path / "dated")
        both = [draft("A01"), draft("A02")]
        assert codes(work("is_valid_code", both, book=book, day=dt.date(2019, 5, 1))) == ["A01"]
        assert codes(work("is_valid_code", both, book=book, day=dt.date(2026, 5, 1))) == ["A02"]
        assert codes(work("is_leaf", both, book=book, day=dt.date(2026, 5, 1))) == ["A01", "A02"]


class TestPairs:
    def test_of_one_branch_the_specific_stays_with_both_evidences(self, work: Work) -> None:
        drafts = [
            draft("E11", evidence=(span("Type 2 diabetes"),), mentions=("m2",)),
            draft("I10"),
            draft("E11.22", evidence=(span("kidney"),), mentions=("m9",)),
        ]
        update = work("is_ancestor", drafts)
        assert codes(update) == ["I10", "E11.22"]
        kept = update.values["diagnoses"][1]
        assert kept.evidence == (span("kidney"), span("Type 2 diabetes"))
        assert kept.mentions == ("m9", "m2")
        assert update.notes == {"looked_at": 3, "dropped": 1}

    def test_or_the_general_one(self, work: Work) -> None:
        assert codes(work("is_descendant", [draft("E11"), draft("E11.2"), draft("E11.22"), draft("I10")])) == [
            "E11",
            "I10",
        ]

    def test_candidates_are_compared_within_their_mention(self, work: Work) -> None:
        candidates = [candidate("E11"), candidate("E11.9"), candidate("E11", mention="m2")]
        update = work("is_ancestor", candidates)
        assert [(c.mention, c.code) for c in update.values["diagnosis_candidates"]] == [("m1", "E11.9"), ("m2", "E11")]

    def test_a_branch(self, work: Work) -> None:
        drafts = [draft("E11.9"), draft("I10"), draft("M17"), draft("Q99.9")]
        assert codes(work("is_descendant", drafts, within=["E08-E13", "M17"])) == ["E11.9", "M17"]
        assert codes(work("is_descendant", drafts, within=["E08-E13"], outside=True)) == ["I10", "M17", "Q99.9"]
        with pytest.raises(CodeBookError, match="JC501"):
            work("is_descendant", drafts, within=["Z00-Z13"])

    def test_siblings_at_odds_become_what_they_have_in_common(self, work: Work) -> None:
        update = work(
            "get_nearest_common_ancestor",
            [candidate("M17.11", score=0.7), candidate("M17.12", score=0.72), candidate("I10", score=0.2)],
        )
        assert weights(update) == {"M17.10": 0.72, "I10": 0.2}
        assert update.notes == {"looked_at": 3, "merged": 2}

    def test_drafts_of_different_mentions_are_not_at_odds(self, work: Work) -> None:
        apart = [draft("M17.11", mentions=("m1",)), draft("M17.12", mentions=("m2",)), draft("M17.10")]
        assert codes(work("get_nearest_common_ancestor", apart)) == ["M17.11", "M17.12", "M17.10"]
        same = [
            draft("M17.11", mentions=("m1",), evidence=(span("knee"),)),
            draft("M17.12", mentions=("m1",), evidence=(span("left"),)),
        ]
        update = work("get_nearest_common_ancestor", same)
        assert codes(update) == ["M17.10"]
        assert update.values["diagnoses"][0].evidence == (span("knee"), span("left"))

    @pytest.mark.parametrize(
        "pair",
        [
            ("E11.9", "I10"),  # nothing in common
            ("M17.11", "Q99.9"),  # one of them is unknown
        ],
    )
    def test_what_has_no_common_code_is_left(self, work: Work, pair: tuple[str, str]) -> None:
        assert codes(work("get_nearest_common_ancestor", [candidate(code) for code in pair])) == list(pair)

    def test_far_behind_is_not_at_odds(self, work: Work) -> None:
        far = [candidate("M17.11", score=0.9), candidate("M17.12", score=0.5)]
        assert codes(work("get_nearest_common_ancestor", far)) == ["M17.11", "M17.12"]
        assert codes(work("get_nearest_common_ancestor", far, margin=0.5)) == ["M17.10"]


def test_names_are_those_of_the_book(work: Work) -> None:
    update = work("code_to_text", [draft("I10"), draft("Q99.9")])
    assert [c.name for c in update.values["diagnoses"]] == ["Essential (primary) hypertension", "?"]
    assert update.notes == {"looked_at": 2, "renamed": 1}


def test_chinese_codes_with_extensions(tmp_path: Path) -> None:
    """An assignable code may have extensions below it."""
    rows = [("I10", None, False), ("I10.x00", 0, True), ("I10.x00x031", 1, True), ("I10.x00x032", 1, True)]
    names = ["高血压", "特发性高血压", "高血压病3级（高危）", "高血压病3级（极高危）"]
    drafts = [
        Draft(CN, code, name, "code" if billable else "category", billable, parent)
        for (code, parent, billable), name in zip(rows, names, strict=True)
    ]
    write(Plan("cn", "cn", "zh", drafts, []), tmp_path / "cn")
    tools = tools_of(CodeBook.open(tmp_path / "cn"))
    text = "高血压病3级极高危"

    def made(name: str, *found: str, **options: Any) -> list[str]:
        own = {"evidence": (span(text, text),), "mentions": ("m1",)}
        items = tuple(draft(code, system=CN, **own) for code in found)
        state = State(Encounter.from_text(text), language="zh", diagnoses=items)
        return codes(answer(registry.build(name, {"kind": "diagnosis", **options}).run(state, tools), None))

    assert made("get_children", "I10", keep=False) == ["I10.x00"]
    assert made("get_descendants", "I10.x00", keep=False, limit=1) == ["I10.x00x032"]
    assert made("get_parent", "I10.x00x031", keep=False) == ["I10.x00"]
    assert made("is_ancestor", "I10.x00", "I10.x00x031") == ["I10.x00x031"]
    assert made("get_nearest_common_ancestor", "I10.x00x031", "I10.x00x032") == ["I10.x00"]
    assert made("is_valid_code", "I10", "I10.x00", "I10.x00x031") == ["I10.x00", "I10.x00x031"]
    assert made("is_leaf", "I10", "I10.x00", "I10.x00x031") == ["I10.x00x031"]


@pytest.fixture(scope="module")
def wrist(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """Stems whose codes differ by a 7th character, and one heading whose subdivisions are equals."""
    sevenths = [("seventh_characters", "A", "initial encounter"), ("seventh_characters", "D", "subsequent encounter")]
    drafts = [Draft(CM, "S52", "Fracture of wrist", "category", False, notes=sevenths)]
    for stem, side in (("S52.521", "right"), ("S52.522", "left"), ("S52.529", "unspecified")):
        drafts.append(Draft(CM, stem, f"Fracture of {side} wrist", "category", False, 0))
        parent = len(drafts) - 1
        for _, label, meaning in sevenths:
            drafts.append(Draft(CM, stem + label, f"Fracture of {side} wrist, {meaning}", "code", True, parent))
    top = len(drafts)
    drafts.append(Draft(CM, "K55", "Disorders of bowel", "category", False))
    drafts.append(Draft(CM, "K55.3", "Necrotizing enterocolitis", "category", False, top))
    for code, name in (("K55.31", "Stage 1"), ("K55.32", "Stage 2")):
        drafts.append(Draft(CM, code, f"{name} necrotizing enterocolitis", "code", True, top + 1))
    target = tmp_path_factory.mktemp("books") / "wrist"
    write(Plan("wrist", "wrist", "en", drafts, []), target)
    return CodeBook.open(target)


def test_the_encounter_stays_what_it_was(work: Work, wrist: CodeBook) -> None:
    """Upward and merged codes keep the 7th character; downward ones have the default one."""
    up = work("get_ancestors", [draft("S52.521D")], book=wrist)
    assert codes(up) == ["S52.521D", "S52.529D"]
    siblings = [candidate("S52.521D"), candidate("S52.522D")]
    assert codes(work("get_nearest_common_ancestor", siblings, book=wrist)) == ["S52.529D"]
    down = work("get_descendants", [draft("S52", evidence=(span("left"),))], book=wrist, keep=False)
    assert set(codes(down)) == {"S52.521A", "S52.522A", "S52.529A"}
    assert codes(down)[0] == "S52.522A"
    assert set(codes(work("get_children", [draft("S52.521")], book=wrist, keep=False))) == {"S52.521A", "S52.521D"}


def test_equals_are_offered_for_a_heading_without_a_default(work: Work, wrist: CodeBook) -> None:
    update = work("get_children", [draft("K55")], book=wrist, discount=0.5, keep=False)
    assert weights(update) == {"K55.31": 0.2, "K55.32": 0.2}
    assert codes(work("get_nearest_common_ancestor", [candidate("K55.31"), candidate("K55.32")], book=wrist)) == [
        "K55.31",
        "K55.32",
    ]


def test_a_kind_that_is_not_coded_is_passed_by(small_us: CodeBook) -> None:
    state = State(Encounter.from_text("x"), procedures=(draft("0DTJ4ZZ", system=System.ICD10PCS),))
    step = registry.build("is_leaf", {"kind": "procedure"})
    assert answer(step.run(state, tools_of(small_us, CM)), None) == Update()


# ------------------------------------------------------------------------------------------------- as workflows

BEGIN = """
[[step]]
use = "load_taxonomy"
[[step]]
use = "read"
[[step]]
use = "extract"
options = { sources = ["dictionary"] }
[[step]]
use = "text_to_codes"
options = { kind = "diagnosis" }
"""
NOTE = "Assessment: osteoarthritis of knee. Pneumonia. Cough."


def flow(steps: str) -> Workflow:
    return Workflow.from_toml(f'name = "t"\n{steps}')


def one(name: str, options: str = "") -> str:
    return f'[[step]]\nuse = "{name}"\noptions = {{ kind = "diagnosis"{options} }}\n'


def test_the_twelve_are_components() -> None:
    assert set(registry.component_names()) >= TWELVE
    for name in TWELVE:
        step = registry.component(name)
        assert step.name == name
        assert step.purpose


THREE = ["M17.10", "J18.9", "R05.9"]
HEADINGS = ["M17.1", "J18", "R05"]
UP = ("get_parent", ", keep = false, assignable = false")
BESIDE = ("get_parent", ", assignable = false")
SIBLINGS = ("get_children", ", keep = false, discount = 1.0")
CASES: list[tuple[list[tuple[str, str]], list[str], dict[str, int]]] = [
    ([UP], HEADINGS, {"offered": 3}),
    ([("get_ancestors", ", keep = false, assignable = false, limit = 1")], HEADINGS, {"offered": 3}),
    ([UP, ("get_children", ", keep = false, limit = 1")], THREE, {"offered": 3}),
    ([UP, ("get_descendants", ", keep = false, limit = 1")], THREE, {"offered": 3}),
    ([BESIDE, ("is_leaf", "")], THREE, {"looked_at": 6, "dropped": 3}),
    ([UP, ("is_valid_code", ', otherwise = "complete"')], THREE, {"completed": 3, "dropped": 0}),
    ([BESIDE, ("is_ancestor", "")], THREE, {"dropped": 3}),
    ([BESIDE, ("is_descendant", "")], HEADINGS, {"dropped": 3}),
    ([("is_descendant", ', within = ["J09-J18"]')], ["J18.9"], {"dropped": 2}),
    ([UP, SIBLINGS, ("get_nearest_common_ancestor", "")], THREE, {"looked_at": 5, "merged": 3}),
    ([("code_to_text", "")], THREE, {"looked_at": 3, "renamed": 0}),
]


@pytest.mark.parametrize(("steps", "expected", "notes"), CASES, ids=[case[0][-1][0] for case in CASES])
def test_a_workflow_with_each(
    small_us: CodeBook, steps: list[tuple[str, str]], expected: list[str], notes: dict[str, int]
) -> None:
    named = [one(name, options) + f'id = "step {place}"\n' for place, (name, options) in enumerate(steps)]
    workflow = flow(BEGIN + "".join(named))
    assert problems(workflow) == []
    (outcome,) = run(plan(workflow), [Encounter.from_text(NOTE)], tools_of(small_us), None)
    assert outcome.error is None
    assert [code.code for code in outcome.state.diagnoses] == expected
    trace = outcome.trace[-1]
    assert trace.component == steps[-1][0]
    assert {name: trace.notes[name] for name in notes} == notes
    assert outcome.trace[0].notes["book"] == "us-small"


def test_offers_filters_and_merges_in_a_row(coder: Callable[..., Coder]) -> None:
    steps = one("get_ancestors", ", assignable = false") + one("is_ancestor") + one("is_valid_code")
    record = coder(workflow=flow(BEGIN + steps)).code(Encounter.from_text(NOTE))
    assert [code.code for code in record.codes] == ["M17.10", "J18.9", "R05.9"]
    assert [step.step for step in record.trace][-3:] == ["get_ancestors", "is_ancestor", "is_valid_code"]
    assert record.flags == ()


def test_exact_wordings_only(small_us: CodeBook) -> None:
    def outcome(steps: str, note: str) -> State:
        (done,) = run(plan(flow(steps)), [Encounter.from_text(note)], tools_of(small_us), None)
        return done.state

    state = outcome(BEGIN, "Assessment: type 2 diabetes. Congestive heart failure.")
    assert [code.code for code in state.diagnoses] == ["E11.9", "I50.9"]
    assert all(code.stages == ("extract:dictionary", "text_to_codes") for code in state.diagnoses)
    assert [(c.code, c.score, c.sources) for c in state.diagnosis_candidates] == [
        ("E11.9", 1.0, ("text_to_codes",)),
        ("I50.9", 1.0, ("text_to_codes",)),
    ]
    assert all(mention.id in {c.mention for c in state.diagnosis_candidates} for mention in state.mentions)


def test_candidates_without_drafts_and_the_union_with_another_step(small_us: CodeBook) -> None:
    only = flow(BEGIN.replace('kind = "diagnosis" }', 'kind = "diagnosis", assign = false }'))
    assert "no step writes diagnoses" in problems(only)[0]
    late = flow(BEGIN.replace('kind = "diagnosis" }', 'kind = "diagnosis", add = true }'))
    assert "text_to_codes reads 'diagnos" in problems(late)[0]
    begin = BEGIN[: BEGIN.rindex("[[step]]")]
    both = flow(begin + one("standardise", ", ask_model = false") + one("text_to_codes", ", add = true"))
    (outcome,) = run(plan(both), [Encounter.from_text(NOTE)], tools_of(small_us), None)
    assert [code.code for code in outcome.state.diagnoses] == ["M17.10", "J18.9", "R05.9"]
    assert {"standardise", "text_to_codes"} <= set(outcome.state.diagnoses[0].stages)


def test_what_a_workflow_needs_of_the_book(small_us: CodeBook) -> None:
    def flags(options: str) -> list[str]:
        workflow = flow(BEGIN.replace('use = "load_taxonomy"', f'use = "load_taxonomy"\noptions = {{ {options} }}'))
        (outcome,) = run(plan(workflow), [Encounter.from_text(NOTE)], tools_of(small_us), None)
        return [f"{flag.code} {flag.message}" for flag in outcome.state.flags]

    assert flags('systems = ["ICD-10-CM"], books = ["us-*"]') == []
    assert flags('systems = ["ICD-10-CN"]')[0].startswith("JC403 the workflow needs ICD-10-CN")
    assert flags('books = ["cn-*"]')[0].endswith("this one is us-small")


def test_wiring_and_options_are_checked_before_a_run(tmp_path: Path) -> None:
    begin = '[[step]]\nuse = "read"\n'
    assert "is_leaf reads 'diagnoses'" in problems(flow(begin + one("is_leaf")))[0]
    assert "reads 'diagnosis_candidates'" in problems(flow(begin + one("get_children", ', on = "candidates"')))[0]
    with pytest.raises(WorkflowError, match=r"JC407.*max_level"):
        plan(flow(BEGIN + one("get_nearest_common_ancestor", ', max_level = "planet"')))
    file = tmp_path / "walks.toml"
    file.write_text('name = "walks"\n' + BEGIN + "".join(one(name) for name in sorted(TWELVE - {"load_taxonomy"})))
    assert "two steps are called 'text_to_codes'" in problems(load_workflow(str(file)))[0]
    file.write_text(file.read_text().replace(BEGIN, BEGIN[: BEGIN.rindex("[[step]]")]))
    ran = jointcoder("workflow", "check", str(file), cache=tmp_path)
    assert ran.returncode == 2
    assert "code_to_text reads 'diagnoses'" in ran.stderr
    names = ["text_to_codes", *sorted(TWELVE - {"load_taxonomy", "text_to_codes"})]
    file.write_text('name = "walks"\n' + BEGIN[: BEGIN.rindex("[[step]]")] + "".join(map(one, names)))
    ran = jointcoder("workflow", "check", str(file), cache=tmp_path)
    assert (ran.returncode, ran.stderr.strip()) == (0, f"{file}: all steps join up")
