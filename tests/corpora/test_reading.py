"""Reading labelled files: what is accepted, and what is said, by line, of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jointcoder.corpora import load, load_terms
from jointcoder.errors import InputError
from jointcoder.records import Kind

SECRET = "patient Doe"


@pytest.fixture
def write(tmp_path: Path):
    def file(*rows: Any, name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), "utf-8")
        return path

    return file


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "lang": "en",
        "text": f"{SECRET} has gout.",
        "codes": [{"system": "ICD-10-CM", "code": "M10.9"}],
    } | changes


def code(**changes: Any) -> list[dict[str, Any]]:
    return [{"system": "ICD-10-CM", "code": "M10.9"} | changes]


def test_a_record_of_our_layout(write):
    corpus = load(write(row(codes=code(spans=[[16, 20]], primary=True), ward="7", patient={"sex": "male"})))
    (item,) = corpus.items
    assert corpus.name == "generic"
    assert corpus.systems == ("ICD-10-CM",)
    assert item.encounter.language == "en"
    assert item.encounter.patient.sex == "male"
    assert item.meta == {"ward": "7"}
    (gold,) = item.gold
    assert gold.primary
    assert (gold.spans[0].start, gold.spans[0].end, gold.spans[0].quote) == (16, 20, "gout")


def test_sections_become_documents_and_spans_name_theirs(write):
    sections = {"history": "Gout.", "plan": "Rest, then colchicine for gout."}
    corpus = load(
        write(
            {"id": "1", "sections": sections, "codes": code(spans=[[1, 26, 30], {"document": 0, "start": 0, "end": 4}])}
        )
    )
    (item,) = corpus.items
    assert [document.title for document in item.encounter.documents] == ["history", "plan"]
    assert [span.quote for span in item.gold[0].spans] == ["gout", "Gout"]


def test_a_discontinuous_mention_spans_its_fragments(write):
    text = "Pain, acute, of the left knee."
    mentions = [{"quote": "Pain left knee", "fragments": [[0, 4], [20, 29]]}]
    corpus = load(write(row(text=text, codes=code(spans=[[0, 4], [20, 29]], mentions=mentions))))
    (span,) = corpus.items[0].gold[0].spans
    assert (span.start, span.end, span.fragments) == (0, 29, ((0, 4), (20, 29)))
    assert span.quote == "Pain left knee"


def test_offsets_count_code_points(write):
    corpus = load(write(row(text="😀é痛风 again", codes=code(spans=[[2, 4]]))))
    assert corpus.items[0].gold[0].spans[0].quote == "痛风"


def test_line_separators_inside_strings_do_not_split_records(write):
    raw = json.dumps(row(text="one\u2028two\x85three"), ensure_ascii=False)
    assert len(load(write(raw))) == 1


def test_systems_we_do_not_code_are_kept_apart(write):
    codes = [*code(), {"system": "CPT", "code": "99213"}, {"system": "ICD-9-CM-3-CN", "code": "38.9303"}]
    (item,) = load(write(row(codes=codes))).items
    assert [gold.system for gold in item.gold] == ["ICD-10-CM", "ICD-9-CM-3"]
    assert [gold.code for gold in item.unscored] == ["99213"]


def test_ranks_make_the_order_count(write):
    codes = [{"system": "ICD-10-CM", "code": "B", "rank": 2}, {"system": "ICD-10-CM", "code": "A", "rank": 1}]
    corpus = load(write(row(codes=codes)))
    assert corpus.ordered
    assert [gold.code for gold in corpus.items[0].gold] == ["A", "B"]
    assert not load(write(row())).ordered


def test_limit_keeps_the_first(write):
    path = write(row(), row(id="2"), row(id="3"))
    assert [item.encounter.id for item in load(path, limit=2).items] == ["1", "2"]
    with pytest.raises(InputError, match="limit"):
        load(path, limit=0)


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        ('{"id": "2", "text": "patient Doe', "JC104", "not valid JSON"),
        ('["patient Doe"]', "JC104", "not a JSON object"),
        (row(id="2", text=7), "JC108", "text: Input should be"),
        (row(id="2", text="  "), "JC101", "no text"),
        (row(id=2), "JC108", "id must be"),
        (row(), "JC108", "an id comes twice"),
        (row(id="2", codes={}), "JC108", "codes must be a list"),
        (row(id="2", codes=[SECRET]), "JC108", "codes[0] must be an object"),
        (row(id="2", codes=code(code="")), "JC108", "codes[0].code must be a string"),
        (row(id="2", codes=code(system=None)), "JC108", "codes[0].system must be a string"),
        (row(id="2", codes=code(primary="yes")), "JC108", "codes[0].primary must be a true or false"),
        (row(id="2", codes=code(spans=7)), "JC108", "codes[0].spans must be a list"),
        (row(id="2", codes=code(spans=[[0]])), "JC108", "pairs of offsets"),
        (row(id="2", codes=code(spans=[[0, 999]])), "JC108", "outside the text"),
        (row(id="2", codes=code(spans=[[4, 4]])), "JC108", "outside the text"),
        (row(id="2", codes=code(spans=[[3, 0, 4]])), "JC108", "document that is not there"),
        (row(id="2", codes=code(mentions=[{"fragments": [[True, 4]]}])), "JC108", "pairs of offsets"),
        (row(id="2", codes=code(mentions=7)), "JC108", "mentions must be a list"),
        (row(id="2", patient={"sex": SECRET}), "JC108", "patient.sex"),
    ],
)
def test_bad_lines_are_named_and_never_quoted(write, bad: Any, error: str, said: str):
    with pytest.raises(InputError) as caught:
        load(write(row(), bad))
    assert caught.value.code == error
    assert "data.jsonl, line 2" in caught.value.message
    assert said in caught.value.message
    assert SECRET not in caught.value.message + caught.value.hint


def test_bad_files(tmp_path: Path, write):
    with pytest.raises(InputError, match="JC107"):
        load(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="JC101"):
        load(write("", ""))
    (tmp_path / "gbk.jsonl").write_bytes(json.dumps({"text": "痛风"}, ensure_ascii=False).encode("gbk"))
    with pytest.raises(InputError, match="JC102"):
        load(tmp_path / "gbk.jsonl")
    with pytest.raises(InputError, match="term pairs") as caught:
        load(write({"mention": "a", "normalized": ["b"]}))
    assert "--task normalise" in caught.value.hint
    with pytest.raises(InputError, match="JC101"):
        load(write({"id": "1", "codes": []}))


# --------------------------------------------------------------------------------------- layouts of named corpora


def note(number: int, text: str | None, codes: list[dict[str, Any]], admission: int = 7) -> dict[str, Any]:
    fields = {"hadm_id": admission, "note_id": number, "category": "Nursing", "description": "Report", "lang": "en"}
    return {"id": f"{admission}-{number}", **fields, "text": text, "codes": codes}


def test_notes_of_one_admission_are_one_encounter(write):
    corpus = load(
        write(
            note(1, "Gout today.", code(spans=[[0, 4]])),
            note(2, "Still gout.", [*code(spans=[[6, 10]]), {"system": "CPT", "code": "99213", "spans": []}]),
            note(3, None, code()),
            note(4, "Fever.", code(code="R50.9"), admission=8),
        )
    )
    assert corpus.name == "mdace"
    assert corpus.skipped == 1
    first, second = corpus.items
    assert (first.encounter.id, len(first.encounter.documents), second.encounter.id) == ("7", 2, "8")
    (gold,) = first.gold
    assert [(span.document, span.quote) for span in gold.spans] == [(0, "Gout"), (1, "gout")]
    assert [other.system for other in first.unscored] == ["CPT"]


def test_without_any_text_the_join_is_explained(write):
    with pytest.raises(InputError, match="JC101") as caught:
        load(write(note(1, None, code())))
    assert "NOTEEVENTS" in caught.value.hint
    assert "note_id" in caught.value.hint


def test_entity_lists_are_written_out(write):
    sections = {"main": [{"disease": "gout, fever", "drug": ""}], "other": []}
    (item,) = load(write({"id": "1", "source": "CCL25 x", "sections": sections, "codes": code()})).items
    assert [document.text for document in item.encounter.documents] == ["disease: gout, fever"]


def test_term_pairs(write):
    path = write({"id": "t", "lang": "zh", "mention": "gout", "normalized": ["a", "b"], "codes_bj601": ["M10", ""]})
    corpus = load_terms(path)
    assert (corpus.name, corpus.kind, corpus.language) == ("chip_cdn", Kind.DIAGNOSIS, "zh")
    assert corpus.items[0].codes == {"bj601": ("M10", "")}
    own = {"id": "t", "mention": "gout", "normalized": ["a"], "codes": ["M10"]}
    with pytest.raises(InputError, match="kind of term"):
        load_terms(write(own))
    assert load_terms(write(own), kind=Kind.PROCEDURE).kind is Kind.PROCEDURE
    assert load_terms(write(own | {"kind": "diagnosis"})).kind is Kind.DIAGNOSIS


@pytest.mark.parametrize(
    "bad",
    [
        {"mention": "", "normalized": ["a"]},
        {"mention": "gout", "normalized": []},
        {"mention": "gout", "normalized": ["a"], "codes_bj601": ["x", "y"]},
        {"mention": "gout", "text": "a"},
    ],
)
def test_bad_term_pairs(write, bad: dict[str, Any]):
    with pytest.raises(InputError, match="line 1"):
        load_terms(write(bad), kind=Kind.DIAGNOSIS)
