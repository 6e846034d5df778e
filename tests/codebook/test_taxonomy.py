"""The hierarchy under MedDCR's names: equal to simple_icd_10_cm on every code, and its laws on small books."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.writer import Draft, Plan, write
from jointcoder.codebook.taxonomy import Taxonomy, load_taxonomy
from jointcoder.codebook.tools import NAMES, tools
from jointcoder.errors import CodeBookError, UsageError
from jointcoder.records import System

CM, PCS, CN, ICD9 = System.ICD10CM, System.ICD10PCS, System.ICD10CN, System.ICD9CM3

NO_LEAVES_HERE = {
    "C00-C96", "C00-C75", "M00-M25", "M40-M54", "M60-M79", "M80-M94",
    "T07-T88", "T20-T32", "V00-X58", "V00-V99", "W00-X58", "Y62-Y84",
}  # fmt: skip
"""Blocks that only group blocks: nothing is below them in the file, so the package takes them for leaves."""
COUNTED_TWICE = {"B20", "F99", "P84", "R99", "Z66"}
"""Codes without subdivision that are a block of their own: in the package's list they occur twice."""


KINDS = (
    "is_chapter",
    "is_block",
    "is_category",
    "is_subcategory",
    "is_chapter_or_block",
    "is_category_or_subcategory",
)

# --------------------------------------------------------------------------------------- the US book and the package


def flat(text: str) -> str:
    """Blanks levelled; one 7th-character definition of the package has a line break after its slash."""
    return " ".join(text.split()).replace("/ ", "/")


@pytest.fixture(scope="module")
def oracle() -> Any:
    return pytest.importorskip("simple_icd_10_cm")


@pytest.fixture(scope="module")
def cm(us: CodeBook) -> Taxonomy:
    return load_taxonomy(us)


