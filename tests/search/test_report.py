"""The page about a search: it parses, holds the figures, calls nothing from outside, and quotes no note."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.search import charts
from jointcoder.search.charts import Point
from jointcoder.search.conditions import Budget, Conditions
from jointcoder.search.sets import Sets
from jointcoder.store.archive import Archive, Candidate, Run
from jointcoder.store.engine import open_store

from . import bench
from .bench import HELPS, Designing, wants

pytest.importorskip("jinja2", reason="the extra search is not installed")
pytest.importorskip("sqlalchemy", reason="the extra search is not installed")
VOID = {"meta", "br", "img", "hr", "link", "input"}


class Page(HTMLParser):
    """Tags that close in order, and the texts of elements with an id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.ids: dict[str, str] = {}
        self._in: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in VOID:
            return
        self.open.append(tag)
        self._in.append(dict(attrs).get("id", ""))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)
        self._in.pop()

    def handle_data(self, data: str) -> None:
        for name in filter(None, self._in):
            self.ids[name] = self.ids.get(name, "") + data


@pytest.fixture(scope="module")
def searched(small_us: CodeBook, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's file after a search."""
    folder = tmp_path_factory.mktemp("searched")
    meta = Designing(
        plans=[bench.draft("validate", "map_codes", idea="<b>bold</b> & 'quoted'")], edit=wants(HELPS)
    ).model()
    conditions = Conditions(designs=0.4, offered=12, patience=50, first=4, seed=1)
    with open_store(folder / "archive.sqlite") as store:
        archive, budget, sets = Archive(store), Budget(iterations=4), bench.sets(folder, 20)
        bench.search(small_us, archive, sets, folder, meta=meta, conditions=conditions, budget=budget).go()
    return folder / "archive.sqlite"


@pytest.fixture
def finished(searched: Path, tmp_path: Path) -> Iterator[Archive]:
    with open_store(shutil.copy(searched, tmp_path / "finished.sqlite")) as store:
        yield Archive(store)


def page(archive: Archive) -> tuple[str, Page]:
    from jointcoder.search.report import report

    html = report(archive, archive.run("run00001"))
    return html, Page(html)


def test_the_page_parses_and_holds_the_figures(finished: Archive):
    _, parsed = page(finished)
    assert parsed.problems == []
    assert parsed.open == []
    run = finished.run("run00001")
    won = run.result["gains"][0]
    assert f"{won['difference']:+.3f}" in parsed.ids["verdict"]
    assert "approve" in parsed.ids["verdict"]
    for one in finished.candidates("run00001"):
        assert one.hash[:12] in parsed.ids["candidates"]
        if one.scores:
            assert f"{one.scores['f1']:.3f}" in parsed.ids["candidates"]
    assert "nothing" in parsed.ids["ablations"]
    assert "trust_lists = false" in parsed.ids["workflow"]
    assert f"{run.spent['meta']:,}" in parsed.ids["accounts"]


def test_the_page_is_whole_in_itself_and_quotes_no_note(finished: Archive, sets: Sets):
    html, _ = page(finished)
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#)""", html)
    assert "<script" not in html
    assert "<b>bold</b>" not in html
    for item in (*sets.search, *sets.selection):
        for line in item.encounter.documents[0].text.splitlines():
            assert not line.startswith("Day") or line not in html


def test_every_chart_is_well_formed(finished: Archive):
    html, _ = page(finished)
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        numbers = [
            float(v) for e in root.iter() for k, v in e.attrib.items() if k in ("cx", "cy", "x1", "x2", "y1", "y2")
        ]
        assert all(-1 <= number <= 2000 for number in numbers)
    scored = [one for one in finished.candidates("run00001") if one.scores]
    assert pictures[0].count("<circle") == len(scored)


@pytest.mark.parametrize("state", ["begun", "nothing better"])
def test_pages_of_searches_without_a_winner(archive: Archive, state: str):
    result = {"chosen": None, "why": "iterations", "gains": []} if state == "nothing better" else {}
    archive.begin(Run(id="run00001", name="<x>", result=result))
    seed = Candidate(run="run00001", number=1, origin="seed", status="compiled", name="lexical")
    archive.add(seed)
    html, parsed = page(archive)
    assert parsed.problems == []
    assert ("lexical stays" in parsed.ids["verdict"]) == (state == "nothing better")
    assert "<x>" not in html


def test_a_page_without_a_winner_names_the_plan_that_costs_less(archive: Archive):
    gain = {"number": 2, "difference": 0.0, "low": -0.085, "high": 0.062, "level": 0.95}
    score = {"f1": 0.625, "compliance": 1.0, "n": 16}
    selection = {"1": {**score, "tokens": 1954.0}, "2": {**score, "tokens": 391.0}}
    result = {"chosen": None, "why": "minutes", "gains": [gain], "selection": selection, "thriftier": gain}
    archive.begin(Run(id="run00001", name="x", result=result))
    for number, name in ((1, "jointcoder"), (2, "x-2")):
        archive.add(Candidate(run="run00001", number=number, origin="seed", status="compiled", name=name))
    verdict = " ".join(page(archive)[1].ids["verdict"].split())
    assert "jointcoder stays" in verdict
    assert (
        "Plan 2 lost nothing on the 16 notes for 391 tokens a note instead of 1954: F1 +0.000 [-0.085, +0.062]"
        in verdict
    )


def test_runs_on_the_same_notes_stand_beside_each_other(finished: Archive):
    other = finished.run("run00001")
    shows = {"top_k": False, "recent": True}
    finished.begin(Run(id="run00002", name="bare", config={**other.config, "conditions": {"shows": shows}}))
    _, parsed = page(finished)
    assert "bare" in parsed.ids["ablations"]
    assert "top k" in parsed.ids["ablations"]


def test_plans_that_are_almost_alike_get_ticks_that_differ():
    drawn = charts.scatter([Point(0, 0.69901, "done", "a"), Point(1, 0.69913, "done", "b")], x="x", y="y")
    ticks = re.findall(r'class="tick"[^>]*text-anchor="end"[^>]*>([^<]+)<', drawn)
    assert len(set(ticks)) == len(ticks) == 5


def test_charts_of_nothing_and_of_one_point():
    assert (
        charts.curve([], x="x", y="y")
        == charts.scatter([], x="x", y="y")
        == charts.bounds([])
        == charts.tree({}, {})
        == ""
    )
    one = Point(3, 0.5, "seed", "a & b")
    for picture in (
        charts.curve([one], x="x", y="y"),
        charts.scatter([one], x="x", y="y"),
        charts.tree({3: None}, {3: one}),
    ):
        ElementTree.fromstring(picture)


def test_the_curve_climbs_only_with_plans_that_count():
    points = [
        Point(1, 0.5, "seed", ""),
        Point(2, 0.9, "dropped", ""),
        Point(3, 0.7, "mutation", ""),
        Point(4, 0.6, "design", ""),
    ]
    root = ElementTree.fromstring(charts.curve(points, x="plan", y="J"))
    path = next(e.attrib["d"] for e in root.iter() if e.attrib.get("class") == "best")
    dots = {
        e[0].text or i: float(e.attrib["cy"]) for i, e in enumerate(e for e in root.iter() if e.tag.endswith("circle"))
    }
    heights = [float(v) for v in re.findall(r"V([\d.]+)", path)]
    assert heights == [pytest.approx(dots[2])]


def test_the_front_holds_what_no_other_beats_in_both():
    points = [Point(1, 0.5, "a", ""), Point(2, 0.4, "b", ""), Point(3, 0.8, "c", ""), Point(1, 0.3, "d", "")]
    root = ElementTree.fromstring(charts.scatter(points, x="cost", y="F1"))
    path = next(e.attrib["d"] for e in root.iter() if e.attrib.get("class") == "front")
    assert len(re.findall("V", path)) == 1
