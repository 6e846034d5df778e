"""PDF files with a text layer: reading order, joined lines, running lines, places, damaged and protected files."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import InputError, UsageError
from jointcoder.exchange import pages as shown
from jointcoder.exchange.pdf import read_pdf
from jointcoder.records import Document, Encounter, Line, Page, Span
from jointcoder.text import find_sections

pytest.importorskip("pypdfium2", reason="needs the extra pdf")
pytest.importorskip("reportlab", reason="sets its PDFs with reportlab")
pytest.importorskip("mpl_font", reason="sets its PDFs with the glyphs of mpl-font")

from tests.typeset import A4, FONT, NAMED_FONT, Placed, columns, text_pdf, typeset, width

RECORD = (Path(__file__).parents[1] / "fixtures" / "inpatient_zh.txt").read_text("utf-8")
NOTE = """DISCHARGE SUMMARY

History of present illness: The patient is a 67-year-old man with a long history of hypertension and type 2 diabetes \
mellitus who presented with three days of worsening shortness of breath, orthopnea and leg swelling. He denied chest \
pain, fever or cough. On arrival his oxygen saturation was 88% on room air.

Hospital course: He was admitted for acute on chronic systolic heart failure and treated with intravenous furosemide \
40 mg twice daily. Echocardiogram showed an ejection fraction of 30%. A follow-up chest radiograph on day three showed \
resolution of the pleural effusion. Acute kidney injury developed on day two and resolved.

Discharge diagnoses:
1. Acute on chronic systolic heart failure
2. Type 2 diabetes mellitus with diabetic nephropathy and chronic kidney disease, stage 3a, with long-term use of \
insulin
3. Essential hypertension
"""


def lines_of(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


def assert_whole(text: str, wanted: str) -> None:
    """Line by line what was set; a paragraph may come in parts where a sentence ends, nowhere else."""
    ours = lines_of(text)
    for line in lines_of(wanted):
        taken = ours.pop(0)
        while taken != line:
            assert line.startswith(taken)
            assert taken.endswith("。")
            taken += ours.pop(0)
    assert not ours


def read(path: Path) -> tuple[Document, dict[str, str]]:
    """The document, and the flags' messages by code."""
    found = read_pdf(path)
    (document,) = found.encounter.documents
    return document, {flag.code: flag.message for flag in found.flags}


def span(document: Document, quote: str) -> Span:
    start = document.text.index(quote)
    return Span(document=0, start=start, end=start + len(quote), quote=quote)


# ------------------------------------------------------------------------------------------------- text and its order


@pytest.mark.parametrize("font", [FONT, NAMED_FONT], ids=["font inside", "font only named"])
@pytest.mark.parametrize("indent", [0, 2])
def test_a_chinese_record_of_many_pages_comes_back_paragraph_by_paragraph(
    tmp_path: Path, font: str, indent: int
) -> None:
    pages = typeset(
        RECORD,
        font=font,
        indent=indent,
        header="第二人民医院　　姓名：林桂芬　　住院号：20250304017",
        footer=lambda page, of: f"第 {page} 页 共 {of} 页",
    )
    document, flags = read(text_pdf(tmp_path / "record.pdf", pages))
    assert_whole(document.text, RECORD)
    assert len(document.pages) == len(pages) >= 8
    assert f"{2 * len(pages)}" in flags["JC138"]


@pytest.mark.parametrize("font", ["Helvetica", "Times-Roman"])
def test_an_english_note_keeps_its_paragraphs_and_items(tmp_path: Path, font: str) -> None:
    pages = typeset(NOTE, font=font, size=11, footer=lambda page, of: f"Page {page} of {of}")
    document, flags = read(text_pdf(tmp_path / "note.pdf", pages))
    assert lines_of(document.text) == lines_of(NOTE)
    assert set(flags) == {"JC138"}


def test_sections_are_found_in_what_was_read(tmp_path: Path) -> None:
    document, _ = read(text_pdf(tmp_path / "record.pdf", typeset(RECORD)))
    names = {section.name for section in find_sections([document], "zh")}
    assert {"chief_complaint", "past_history", "operation_note", "operation_name", "discharge_diagnosis"} <= names


