"""Diagnoses and procedures of a Chinese stay together: links, states, what contradicts the record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jointcoder.records import CodedRecord, Kind
from jointcoder.steps.common import step_data

Stay = Callable[..., CodedRecord]


def names(record: CodedRecord) -> set[str]:
    return {code.name for code in record.of_kind(Kind.DIAGNOSIS)}


def flags(record: CodedRecord) -> set[str]:
    return {flag.code for flag in record.flags}


@pytest.mark.parametrize(
    ("operation", "listed", "explains"),
    [
        ("冠状动脉药物洗脱支架置入术", "1.高血压2.急性心肌梗死", "急性心肌梗死"),
        ("腹腔镜下阑尾切除术", "1.胆囊结石2.急性阑尾炎", "急性阑尾炎"),
        ("CRRT", "1.肺炎2.急性肾衰竭", "急性肾衰竭"),
        ("气管插管", "1.高血压2.急性呼吸衰竭", "急性呼吸衰竭"),
        ("心脏起搏器置入术", "1.高血压2.Ⅲ度房室传导阻滞", "Ⅲ度房室传导阻滞"),
    ],
)
def test_a_procedure_is_linked_to_the_diagnosis_that_explains_it(
    stay: Stay, operation: str, listed: str, explains: str
) -> None:
    record = stay(手术名称=operation, 出院诊断=listed)
    procedure = record.of_kind(Kind.PROCEDURE)[0]
    diagnosis = next(code for code in record.codes if code.name == explains)
    assert ("explained_by", diagnosis.code) in [(link.relation, link.code) for link in procedure.links]
    assert ("explains", procedure.code) in [(link.relation, link.code) for link in diagnosis.links]


def test_an_operation_that_nothing_explains_is_flagged(stay: Stay) -> None:
    record = stay(手术名称="腹腔镜下阑尾切除术", 出院诊断="1.高血压")
    assert {code.name for code in record.of_kind(Kind.PROCEDURE)} == {"腹腔镜下阑尾切除术"}  # and not dropped
    assert "JC615" in flags(record)


class TestStates:
    STENT = "于前降支植入3.0×24mm药物洗脱支架1枚。"

    def test_the_state_of_this_stays_operation_is_left_out(self, stay: Stay) -> None:
        record = stay(手术经过=self.STENT, 出院诊断="1.急性心肌梗死2.冠状动脉支架植入术后")
        assert names(record) == {"急性心肌梗死"}
        assert "JC612" in flags(record)
        assert any(finding.rule == "state_of_this_stay" for finding in record.findings)

    def test_the_state_of_an_earlier_one_stays(self, stay: Stay) -> None:
        record = stay(
            既往史="5年前植入心脏支架2枚。", 手术经过=self.STENT, 出院诊断="1.急性心肌梗死2.冠状动脉支架植入术后"
        )
        assert names(record) == {"急性心肌梗死", "冠状动脉支架植入后状态"}

    def test_resuscitation_today_is_no_state(self, stay: Stay) -> None:
        record = stay(诊疗经过="立即予胸外按压，心肺复苏成功。", 出院诊断="1.急性心肌梗死2.心肺复苏术后")
        assert names(record) == {"急性心肌梗死"}

    def test_without_the_operation_it_stays(self, stay: Stay) -> None:
        assert "冠状动脉支架植入后状态" in names(stay(出院诊断="1.高血压2.PCI术后"))


class TestTheRecordAgainstItsList:
    def test_what_is_only_denied_is_flagged_and_kept(self, stay: Stay) -> None:
        record = stay(既往史="否认糖尿病、高血压病史。", 出院诊断="1.肺炎2.糖尿病")
        code = next(code for code in record.codes if code.name == "糖尿病")
        assert "JC610" in flags(record)
        assert any(finding.rule == "record.denied" for finding in code.checks)
        other = stay(既往史="糖尿病史3年。", 出院诊断="1.肺炎2.糖尿病")
        assert next(c for c in other.codes if c.name == "糖尿病").confidence > code.confidence

    @pytest.mark.parametrize("history", ["否认糖尿病。入院后诊断糖尿病。", "糖尿病史3年，否认高血压。", "体健。"])
    def test_one_affirmation_is_enough(self, stay: Stay, history: str) -> None:
        assert "JC610" not in flags(stay(既往史=history, 出院诊断="1.肺炎2.糖尿病"))

    def test_a_main_diagnosis_that_nothing_else_names(self, stay: Stay) -> None:
        assert "JC611" in flags(stay(现病史="咳嗽3天。", 出院诊断="1.急性阑尾炎"))
        assert "JC611" not in flags(stay(现病史="腹痛1天，诊断急性阑尾炎。", 出院诊断="1.急性阑尾炎"))
        assert "JC611" not in flags(stay(出院诊断="1.急性阑尾炎"))  # a bare list has nothing to compare with

    def test_short_forms_count_as_the_same(self, stay: Stay) -> None:
        assert "JC611" not in flags(stay(现病史="既往冠心病史。", 出院诊断="1.冠状动脉粥样硬化性心脏病"))


def test_a_disease_takes_its_finding_in(stay: Stay) -> None:
    record = stay(出院诊断="1.脓毒症2.DIC3.凝血功能障碍")
    assert names(record) == {"脓毒症", "弥散性血管内凝血"}
    finding = next(finding for finding in record.findings if finding.rule == "taken_in")
    assert "D65" in finding.citation
    assert "凝血功能障碍" in names(stay(出院诊断="1.脓毒症2.凝血功能障碍"))


def test_the_pairs_are_prefixes_of_their_systems() -> None:
    for pair in step_data("joint")["pair"]:
        assert pair["procedures"]
        assert pair["diagnoses"]
        assert all(prefix[0].isdigit() for prefix in pair["procedures"])
        assert all(prefix[0].isalpha() for prefix in pair["diagnoses"])
