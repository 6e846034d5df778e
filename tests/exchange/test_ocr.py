"""Scans: pages without a useful text layer, image files, pages that lie on their side; files at fault.

Pages are small here: each is recognised for real. What a whole record costs and how much of it is read rightly is
printed by ``benchmarks/ocr.py``.
"""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest

pytest.importorskip("pypdfium2", reason="needs the extra pdf")
pytest.importorskip("rapidocr", reason="needs the extra ocr")
pytest.importorskip("reportlab", reason="sets its pages with reportlab")
pytest.importorskip("mpl_font", reason="sets its pages with the glyphs of mpl-font")

from PIL import Image, ImageDraw
from rapidfuzz.distance import Levenshtein

from jointcoder.errors import AssetError, InputError, UsageError
from jointcoder.exchange import ocr, pictures
from jointcoder.exchange import pages as shown
from jointcoder.exchange.ocr import read_image
from jointcoder.exchange.pages import ReadDocument
from jointcoder.exchange.pdf import read_pdf
from jointcoder.records import Document, Span
from jointcoder.text import find_sections
from tests.typeset import NAMED_FONT, Placed, image_pdf, scan, text_pdf, typeset, width

CARD = (360.0, 200.0)
TEXT = """出院记录
诊疗经过：入院后完善检查，胸部CT示右肺下叶炎症，予左氧氟沙星抗感染，症状好转，体温37.2℃。
出院诊断：
1.社区获得性肺炎
2.高血压病2级"""


def card(text: str = TEXT, *, size: float = 12.0) -> list[Placed]:
    return typeset(text, size=size, page=CARD, margin=24)[0]


def card_scan(tmp_path: Path, text: str = TEXT, **options: float) -> Image.Image:
    (picture,) = scan(text_pdf(tmp_path / "card.pdf", [card(text)], page=CARD), **options)  # type: ignore[arg-type]
    return picture


def lines_of(document: Document) -> list[str]:
    return [line for line in document.text.split("\n") if line.strip()]


def document_of(found: ReadDocument) -> Document:
    (document,) = found.encounter.documents
    return document


def flags_of(found: ReadDocument) -> dict[str, str]:
    return {flag.code: flag.message for flag in found.flags}


def right(got: str, wanted: str) -> float:
    """The share of characters read rightly."""
    wanted = wanted.replace("\n", "")
    return 1 - Levenshtein.distance(got.replace("\n", ""), wanted) / len(wanted)


# --------------------------------------------------------------------------------------------------------- reading


def test_a_scan_is_read_with_places_confidence_and_whole_sentences(tmp_path: Path) -> None:
    picture = card_scan(tmp_path, noise=8, degrees=0.8)
    found = read_pdf(image_pdf(tmp_path / "scan.pdf", [picture]))
    document = document_of(found)
    assert lines_of(document) == TEXT.split("\n")
    assert [page.source for page in document.pages] == ["ocr"]
    assert all(line.confidence is not None and line.confidence > 0.8 for line in document.lines)
    assert "page 1 of 1" in flags_of(found)["JC137"]
    assert {section.name for section in find_sections([document], "zh")} >= {"hospital_course", "discharge_diagnosis"}
    start = document.text.index("高血压病")
    ((page, box),) = shown.boxes(document, Span(document=0, start=start, end=start + 4, quote="高血压病"))
    last = card()[-1]
    assert page == 1
    assert box[0] == pytest.approx(last.x + width("2.", last.size), abs=8)
    assert box[1] - 4 <= last.y <= box[3] + 4


def test_the_cells_of_a_scanned_form_stay_apart(tmp_path: Path) -> None:
    form = [
        Placed(24, 50, "姓名：甲某　性别：男　年龄：60岁"),
        Placed(24, 80, "科室：内科"),
        Placed(130, 80, "床号：12"),
    ]
    (picture,) = scan(text_pdf(tmp_path / "form.pdf", [form], page=CARD))
    document = document_of(read_pdf(image_pdf(tmp_path / "scan.pdf", [picture])))
    assert document.text.split("\n") == ["姓名：甲某 性别：男 年龄：60岁", "科室：内科\t床号：12"]


