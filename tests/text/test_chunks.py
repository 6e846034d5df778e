from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.records import Document, Section
from jointcoder.text.chunks import Chunk, plan_chunks
from jointcoder.text.sections import find_sections


class Counter:
    """A real, if plain, tokenizer: words, single Han characters and marks."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, text: str) -> int:
        self.calls += 1
        return len(re.findall(r"[a-zA-Z0-9]+|[^\sa-zA-Z0-9]", text))


def documents(*texts: str) -> tuple[Document, ...]:
    return tuple(Document(id=str(i), text=text) for i, text in enumerate(texts))


def whole(chunks: list[Chunk], docs: tuple[Document, ...]) -> bool:
    """Whether the pieces, in order, are the documents: nothing lost, nothing twice."""
    place = [0] * len(docs)
    last = 0
    for chunk in chunks:
        for index, start, end in chunk.pieces:
            if index < last or start != place[index] or start >= end:
                return False
            last, place[index] = index, end
    return place == [len(document.text) for document in docs]


def test_a_one_page_note_is_one_chunk_and_one_count() -> None:
    docs = documents("CHIEF COMPLAINT\nPain.\nPLAN\nRest.")
    count = Counter()
    (chunk,) = plan_chunks(docs, find_sections(docs, "en"), budget=100, count=count)
    assert chunk.pieces == ((0, 0, len(docs[0].text)),)
    assert chunk.sections == ("chief_complaint", "plan")
    assert chunk.text(docs) == docs[0].text
    assert chunk.tokens == 7
    assert count.calls == 1


def test_whole_sections_are_packed() -> None:
    parts = [f"HEADING {n}:\n" + "word " * 30 + "\n" for n in range(6)]
    docs = documents("".join(parts))
    starts = [sum(map(len, parts[:n])) for n in range(7)]
    sections = [Section(name=f"s{n}", document=0, start=starts[n], end=starts[n + 1]) for n in range(6)]
    chunks = plan_chunks(docs, sections, budget=80, count=Counter())
    assert [chunk.sections for chunk in chunks] == [("s0", "s1"), ("s2", "s3"), ("s4", "s5")]


def test_a_long_section_is_split_between_sentences() -> None:
    text = "A sentence of exactly seven words here. " * 60
    docs = documents(text)
    chunks = plan_chunks(docs, find_sections(docs, "en"), budget=50, count=Counter())
    assert whole(chunks, docs)
    assert all(chunk.text(docs).strip().endswith(".") for chunk in chunks)
    assert all(chunk.text(docs).startswith("A ") for chunk in chunks)


def test_documents_share_a_chunk() -> None:
    docs = documents("one two", "", "three")
    (chunk,) = plan_chunks(docs, (), budget=10, count=Counter())
    assert chunk.pieces == ((0, 0, 7), (2, 0, 5))
    assert chunk.text(docs) == "one two\n\nthree"
    assert plan_chunks(documents("", ""), (), budget=10, count=Counter()) == []


def test_few_counts_are_asked_for() -> None:
    note = "CHIEF COMPLAINT\nPain.\n" + "The patient was seen and felt rather better today. " * 300
    record = "主诉：胸痛。现病史：" + "患者三天前出现胸痛，伴大汗，无发热。" * 300
    docs = documents(note, record, note)
    count = Counter()
    chunks = plan_chunks(docs, find_sections(docs, "en"), budget=900, count=count)
    assert whole(chunks, docs)
    assert len(chunks) > 5
    assert count.calls <= 2 * sum(len(document.text) for document in docs) / 500


TEXTS = st.text(st.sampled_from("ab 1.\n。；高血压\U0001f600"), max_size=80) | st.lists(
    st.sampled_from(["IMPRESSION:\n", "PLAN: ", "gout. ", "主诉：", "胸痛。", "\n\n"]), max_size=20
).map("".join)


@given(st.lists(TEXTS, min_size=1, max_size=4), st.integers(1, 30), st.sampled_from(["en", "zh"]), st.booleans())
def test_nothing_is_lost_and_the_budget_is_kept(texts: list[str], budget: int, lang: str, typed: bool) -> None:
    docs = documents(*texts)
    count = Counter()
    chunks = plan_chunks(docs, find_sections(docs, lang) if typed else (), budget=budget, count=count)
    assert whole(chunks, docs)
    for chunk in chunks:
        assert chunk.pieces
        assert chunk.tokens == count(chunk.text(docs)) <= budget
        assert len({index for index, _, _ in chunk.pieces}) == len(chunk.pieces)


def test_a_character_that_exceeds_the_budget_still_goes_in() -> None:
    docs = documents("ab")
    chunks = plan_chunks(docs, (), budget=1, count=lambda text: 5 * len(text))
    assert [chunk.pieces for chunk in chunks] == [((0, 0, 1),), ((0, 1, 2),)]


def test_a_budget_of_nothing() -> None:
    with pytest.raises(ValueError, match="budget"):
        plan_chunks(documents("a"), (), budget=0, count=len)


def test_a_record_of_twenty_thousand_characters_loses_nothing() -> None:
    """Headings in many spellings, sections of very different length, one of them far over the budget."""
    parts = [
        ("chief_complaint", "主  诉：", "胸痛3天。"),
        ("history_present_illness", "【现病史】", "患者三天前出现胸痛，伴大汗，无发热。" * 40),
        ("past_history", "一、既往史 ", "高血压病史10年；否认肝炎、结核病史。" * 20),
        ("family_history", "家族史\n", "父亲患高血压。\n"),
        ("progress_note", "病程记录：", "今日患者胸痛缓解，血压130/80mmHg，继续目前治疗。" * 800),
        ("operation_name", "|手术名称|", "冠状动脉造影术"),
        ("discharge_diagnosis", "出院诊断（按主次）：", "1.急性心肌梗死 2.高血压病3级"),
        ("discharge_orders", "出院醫囑：", "按时服药，门诊复查。"),
    ]
    text = "\n".join(heading + content for _, heading, content in parts)
    assert len(text) > 20_000
    docs = documents(text)
    sections = find_sections(docs, "zh")
    assert [section.name for section in sections] == [name for name, _, _ in parts]
    for section, (*_, content) in zip(sections, parts, strict=True):
        assert content.strip() in text[section.start + len(section.heading) : section.end]
    count = Counter()
    chunks = plan_chunks(docs, sections, budget=1800, count=count)
    assert whole(chunks, docs)
    assert all(count(chunk.text(docs)) <= 1800 for chunk in chunks)
