"""Chinese lists of diagnoses: what one item holds, how it is written, and the states that operations leave."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jointcoder.coder import Coder
from jointcoder.records import CodedRecord, Encounter, Kind, System
from jointcoder.steps import runon, seek
from jointcoder.steps.status import status_hits

Stay = Callable[..., CodedRecord]


def names(record: CodedRecord) -> set[str]:
    return {code.name for code in record.of_kind(Kind.DIAGNOSIS)}


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (
            "1.冠心病 不稳定型心绞痛 PCI术后 高血压3级很高危",
            "冠状动脉粥样硬化性心脏病|不稳定型心绞痛|冠状动脉支架植入后状态|高血压病3级（极高危）",
        ),
        ("1.心律失常Ⅲ度房室传导阻滞2.房颤", "心律失常|Ⅲ度房室传导阻滞|心房颤动"),
        ("1.二度I型房室传导阻滞", "Ⅱ度一型房室传导阻滞"),
        ("1.Ⅱ°Ⅱ型房室传导阻滞", "Ⅱ度二型房室传导阻滞"),
        ("1.胸腔积液伴肺炎", "胸腔积液|肺炎"),
        (
            "1.冠心病不稳定型心绞痛急性心肌梗死PCI术后",
            "冠状动脉粥样硬化性心脏病|不稳定型心绞痛|急性心肌梗死|冠状动脉支架植入后状态",
        ),
        ("1.胆囊结石伴慢性胆囊炎", "胆囊结石伴慢性胆囊炎"),  # one entry names the whole
        ("1.脂肪肝（轻度）2.下肢淋巴管炎", "脂肪肝|淋巴管炎"),  # acute is told nowhere
        ("1.心功能Ⅳ级（Killip分级）", "KillipIV级"),
        ("1.心功能（NYHA）3级", "心功能III级(NYHA分级)"),
        ("1.心功能III级", "心功能Ⅲ级"),
        ("1.CKD4期", "慢性肾脏病4期"),
        ("1.2级高血压（高危组）", "高血压病2级（高危）"),
        ("1.高血压病（3级，很高危）2型糖尿病", "高血压病3级（极高危）|2型糖尿病"),
        ("1.呼吸衰竭（2型）", "Ⅱ型呼吸衰竭"),
        ("1.肺部感染待排？2.不稳定性心绞痛", "肺部感染|不稳定型心绞痛"),
        ("1.DIC2.COPD3.AMI", "弥散性血管内凝血|慢性阻塞性肺疾病|急性心肌梗死"),
        ("1.急性心肌梗塞；2.慢性心衰", "急性心肌梗死|慢性心力衰竭"),
        ("1.高血壓病3級（極高危）2.2型糖尿病", "高血压病3级（极高危）|2型糖尿病"),  # traditional and simplified
    ],
)
def test_an_item_becomes_the_conditions_it_names(stay: Stay, listed: str, expected: str) -> None:
    assert names(stay(出院诊断=listed)) == set(expected.split("|"))


def test_every_condition_has_its_own_words_as_evidence(stay: Stay) -> None:
    record = stay(出院诊断="1.心律失常Ⅲ度房室传导阻滞2.房颤")
    quotes = {code.name: [span.quote for span in code.evidence] for code in record.codes}
    assert quotes["心律失常"] == ["心律失常"]
    assert quotes["Ⅲ度房室传导阻滞"] == ["Ⅲ度房室传导阻滞"]


class TestStates:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("阑尾炎术后", "阑尾术后"),
            ("PCI术后", "冠状动脉支架植入后状态"),
            ("冠脉支架植入术后", "冠状动脉支架植入后状态"),
            ("左眼白内障术后", "眼术后"),
            ("胆囊切除术后状态", "胆囊术后"),
            ("右股骨颈骨折术后", "骨折术后"),
            ("起搏器植入术后", "具有心脏起搏器"),
            ("扁桃体术后", "手术后状态，其他特指的"),  # no entry of its own
        ],
    )
    def test_what_an_operation_left_is_no_disease(self, inpatient_coder: Coder, written: str, expected: str) -> None:
        hits = status_hits(written, "zh", inpatient_coder.tools, System.ICD10CN, 3)
        assert hits[0].name == expected
        assert all(hit.code.startswith("Z") for hit in hits)

    @pytest.mark.parametrize("written", ["胃癌术后", "PCI术后再狭窄", "阑尾炎", "术后出血"])
    def test_a_disease_that_is_there_is_no_state(self, inpatient_coder: Coder, written: str) -> None:
        assert status_hits(written, "zh", inpatient_coder.tools, System.ICD10CN, 3) == []

    def test_a_state_is_told_of_diagnoses_only(self, inpatient_coder: Coder) -> None:
        assert status_hits("阑尾切除术后", "zh", inpatient_coder.tools, System.ICD9CM3, 3) == []


class TestTypes:
    def test_a_complication_takes_the_type_that_the_record_names(self, stay: Stay) -> None:
        record = stay(出院诊断="1.2型糖尿病2.糖尿病性周围神经病变")
        (code,) = record.of_kind(Kind.DIAGNOSIS)  # a pair of dagger and asterisk stays one code
        assert code.code == "E11.401+G63.2*"
        assert any(finding.rule == "code_also.typed" and "E10–E14" in finding.citation for finding in code.checks)
        assert any(finding.rule == "taken_in" for finding in record.findings)

    @pytest.mark.parametrize(
        ("listed", "expected"),
        [
            ("1.冠心病 支架植入术后", "冠状动脉支架植入后状态"),
            ("1.高血压 支架植入术后", "血管支架植入术后状态"),
        ],
    )
    def test_what_a_wording_leaves_open_its_neighbours_tell(self, stay: Stay, listed: str, expected: str) -> None:
        assert expected in names(stay(出院诊断=listed))

    def test_without_a_type_it_stays_untyped(self, stay: Stay) -> None:
        assert names(stay(出院诊断="1.糖尿病性周围神经病变")) == {"糖尿病性周围神经病"}


def test_a_detail_that_the_record_does_not_give_weighs_against_a_name(inpatient_coder: Coder) -> None:
    hits = seek.seek("下肢淋巴管炎", "zh", inpatient_coder.tools, System.ICD10CN, 5)
    scores = {hit.name: hit.score for hit in hits}
    assert scores["淋巴管炎"] > scores["急性下肢淋巴管炎"]


@pytest.mark.parametrize("item", ["", "x", "肺炎", "高血压病3级（极高危）", "慢" * 80])
def test_a_single_condition_stays_whole(inpatient_coder: Coder, item: str) -> None:
    assert runon.parts(item, "zh", inpatient_coder.tools, System.ICD10CN) == [(0, len(item))]


def test_other_languages_keep_their_items(inpatient_coder: Coder) -> None:
    assert runon.parts("gout and pneumonia", "en", inpatient_coder.tools, System.ICD10CN) == [(0, 18)]


@pytest.mark.parametrize("sections", [{"出院诊断": "。"}, {"出院诊断": "1."}, {"主诉": "？？"}])
def test_a_record_without_conditions_is_flagged_and_not_lost(stay: Stay, sections: dict[str, str]) -> None:
    record = stay(**sections)
    assert record.codes == ()
    assert {"JC603"} <= {flag.code for flag in record.flags}


def test_an_encounter_keeps_its_offsets(inpatient_coder: Coder) -> None:
    encounter = Encounter.from_sections({"出院诊断": "１．ＣＯＰＤ　２．冠心病 房颤"}, language="zh")
    record = inpatient_coder.code(encounter)
    assert {"慢性阻塞性肺疾病", "心房颤动"} <= names(record)
    assert all(span.reproduces(encounter) for code in record.codes for span in code.evidence)