def test_each_page_of_a_mixed_file_is_read_in_its_way(tmp_path: Path) -> None:
    import pypdfium2

    parts = [
        text_pdf(tmp_path / "first.pdf", [card("主诉：咳嗽3天。")], page=CARD),
        image_pdf(tmp_path / "second.pdf", [card_scan(tmp_path)], stamp="scanned by the ward's copier"),
        text_pdf(tmp_path / "third.pdf", [card("出院医嘱：门诊复查。")], page=CARD),
    ]
    with pypdfium2.PdfDocument.new() as whole:
        for part in parts:
            with pypdfium2.PdfDocument(part) as source:
                whole.import_pages(source)
        whole.save(str(tmp_path / "mixed.pdf"))
    found = read_pdf(tmp_path / "mixed.pdf")
    document = document_of(found)
    assert [page.source for page in document.pages] == ["text", "ocr", "text"]
    assert lines_of(document)[0] == "主诉：咳嗽3天。"
    assert lines_of(document)[-1] == "出院医嘱：门诊复查。"
    assert "1.社区获得性肺炎" in lines_of(document)
    assert "page 2 of 3" in flags_of(found)["JC137"]


def test_a_text_layer_without_meaning_is_not_believed(tmp_path: Path) -> None:
    picture = card_scan(tmp_path, "出院诊断：社区获得性肺炎")
    data = io.BytesIO()
    picture.save(data, format="PNG")

    def draw(canvas: object, _: int) -> None:
        from reportlab.lib.utils import ImageReader

        canvas.drawImage(ImageReader(data), 0, 0, *CARD)  # type: ignore[attr-defined]

    unmapped = [Placed(24, 40 + 15 * y, "\ue012\ue034\ue056\ue078\ue09a" * 5, font=NAMED_FONT) for y in range(9)]
    found = read_pdf(text_pdf(tmp_path / "unmapped.pdf", [unmapped], page=CARD, draw=draw))
    assert document_of(found).pages[0].source == "ocr"
    assert "社区获得性肺炎" in document_of(found).text
    assert "no meaning" in " ".join(flag.message for flag in found.flags)


def test_an_image_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "card.png"
    card_scan(tmp_path).save(path, dpi=(200, 200))
    document = document_of(read_image(path))
    assert lines_of(document) == TEXT.split("\n")
    assert (document.pages[0].width, document.pages[0].height) == pytest.approx(CARD, abs=1)


def test_the_pages_of_an_image_file_follow_one_another(tmp_path: Path) -> None:
    path = tmp_path / "fax.tif"
    first, second = (card_scan(tmp_path, text).convert("1") for text in ("主诉：发热2天。", "出院诊断：急性支气管炎"))
    first.save(path, save_all=True, append_images=[second], dpi=(200, 200))
    seen: list[tuple[int, int]] = []
    found = read_image(path, progress=lambda done, of: seen.append((done, of)))
    assert [page.number for page in document_of(found).pages] == [1, 2]
    assert right(document_of(found).text, "主诉：发热2天。出院诊断：急性支气管炎") > 0.9
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_page_on_its_side_is_turned_and_can_be_shown_so(tmp_path: Path, degrees: int) -> None:
    path = tmp_path / "turned.png"
    card_scan(tmp_path).rotate(degrees, expand=True).save(path, dpi=(200, 200))
    document = document_of(read_image(path))
    assert right(document.text, TEXT) > 0.98
    (page,) = document.pages
    assert page.turned == degrees
    assert (page.width, page.height) == pytest.approx(CARD, abs=1)
    size = Image.open(io.BytesIO(shown.render(path, page, scale=1))).size
    assert size == (round(page.width), round(page.height))


def test_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    ocr._recogniser.cache_clear()
    assert ocr.recognise(card_scan(tmp_path, "高血压病")).pieces


# --------------------------------------------------------------------------------------------------------- at fault


