"""What the labels part sees of a record: runs, lists, word sequences and names."""

from __future__ import annotations

import numpy as np

from jointcoder.codebook.analysis import Tables
from jointcoder.packs.labels.grams import ENTRY, Space, count
from jointcoder.packs.labels.names import GROUPS, Names
from jointcoder.packs.labels.reading import Reader, entries, is_listed
from jointcoder.records import Encounter

READER = Reader(Tables.load("zh"))
LIST = "疾病: 肺炎，脂肪肝，高血压病，胆囊炎\n药物: 阿司匹林，二甲双胍，氨氯地平\n症状: 咳嗽，胸闷，乏力，头晕，发热"


def noted(**sections: str) -> Encounter:
    return Encounter.from_sections(sections, language="zh")


def test_entries_of_a_list_are_read_without_their_labels() -> None:
    assert [LIST[start:end] for start, end in entries(LIST)][:5] == ["肺炎", "脂肪肝", "高血压病", "胆囊炎", "阿司匹林"]


def test_a_list_is_told_from_a_note() -> None:
    assert is_listed(Encounter.from_text(LIST))
    assert not is_listed(noted(现病史="患者3天前受凉后咳嗽，咳痰，发热，自服药物，来我院就诊。查体无特殊。" * 3))
    assert not is_listed(Encounter.from_text("肺炎，脂肪肝"))


def test_words_keep_their_places() -> None:
    encounter = noted(入院诊断="1.肺炎2.脂肪肝", 现病史="咳嗽3天，发热。")
    reading = READER.read(encounter)
    for number, run in enumerate(reading.runs):
        span = reading.span(number, 0, len(run.words) - 1)
        assert span.reproduces(encounter)
    assert {run.kind for run in reading.runs} == {"definitive", "narrative"}


def test_entries_found_in_a_note_are_columns_of_lists_too() -> None:
    words = frozenset({"脂肪肝", "肺炎", "肺"})
    note = READER.read(noted(现病史="查体提示脂肪肝，无肺炎。"))
    counted = count(note, "", "zh", words, lambda reading, places: [place[0] == 0 for place in places])
    assert {key for key in counted.counts if key[0] == ENTRY} == {(ENTRY, "脂肪肝")}
    listed = count(READER.read(Encounter.from_text(LIST)), "", "zh", words, lambda reading, places: [])
    assert (ENTRY, "脂肪肝") in listed.counts


def test_every_view_has_the_length_of_its_share() -> None:
    counted = count(READER.read(noted(现病史="咳嗽发热", 入院诊断="肺炎")), "", "zh", frozenset(), lambda r, p: [])
    keys = sorted(counted.counts)
    space = Space.of(keys, np.ones(len(keys)), {"narrative": 0.5, "definitive": 2.0})
    found = space.features(counted)
    for view, share in space.shares.items():
        length = sum(v**2 for c, v in zip(found.columns, found.values, strict=True) if keys[c][0] == view) ** 0.5
        assert abs(length - share) < 1e-9


def test_how_much_of_a_name_is_said_and_where() -> None:
    names = Names.of([("高血压病3级",), ("高血压病2级",), ("脂肪肝",), ()], READER)
    encounter = noted(入院诊断="1.高血压病（3级）2.肺炎", 既往史="否认脂肪肝病史。")
    reading = READER.read(encounter)
    said = names.said(reading, "zh")
    definitive, denied = GROUPS.index("definitive"), GROUPS.index("denied")
    assert said.share[0, definitive] > said.share[1, definitive] > 0.3
    assert said.share[2, denied] > 0.9
    assert said.share[2, :denied].max() == 0
    assert not said.share[3].any()
    assert names.spans(reading, said, 3) == ()
    quotes = [span.quote for span in names.spans(reading, said, 0)]
    assert "高血压病" in quotes[0]
    assert names.alike[0, 1]
    assert not names.alike[0, 2]