def test_two_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    first, second = NOTE.split("\n\n")[1:3]
    narrow = {"font": "Times-Roman", "size": 10.0, "page": (320.0, 842.0), "margin": 50.0}
    left, right = (typeset(f"{text}\n{text}", **narrow)[0] for text in (first, second))  # type: ignore[arg-type]
    title = Placed(200, 40, "Report of the ward round", 14, "Helvetica")
    document, _ = read(text_pdf(tmp_path / "two.pdf", [[title, *columns(left, right, shift=235)]]))
    assert lines_of(document.text) == lines_of("\n".join([title.text, first, first, second, second]))


def test_the_cells_of_a_form_stay_on_their_line(tmp_path: Path) -> None:
    rows = [
        ("姓名：甲某", "性别：男", "年龄：60岁"),
        ("科室：内科", "床号：12", "住院号：0031"),
        ("血型：A型", "过敏：无", "入院：急诊"),
    ]
    form = [Placed(72 + 150 * x, 100 + 20 * y, cell) for y, row in enumerate(rows * 3) for x, cell in enumerate(row)]
    document, _ = read(text_pdf(tmp_path / "form.pdf", [form]))
    assert document.text.split("\n") == ["\t".join(row) for row in rows * 3]


def test_lines_out_of_order_in_the_file_are_sorted(tmp_path: Path) -> None:
    pages = typeset(NOTE, font="Helvetica", size=11)
    shuffled = [random.Random(3).sample(page, len(page)) for page in pages]
    document, _ = read(text_pdf(tmp_path / "note.pdf", shuffled))
    assert lines_of(document.text) == lines_of(NOTE)


@pytest.mark.parametrize(
    ("before", "after", "joined"),
    [
        ("hyper-", "tension", "hypertension"),
        ("follow-", "up", "follow-up"),
        ("non-", "smoker", "non-smoker"),
        ("beta-", "Blocker", "beta-Blocker"),
    ],
)
def test_hyphens_at_line_ends(tmp_path: Path, before: str, after: str, joined: str) -> None:
    filler = "The patient was seen in the clinic for the long known"
    room = width(f"{filler} {before}", 12, "Helvetica") + 1
    lines = [f"{filler} {before}", f"{after} and was well at that time in every other way", "he said. Nothing else."]
    placed = [Placed(72, 100 + 18 * y, line, 12, "Helvetica") for y, line in enumerate(lines)]
    wide = Placed(72, 160, "x" * int(room / width("x", 12, "Helvetica")), 12, "Helvetica")
    document, _ = read(text_pdf(tmp_path / "hyphen.pdf", [[*placed, wide]]))
    assert f"known {joined} and" in document.text


def test_bold_that_is_set_twice_is_said_once(tmp_path: Path) -> None:
    twice = [Placed(72 + shift, 100, "出院诊断：肺炎") for shift in (0, 0.4)]
    document, _ = read(text_pdf(tmp_path / "bold.pdf", [twice]))
    assert document.text == "出院诊断：肺炎"


def test_radicals_become_the_characters_they_stand_for(tmp_path: Path) -> None:
    placed = [Placed(72, 100, "⽤⼼电图⻅⻛湿", font=NAMED_FONT)]
    document, _ = read(text_pdf(tmp_path / "radicals.pdf", [placed]))
    assert document.text == "用心电图见风湿"


# ------------------------------------------------------------------------------------------------------ running lines


def test_running_lines_leave_the_text_and_take_no_sentence_apart(tmp_path: Path) -> None:
    pages = typeset(RECORD, header="病案科　骨科病房　诊断：骨折", footer=lambda page, of: f"- {page} -")
    document, flags = read(text_pdf(tmp_path / "record.pdf", pages))
    assert "病案科" not in document.text
    assert_whole(document.text, RECORD)
    assert "JC138" in flags


def test_a_dated_note_a_page_is_no_running_line(tmp_path: Path) -> None:
    notes = [
        f"2025-03-{day:02d} 08:30\n患者一般情况可，体温正常，第{day}天切口愈合良好，继续目前治疗。" for day in (4, 5, 6)
    ]
    pages = [typeset(note)[0] for note in notes]
    document, flags = read(text_pdf(tmp_path / "notes.pdf", pages))
    assert lines_of(document.text) == [line for note in notes for line in note.split("\n")]
    assert not flags