def test_faint_lines_are_counted_by_page(tmp_path: Path) -> None:
    picture = card_scan(tmp_path)
    coarse = picture.resize((picture.width // 6, picture.height // 6)).resize(picture.size)
    picture.paste(coarse.crop((0, 300, *coarse.size)), (0, 300))
    path = tmp_path / "faint.png"
    picture.save(path, dpi=(200, 200))
    found = read_image(path)
    doubtful = [line for line in document_of(found).lines if (line.confidence or 0) < ocr.LITTLE]
    assert doubtful
    assert f"page 1: {len(doubtful)} of {len(document_of(found).lines)} lines" in flags_of(found)["JC136"]


def test_a_page_with_nothing_on_it_is_named(tmp_path: Path) -> None:
    blank = Image.new("RGB", (1000, 555), "white")
    found = read_pdf(image_pdf(tmp_path / "gap.pdf", [card_scan(tmp_path, "出院诊断：肺炎"), blank]))
    assert "page 2" in flags_of(found)["JC135"]
    with pytest.raises(InputError, match=r"JC101: blank\.pdf"):
        read_pdf(image_pdf(tmp_path / "blank.pdf", [blank]))


def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vast.png"
    Image.new("1", (20_000, 6_000)).save(path)
    with pytest.raises(InputError, match=r"JC134: vast\.png"):
        read_image(path)
    scanned = image_pdf(tmp_path / "vast.pdf", [card_scan(tmp_path)])
    monkeypatch.setattr("jointcoder.exchange.pdf.MAX_PIXELS", 10_000)
    with pytest.raises(InputError, match=r"JC134: vast\.pdf"):
        read_pdf(scanned)


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_a_damaged_image_is_an_error(tmp_path: Path, share: float) -> None:
    data = io.BytesIO()
    card_scan(tmp_path, "出院诊断：肺炎").save(data, format="PNG")
    path = tmp_path / "cut.png"
    path.write_bytes(data.getvalue()[: int(share * len(data.getvalue()))])
    with pytest.raises(InputError, match=r"JC133: cut\.png"):
        read_image(path)


def test_what_is_no_image_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_text("出院诊断：肺炎", "utf-8")
    with pytest.raises(InputError, match=r"JC133: note\.jpg"):
        read_image(path)
    with pytest.raises(InputError, match=r"JC107: absent\.jpg"):
        read_image(tmp_path / "absent.jpg")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_pictures_of_every_kind_become_black_on_white(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "kind.tif"
    if mode == "I;16":
        picture = Image.new("I;16", (40, 40), 60_000)
        ImageDraw.Draw(picture).rectangle((10, 10, 29, 29), fill=500)
    else:
        plain = Image.new("RGBA", (40, 40), (255, 255, 255, 0))
        ImageDraw.Draw(plain).rectangle((10, 10, 29, 29), fill=(0, 0, 0, 255))
        white = Image.alpha_composite(Image.new("RGBA", plain.size, "white"), plain).convert("RGB")
        picture = plain.convert(mode) if mode in ("LA", "RGBA") else white.convert(mode)
    picture.save(path)
    with pictures.open_image(path) as image:
        found, _ = pictures.frame(image, 1, path)
    assert found.mode == "RGB"
    assert min(found.getpixel((3, 3))) > 200  # type: ignore[arg-type, type-var]
    assert max(found.getpixel((20, 20))) < 60  # type: ignore[arg-type, type-var]


def test_a_page_that_the_recogniser_fails_on_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> object:
        def fail(*_: object, **__: object) -> object:
            raise RuntimeError("出院诊断：肺炎")

        return fail

    monkeypatch.setattr(ocr, "_recogniser", broken)
    picture = card_scan(tmp_path)
    picture.save(tmp_path / "card.png")
    with pytest.raises(InputError, match="JC139") as caught:
        read_image(tmp_path / "card.png")
    assert "肺炎" not in str(caught.value)

    def draw(canvas: object, number: int) -> None:
        if number == 2:
            canvas.drawInlineImage(picture, 0, 0, *CARD)  # type: ignore[attr-defined]

    found = read_pdf(text_pdf(tmp_path / "both.pdf", [card(), []], page=CARD, draw=draw))
    assert lines_of(document_of(found)) == TEXT.split("\n")
    assert "page 2: not read" in flags_of(found)["JC139"]


def test_missing_weights_and_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = tmp_path / "card.png"
    card_scan(tmp_path, "肺炎").save(path)
    ocr._recogniser.cache_clear()
    try:
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "rapidocr", None)
            with pytest.raises(UsageError, match="JC002") as caught:
                read_image(path)
            assert "jointcoder[ocr]" in caught.value.hint
        with monkeypatch.context() as without:
            without.setattr("rapidocr.__file__", str(tmp_path / "rapidocr" / "__init__.py"))
            with pytest.raises(AssetError, match="JC201"):
                read_image(path)
    finally:
        ocr._recogniser.cache_clear()
