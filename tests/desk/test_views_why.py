"""Why this code, as values; and where on scanned pages its evidence stands."""

from __future__ import annotations

import pytest

from jointcoder.desk.stages import StageCode, StageEvent, StageMention
from jointcoder.desk.views_live import live_places
from jointcoder.desk.views_pages import PAD, page_views
from jointcoder.desk.views_text import Place
from jointcoder.desk.views_why import bars, why
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Document,
    Encounter,
    Finding,
    Kind,
    Line,
    Page,
    Reason,
    Role,
    Severity,
    Span,
    StepTrace,
    System,
    Versions,
)

TEXT = "lobar pneumonia"
WHOLE = Span(document=0, start=0, end=15, quote=TEXT)
PART = Span(document=0, start=6, end=15, quote="pneumonia")


def code(name: str, confidence: float, span: Span, **more: object) -> AssignedCode:
    return AssignedCode(system=System.ICD10CM, code=name, name=name, confidence=confidence, evidence=(span,), **more)


def test_bars_are_measured_by_the_longest_and_lose_no_weight() -> None:
    reasons = [Reason(feature=f"f{n}", value=1.0, weight=w) for n, w in enumerate((0.5, -2.0, 0.0, 0.25, 1.0))]
    drawn = bars(reasons, shown=2)
    assert [(bar.feature, bar.length) for bar in drawn.bars] == [("f1", -1.0), ("f4", 0.5)]
    assert (drawn.rest, drawn.rest_weight, drawn.total) == (2, 0.75, -0.25)
    assert bars(()).bars == ()


def test_why_shows_stages_rivals_findings_and_versions() -> None:
    own = code("J18.1", 0.9, WHOLE, role=Role.PRINCIPAL, order=(Reason(feature="first", value=1, weight=1),))
    rival = code("J18.9", 0.2, PART)
    other = code("I10", 0.8, Span(document=1, start=0, end=1, quote="x"))
    finding = Finding(rule="r", severity=Severity.WARNING, codes=("J18.1", "I10"), message="m")
    record = CodedRecord(
        encounter="e",
        language="en",
        codes=(own, other),
        suggestions=(rival,),
        findings=(finding,),
        trace=(
            StepTrace(step="read", component="read", notes={"language": "en"}),
            StepTrace(step="first", component="x", notes={"codes": [["ICD-10-CM", "I10"]]}),
            StepTrace(step="second", component="x", notes={"codes": [["ICD-10-CM", "J18.1"], ["ICD-10-CM", "I10"]]}),
        ),
        versions=Versions(program="1", model="m", model_hash="f" * 64, adapters={"extract": "v2"}),
    )
    found = why(record, own)
    assert [(stage.step, stage.holds) for stage in found.stages] == [("read", None), ("first", False), ("second", True)]
    assert [(one.code.code, one.given) for one in found.rivals] == [("J18.9", False)]
    assert found.findings == (finding,)
    assert found.versions == (("program", "1", ""), ("model", "m", "f" * 64), ("adapter", "extract", "v2"))
    assert [bar.feature for bar in found.order.bars] == ["first"]
    assert why(record, other).order.bars == ()


def test_boxes_stand_on_the_pages_of_the_lines() -> None:
    document = Document(
        id="0",
        text="lobar\npneumonia",
        pages=(Page(number=1, width=100, height=200, source="ocr"), Page(number=2, width=100, height=200)),
        lines=(
            Line(start=0, end=5, page=1, box=(10, 10, 60, 20), confidence=0.4),
            Line(start=6, end=15, page=2, box=(10, 30, 100, 40)),
        ),
    )
    span = Span(document=0, start=0, end=15, quote=document.text)
    place = Place("e-p1-1", "p1", 1, span, "J18.1", "n", Kind.DIAGNOSIS)
    first, second = page_views(document, 0, [place])
    assert (first.recognised, first.doubtful, second.recognised, second.doubtful) == (True, 1, False, 0)
    assert [(box.x, box.y, box.first) for box in first.boxes] == [(10 - PAD, 10 - PAD, True)]
    assert [(box.first, box.width) for box in second.boxes] == [(False, pytest.approx(90 + 2 * PAD))]
    assert all(not page.boxes for page in page_views(document, 1, [place]))


def test_marks_of_a_running_coding_are_codes_once_there_are_some() -> None:
    encounter = Encounter(id="e", documents=(Document(id="0", text=TEXT),))
    mention = StageMention(Kind.DIAGNOSIS, (0, 6, 15))
    early = StageEvent("e", "v", "stage", 1, 2, mentions=(mention,))
    assert [(one.item, one.span.quote) for one in live_places(early, encounter)] == [("m0", "pneumonia")]
    lost = StageCode(System.ICD10CM, "I10", "n", 0.5, ((0, 6, 99), (4, 0, 2)))
    told = StageCode(System.ICD10CM, "J18.1", "n", 0.5, ((0, 0, 15),))
    late = StageEvent("e", "v", "stage", 2, 2, mentions=(mention,), codes=(lost, told))
    assert [(one.code, one.span.quote) for one in live_places(late, encounter)] == [("J18.1", TEXT)]