def test_a_running_section_heading_is_kept_once(tmp_path: Path) -> None:
    long = "\n".join(
        f"{day}日：患者无不适，饮食睡眠好，查体无特殊，继续治疗，注意观察病情变化，第{day}次。" for day in range(1, 60)
    )
    pages = typeset(long)
    pages = [[Placed(250, 50, "病程记录", 14), *page] for page in pages]
    document, _ = read(text_pdf(tmp_path / "notes.pdf", pages))
    assert len(pages) > 1
    assert document.text.count("病程记录") == 1
    assert document.text.startswith("病程记录\n")


def test_two_copies_of_a_page_are_both_read(tmp_path: Path) -> None:
    page = typeset(NOTE, font="Helvetica", size=11, margin=40, footer=lambda page, of: f"Page {page} of {of}")[0]
    document, flags = read(text_pdf(tmp_path / "copies.pdf", [page, page[:-1]]))
    assert lines_of(document.text) == 2 * lines_of(NOTE)
    assert flags["JC138"].endswith(": 1")


def test_a_watermark_is_left_out_and_said(tmp_path: Path) -> None:
    def draw(canvas: object, _: int) -> None:
        canvas.saveState()  # type: ignore[attr-defined]
        canvas.translate(300, 400)  # type: ignore[attr-defined]
        canvas.rotate(45)  # type: ignore[attr-defined]
        canvas.setFont("Helvetica", 40)  # type: ignore[attr-defined]
        canvas.drawString(-100, 0, "COPY")  # type: ignore[attr-defined]
        canvas.restoreState()  # type: ignore[attr-defined]

    document, flags = read(text_pdf(tmp_path / "copy.pdf", typeset(NOTE, font="Helvetica", size=11), draw=draw))
    assert lines_of(document.text) == lines_of(NOTE)
    assert "slanted" in flags["JC138"]


# ------------------------------------------------------------------------------------------------------------- places


def test_every_line_lies_on_its_page_and_gives_its_text(tmp_path: Path) -> None:
    document, _ = read(text_pdf(tmp_path / "record.pdf", typeset(RECORD)))
    covered = "".join(document.text[line.start : line.end] for line in document.lines)
    assert covered == document.text.replace("\n", "").replace("\t", "")
    for line in document.lines:
        x0, y0, x1, y1 = line.box
        assert 0 <= x0 < x1 <= A4[0]
        assert 0 <= y0 < y1 <= A4[1]
        assert line.confidence is None


def test_the_place_of_a_word_is_where_it_was_set(tmp_path: Path) -> None:
    placed = [Placed(72, 100, "诊断："), Placed(72, 140, "患者有高血压病多年，口服药物治疗")]
    path = text_pdf(tmp_path / "one.pdf", [placed])
    document, _ = read(path)
    ((page, box),) = shown.boxes(document, span(document, "高血压病"))
    left = 72 + width("患者有", 12)
    assert page == 1
    assert box[0] == pytest.approx(left, abs=2)
    assert box[2] == pytest.approx(left + width("高血压病", 12), abs=2)
    assert box[1] < 140 < box[3] + 4


def test_a_span_over_a_line_end_has_a_box_on_each_line(tmp_path: Path) -> None:
    document, _ = read(text_pdf(tmp_path / "record.pdf", typeset(RECORD)))
    first, second = document.lines[20], document.lines[21]
    over = Span(
        document=0,
        start=first.end - 2,
        end=second.start + 2,
        quote=document.text[first.end - 2 : second.start + 2],
    )
    places = shown.boxes(document, over)
    assert [place for place, _ in places] == [first.page, second.page]
    assert places[0][1][2] == pytest.approx(first.box[2])
    assert places[1][1][0] == pytest.approx(second.box[0])


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_pages_that_the_viewer_turns_are_read_as_shown(tmp_path: Path, rotate: int) -> None:
    path = text_pdf(tmp_path / "turned.pdf", typeset(NOTE, font="Helvetica", size=11), rotate=rotate)
    document, _ = read(path)
    assert lines_of(document.text) == lines_of(NOTE)
    (page,) = document.pages
    assert page.turned == -rotate % 360
    assert (page.width, page.height) == pytest.approx(A4)
    assert document.lines[0].box[0] == pytest.approx(72, abs=1)