@pytest.mark.books
class TestAgainstThePackage:
    def test_the_same_codes_in_the_same_order(self, cm: Taxonomy, oracle: Any) -> None:
        assert cm.get_all_codes() == oracle.get_all_codes()

    def test_every_code(self, cm: Taxonomy, oracle: Any) -> None:
        codes = dict.fromkeys(oracle.get_all_codes())
        assert len(codes) > 98_000
        for code in codes:
            assert cm.is_valid_code(code)
            assert cm.get_parent(code) == oracle.get_parent(code)
            assert cm.get_children(code) == oracle.get_children(code)
            assert cm.get_ancestors(code) == oracle.get_ancestors(code)
            assert cm.get_descendants(code) == oracle.get_descendants(code)

    def test_kinds_of_entries(self, cm: Taxonomy, oracle: Any) -> None:
        for code in oracle.get_all_codes()[::7]:
            for name in KINDS:
                assert getattr(cm, name)(code) == getattr(oracle, name)(code), (name, code)

    def test_texts(self, cm: Taxonomy, oracle: Any) -> None:
        for code, name in zip(cm.get_all_codes(), cm.texts(range(len(cm))), strict=True):
            found = {flat(oracle.get_description(code, prioritize_blocks=blocks)) for blocks in (False, True)}
            assert flat(name) in found
        for code in ("E11.22", "B20", "1", "A00-A09", "S52.501A", "M04", "QA0"):
            for blocks in (False, True):
                ours = cm.code_to_text(code, prioritize_blocks=blocks)
                assert ours == flat(oracle.get_description(code, prioritize_blocks=blocks))

    def test_blocks_of_one_category(self, cm: Taxonomy, oracle: Any) -> None:
        single = [code for code in oracle.get_all_codes() if oracle.get_parent(code) == code]
        assert len(single) == 78  # 39, each under its name twice
        for code in dict.fromkeys((*single, "E11.9", "1", "A00-A09", "I10")):
            for name in ("get_parent", "get_children", "get_ancestors", "get_descendants", "is_leaf"):
                expected = getattr(oracle, name)(code, prioritize_blocks=True)
                assert getattr(cm, name)(code, prioritize_blocks=True) == expected, (name, code)

    def test_leaves_are_the_official_list(self, cm: Taxonomy, us: CodeBook, oracle: Any) -> None:
        """The package has 17 more items: twelve empty blocks, and five codes listed a second time as blocks."""
        theirs = [code for code in oracle.get_all_codes() if oracle.is_leaf(code)]
        ours = {code for code in set(theirs) if cm.is_leaf(code)}
        assert len(theirs) - len(ours) == 17
        assert set(theirs) - ours == NO_LEAVES_HERE
        assert {code for code, times in Counter(theirs).items() if times > 1} == COUNTED_TWICE
        assert len(ours) == 74_719 == us.info.counts[CM]["billable"]
        assert all(not cm.is_leaf(code) for code in set(oracle.get_all_codes()) - set(theirs))

    def test_pairs(self, cm: Taxonomy, oracle: Any) -> None:
        draw = random.Random(7)
        codes = oracle.get_all_codes()
        single = [code for code in dict.fromkeys(codes) if oracle.get_parent(code) == code]
        near = [(code, other) for code in draw.sample(codes, 1500) for other in oracle.get_ancestors(code)]
        pairs = [*near, *(draw.sample(codes, 2) for _ in range(1500))]
        flagged = [(a, b) for a in single for b in (a, *oracle.get_children(a)[:1], oracle.get_parent(a, True), "E11")]
        for a, b in (*pairs, *flagged):
            for one, two in ((False, False), (True, False), (False, True), (True, True)):
                if (one or two) and (a, b) not in flagged:
                    continue
                options = {"prioritize_blocks_a": one, "prioritize_blocks_b": two}
                for name in ("is_ancestor", "is_descendant", "get_nearest_common_ancestor"):
                    for x, y in ((a, b), (b, a)):
                        ours, theirs = getattr(cm, name)(x, y, **options), getattr(oracle, name)(x, y, **options)
                        assert ours == theirs, (name, x, y, options)

    def test_a_code_without_its_dot_is_the_same_code(self, cm: Taxonomy) -> None:
        assert cm.is_ancestor("E112", "E1122")  # the package says no
        assert cm.get_nearest_common_ancestor("e11.9", "Ｅ１１２２") == "E11"

    def test_every_printed_name_leads_back(self, us: CodeBook) -> None:
        for system in (CM, PCS):
            taxonomy = Taxonomy(us, system)
            codes = random.Random(3).sample(taxonomy.get_all_codes(), 400)
            listed = [code for code in codes if system is CM or len(code) == 7]
            assert [c for c in listed if c not in taxonomy.text_to_codes(taxonomy.code_to_text(c))] == []

    def test_valid_on_a_day(self, cm: Taxonomy) -> None:
        day = dt.date(2026, 1, 1)
        assert cm.is_valid_code("E11.9", on=day)
        assert not cm.is_valid_code("E11", on=day)
        assert not cm.is_valid_code("B20", on=day, prioritize_blocks=True)
        assert cm.is_valid_code("M54.5", on=dt.date(2020, 1, 1))
        assert not cm.is_valid_code("M54.5", on=day)


# ----------------------------------------------------------------------------------------------- laws on small books


