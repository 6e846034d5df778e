"""What the steps make of visit notes without a model: problem headings, wordings, sides, causes, history, sex."""

from __future__ import annotations

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.records import AssignedCode, Encounter
from jointcoder.settings import Settings
from jointcoder.workflow.check import Plan
from jointcoder.workflow.run import run
from tests.visits import visit, visit_book


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Coder:
    folder = tmp_path_factory.mktemp("visits")
    book: CodeBook = visit_book(folder / "book")
    return Coder(Settings(cache=folder), code_book=book, workflow="visit")


def drafted(coder: Coder, text: str) -> dict[str, AssignedCode]:
    """The drafts before the cut, by code."""
    steps = coder.plan.steps
    end = next(place for place, (_, step) in enumerate(steps) if step.name == "validate")
    (outcome,) = run(Plan(coder.workflow, steps[:end]), [Encounter.from_text(text)], coder.tools, None)
    assert not outcome.error
    assert not [flag for flag in outcome.state.flags if flag.code == "JC406"]
    return {code.code: code for code in outcome.state.diagnoses}


# Every sentence below is made up. The codes after it must be drafted, those after a dash must not.
MARKED = [
    ("1. Gout.\n- Medical Reasoning: stable.\n2. Hypertension.", "M10.9 I10"),
    ("Migraines.\n• Continue the tablets.", "G43.909"),
    ("• Gout.\n\nThe knee is warm today.", "M10.9"),
    ("Headache and hypertension.", "R51.9 I10"),
    ("Newly diagnosed gout.", "M10.9"),
    ("Back pain due to gout.", "M54.9 M10.9"),
    ("Bilateral carpal tunnel syndrome.", "G56.03 - G56.00"),  # the classification has a code for both sides
    ("Bilateral medial epicondylitis.", "M77.01 M77.02 - M77.00"),  # it has none: both are coded (I.B.13)
    ("Medial epicondylitis, left.", "M77.02 - M77.00 M77.01"),
    ("Tennis player.\nGolfer's elbow.\nThe left elbow is tender.", "M77.02 - M77.00"),
    ("Right ACL tear.", "S83.511A"),  # no eponym, but not how the classification words it
    ("Chronic back pain.", "M54.9 G89.29"),  # I.C.6.b.1.b: the site code does not say how long
    ("Back pain.", "M54.9 - G89.29"),
    ("History of gout.", "Z87.39 M10.9"),  # both are drafted; the cut decides
    ("Gout.", "M10.9 - Z87.39"),
]


@pytest.mark.parametrize(("problems", "expected"), MARKED)
def test_assessment(coder: Coder, problems: str, expected: str) -> None:
    wanted, _, unwanted = expected.partition(" - ")
    found = drafted(coder, visit(problems))
    assert set(wanted.split()) <= set(found)
    assert not set(unwanted.split()) & set(found)


STORIES = [
    ("She slipped on an icy driveway and fell yesterday.", "W00.0XXA"),
    ("Her car was rear-ended; the motor vehicle accident happened on Monday.", "V89.2XXA"),
    ("She fell while playing basketball.", "W18.30XA Y93.67"),
    ("She used to play basketball in college.", "- Y93.67"),
    ("She denies that she fell.", "- W18.30XA"),
]


@pytest.mark.parametrize(("story", "expected"), STORIES)
def test_causes_of_an_injury(coder: Coder, story: str, expected: str) -> None:
    wanted, _, unwanted = f" {expected}".partition(" - ")
    found = drafted(coder, visit("Right ankle sprain.", story))
    told = {code for code in found if any(link.relation == "companion_of" for link in found[code].links)}
    assert set(wanted.split()) <= told
    assert not set(unwanted.split()) & told
    for code in set(wanted.split()):
        assert found[code].evidence[0].quote in story  # the sentence that tells it
        assert "I.C.20" in found[code].checks[-1].citation


def test_no_cause_without_an_injury(coder: Coder) -> None:
    found = drafted(coder, visit("Gout.", "She fell while playing basketball."))
    assert not any(link.relation == "companion_of" for code in found.values() for link in code.links)


def test_side_beside_the_organ_elsewhere_in_the_record(coder: Coder) -> None:
    story = "The scan shows a mass of the left ovary."
    assert "C56.2" in drafted(coder, visit("Ovarian cancer.", story))
    assert "C56.9" in drafted(coder, visit("Ovarian cancer."))
    both = "The scan shows cysts of the left ovary and a mass of the right ovary."
    assert "C56.9" in drafted(coder, visit("Ovarian cancer.", both))  # two sides stated: not ours to decide


@pytest.mark.parametrize(("who", "expected"), [("41-year-old female", "E28.39"), ("59-year-old man", "E29.1")])
def test_codes_of_the_other_sex_are_no_candidates(coder: Coder, who: str, expected: str) -> None:
    found = drafted(coder, visit("Hypogonadism.", who=who))
    assert expected in found
    assert len(found) == 1


def test_headings_stand_beside_what_others_found_there(coder: Coder) -> None:
    found = drafted(coder, visit("Headache and hypertension."))
    stages = {stage for code in found.values() for stage in code.stages}
    assert {"extract:problem", "extract:dictionary"} <= stages


def test_the_plan_is_read_where_the_assessment_orders_nothing(coder: Coder) -> None:
    text = visit("").replace("ASSESSMENT AND PLAN", "ASSESSMENT\n\nPLAN\n\nGout.\nWe will continue the tablets.")
    assert "extract:problem" in drafted(coder, text)["M10.9"].stages


def test_drafts_at_the_very_cut_are_not_asked_about_without_a_band(coder: Coder) -> None:
    story = "She slipped on an icy driveway and fell yesterday."
    record = coder.code(Encounter.from_text(visit("Right ankle sprain.", story)))
    assert not {"JC403", "JC406"} & {flag.code for flag in record.flags}
    assert "W00.0XXA" in {code.code for code in record.codes}  # drafted with the confidence of the cut itself


def test_without_a_pack_the_hand_table_decides(coder: Coder) -> None:
    record = coder.code(Encounter.from_text(visit("1. Gout.\n2. Hypertension.")))
    assert {code.code for code in record.codes} == {"M10.9", "I10"}
    assert not any(code.reasons for code in record.codes)
