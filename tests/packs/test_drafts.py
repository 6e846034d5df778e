"""The part that judges drafts: what its features read, and how a damaged part is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jointcoder.errors import AssetError
from jointcoder.packs.drafts import FEATURES, Drafts, View, features
from jointcoder.packs.pack import PackInfo
from jointcoder.records import (
    Assertion,
    AssignedCode,
    Candidate,
    Encounter,
    Kind,
    Link,
    Mention,
    Section,
    Span,
    System,
)

TEXT = "HPI\nToe pain for days. ASSESSMENT\nToe pain due to gout and asthma. Old gout."
SECTIONS = (
    Section(name="history_present_illness", heading="HPI", document=0, start=0, end=23),
    Section(name="assessment", heading="ASSESSMENT", document=0, start=23, end=len(TEXT)),
)
INFO = PackInfo(
    id="p", languages=("en",), systems=(System.ICD10CM,), parts=("drafts",), thresholds={"drafts:ICD-10-CM": 0.4}
)


def mention(quote: str, source: str, *, last: bool = False, assertion: Assertion = Assertion.PRESENT) -> Mention:
    start = TEXT.rindex(quote) if last else TEXT.index(quote)
    section = next(s.name for s in SECTIONS if s.start <= start < s.end)
    span = Span(document=0, start=start, end=start + len(quote), quote=quote)
    identity = f"d0:{start}-{start + len(quote)}{'h' if source == 'problem' else ''}"
    return Mention(
        id=identity, kind=Kind.DIAGNOSIS, span=span, name=quote, source=source, section=section, assertion=assertion
    )


HEADING = mention("Toe pain due to gout and asthma", "problem")
PAIN, GOUT, ASTHMA = (mention(q, "problem", last=q == "Toe pain") for q in ("Toe pain", "gout", "asthma"))
STORY = mention("Toe pain", "dictionary")
MENTIONS = (HEADING, PAIN, GOUT, ASTHMA, STORY)


def draft(code: str, *mentions: Mention, **more: object) -> AssignedCode:
    return AssignedCode(
        system=System.ICD10CM,
        code=code,
        name=code,
        confidence=0.5,
        mentions=tuple(m.id for m in mentions),
        **more,  # type: ignore[arg-type]
    )


def candidate(m: Mention, code: str, score: float) -> Candidate:
    return Candidate(mention=m.id, system=System.ICD10CM, code=code, name=code, score=score, sources=("exact",))


def read(*drafts: AssignedCode, candidates: tuple[Candidate, ...] = ()) -> list[dict[str, float]]:
    view = View(Encounter.from_text(TEXT), "en", SECTIONS, MENTIONS, candidates, drafts)
    return [dict(zip(FEATURES, row, strict=True)) for row in features(view).tolist()]


FOUND = (
    candidate(STORY, "M79.674", 1.0),
    candidate(GOUT, "M10.9", 0.9),
    candidate(ASTHMA, "J45.909", 0.5),
    candidate(HEADING, "M79.674", 0.3),
)


def test_a_part_of_a_heading_is_measured_against_the_best_of_it() -> None:
    gout, asthma = read(draft("M10.9", GOUT), draft("J45.909", ASTHMA), candidates=FOUND)
    assert gout["heading"] == asthma["heading"] == 1
    assert gout["heading_gap"] == 0
    assert asthma["heading_gap"] == pytest.approx(0.4)
    assert (gout["weak"], asthma["weak"]) == (0, 1)


def test_causes_are_subordinate_equals_are_not() -> None:
    gout, pain = read(draft("M10.9", GOUT), draft("M79.674", PAIN, STORY), candidates=FOUND)
    assert gout["subordinate"] == 1
    assert pain["subordinate"] == 0


def test_a_symptom_is_explained_by_a_sure_disease_of_its_heading() -> None:
    pain = draft("M79.674", PAIN, STORY)
    assert read(pain, draft("M10.9", GOUT), candidates=FOUND)[0]["explained"] == 1
    assert read(pain, candidates=FOUND)[0]["explained"] == 0
    doubtful = draft("M10.9", GOUT, assertion=Assertion.POSSIBLE)
    assert read(pain, doubtful, candidates=FOUND)[0]["explained"] == 0
    assert read(pain, draft("J45.909", ASTHMA), candidates=FOUND)[0]["explained"] == 0  # hardly found at all


def test_mentions_of_one_wording_share_their_lookup() -> None:
    (pain,) = read(draft("M79.674", PAIN), candidates=FOUND)  # looked up under its first mention, the story's
    assert pain["score"] == 1.0


def test_history_code_in_the_place_of_a_disease() -> None:
    over = draft("Z87.39", GOUT, links=(Link(relation="companion_of", system=System.ICD10CM, code="M10.9"),))
    gout, past = read(draft("M10.9", GOUT), over, candidates=FOUND)
    assert (gout["over"], gout["companion_past"]) == (1, 0)
    assert (past["over"], past["companion_past"]) == (0, 1)


def test_unspecified_injury_beside_a_named_one() -> None:
    named, vague = read(draft("S93.401A", GOUT), draft("S99.911A", PAIN), candidates=FOUND)
    assert (named["vague"], vague["vague"]) == (0, 1)
    assert read(draft("S99.911A", PAIN))[0]["vague"] == 0


def test_outside_the_assessment() -> None:
    (story,) = read(draft("M79.674", STORY), candidates=FOUND)
    assert story["outside"] == 1
    assert story["no_heading_but_others"] == 1
    assert story["place"] == 1


@pytest.mark.parametrize("text", ["", "[]", '{"ICD-10-CM": {}}', '{"ICD-10-CM": 3}'])
def test_a_damaged_part(tmp_path: Path, text: str) -> None:
    (tmp_path / "combiners.json").write_text(text, "utf-8")
    with pytest.raises(AssetError, match="JC212"):
        Drafts.load(tmp_path, INFO)


def test_features_of_another_program(tmp_path: Path) -> None:
    line = {"kind": "platt", "a": 1.0, "b": 0.0, "knots": []}
    one = {"bias": 0.0, "features": {"phase_of_the_moon": {"mean": 0, "scale": 1, "weight": 1}}, "calibration": line}
    (tmp_path / "combiners.json").write_text(json.dumps({"ICD-10-CM": one}), "utf-8")
    with pytest.raises(AssetError, match="phase_of_the_moon"):
        Drafts.load(tmp_path, INFO)


def test_loads_thresholds_by_system(tmp_path: Path) -> None:
    line = {"kind": "platt", "a": 1.0, "b": 0.0, "knots": []}
    one = {"bias": -1.0, "features": {"heading": {"mean": 0, "scale": 1, "weight": 3}}, "calibration": line}
    (tmp_path / "combiners.json").write_text(json.dumps({"ICD-10-CM": one}), "utf-8")
    part = Drafts.load(tmp_path, INFO)
    assert part.knows("ICD-10-CM")
    assert not part.knows("ICD-10-PCS")
    view = View(Encounter.from_text(TEXT), "en", SECTIONS, MENTIONS, FOUND, (draft("M10.9", GOUT), draft("R05.9")))
    first, second = part.judge(view, "ICD-10-CM")
    assert first.chosen
    assert not second.chosen
    assert first.probability == pytest.approx(1 / (1 + 2.718281828**-2), abs=1e-6)
    assert {reason.feature for reason in first.reasons} == {"heading", "bias"}
