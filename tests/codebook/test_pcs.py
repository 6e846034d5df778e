"""ICD-10-PCS: the tables and what they allow, titles, definitions and keys, the index, refusal of malformed files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import pcs
from jointcoder.codebook.build.pcs_tables import read_tables
from jointcoder.codebook.build.pcs_titles import Composer
from jointcoder.codebook.build.writer import Part, Plan, write
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.pcs import Pcs
from jointcoder.codebook.pcs_terms import Terms
from jointcoder.errors import CodeBookError
from jointcoder.records import Kind, System

PCS = System.ICD10PCS


def axis(place: int, title: str, values: str, definition: str = "") -> str:
    """An axis of the XML from ``"0 Open; 4 Percutaneous"``."""
    labels = "".join(f'<label code="{v[0]}">{v[2:]}</label>' for v in values.split("; "))
    meaning = f"<definition>{definition}</definition>" if definition else ""
    count = len(values.split("; "))
    return f'<axis pos="{place}" values="{count}"><title>{title}</title>{labels}{meaning}</axis>\n'


def row(codes: int, part: str, approach: str, device: str, qualifier: str) -> str:
    titles = ("Body Part", "Approach", "Device", "Qualifier")
    axes = (axis(n, t, v) for n, t, v in zip(range(4, 8), titles, (part, approach, device, qualifier), strict=True))
    return f'<pcsRow codes="{codes}">\n{"".join(axes)}</pcsRow>\n'


def table(system: str, operation: str, meaning: str, *rows: str) -> str:
    head = axis(1, "Section", "0 Medical and Surgical") + axis(2, "Body System", system)
    return f"<pcsTable>\n{head}{axis(3, 'Operation', operation, meaning)}{''.join(rows)}</pcsTable>\n"


def document(*tables: str) -> str:
    return f"<ICD10PCS.tabular>\n<version>2026</version>\n{''.join(tables)}</ICD10PCS.tabular>\n"


BILE, URINE = "F Hepatobiliary System and Pancreas", "T Urinary System"
OPEN, BOTH, NONE = "0 Open", "0 Open; 4 Percutaneous Endoscopic", "Z No Device"
PLAIN = "Z No Qualifier"
TABLES = document(
    table(BILE, "B Excision", "Some of it", row(8, "4 Gallbladder; G Pancreas", BOTH, NONE, f"X Diagnostic; {PLAIN}")),
    table(
        BILE,
        "T Resection",
        "All of it",
        row(4, "4 Gallbladder; G Pancreas", BOTH, NONE, PLAIN),
        row(1, "1 Liver, Right Lobe", OPEN, NONE, PLAIN),
    ),
    table(
        BILE,
        "H Insertion",
        "Putting in",
        row(2, "4 Gallbladder", "3 Percutaneous", "2 Monitoring Device; Y Other Device", PLAIN),
    ),
    table(
        URINE,
        "T Resection",
        "All of it",
        row(2, "0 Kidney, Right; 1 Kidney, Left", OPEN, NONE, PLAIN),
        row(2, "0 Kidney, Right; 2 Kidneys, Bilateral", OPEN, NONE, "0 Allogeneic"),
    ),
    table(
        URINE,
        "Y Transplantation",
        "Putting in another's",
        row(2, "0 Kidney, Right", OPEN, NONE, "0 Allogeneic; 1 Syngeneic"),
    ),
)
DEFINITIONS = """<ICD10PCS.definitions><version>2026</version><section code="0"><title>Medical and Surgical</title>
<axis pos="3"><title>Operation</title><terms><title>Resection</title><definition>Cutting all of it out</definition>
<explanation>None stays</explanation><includes>Total nephrectomy</includes></terms></axis>
<axis pos="4"><title>Body Part</title><terms><title>Kidney, Left</title><title>Kidney, Right</title>
<includes>Renal (upper) lobe</includes></terms></axis>
<axis pos="6"><title>Device</title><terms><title>Monitoring Device in Urinary System</title>
<includes>Wrong one</includes></terms><terms><title>Monitoring Device for Insertion in Hepatobiliary System</title>
<includes>Bile sensor(R)</includes>
</terms></axis></section></ICD10PCS.definitions>
"""
INDEX = """<ICD10PCS.index><version>2026</version><letter><title>A</title>
<mainTerm><title>Cholecystectomy</title><term level="1"><see>Excision, Gallbladder<codes>0FB4</codes></see></term>
<term level="1"><see>Resection, Gallbladder<codes>0FT4</codes></see></term></mainTerm>
<mainTerm><title>Gridiron (McArthur) operation</title><see>Gall surgery, keyhole</see></mainTerm>
<mainTerm><title>Gall surgery</title><term level="1"><title>Keyhole</title><code>0FT44ZZ</code></term></mainTerm>
<mainTerm><title>Loop A</title><see>Loop B</see></mainTerm><mainTerm><title>Loop B</title><see>Loop A</see></mainTerm>
<mainTerm><title>Nephromy</title><see>Resection, Kidney<codes>0TT0</codes></see></mainTerm>
<mainTerm><title>Nephrectomy</title><term level="1"><see>Excision, Urinary System<tab>0TB</tab></see></term>
<term level="1"><see>Resection, Urinary System<tab>0TT</tab></see></term></mainTerm>
<mainTerm><title>Calices</title><use>Kidney, Right</use></mainTerm>
<mainTerm><title>Resection</title><term level="1"><title>Pancreas</title><codes>0FTG</codes></term></mainTerm>
</letter></ICD10PCS.index>
"""
SOURCES = {"pcs_tables": TABLES, "pcs_definitions": DEFINITIONS, "pcs_index": INDEX}


def sources(folder: Path, **contents: str) -> dict[str, Path]:
    paths = {}
    for name, text in contents.items():
        paths[name] = folder / f"{name}.source"
        paths[name].write_text(text, "utf-8")
    return paths


def build(part: Part, target: Path) -> CodeBook:
    write(Plan("pcs", "own", "en", part.drafts, [], extra=part.tables), target)
    return CodeBook.open(target)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    folder = tmp_path_factory.mktemp("pcs")
    return build(pcs.read(sources(folder, **SOURCES), start=0), folder / "book")


@pytest.fixture(scope="module")
def codes(book: CodeBook) -> list[str]:
    return [code for (code,) in book.rows("SELECT code FROM node WHERE billable ORDER BY code")]


@pytest.fixture(scope="module")
def titled(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """A book of titles alone."""
    folder = tmp_path_factory.mktemp("titled")
    titles = "0FT40ZZ Resection of Gallbladder, Open Approach\n0TT00ZZ Resection of Right Kidney, Open Approach\n"
    return build(pcs.read(sources(folder, pcs=titles), start=0), folder / "book")


# ---------------------------------------------------------------------------------------------------- what is legal


@given(st.data())
def test_every_path_of_next_values_is_a_code(book: CodeBook, codes: list[str], data: st.DataObject) -> None:
    axes = Pcs(book)
    code = ""
    while len(code) < 7:
        legal = axes.pcs_next(code)
        assert {v.value for v in legal} == {c[len(code)] for c in codes if c.startswith(code)}
        code += data.draw(st.sampled_from(legal)).value
    assert axes.is_legal(code)
    assert code in codes
    assert axes.pcs_next(code) == ()


@given(st.text(alphabet="0FTBHY14G3Z2Xo. ", max_size=9))
def test_a_code_is_legal_or_the_breach_is_named(book: CodeBook, codes: list[str], text: str) -> None:
    axes = Pcs(book)
    breach = axes.why_illegal(text)
    assert axes.is_legal(text) == (breach is None)
    if breach is None:
        return
    assert breach.position == len(breach.beginning) + 1
    assert breach.value not in {v.value for v in breach.legal}
    assert any(code.startswith(breach.beginning) for code in codes)
    for value in breach.legal:
        assert any(code.startswith(breach.beginning + value.value) for code in codes)


@given(st.data())
def test_explained_axes_lead_back_to_the_code(book: CodeBook, codes: list[str], data: st.DataObject) -> None:
    axes = Pcs(book)
    code = data.draw(st.sampled_from(codes))
    explained = axes.explain(code)
    assert axes.pcs_complete(explained) == (code,)
    some = data.draw(st.lists(st.sampled_from(explained), unique=True))
    assert code in axes.pcs_complete({v.axis: v.label for v in some})
    assert code in axes.pcs_complete({str(v.position): v.value for v in some})
    pattern = "".join(v.value if v in some else "?" for v in explained)
    assert axes.pcs_complete(pattern) == tuple(
        c for c in codes if all(p in ("?", v) for p, v in zip(pattern, c, strict=True))
    )


def test_explained_axes_are_labelled_and_defined(book: CodeBook) -> None:
    found = Pcs(book).explain("0tt0.0zz")
    assert [v.label for v in found][1:5] == ["Urinary System", "Resection", "Kidney, Right", "Open"]
    assert [v.axis for v in found][3:] == ["Body Part", "Approach", "Device", "Qualifier"]
    assert found[2].definition == "Cutting all of it out"
    assert found[3].definition == "Renal (upper) lobe"
    assert Pcs(book).explain("0FB40ZZ")[2].definition == "Some of it"  # the tables' own where no file defines it
    assert Pcs(book).explain("0FH432Z")[5].definition == "Bile sensor(R)"  # of two contexts the code's


def test_the_breach_names_the_axis_and_what_would_be_legal(book: CodeBook) -> None:
    breach = str(Pcs(book).why_illegal("0FT43ZZ"))
    assert "character 5 (Approach) after '0FT4'" in breach
    assert "0 (Open), 4 (Percutaneous Endoscopic)" in breach
    assert "a value is missing" in str(Pcs(book).why_illegal("0FT4"))
    assert "nothing may follow" in str(Pcs(book).why_illegal("0FT40ZZZ"))
    with pytest.raises(CodeBookError, match="JC501: 0FT43ZZ"):
        Pcs(book).explain("0FT43ZZ")


@pytest.mark.parametrize(
    ("axes", "found"),
    [
        ({"operation": "resection", "body part": "GALLBLADDER"}, ["0FT40ZZ", "0FT44ZZ"]),
        ({"root operation": "Resection", "body part": "right kidney"}, ["0TT00Z0", "0TT00ZZ"]),
        ({"operation": "Resection", "body part": "kidney"}, ["0TT00Z0", "0TT00ZZ", "0TT10ZZ"]),
        ({"operation": "Resection", "body part": "renal lobe"}, ["0TT00Z0", "0TT00ZZ", "0TT10ZZ"]),
        ({"body part": "calices", "operation": "T", "qualifier": "none"}, ["0TT00ZZ"]),
        ({"body part": "gallbladder", "approach": "laparoscopic", "operation": "Resection"}, ["0FT44ZZ"]),
        ({"device": "bile sensor"}, ["0FH432Z"]),
        ({"6": "Y"}, ["0FH43YZ"]),
        ("0FT4*", ["0FT40ZZ", "0FT44ZZ"]),
        ("0f??_ZX", ["0FB40ZX", "0FB44ZX", "0FBG0ZX", "0FBG4ZX"]),
    ],
)
def test_codes_from_axes(book: CodeBook, axes: dict[str, str] | str, found: list[str]) -> None:
    assert list(Pcs(book).pcs_complete(axes)) == found


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (
            {"operation": "Resection", "body part": "galbladder"},
            "no body part 'galbladder' in the tables; near: gallbl",
        ),
        (
            {"operation": "Transplantation", "body part": "Pancreas"},
            r"operation 'Transplantation' does not go with body part 'Pancreas' \(legal: Excision, Resection\)",
        ),
        ({"colour": "red"}, "has no axis 'colour'"),
        ("0FT5", r"character 4 \(Body Part\)"),
        ("0FT4ZZZZ", "is no pattern"),
    ],
)
def test_axes_that_do_not_fit_together_are_named(book: CodeBook, axes: dict[str, str] | str, said: str) -> None:
    with pytest.raises(CodeBookError, match=f"JC501.*{said}"):
        Pcs(book).pcs_complete(axes)


def test_a_book_of_titles_answers_from_its_codes(titled: CodeBook) -> None:
    axes = Pcs(titled)
    assert [(v.value, v.label) for v in axes.pcs_next("0")] == [("F", ""), ("T", "")]
    assert axes.is_legal("0FT40ZZ")
    assert not axes.is_legal("0FT44ZZ")
    assert "legal: 0" in str(axes.why_illegal("0FT44ZZ"))
    assert axes.pcs_complete("0?T") == ("0FT40ZZ", "0TT00ZZ")
    with pytest.raises(CodeBookError, match="without the ICD-10-PCS tables"):
        axes.pcs_complete({"approach": "Open"})
    assert Terms(titled).index("Cholecystectomy") == ()
    assert Terms(titled).definition_of("operation", "Resection") is None
    assert Terms(titled).label_of("Calices") == ()


# ------------------------------------------------------------------------------------------------ nodes and titles


def test_headings_down_to_the_body_part(book: CodeBook) -> None:
    above = [(entry.code, entry.level, entry.name) for entry in book.ancestors(PCS, "0TT20Z0")]
    assert above == [
        ("0TT2", "category", "Resection of Bilateral Kidneys"),
        ("0TT", "category", "Medical and Surgical, Urinary System, Resection"),
        ("0", "chapter", "Medical and Surgical"),
    ]
    assert book.name(PCS, "0TT20Z0") == "Resection of Bilateral Kidneys, Allogeneic, Open Approach"
    assert book.name(PCS, "0FB44ZX") == "Excision of Gallbladder, Percutaneous Endoscopic Approach, Diagnostic"
    assert book.name(PCS, "0FH432Z") == "Insertion of Monitoring Device into Gallbladder, Percutaneous Approach"
    assert book.name(PCS, "0FH4") == "Insertion into Gallbladder"


def test_a_heading_stands_for_its_plain_code_where_there_is_one(book: CodeBook) -> None:
    def default(code: str) -> str | None:
        entry = book.default_billable(PCS, code)
        return entry and entry.code

    assert default("0FB4") == "0FB40ZZ"
    assert default("0TT2") == "0TT20Z0"
    assert default("0FH4") is None  # which device is a choice
    assert default("0TY0") is None  # and so is whose kidney
    assert default("0FT") is None


def test_a_listed_title_is_used_unless_the_list_is_newer(tmp_path: Path) -> None:
    for year, used in ((2024, True), (2026, True), (2027, False)):
        paths = sources(tmp_path, pcs_tables=TABLES)
        paths["pcs"] = tmp_path / f"icd10pcs_order_{year}.txt"
        old = f"00002 0FT40ZZ 1 {'Resection of GB, Open':60} Gallbladder, all of it\n"
        gone = f"00003 0FT99ZZ 1 {'Gone':60} Gone since\n"
        paths["pcs"].write_text(f"00001 0FT     0 {'Bile':60} Hepatobiliary, Resection\n{old}{gone}", "utf-8")
        names = {draft.code: draft.name for draft in pcs.read(paths, start=0).drafts}
        assert (names["0FT40ZZ"] == "Gallbladder, all of it") == used
        assert names["0FT44ZZ"] == "Resection of Gallbladder, Percutaneous Endoscopic Approach"
        assert "0FT99ZZ" not in names


def test_an_order_file_alone(tmp_path: Path) -> None:
    lines = (f"00001 0FT     0 {'Bile':60} Hepatobiliary, Resection", f"00002 0FT40ZZ 1 {'Short':60} Long, Open")
    drafts = pcs.read(sources(tmp_path, pcs="\n".join(lines)), start=5).drafts
    assert [(d.code, d.name, d.parent) for d in drafts][2] == ("0FT40ZZ", "Long, Open", 6)


# ------------------------------------------------------------------------------------------- definitions and index


def test_definitions_and_keys(book: CodeBook) -> None:
    terms = Terms(book)
    found = terms.definition_of("operation", "resection")
    assert found is not None
    assert (found.definition, found.explanation, found.includes) == (
        "Cutting all of it out",
        "None stays",
        ("Total nephrectomy",),
    )
    assert terms.synonyms_of("body part", "Kidney, Left") == ("Renal (upper) lobe",)
    assert terms.label_of("renal upper lobe") == terms.label_of("Renal lobe")
    assert terms.label_of("Renal lobe") == ((4, "Kidney, Left"), (4, "Kidney, Right"))
    assert terms.label_of("calices") == ((4, "Kidney, Right"),)
    assert [d.label for d in terms.definitions("device")] == ["Monitoring Device"] * 2
    assert terms.definition_of("body part", "Pancreas") is None


def test_the_index_follows_see(book: CodeBook) -> None:
    terms = Terms(book)
    assert [r.prefix for r in terms.index("cholecystectomy")] == ["0FB4", "0FT4"]
    (followed,) = terms.index("Gridiron (McArthur) operation")
    assert (followed.prefix, followed.path[-1]) == ("0FT44ZZ", "Keyhole")
    assert terms.index("gridiron") == (followed,)  # the main terms that begin so
    assert [(r.kind, r.text) for r in terms.index("Calices")] == [("use", "Kidney, Right")]
    assert [r.prefix for r in terms.index("Loop A")] == [""]  # a circle ends
    assert terms.index("nothing") == ()
    assert terms.index("") == ()


def test_index_wordings_find_headings_and_codes(book: CodeBook) -> None:
    lookup = Lookup(book)

    def first(text: str, *, billable: bool | None = None) -> str:
        hits = lookup.search(text, kind=Kind.PROCEDURE, lang="en", billable=billable)
        return hits[0].code if hits else ""

    assert first("cholecystectomy") == "0FT4"
    assert first("cholecystectomy", billable=True) == "0FT40ZZ"
    assert first("laparoscopic cholecystectomy", billable=True) == "0FT44ZZ"
    assert first("keyhole gall surgery") == "0FT44ZZ"
    assert first("resection of left renal lobe") == "0TT1"  # a synonym of the body part
    assert lookup.spot("Resection of gallbladder?", "en", kinds=[Kind.PROCEDURE]) == []  # headings are no operations
    wordings = {(t.kind, t.text) for code in ("0FB4", "0FT4", "0TT0", "0FTG") for t in book.terms(PCS, code)}
    assert ("index", "partial Cholecystectomy") in wordings
    assert ("synonym", "Resection of Renal lobe, right") in wordings
    assert ("index", "Nephromy, right") in wordings
    assert ("index", "Nephrectomy, right") in wordings  # the entry names the table only, its word the kidney
    assert not any(kind == "index" and text.startswith("Resection") for kind, text in wordings)


# ------------------------------------------------------------------------------------------------- malformed files


def broken(old: str, new: str) -> str:
    assert old in TABLES
    return TABLES.replace(old, new, 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pcs_tables", "<ICD10PCS.tabular>\n<pcsTable>\n", "line 3: not well-formed"),
        ("pcs_tables", "<ICD10PCS.index/>", "line 1: not the ICD-10-PCS tables"),
        ("pcs_tables", "<ICD10PCS.tabular/>", "line 1: the file holds no tables"),
        ("pcs_tables", broken('codes="8"', 'codes="9"'), "at table 0FB, row 1: says 9 codes and holds 8"),
        ("pcs_tables", broken('pos="5" values="2"', 'pos="5" values="3"'), "axis 5 says 3 values and holds 2"),
        ("pcs_tables", broken('pos="5"', 'pos="6"'), "at table 0FB, row 1: expected the axis of character 5"),
        ("pcs_tables", broken('code="G"', 'code="g"'), "'g' is no character of ICD-10-PCS"),
        ("pcs_tables", broken('code="G"', 'code="O"'), "'O' is no character of ICD-10-PCS"),
        ("pcs_tables", broken('code="G"', 'code="4"'), "a value occurs twice"),
        ("pcs_tables", broken(">Pancreas<", "><"), "the value G has no label"),
        (
            "pcs_tables",
            broken("1 Liver, Right Lobe"[2:], "Liver").replace('code="1">Liver', 'code="4">Liver', 1),
            "0FT40ZZ occurs twice",
        ),
        ("pcs_tables", document(TABLES[TABLES.index("<pcsTable>") : TABLES.index("</ICD10")] * 2), "0FB occurs twice"),
        ("pcs_tables", document("<pcsTable></pcsTable>"), "at table 1: a table begins with three axes"),
        ("pcs_tables", document(table(BILE, "B Excision", "")), "at table 0FB: the table has no rows"),
        ("pcs_definitions", "<ICD10PCS.definitions/>", "line 1: the file holds no sections"),
        ("pcs_definitions", DEFINITIONS.replace('pos="3"', 'pos="9"'), "at Medical and Surgical: no axis '9'"),
        ("pcs_definitions", DEFINITIONS.replace("<title>Resection</title>", ""), "at section 0: a term of axis 3"),
        ("pcs_index", INDEX.replace("</letter>", ""), "line 12: not well-formed"),
        ("pcs_index", "<ICD10PCS.index/>", "line 1: the file holds no main terms"),
        ("pcs_index", INDEX.replace("0FT44ZZ", "0ft44zz"), "at Gall surgery, Keyhole: '0ft44zz' is no code"),
        ("pcs_index", INDEX.replace("<title>Calices</title>", ""), "at main term 8: a main term has no title"),
        ("pcs", "0FT40ZZ Resection\n0ft44zz Resection\n", "line 2: expected a seven-character code in capitals"),
        ("pcs", f"00001 0FT40ZZ 1 {'Short':60}\n", "line 1: expected"),
        ("pcs", f"00001 0FT     1 {'Short':60} Long\n", "line 1: expected number, code, flag"),
        ("pcs", "0FT40ZZ Resection\n\n0FT40ZZ Resection\n", "line 3: 0FT40ZZ occurs twice"),
        ("pcs", "", "line 1: the file holds no codes"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(CodeBookError) as refused:
        pcs.read(sources(tmp_path, **{**SOURCES, name: content}), start=0)
    assert str(refused.value).startswith(f"JC502: {name}.source, ")
    assert said in str(refused.value)


# ---------------------------------------------------------------------------------------------- the official files


@pytest.fixture(scope="module")
def official(shared_books: Path) -> dict[str, Path]:
    folder = shared_books / "us"
    found = {
        "pcs": folder / "icd10pcs-codes-2024.txt",
        "pcs_tables": folder / "icd10pcs_tables_2026.xml",
        "pcs_index": folder / "icd10pcs_index_2025.xml",
        "pcs_definitions": folder / "icd10pcs_definitions_2026.xml",
    }
    if not all(path.is_file() for path in found.values()):
        pytest.skip("no official ICD-10-PCS files")
    return found


def test_official_titles_are_composed(official: dict[str, Path]) -> None:
    """Of the titles of FY2024 at least 99 in 100 of every section come out letter for letter."""
    titles = dict(pcs.read_pcs(official["pcs"]))
    composer = Composer()
    same: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for one in read_tables(official["pcs_tables"]):
        for code, labels in one.codes():
            if code in titles:
                whole[code[0]] += 1
                same[code[0]] += composer.title(code, labels) == titles[code]
    assert whole.total() == 78_497
    assert {section: same[section] / n for section, n in whole.items() if same[section] < 0.99 * n} == {}
    assert same.total() / whole.total() > 0.999


def test_official_files_give_every_code_once(official: dict[str, Path]) -> None:
    part = pcs.read(official, start=0)
    codes = {draft.code: draft for draft in part.drafts if draft.billable}
    assert len(codes) == sum(draft.billable for draft in part.drafts) == 79_115
    assert sum(len(draft.code) == 3 for draft in part.drafts) == 914
    titles = dict(pcs.read_pcs(official["pcs"]))
    assert all(draft.name == titles.get(code, draft.name) for code, draft in codes.items())
    assert not [d.code for d in part.drafts if not d.name or set(d.name) & set("{}|") or "  " in d.name]
    rows = {one.name: one.rows for one in part.tables}
    assert all(code in codes and code.startswith(heading) for heading, code in rows["pcs_default"])
    assert len(rows["pcs_default"]) > 8_000
    assert all(draft.parent is None or draft.parent < n for n, draft in enumerate(part.drafts))