def test_marks_are_drawn_where_the_evidence_stands(tmp_path: Path) -> None:
    from PIL import Image

    path = text_pdf(tmp_path / "note.pdf", typeset(NOTE, font="Helvetica", size=11), rotate=90)
    document, _ = read(path)
    evidence = span(document, "acute on chronic systolic heart failure")
    plain = Image.open(io.BytesIO(shown.render(path, document.pages[0], scale=2)))
    marked = Image.open(io.BytesIO(shown.marked(path, document, [evidence], scale=2)))
    assert plain.size == marked.size == (1190, 1684)
    places = [tuple(2 * value for value in box) for _, box in shown.boxes(document, evidence)]
    for y in range(0, marked.height, 7):
        for x in range(0, marked.width, 7):
            inside = any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in places)
            near = any(x0 - 4 <= x <= x1 + 4 and y0 - 4 <= y <= y1 + 4 for x0, y0, x1, y1 in places)
            if inside or not near:
                assert (plain.getpixel((x, y)) != marked.getpixel((x, y))) == inside


def test_a_page_the_document_was_not_read_from_cannot_be_marked(tmp_path: Path) -> None:
    path = text_pdf(tmp_path / "note.pdf", typeset(NOTE, font="Helvetica", size=11))
    document, _ = read(path)
    with pytest.raises(InputError, match="JC108"):
        shown.marked(path, document, [], page=7)


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    bounds=st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
@settings(deadline=None)
def test_boxes_cover_exactly_the_characters_of_the_span(lengths: list[int], bounds: tuple[int, int]) -> None:
    text, lines = "", []
    for place, length in enumerate(lengths):
        start = len(text)
        text += "字" * length
        box = (10.0, 20.0 * place, 10.0 + 5 * length, 20.0 * place + 10)
        lines.append(Line(start=start, end=len(text), page=1, box=box))
        text += "\n"
    document = Document(id="0", text=text, pages=(Page(number=1, width=400, height=400),), lines=tuple(lines))
    start, end = sorted(min(bound, len(text)) for bound in bounds)
    found = shown.boxes(document, Span(document=0, start=start, end=end, quote=text[start:end]))
    assert sum(x1 - x0 for _, (x0, _, x1, _) in found) == pytest.approx(5 * text[start:end].count("字"))


def test_lines_round_trip_through_json(tmp_path: Path) -> None:
    encounter = read_pdf(text_pdf(tmp_path / "note.pdf", typeset(NOTE, font="Helvetica", size=11))).encounter
    assert Encounter.model_validate_json(encounter.model_dump_json()) == encounter


@pytest.mark.parametrize(
    "lines",
    [
        [Line(start=0, end=2, page=2, box=(0, 0, 1, 1))],
        [Line(start=0, end=9, page=1, box=(0, 0, 1, 1))],
        [Line(start=2, end=4, page=1, box=(0, 0, 1, 1)), Line(start=0, end=2, page=1, box=(0, 0, 1, 1))],
    ],
    ids=["no such page", "outside the text", "out of order"],
)
def test_lines_that_cannot_be_are_refused(lines: list[Line]) -> None:
    with pytest.raises(ValueError, match="line"):
        Document(id="0", text="four", pages=(Page(number=1, width=10, height=10),), lines=tuple(lines))


# ------------------------------------------------------------------------------------------------------- files at fault


def test_form_fields_and_notes_are_part_of_the_page(tmp_path: Path) -> None:
    def draw(canvas: object, _: int) -> None:
        canvas.acroForm.textfield(name="dx", value="Pneumonia", x=200, y=700, width=200, height=20)  # type: ignore[attr-defined]

    path = text_pdf(tmp_path / "form.pdf", [[Placed(72, 130, "Diagnosis:", 12, "Helvetica")]], draw=draw)
    document, _ = read(path)
    assert "Pneumonia" in document.text