@pytest.fixture(scope="session")
def handmade(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """Two roots, a block without anything below, an assignable code with an extension, a code of another system."""
    rows = [
        ("1", "First things", "chapter", False, None),
        ("A00-A09", "Grouping of blocks", "block", False, 0),
        ("A00-A00", "One thing alone", "block", False, 0),
        ("A00", "The thing alone", "code", True, 2),
        ("B00-B09", "Several things", "block", False, 0),
        ("B01", "A thing in parts", "category", False, 4),
        ("B01.1", "Upper part (of the thing)", "code", True, 5),
        ("B01.2", "Lower part", "code", True, 5),
        ("B01.2X1", "Lower part, far end", "code", True, 7),
        ("B02", "Lower part", "code", True, 4),
        ("2", "Second things", "chapter", False, None),
        ("C01", "Ünlike the others", "code", True, 10),
    ]
    drafts = [Draft(CM, code, name, level, billable, parent) for code, name, level, billable, parent in rows]
    drafts.append(Draft(PCS, "0", "Work", "chapter", False))
    drafts.append(Draft(PCS, "B02", "Tables of work", "category", False, 12))
    drafts.append(Draft(PCS, "B02ZZZZ", "Work on the upper part", "code", True, 13))
    target = tmp_path_factory.mktemp("books") / "handmade"
    write(Plan("handmade", "handmade", "en", drafts, []), target)
    return CodeBook.open(target)


def test_walking(handmade: CodeBook) -> None:
    taxonomy = load_taxonomy(handmade)
    assert taxonomy.system is CM
    assert taxonomy.get_parent("B01.2x1") == "B01.2"
    assert taxonomy.get_parent("1") == ""
    assert taxonomy.get_children("1") == ["A00-A09", "A00", "B00-B09"]
    assert taxonomy.get_ancestors("B012") == ["B01", "B00-B09", "1"]
    assert taxonomy.get_descendants("B01") == ["B01.1", "B01.2", "B01.2X1"]
    assert taxonomy.get_nearest_common_ancestor("B01.2X1", "B02") == "B00-B09"
    assert taxonomy.get_nearest_common_ancestor("B02", "C01") == ""
    assert taxonomy.is_descendant("B01.2X1", "B01")
    assert not taxonomy.is_descendant("B01", "B01")


def test_a_block_of_one_category(handmade: CodeBook) -> None:
    taxonomy = load_taxonomy(handmade)
    assert taxonomy.get_ancestors("A00") == ["A00", "1"]
    assert taxonomy.get_ancestors("A00", prioritize_blocks=True) == ["1"]
    assert taxonomy.get_children("A00") == []
    assert taxonomy.get_children("A00", prioritize_blocks=True) == ["A00"]
    assert taxonomy.get_children("A00-A00") == ["A00"]  # as the book itself calls the block
    assert taxonomy.code_to_text("A00") == "The thing alone"
    assert taxonomy.code_to_text("A00", prioritize_blocks=True) == "One thing alone"
    assert taxonomy.is_ancestor("A00", "A00", prioritize_blocks_a=True)
    assert taxonomy.is_block("A00") and taxonomy.is_category("A00")  # noqa: PT018 - one thing is both
    assert taxonomy.is_leaf("A00")
    assert not taxonomy.is_leaf("A00", prioritize_blocks=True)
    assert taxonomy.is_chapter_or_block("A00")


def test_a_leaf_is_assignable_and_has_nothing_below(handmade: CodeBook) -> None:
    taxonomy = load_taxonomy(handmade)
    assert [c for c in taxonomy.get_all_codes() if taxonomy.is_leaf(c)] == [
        "A00", "A00", "B01.1", "B01.2X1", "B02", "C01",
    ]  # fmt: skip
    assert taxonomy.get_children("A00-A09") == []
    assert not taxonomy.is_leaf("B01.2")


def test_words(handmade: CodeBook) -> None:
    taxonomy = load_taxonomy(handmade)
    assert taxonomy.text_to_codes("LOWER  part") == ["B01.2", "B02"]
    assert taxonomy.text_to_codes("unlike the others") == ["C01"]
    assert taxonomy.text_to_codes("Upper part (of the thing)") == ["B01.1"]
    assert taxonomy.text_to_codes("several things") == ["B00-B09"]
    assert taxonomy.text_to_codes("upper parts") == []  # alike is not the same
    assert taxonomy.text_to_codes("Lower part", lang="zh") == []
    assert taxonomy.text_to_codes(" ") == taxonomy.text_to_codes("") == []


def test_included_wordings_and_languages_lead_to_their_code(small: CodeBook, chinese: CodeBook) -> None:
    assert Taxonomy(small).text_to_codes("twisted ankle") == ["S93.4"]
    assert Taxonomy(chinese).text_to_codes("高血压") == ["I10.x00x002"]
    assert Taxonomy(chinese, ICD9).text_to_codes("胆囊切除术") == ["51.2200"]
    assert Taxonomy(chinese).code_to_text("C22.101m81600/3") == "胆管癌"


def test_procedures_and_chinese_codes_walk_too(small: CodeBook, chinese: CodeBook) -> None:
    procedures = Taxonomy(small, PCS)
    assert procedures.get_ancestors("0FT44ZZ") == ["0FT", "0"]
    assert procedures.is_category("0FT")
    assert procedures.get_nearest_common_ancestor("0FT44ZZ", "0DTJ4ZZ") == "0"
    diagnoses = Taxonomy(chinese)
    assert diagnoses.get_parent("I10.x00x002") == "I10.x00"
    assert diagnoses.get_ancestors("E11.401+G63.2*")[:2] == ["E11.4", "E11"]
    assert diagnoses.is_leaf("E11.401+G63.2*")
    assert not diagnoses.is_leaf("I10.x00")  # assignable, with an extension below


def test_an_unknown_code_is_an_error_that_names_book_and_system(small: CodeBook) -> None:
    taxonomy = Taxonomy(small)
    assert not taxonomy.is_valid_code("Q99.9")
    assert not taxonomy.is_valid_code("")
    assert not taxonomy.is_category("Q99.9")
    for ask in (taxonomy.get_parent, taxonomy.is_leaf, taxonomy.code_to_text, lambda c: taxonomy.is_ancestor("M17", c)):
        with pytest.raises(CodeBookError, match=r"JC501.*'Q99\.9'.*ICD-10-CM.*small"):
            ask("Q99.9")
    with pytest.raises(CodeBookError, match="JC503"):
        Taxonomy(small, CN)
    with pytest.raises(CodeBookError) as long:
        taxonomy.get_parent("a wording that is no code but a whole sentence of somebody's note")
    assert "sentence" not in long.value.message


def test_threads_share_one_load(small: CodeBook) -> None:
    with ThreadPoolExecutor(8) as pool:
        trees = list(pool.map(lambda _: Taxonomy(small).tree, range(16)))
    assert all(tree is trees[0] for tree in trees)


BOOKS = [("handmade", CM), ("handmade", PCS), ("small", CM), ("small", PCS), ("chinese", CN), ("chinese", ICD9)]


@pytest.fixture(params=BOOKS, ids=lambda case: f"{case[0]} {case[1]}")
def taxonomy(request: pytest.FixtureRequest) -> Taxonomy:
    name, system = request.param
    return Taxonomy(request.getfixturevalue(name), system)


def each(taxonomy: Taxonomy) -> list[tuple[str, dict[str, bool]]]:
    """Every entry, each with the options that mean it and not its namesake."""
    tree = taxonomy.tree
    return [(tree.code(n), {"prioritize_blocks": tree.find(tree.code(n)) != n}) for n in range(len(taxonomy))]


def test_parent_and_child_are_inverse(taxonomy: Taxonomy) -> None:
    for code, options in each(taxonomy):
        for child in taxonomy.get_children(code, **options):
            assert taxonomy.get_parent(child, prioritize_blocks=child != code) == code
        if parent := taxonomy.get_parent(code, **options):
            assert code in taxonomy.get_children(parent, prioritize_blocks=parent == code)


def test_ancestors_end_at_a_root(taxonomy: Taxonomy) -> None:
    for code, options in each(taxonomy):
        above = taxonomy.get_ancestors(code, **options)
        assert taxonomy.get_parent(above[-1] if above else code) == ""
        assert above[:1] == [taxonomy.get_parent(code, **options)][: len(above)]


def test_descendants_are_those_whose_ancestor_it_is(taxonomy: Taxonomy) -> None:
    codes = each(taxonomy)
    for a, of_a in codes:
        below = [
            b
            for b, of_b in codes
            if taxonomy.is_ancestor(
                a, b, prioritize_blocks_a=of_a["prioritize_blocks"], prioritize_blocks_b=of_b["prioritize_blocks"]
            )
        ]
        assert taxonomy.get_descendants(a, **of_a) == below


@given(data=st.data())
def test_the_nearest_common_ancestor(
    handmade: CodeBook, small: CodeBook, chinese: CodeBook, data: st.DataObject
) -> None:
    taxonomy = data.draw(
        st.sampled_from([Taxonomy(handmade), Taxonomy(small), Taxonomy(small, PCS), Taxonomy(chinese)])
    )
    codes = st.sampled_from(taxonomy.get_all_codes())
    a, b = data.draw(codes), data.draw(codes)
    common = taxonomy.get_nearest_common_ancestor(a, b)
    assert common == taxonomy.get_nearest_common_ancestor(b, a)
    shared = [one for one in (a, *taxonomy.get_ancestors(a)) if one in (b, *taxonomy.get_ancestors(b))]
    assert common == next(iter(shared), "")
    for code in (a, b):
        assert not common or common == code or taxonomy.is_ancestor(common, code, prioritize_blocks_a=common == code)


@given(text=st.text(max_size=12))
def test_no_text_breaks_it(small: CodeBook, text: str) -> None:
    taxonomy = Taxonomy(small)
    assert taxonomy.is_valid_code(text) == (taxonomy.node(text) is not None)
    assert all(taxonomy.is_valid_code(code) for code in taxonomy.text_to_codes(text))


def test_names_lead_back(taxonomy: Taxonomy) -> None:
    for code, options in each(taxonomy):
        listed = taxonomy.is_leaf(code, **options) or taxonomy.is_chapter_or_block(code)
        if listed:  # headings that were put in by the builder have no wording of their own
            assert code in taxonomy.text_to_codes(taxonomy.code_to_text(code, **options))


# --------------------------------------------------------------------------------------------------- as a listing


def test_the_listing_is_json_and_says_what_is_needed(small: CodeBook) -> None:
    listing = tools(small)
    assert set(NAMES) <= set(listing)
    assert {"pcs_next", "pcs_complete"} <= set(listing)
    for name, tool in listing.items():
        shown = json.loads(json.dumps(tool.signature()))
        assert shown["name"] == name
        assert shown["purpose"]
        assert all(one.get("description") for one in shown["parameters"]["properties"].values()), name
    assert listing["is_ancestor"].parameters["required"] == ["a", "b"]
    assert listing["get_children"].returns == {"type": "array", "items": {"type": "string"}}
    assert listing["is_leaf"].returns == {"type": "boolean"}


def test_a_book_without_pcs_lists_none_of_its_tools(chinese: CodeBook) -> None:
    assert set(tools(chinese)) == set(NAMES)


CALLS: list[tuple[str, dict[str, Any], Any]] = [
    ("get_parent", {"code": "M17.12"}, "M17.1"),
    ("get_parent", {"code": "0FT44ZZ"}, "0FT"),  # found in the other system
    ("get_children", {"code": "M17", "prioritize_blocks": True}, ["M17"]),
    ("get_descendants", {"code": "I15"}, ["I15.0", "I15.8"]),
    ("is_ancestor", {"a": "M17", "b": "M17.11"}, True),
    ("is_descendant", {"a": "0FT44ZZ", "b": "0FT"}, True),
    ("get_nearest_common_ancestor", {"a": "M17.11", "b": "M17.9"}, "M17"),
    ("is_leaf", {"code": "I10"}, True),
    ("is_valid_code", {"code": "I15", "on": "2026-01-01"}, False),
    ("is_valid_code", {"code": "I15"}, True),
    ("is_valid_code", {"code": "I15", "system": "ICD-10-PCS"}, False),
    ("code_to_text", {"code": "I10", "lang": "zh"}, "Essential (primary) hypertension"),
    ("text_to_codes", {"text": "Resection of Gallbladder, Open Approach"}, ["0FT40ZZ"]),
    ("get_ancestors", {"code": "I10"}, ["I10-I15", "1"]),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), CALLS, ids=lambda value: str(value)[:40])
