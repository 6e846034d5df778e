"""The worklist over HTTP: filters, order and pages by the URL, taking, giving back, taking over, the next one."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from jointcoder.codebook.book import CodeBook
from jointcoder.records import Encounter
from jointcoder.server.pages import worklist

from .pages_house import HTMX, House, Person, house

NOTE = "Discharge diagnosis: pneumonia."
NOW = dt.datetime(2025, 3, 10, 12, tzinfo=dt.UTC)


@pytest.fixture
def home(tmp_path: Path, small_us: CodeBook) -> Iterator[House]:
    with house(tmp_path, small_us) as made:
        yield made


def note(id: str, *, days: int | None = None, language: str = "en", text: str = NOTE) -> Encounter:
    left = NOW.astimezone().date() - dt.timedelta(days=days) if days is not None else None
    return Encounter.from_text(text, id=id, language=language, discharged=left)


def ids(page: str) -> list[str]:
    """The encounters of a list, in its order."""
    return re.findall(r'class="open" href="/encounters/[0-9a-f]{64}" title="([^"]*)"', page)


def link(page: str, id: str) -> str:
    """Where the link with this id leads."""
    found = re.search(rf'id="{id}" href="([^"]*)"', page)
    assert found, id
    return found[1].replace("&amp;", "&")


def test_an_empty_house_says_what_to_do(home: House) -> None:
    ana = home.person("ana", "coder")
    assert "No encounters yet." in ana.get("/worklist").text
    home.desk.receive(note("one"))
    assert "Nothing to do." in ana.get("/worklist").text
    assert "No encounter fits these filters." in ana.get("/worklist?q=two").text


def test_filters_stand_in_the_url_and_in_the_form(home: House) -> None:
    home.coded(note("ward 3 a"), note("ward 3 b", language="zh"), note("ward 4"))
    ana = home.person("ana", "coder")
    page = ana.get("/worklist?q=ward+3&language=zh").text
    assert ids(page) == ["ward 3 b"]
    assert 'value="ward 3"' in page
    assert re.search(r'<option value="zh" selected>', page)
    tab = parse_qs(urlsplit(link(page, "tab-all")).query)
    assert tab == {"q": ["ward 3"], "language": ["zh"], "status": ["all"]}
    assert ids(ana.get("/worklist?holder=nobody").text) == ["ward 3 a", "ward 3 b", "ward 4"]
    home.desk.claim("ward 4", by="ana")
    assert ids(ana.get("/worklist?holder=me").text) == ["ward 4"]


def test_tabs_count_what_the_other_filters_leave(home: House) -> None:
    home.coded(note("a 1"), note("a 2"), note("b 1"))
    home.desk.receive(note("a 3"))
    home.desk.claim("a 1", by="bo")
    page = home.person("ana", "coder").get("/worklist?q=a").text
    counts = dict(re.findall(r'id="tab-(\w+)"[^>]*>[^<]*<span class="count">(\d+)</span>', page))
    assert counts["all"] == "3"
    assert counts["open"] == "2"
    assert counts["received"] == "1"


def test_columns_sort_and_turn_round(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist, "_now", lambda: NOW)
    home.coded(note("new", days=1), note("old", days=30), note("middle", days=9))
    ana = home.person("ana", "coder")
    page = ana.get("/worklist?sort=discharged").text
    assert ids(page) == ["old", "middle", "new"]
    assert re.search(r'class="col-age[^"]*" aria-sort="descending"', page)
    turned = ana.get(link(page, "sort-age")).text
    assert ids(turned) == ["new", "middle", "old"]
    assert re.search(r'class="col-age[^"]*" aria-sort="ascending"', turned)
    assert re.findall(r"<span>(\d+) days?</span>", page) == ["30", "9", "1"]


def test_many_encounters_come_page_by_page_each_once(home: House) -> None:
    for number in range(117):
        home.desk.receive(note(f"stay {number:03}"), priority=number % 4)
    ana = home.person("ana", "coder")
    seen: list[str] = []
    path = "/worklist?status=all"
    while path:
        page = ana.get(path).text
        assert "117 encounters" in page
        assert len(ids(page)) <= 50
        seen += ids(page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        path = found[1].replace("&amp;", "&") if found else ""
    assert sorted(seen) == [f"stay {number:03}" for number in range(117)]
    assert ana.get("/worklist?after=nonsense").status_code == 400


def test_htmx_gets_the_list_alone_and_can_tell_whether_it_changed(home: House) -> None:
    (version,) = home.coded(note("one", days=2))
    ana = home.person("ana", "coder")
    first, second = (ana.get("/worklist", headers=HTMX) for _ in range(2))
    assert "<html" not in first.text
    assert first.headers["x-state"] == second.headers["x-state"]
    assert "HX-Request" in first.headers["vary"]
    home.desk.claim(version, by="bo")
    assert ana.get("/worklist", headers=HTMX).headers["x-state"] != first.headers["x-state"]
    restored = ana.get("/worklist", headers={**HTMX, "HX-History-Restore-Request": "true"})
    assert "<html" in restored.text


# ------------------------------------------------------------------------------------------------- who has an encounter


def said(answer: object) -> dict[str, str]:
    told: dict[str, str] = json.loads(answer.headers.get("hx-trigger", "{}"))  # type: ignore[attr-defined]
    return told


def test_taking_and_giving_back(home: House) -> None:
    (version,) = home.coded(note("one"))
    ana = home.person("ana", "coder")
    taken = ana.post(f"/worklist/{version}/claim", {"back": "q=one"}, htmx=True)
    assert taken.status_code == 200
    assert said(taken) == {"say": "You have one."}
    assert ids(taken.text) == ["one"]
    assert 'data-back="q=one"' in taken.text
    assert home.desk.line("one").holder == "ana"
    back = ana.post(f"/worklist/{version}/release", {"back": "q=one"})
    assert back.headers["location"] == "/worklist?q=one&done=released"
    assert home.desk.line("one").holder == ""


def test_of_two_coders_the_second_is_told_and_gets_the_list_as_it_is(home: House) -> None:
    (version,) = home.coded(note("one"))
    ana, bo = home.person("ana", "coder"), home.person("bo", "coder")
    assert ana.post(f"/worklist/{version}/claim", htmx=True).status_code == 200
    late = bo.post(f"/worklist/{version}/claim", htmx=True)
    assert late.status_code == 409
    assert late.headers["x-fragment"] == "1"
    assert said(late) == {"alarm": "one is with ana."}
    assert ids(late.text) == ["one"]
    plain = bo.post(f"/worklist/{version}/claim")
    assert (plain.status_code, "JC462" in plain.text, "<html" in plain.text) == (409, True, True)
    assert bo.post(f"/worklist/{version}/release", htmx=True).status_code == 409
    assert home.desk.line("one").holder == "ana"


def test_a_lead_takes_over_from_whom_the_list_showed_and_nobody_else(home: House) -> None:
    (version,) = home.coded(note("one"))
    home.desk.claim(version, by="ana")
    lea, bo = home.person("lea", "lead"), home.person("bo", "coder")
    assert "Take over" in lea.get("/worklist").text
    assert "Take over" not in bo.get("/worklist").text
    assert lea.post(f"/worklist/{version}/claim", htmx=True).status_code == 409
    assert lea.post(f"/worklist/{version}/release", htmx=True).status_code == 409
    assert lea.post(f"/worklist/{version}/claim", {"over": "bo"}, htmx=True).status_code == 409
    assert bo.post(f"/worklist/{version}/claim", {"over": "ana"}, htmx=True).status_code == 409
    assert lea.post(f"/worklist/{version}/claim", {"over": "ana"}, htmx=True).status_code == 200
    assert home.desk.line("one").holder == "lea"


def next_of(person: Person, back: str = "") -> str:
    return person.post("/worklist/next", {"back": back}).headers["location"]


def test_the_next_one_is_the_first_free_one_that_fits(home: House) -> None:
    low, low_too = home.coded(note("low"), note("low too"), priority=1)
    (high,) = home.coded(note("high"), priority=7)
    home.desk.receive(note("not coded"), priority=9)
    ana, bo = home.person("ana", "coder"), home.person("bo", "coder")
    assert next_of(ana) == f"/encounters/{high}"
    assert next_of(bo, "q=too") == f"/encounters/{low_too}"
    assert next_of(bo) == f"/encounters/{low}"
    assert next_of(ana, "q=too") == "/worklist?q=too&done=none_left"
    assert said(ana.post("/worklist/next", htmx=True)) == {"say": "Nothing that is free fits these filters."}
    assert [home.desk.line(one).holder for one in ("high", "low", "low too", "not coded")] == ["ana", "bo", "bo", ""]


def test_an_unknown_encounter_is_said(home: House) -> None:
    ana = home.person("ana", "coder")
    answer = ana.post(f"/worklist/{'0' * 64}/claim")
    assert (answer.status_code, "JC460" in answer.text) == (404, True)
