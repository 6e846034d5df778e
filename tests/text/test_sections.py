from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.records import Document
from jointcoder.text.resources import LANGUAGES, toml
from jointcoder.text.sections import canonical_name, find_sections, section_kind

KINDS = {"definitive", "narrative", "exam", "history", "family", "orders"}


def read(text: str, lang: str, title: str = "") -> list[tuple[str, str]]:
    """(name, content without its heading) of each section."""
    sections = find_sections((Document(id="0", text=text, title=title),), lang)
    assert "".join(text[s.start : s.end] for s in sections) == text
    return [(s.name, text[s.start : s.end].removeprefix(s.heading if not title else "").strip()) for s in sections]


def test_an_english_note() -> None:
    text = (
        "Mrs. K., seen today.\nCHIEF COMPLAINT\n\nChest pain.\nHPI: Pain for 3 days.\n"
        "Past Medical History\n1. Gout\n2. plan B contraception\nFamily history:\nMother: stroke\n"
        "IMPRESSION: Angina. PLAN: Aspirin.\nWOUND CARE:\nnone\nAssessment & Plan:\nstable. No plan: none"
    )
    assert read(text, "en") == [
        ("body", "Mrs. K., seen today."),
        ("chief_complaint", "Chest pain."),
        ("history_present_illness", "Pain for 3 days."),
        ("past_history", "1. Gout\n2. plan B contraception"),
        ("family_history", "Mother: stroke"),
        ("impression", "Angina."),
        ("plan", "Aspirin."),
        ("other", "none"),
        ("assessment_plan", "stable. No plan: none"),
    ]


def test_a_spanish_note() -> None:
    text = (
        "Motivo de consulta: disnea.\nEXPLORACION FISICA\nTA 120/80\n"
        "Antecedentes familiares: madre con asma.\nJuicio clínico:\n1. Neumonía. Evolución: buena"
    )
    assert read(text, "es") == [
        ("chief_complaint", "disnea."),
        ("physical_exam", "TA 120/80"),
        ("family_history", "madre con asma."),
        ("impression", "1. Neumonía."),
        ("hospital_course", "buena"),
    ]


@pytest.mark.parametrize(
    "heading",
    [
        "主诉：",
        "主诉:",
        "主  诉：",
        "主\u3000诉：",
        "【主诉】",
        "一、主诉：",
        "1.主诉：",
        "（一）主诉：",
        "主诉\n",
        "主 诉  ",
        "主訴：",
        "主 訴：",
        "[主诉]",
        "「主訴」",
        "《主诉》",
        "(主诉)",
        "**主诉**：",
        "## 主诉\n",
        "主诉（患者自述）：",
        "主訴(Chief Complaint)：",
        "主诉∶",
        "主诉-",
        "主诉；",
        "|主诉|",
        "主诉\t",
        "①主诉：",
        "2024-05-02 10:20 主诉：",
    ],
)
def test_every_common_spelling_of_a_chinese_heading(heading: str) -> None:
    for before in ("", "记录如下。\n"):
        sections = read(f"{before}{heading}胸痛3天。", "zh")
        assert sections[-1] == ("chief_complaint", "胸痛3天。")


def test_a_chinese_note_in_one_line() -> None:
    text = (
        "主诉：胸痛3天。现病史：患者3天前胸痛，诊断为肺炎。既往史：体健。家族史：父亲患高血压。"
        "出院诊断：1.肺炎 2.贫血。出院医嘱：休息。"
    )
    assert [name for name, _ in read(text, "zh")] == [
        "chief_complaint",
        "history_present_illness",
        "past_history",
        "family_history",
        "discharge_diagnosis",
        "discharge_orders",
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "科别: 心内科  床号: 12  住院号: 00123\n姓名：某某 性别：男\n主诉：胸痛。\n现病史：三天前胸痛。",
            ["other"] * 5 + ["chief_complaint", "history_present_illness"],
        ),
        (
            "入院記錄\n主訴：胸痛。現病史：三天前胸痛。個人史：無特殊。體格檢查：血壓120/80。輔助檢查：正常。",
            ["body", "chief_complaint", "history_present_illness", "personal_history", "physical_exam", "labs"],
        ),
        (
            "手术记录\n术前诊断：胆囊结石\n手术、操作名称：胆囊切除术\n麻醉方式：全麻\n术者：某某\n手术经过：顺利。",
            ["operation_note", "admission_diagnosis", "operation_name", "other", "other", "operation_note"],
        ),
        (
            "出院小结\n诊疗经过及结果：好转。\n出院时状态：平稳。\n出院诊断（按主次）：肺炎\n出院用药：无",
            ["body", "hospital_course", "discharge_condition", "discharge_diagnosis", "discharge_orders"],
        ),
        (
            "主诉胸痛3天\n现病史患者3天前胸痛\n既往史高血压10年\n家族史无特殊",
            ["chief_complaint", "history_present_illness", "past_history", "family_history"],
        ),
        (
            "主诉|胸痛|现病史|三天前|出院诊断|肺炎",
            ["chief_complaint", "history_present_illness", "discharge_diagnosis"],
        ),
        ("主诉：胸痛,现病史：三天前,既往史：体健", ["chief_complaint", "history_present_illness", "past_history"]),
        (
            "2024-01-02 08:00 主治医师查房记录\n好转。\n2024年1月3日 主任医师查房记录\n平稳。",
            ["progress_note", "progress_note"],
        ),
    ],
)
def test_how_chinese_records_are_laid_out(text: str, names: list[str]) -> None:
    assert [name for name, _ in read(text, "zh")] == names