def test_calls(small: CodeBook, name: str, arguments: dict[str, Any], expected: Any) -> None:
    assert tools(small)[name].use(arguments) == expected


def test_what_is_held(small: CodeBook) -> None:
    facts = tools(small)["load_taxonomy"].use({})
    assert facts["book"] == "small"
    assert facts["systems"][PCS] == {"entries": 3 + 2 + 1, "assignable": 3}
    assert list(tools(small)["load_taxonomy"].use({"system": "ICD-10-CM"})["systems"]) == [CM]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"code": 1},
        {"code": "I10", "kode": "I10"},
        {"code": "I10", "system": "ICD-11"},
        {"code": "I10", "on": "soon"},
    ],
)
def test_arguments_that_do_not_fit_are_named(small: CodeBook, arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"JC001: is_valid_code"):
        tools(small)["is_valid_code"].use(arguments)


def test_pcs_tools_answer_in_json(small: CodeBook) -> None:
    call: Callable[..., Any] = tools(small)["pcs_next"].use
    assert [one["value"] for one in call({"prefix": "0FT4"})] == ["0", "4"]
    assert json.loads(json.dumps(tools(small)["pcs_complete"].use({"axes": "0FT4?ZZ"}))) == ["0FT40ZZ", "0FT44ZZ"]
