"""Present on admission: cues on marked-up sentences (``marked/admission.<language>.txt``), and whole records."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.coder import Coder
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Kind, PresentOnAdmission, System
from jointcoder.steps.admission import same_condition, sign_at, with_admission
from jointcoder.steps.admission_cues import cues
from jointcoder.steps.base import State
from jointcoder.steps.common import step_data
from jointcoder.text.sections import canonical_name, find_sections

Make = Callable[..., Coder]
MARKED = Path(__file__).parent / "marked"
TAG = re.compile(r"<(?P<tag>\w+)>(?P<words>.*?)</(?P=tag)>")
KNOWN = {"present", "arisen", "none"}


def marked(language: str) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """The sentences, plain, with their mentions."""
    found = []
    for line in (MARKED / f"admission.{language}.txt").read_text("utf-8").splitlines():
        text, mentions, place = "", [], 0
        for match in TAG.finditer(line):
            text += line[place : match.start()]
            mentions.append((len(text), len(text) + len(match["words"]), match["tag"]))
            text += match["words"]
            place = match.end()
        found.append((text + line[place:], mentions))
    return found


@pytest.mark.parametrize("language", ["en", "es", "zh"])
def test_every_marked_sentence_is_read_rightly(language: str) -> None:
    wrong, tags = [], set()
    for text, mentions in marked(language):
        for start, end, expected in mentions:
            tags.add(expected)
            got = sign_at(text, start, end, lang=language) or "none"
            if got != expected:
                wrong.append(f"{text!r}: {text[start:end]!r} is {expected}, read as {got}")
    assert tags == KNOWN
    assert not wrong, "\n".join(wrong)


def coded(coder: Make, text: str, **fields: Any) -> dict[str, str | None]:
    """Code → indicator, of a Chinese record."""
    record: CodedRecord = coder(book="cn", workflow="lexical").code(Encounter.from_text(text, language="zh", **fields))
    return {c.code: c.present_on_admission and c.present_on_admission.value for c in record.of_kind(Kind.DIAGNOSIS)}


def test_a_chinese_record_tells_the_four_conditions(coder: Make) -> None:
    text = (
        "主诉：胸痛2天。\n现病史：患者2天前胸痛，诊断为不稳定型心绞痛。\n既往史：高血压病史10年。\n"
        "入院诊断：1.不稳定型心绞痛 2.2型糖尿病？\n"
        "诊疗经过：入院第5天出现发热，考虑肺炎，予抗感染治疗。\n"
        "出院诊断：\n1.不稳定型心绞痛\n2.高血压病3级（极高危）\n3.2型糖尿病\n4.肺炎\n5.冠状动脉粥样硬化性心脏病\n"
    )
    found = coded(coder, text)
    assert found == {"I20.000": "Y", "I10.x00x032": "Y", "E11.900": "W", "J18.900": "N", "I25.103": "U"}


def test_the_principal_led_to_the_stay_unless_the_record_says_otherwise(coder: Make) -> None:
    silent = coded(coder, "出院诊断：\n1.肺炎\n2.2型糖尿病\n")
    assert silent == {"J18.900": "Y", "E11.900": "U"}
    arisen = coded(coder, "诊疗经过：住院期间并发肺炎。\n出院诊断：\n1.肺炎\n")
    assert arisen == {"J18.900": "N"}


def test_what_the_admission_denies_is_not_taken_for_present(coder: Make) -> None:
    text = "既往史：否认2型糖尿病。\n诊疗经过：入院后查血糖升高，诊断2型糖尿病。\n出院诊断：\n1.肺炎\n2.2型糖尿病\n"
    assert coded(coder, text)["E11.900"] == "U"


def test_what_arose_in_another_hospital_was_there_on_admission(coder: Make) -> None:
    text = "现病史：外院住院期间出现肺炎，转入我院。\n出院诊断：\n1.2型糖尿病\n2.肺炎\n"
    assert coded(coder, text)["J18.900"] == "Y"


def test_american_records_leave_open_what_is_not_told_and_take_suspected_for_present(coder: Make) -> None:
    def indicators(text: str) -> dict[str, PresentOnAdmission | None]:
        record = coder(workflow="lexical").code(Encounter.from_text(text, language="en"))
        return {code.code: code.present_on_admission for code in record.of_kind(Kind.DIAGNOSIS)}

    text = (
        "CHIEF COMPLAINT: Leg swelling.\nHISTORY OF PRESENT ILLNESS: Possible congestive heart failure.\n"
        "HOSPITAL COURSE: On hospital day 3 she developed pneumonia.\n"
        "DISCHARGE DIAGNOSIS:\n1. Congestive heart failure\n2. Pneumonia\n3. Type 2 diabetes\n"
    )
    found = indicators(text)
    assert found["I50.9"] is PresentOnAdmission.YES
    assert found["J18.9"] is PresentOnAdmission.NO
    assert found["E11.9"] is None


def test_a_wording_that_only_begins_another_is_the_same_condition_where_it_is_long_enough() -> None:
    assert same_condition("高血压", "高血压3级")
    assert not same_condition("脑梗死", "急性脑梗死")
    assert not same_condition("肺炎", "肺炎旁积液")
    assert same_condition("hypertension", "hypertensionstage3")


@pytest.mark.parametrize(
    ("language", "wording", "core"),
    [
        ("zh", "高血压病3级(极高危)", "高血压"),
        ("zh", "2型糖尿病", "糖尿病"),
        ("zh", "肺部感染", ""),
        ("zh", "心功能iv级", "心功能"),
        ("en", "type 2 diabetes mellitus", "diabetes"),
        ("en", "hypertension, stage 3", "hypertension"),
        ("en", "pneumonia", ""),
    ],
)
def test_the_core_of_a_wording_is_without_what_refines_it(language: str, wording: str, core: str) -> None:
    assert cues(language).core(wording) == core


def test_sections_of_the_admission_exist() -> None:
    assert all(canonical_name(name) == name for name in step_data("admission")["sections"])


def test_codes_without_mentions_keep_open(coder: Make) -> None:
    tools = coder(workflow="lexical").tools
    code = AssignedCode(system=System.ICD10CM, code="J18.9", name="Pneumonia", confidence=1.0)
    encounter = Encounter.from_text("Pneumonia.", language="en")
    state = State(encounter, language="en", sections=find_sections(encounter.documents, "en"))
    (left,) = with_admission([code], state, tools)
    assert left.present_on_admission is None