def test_a_picture_beside_the_text_is_named(tmp_path: Path) -> None:
    from PIL import Image

    picture = Image.effect_noise((300, 200), 40).convert("RGB")

    def draw(canvas: object, number: int) -> None:
        size = (420, 300) if number == 2 else (40, 30)  # a report, a logo
        canvas.drawInlineImage(picture, 72, 60, *size)  # type: ignore[attr-defined]

    page = typeset(NOTE, font="Helvetica", size=11)[0]
    document, flags = read(text_pdf(tmp_path / "ecg.pdf", [page, page], draw=draw))
    assert lines_of(document.text) == 2 * lines_of(NOTE)
    assert "page 2: a picture" in flags["JC139"]


def protected(path: Path) -> Path:
    from reportlab.lib.pdfencrypt import StandardEncryption

    key = StandardEncryption("open sesame", ownerPassword="owner", strength=128)
    return text_pdf(path, typeset(NOTE, font="Helvetica", size=11), encrypt=key)


def test_a_protected_file_asks_for_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = protected(tmp_path / "locked.pdf")
    with pytest.raises(InputError, match=r"JC131: locked\.pdf"):
        read_pdf(path)
    with pytest.raises(InputError, match="JC131"):
        read_pdf(path, password="guess")
    assert "Essential hypertension" in read_pdf(path, password="open sesame").encounter.documents[0].text
    monkeypatch.setenv("JOINTCODER_PDF_PASSWORD", "open sesame")
    document, _ = read(path)
    assert shown.render(path, document.pages[0]).startswith(b"\x89PNG")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_a_file_that_was_cut_short_is_an_error(tmp_path: Path, share: float) -> None:
    data = text_pdf(tmp_path / "whole.pdf", typeset(NOTE, font="Helvetica", size=11)).read_bytes()
    path = tmp_path / "cut.pdf"
    path.write_bytes(data[: max(5, int(share * len(data)))])
    with pytest.raises(InputError, match=r"JC13[02]: cut\.pdf"):
        read_pdf(path)


@given(data=st.binary(max_size=400))
@settings(deadline=None, max_examples=40)
def test_bytes_that_are_no_pdf_are_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "junk.pdf"
    path.write_bytes(b"%PDF-1.7\n" + data)
    with pytest.raises(InputError, match=r"JC13[02]: junk\.pdf"):
        read_pdf(path)


def test_a_file_without_pages_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none.pdf"
    path.write_bytes(
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
        b"trailer<</Root 1 0 R/Size 3>>\n%%EOF\n"
    )
    with pytest.raises(InputError, match=r"JC13[02]: none\.pdf"):
        read_pdf(path)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JC107"):
        read_pdf(tmp_path / "absent.pdf")


def test_empty_pages_are_named_and_an_empty_file_is_an_error(tmp_path: Path) -> None:
    path = text_pdf(tmp_path / "gap.pdf", [typeset(NOTE, font="Helvetica", size=11)[0], [], []])
    _, flags = read(path)
    assert "pages 2–3" in flags["JC135"]
    with pytest.raises(InputError, match=r"JC101: empty\.pdf"):
        read_pdf(text_pdf(tmp_path / "empty.pdf", [[], []]))


def test_no_message_quotes_the_record(tmp_path: Path) -> None:
    pages = [*typeset(RECORD, header="住院号：20250304017"), []]
    for flag in read_pdf(text_pdf(tmp_path / "record.pdf", pages)).flags:
        assert "20250304017" not in flag.message
        assert not any(line in flag.message for line in lines_of(RECORD))


def test_many_pages_are_read_with_progress(tmp_path: Path) -> None:
    page = typeset(NOTE, font="Helvetica", size=11)[0]
    path = text_pdf(tmp_path / "long.pdf", [page] * 200)
    seen: list[tuple[int, int]] = []
    found = read_pdf(path, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(number, 200) for number in range(1, 201)]
    assert found.encounter.documents[0].text.count("Essential hypertension") == 200


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(UsageError, match="JC002") as caught:
        read_pdf(tmp_path / "any.pdf")
    assert "jointcoder[pdf]" in caught.value.hint