@pytest.mark.parametrize(
    "text",
    [
        "既往史无特殊。",  # alone it is a sentence, not a note of sections
        "患者主诉胸痛，既往史无特殊。出院诊断为肺炎。",
        "辅助检查提示肺炎。体格检查未见异常。",
        "入院诊断明确，诊疗经过顺利。",
    ],
)
def test_words_glued_to_others_need_the_company_of_headings(text: str) -> None:
    assert [name for name, _ in read(text, "zh")] == ["body"]


def test_words_that_are_headings_elsewhere_are_not_headings_in_a_sentence() -> None:
    assert [name for name, _ in read("患者主诉胸痛，既往史无特殊，家属诉诊断不明。", "zh")] == ["body"]
    assert [name for name, _ in read("We discussed the plan and her family history in the exam room.", "en")] == [
        "body"
    ]


@pytest.mark.parametrize(
    ("title", "lang", "name"),
    [
        ("出院诊断", "zh", "discharge_diagnosis"),
        ("手术名称", "zh", "operation_name"),
        ("Past Medical History:", "en", "past_history"),
        ("hospital_course", "en", "hospital_course"),
        ("Exploración física", "es", "physical_exam"),
        ("出院诊断", "en", "discharge_diagnosis"),
    ],
)
def test_a_title_types_the_whole_document(title: str, lang: str, name: str) -> None:
    text = "first\nIMPRESSION: second\n主诉：third"
    (section,) = find_sections((Document(id="0", text=text, title=title),), lang)
    assert (section.name, section.heading, section.start, section.end) == (name, title, 0, len(text))


def test_a_title_that_is_no_heading_leaves_the_text_to_its_headings() -> None:
    assert [name for name, _ in read("Seen.\nIMPRESSION: gout", "en", "Letter")] == ["body", "impression"]


def test_every_name_in_the_data_is_canonical_and_has_a_kind() -> None:
    names = {name for names in toml("sections")["kinds"].values() for name in names}
    for lang in LANGUAGES:
        spellings = toml("sections", lang)
        assert set(spellings) <= names
        assert names - set(spellings) <= {"body", "vitals", "review_of_systems", "personal_history"}
        written = [spelling for group in spellings.values() for spelling in group]
        assert all(canonical_name(spelling) for spelling in written)
        assert len(written) == len(set(written))
    assert {section_kind(name) for name in names} == KINDS
    assert section_kind("discharge_diagnosis") == "definitive"
    assert section_kind("family_history") == "family"
    assert section_kind("something else") == "narrative"
    assert canonical_name("shopping list") is None


PARTS = st.sampled_from(
    [
        "主诉：",
        "【既往史】",
        "IMPRESSION:",
        "Plan\n",
        "Antecedentes: ",
        "\n",
        "。",
        "abc ",
        "胸痛",
        " ",
        "1.",
        "一、",
        "\r\n",
        "訴",
        "出院诊断",
        "「",
        "」",
        "(",
        ")",
        "|",
        "\t",
        "（按主次）",
        "：",
        "2024-05-02 ",
        "主 訴",
        "**",
    ]
)


@given(st.lists(st.lists(PARTS, max_size=12).map("".join), min_size=1, max_size=3), st.sampled_from(LANGUAGES))
def test_documents_are_covered_from_end_to_end(texts: list[str], lang: str) -> None:
    documents = tuple(Document(id=str(i), text=text) for i, text in enumerate(texts))
    sections = find_sections(documents, lang)
    for index, text in enumerate(texts):
        own = [section for section in sections if section.document == index]
        assert "".join(text[s.start : s.end] for s in own) == text
        assert all(s.start < s.end for s in own)
        assert all(text[s.start :].startswith(s.heading) for s in own)
    assert [(s.document, s.start) for s in sections] == sorted((s.document, s.start) for s in sections)


def test_unknown_language() -> None:
    with pytest.raises(InputError, match="JC105"):
        find_sections((Document(id="0", text="x"),), "de")
