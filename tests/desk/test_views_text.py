"""The text of the encounter page: whatever evidence overlaps, the segments are the document again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jointcoder.desk.views_text import Place, covered, sections_of, segments, sheets, shown
from jointcoder.records import Assertion, Document, Encounter, Kind, Section, Span

TEXTS = st.text(alphabet="ab 肺炎\n\r𠮷é。", min_size=1, max_size=60)
NOTE = "Chief complaint: cough.\nAssessment: lobar pneumonia, no heart failure.\n"


def place(text: str, start: int, end: int, *, id: str = "p", item: str = "i", dropped: bool = False, **more) -> Place:
    span = Span(document=0, start=start, end=end, quote=text[start:end])
    return Place(id, item, 1, span, "J18.1", "Lobar pneumonia", Kind.DIAGNOSIS, dropped=dropped, **more)


@st.composite
def marked_texts(draw: st.DrawFn) -> tuple[str, list[Place]]:
    text = draw(TEXTS)
    offsets = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(offsets, offsets), max_size=8))
    spans = [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]
    return text, [place(text, *span, id=f"p{n}", item=f"i{n % 3}") for n, span in enumerate(spans)]


@given(marked_texts())
def test_segments_reproduce_text_and_every_span(case: tuple[str, list[Place]]) -> None:
    text, places = case
    found = segments(text, places)
    assert "".join(one.text for one in found) == text
    assert all(one.text == text[one.start : one.end] for one in found)
    for one in places:
        assert "".join(piece.text for piece in found if one in piece.places) == one.span.quote
        assert [piece.start for piece in found if one in piece.begins] == [one.span.start]


@given(marked_texts())
def test_no_two_neighbours_are_one_segment(case: tuple[str, list[Place]]) -> None:
    text, places = case
    for left, right in pairwise(segments(text, places)):
        ended = any(one.span.end == left.end for one in left.places)
        assert left.places != right.places or right.begins or ended


@given(marked_texts(), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=5))
def test_sheets_reproduce_the_document_under_untidy_sections(
    case: tuple[str, list[Place]], cuts: list[tuple[int, int]]
) -> None:
    text, places = case
    sections = [Section(name="labs", document=0, start=min(cut), end=max(cut)) for cut in cuts]
    encounter = Encounter(id="e", documents=(Document(id="0", text=text),))
    (sheet,) = sheets(encounter, sections, places)
    assert "".join(piece.text for part in sheet.parts for piece in part.segments) == text
    for one in places:
        covering = [piece.text for part in sheet.parts for piece in part.segments if one in piece.places]
        assert "".join(covering) == one.span.quote
    assert sum(part.evidence for part in sheet.parts) == len(places)


@given(TEXTS, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=5))
def test_covered_leaves_no_gap(text: str, cuts: list[tuple[int, int]]) -> None:
    sections = [Section(name="labs", document=0, start=min(cut), end=max(cut)) for cut in cuts]
    found = covered(text, sections)
    assert [start for _, start, _ in found] == [0, *(end for _, _, end in found[:-1])]
    assert found[-1][2] == len(text)


def test_shortest_evidence_stands_first() -> None:
    text = "acute lobar pneumonia"
    outer, inner = place(text, 0, 21, id="outer"), place(text, 12, 21, id="inner")
    last = segments(text, [outer, inner])[-1]
    assert [one.id for one in last.places] == ["inner", "outer"]
    assert [one.id for one in last.begins] == ["inner"]


def test_says_what_the_text_says_of_its_evidence() -> None:
    text = "no pneumonia"
    (_, found) = segments(text, [place(text, 3, 12, assertion=Assertion.NEGATED), place(text, 3, 12, id="q")])
    assert found.assertion is Assertion.NEGATED


def test_dropped_only_where_no_code_stands_any_more() -> None:
    text = "pneumonia"
    gone, kept = place(text, 0, 9, id="gone", dropped=True), place(text, 0, 9, id="kept")
    assert segments(text, [gone])[0].dropped
    assert not segments(text, [gone, kept])[0].dropped


def test_offsets_that_lie_are_left_out() -> None:
    encounter = Encounter(id="e", documents=(Document(id="0", text="pneumonia"),))
    wrong = Place("p", "i", 1, Span(document=0, start=0, end=5, quote="fever"), "R50.9", "Fever", Kind.DIAGNOSIS)
    nowhere = Place("q", "i", 1, Span(document=3, start=0, end=5, quote="pneum"), "R50.9", "Fever", Kind.DIAGNOSIS)
    (sheet,) = sheets(encounter, (), [wrong, nowhere])
    assert all(not piece.places for part in sheet.parts for piece in part.segments)


def test_sections_are_found_where_the_encounter_has_none() -> None:
    encounter = Encounter.from_text(NOTE)
    (sheet,) = sheets(encounter, sections_of(encounter, "en"), ())
    assert [part.name for part in sheet.parts] == ["chief_complaint", "assessment"]
    given_ones = Encounter(
        id="e",
        documents=(Document(id="0", text=NOTE),),
        sections=(Section(name="impression", document=0, start=0, end=len(NOTE)),),
    )
    assert [part.name for part in sheets(given_ones, sections_of(given_ones, "en"), ())[0].parts] == ["impression"]


def test_shown_is_as_long_as_the_text() -> None:
    assert shown("a\0b\ud800c") == "a\ufffdb\ufffdc"
    assert shown("肺炎\r\n") == "肺炎\r\n"
