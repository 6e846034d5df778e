"""Names as Taiwan words them, found by the words of the mainland: tables of usage, wordings of our own, the US book."""

from __future__ import annotations

import gzip

import pytest

from jointcoder.codebook.analysis import Analyser, HanAnalyser, Tables, analyser
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_us
from jointcoder.codebook.build.tw import own_wordings
from jointcoder.codebook.lookup import Lookup
from jointcoder.records import Kind, System
from tests.codebook.conftest import PCS

CM = System.ICD10CM
TABULAR = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.tabular><version>2099</version>
<chapter><name>1</name><desc>Hearts and brains (A00-Z99)</desc>
 <section id="I10-I79"><desc>Vessels (I10-I79)</desc>
  <diag><name>I34.0</name><desc>Nonrheumatic mitral (valve) insufficiency</desc></diag>
  <diag><name>I63.9</name><desc>Cerebral infarction, unspecified</desc></diag>
  <diag><name>I47.20</name><desc>Ventricular tachycardia, unspecified</desc></diag>
  <diag><name>J90</name><desc>Pleural effusion, not elsewhere classified</desc></diag>
  <diag><name>N80.03</name><desc>Adenomyosis of the uterus</desc></diag>
  <diag><name>K74.1</name><desc>Hepatic sclerosis</desc></diag>
  <diag><name>K74.60</name><desc>Unspecified cirrhosis of liver</desc></diag></section>
</chapter></ICD10CM.tabular>
"""
NAMES = """code\tbillable\tname_en\tname_zh_tw\tname_zh_cn_t2s
I340\t1\tNonrheumatic mitral (valve) insufficiency\t\t非风湿性二尖瓣闭锁不全
I639\t1\tCerebral infarction, unspecified\t\t脑梗塞
I4720\t1\tVentricular tachycardia, unspecified\t\t心室心搏过速
J90\t1\tPleural effusion, not elsewhere classified\t\t肋膜积水，他处未归类者
K741\t1\tHepatic sclerosis\t\t肝硬化
K7460\t1\tUnspecified cirrhosis of liver\t\t肝硬化
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    folder = tmp_path_factory.mktemp("taiwan")
    (folder / "tabular.xml").write_text(TABULAR, "utf-8")
    (folder / "pcs.txt").write_text(PCS, "utf-8")
    (folder / "names.tsv.gz").write_bytes(gzip.compress(NAMES.encode()))
    paths = {"tabular": "tabular.xml", "pcs": "pcs.txt", "chinese_cm": "names.tsv.gz"}
    build_us({role: folder / name for role, name in paths.items()}, folder / "book", book_id="own")
    return CodeBook.open(folder / "book")


@pytest.fixture(scope="module")
def engine() -> Analyser:
    return analyser(Tables.load("zh", "taiwan"))


@pytest.mark.parametrize(
    ("taiwan", "mainland"),
    [
        ("腦中風", "脑梗死"),
        ("攝護腺肥大", "前列腺增生"),
        ("胃食道逆流性疾病", "胃食管反流病"),
        ("心室心搏过速", "室性心动过速"),
        ("腕隧道症候群", "腕管综合征"),
        ("第二型糖尿病", "2型糖尿病"),
        ("未明示侧性之肋膜积水", "胸腔积液"),
    ],
)
def test_both_usages_have_one_key(engine: Analyser, taiwan: str, mainland: str) -> None:
    assert engine.analyse(taiwan).key == engine.analyse(mainland, query=True).key
    for wording in (taiwan, mainland):  # in running text too
        (run,) = engine.runs(wording)
        assert "".join(word.text for word in run.words) == engine.analyse(mainland).key


def test_the_usage_is_that_of_the_books_names(book: CodeBook, chinese: CodeBook) -> None:
    """The other Chinese books keep their own words: nothing of Taiwan's tables is in them."""
    assert isinstance(Lookup(book).analyser("zh"), HanAnalyser)
    of_book, of_others = Lookup(book).analyser("zh").tables, Lookup(chinese).analyser("zh").tables
    assert set(of_others.get("phrases")) < set(of_book.get("phrases"))
    assert of_others.get("phrases") == Tables.load("zh").get("phrases")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("脑梗死", "I63.9"),
        ("胸腔积液", "J90"),
        ("室性心动过速", "I47.20"),
        ("二尖瓣关闭不全", "I34.0"),
        ("子宫腺肌病", "N80.03"),
        ("肝硬化", "K74.60"),
        ("肝硬變", "K74.60"),
    ],
)
def test_words_of_the_mainland_find_the_code(book: CodeBook, query: str, code: str) -> None:
    hits = Lookup(book).search(query, kind=Kind.DIAGNOSIS, lang="zh", billable=True)
    assert hits[0].code == code


def test_wordings_of_our_own_stand_beside_the_tables_name(book: CodeBook) -> None:
    assert book.name(CM, "I34.0", "zh") == "非风湿性二尖瓣闭锁不全"
    assert book.name(CM, "N80.03", "zh") == "子宫腺肌病"  # a new code: the table has no name for it
    assert book.name(CM, "K74.1", "zh") != book.name(CM, "K74.60", "zh")


def test_what_is_spotted_in_a_text(book: CodeBook) -> None:
    text = "入院诊断：1.腦梗塞 2.胸腔积液。"
    found = {text[one.start : one.end]: one.hits[0].code for one in Lookup(book).spot(text, "zh")}
    assert found == {"腦梗塞": "I63.9", "胸腔积液": "J90"}


def test_every_wording_of_our_own_is_of_a_code_and_of_one_only(us: CodeBook) -> None:
    codes = {code for (code,) in us.rows("SELECT code FROM node WHERE system = ?", CM)}
    ours = own_wordings()
    assert set(ours) <= codes
    wordings = [wording for one in ours.values() for wording in one.wordings]
    assert len(wordings) == len(set(wordings))
    assert all(wording == wording.strip() and wording for wording in wordings)
