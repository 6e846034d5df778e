"""The main diagnosis and the main operation of a Chinese stay, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jointcoder.records import AssignedCode, CodedRecord, Kind, System
from jointcoder.steps import prioritise
from jointcoder.steps.common import step_data

Stay = Callable[..., CodedRecord]


def main(record: CodedRecord, kind: Kind = Kind.DIAGNOSIS) -> str:
    found = record.principal(kind)
    return found.name if found else ""


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("1.冠心病2.急性下壁心肌梗死3.高血压", "急性下壁心肌梗死"),  # article 11 (5)
        ("1.高血压2.心房颤动3.冠心病4.不稳定型心绞痛", "心房颤动"),
        ("1.高血压病3级（极高危）2.脑出血", "脑出血"),  # article 10
        ("1.肺部感染2.急性呼吸衰竭3.高血压", "肺部感染"),
        ("1.急性呼吸衰竭2.肺炎", "肺炎"),  # article 11 (1)
        ("1.胸痛2.急性心肌梗死", "急性心肌梗死"),
        ("1.心功能Ⅲ级2.慢性心力衰竭", "慢性心力衰竭"),
        ("1.胃癌2.恶性肿瘤化学治疗", "恶性肿瘤化学治疗"),  # article 13 (3)
        ("1.单胎顺产2.重度子痫前期", "重度子痫前期"),  # article 14
        ("1.膝挫伤2.肋骨骨折3.创伤性硬膜下血肿", "创伤性硬膜下血肿"),  # article 15
        ("1.急性呼吸衰竭2.有机磷农药中毒", "有机磷农药中毒"),  # article 17
        ("1.慢性胆囊炎2.脂肪肝", "慢性胆囊炎"),  # the list, where no rule speaks
    ],
)
def test_the_main_diagnosis_by_the_national_rules(stay: Stay, listed: str, expected: str) -> None:
    assert main(stay(出院诊断=listed)) == expected


def test_what_was_operated_on_gains(stay: Stay) -> None:
    listed = "1.高血压2.慢性胆囊炎3.急性阑尾炎"
    record = stay(手术名称="腹腔镜下阑尾切除术", 出院诊断=listed)
    assert main(record) == "急性阑尾炎"  # article 11 (2)
    assert {"operated"} <= {reason.feature for reason in record.principal().order}  # type: ignore[union-attr]
    assert main(stay(出院诊断=listed)) != "急性阑尾炎"


class TestOperations:
    def test_treatment_before_diagnosis(self, stay: Stay) -> None:
        course = "以TIG造影导管行冠状动脉造影，于前降支植入3.0×24mm药物洗脱支架1枚。"
        record = stay(手术经过=course, 出院诊断="1.急性心肌梗死")
        assert main(record, Kind.PROCEDURE) == "药物洗脱冠状动脉支架置入"
        assert [code.code[:4] for code in record.of_kind(Kind.PROCEDURE)][-2:] in (["00.4", "00.4"], ["88.5", "00.4"])

    def test_the_operation_that_treats_the_main_diagnosis(self, stay: Stay) -> None:
        record = stay(手术名称="1.腹腔镜下胆囊切除术2.腹腔镜下阑尾切除术", 出院诊断="1.急性阑尾炎2.胆囊结石")
        assert main(record, Kind.PROCEDURE) in ("腹腔镜下阑尾切除术", "腹腔镜下胆囊切除术")
        assert record.principal(Kind.PROCEDURE).links[0].relation == "explained_by"  # type: ignore[union-attr]
        assert main(record) == "急性阑尾炎"
        assert main(record, Kind.PROCEDURE) == "腹腔镜下阑尾切除术"  # article 21

    def test_long_ventilation_comes_first(self, stay: Stay) -> None:
        record = stay(
            手术名称="1.右侧颈内静脉穿刺置管术2.气管插管",
            诊疗经过="予气管插管接呼吸机辅助呼吸，机械通气130小时。",
            出院诊断="1.肺部感染2.急性呼吸衰竭",
        )
        assert main(record, Kind.PROCEDURE) == "呼吸机治疗[大于等于96小时]"

    def test_numbers_of_vessels_are_never_first(self) -> None:
        codes = [AssignedCode(system=System.ICD9CM3, code=c, name=c, confidence=0.9) for c in ("00.4000", "88.5500")]
        scores = {code.code: prioritise.rule_score(code, place, {}, codes) for place, code in enumerate(codes)}
        assert prioritise.by_score(codes, scores)[0].code == "88.5500"


def test_every_contribution_is_kept_and_they_sum_to_the_order(stay: Stay) -> None:
    record = stay(手术名称="腹腔镜下阑尾切除术", 出院诊断="1.冠心病2.急性心肌梗死3.急性阑尾炎")
    for kind in Kind:
        sums = [sum(reason.weight for reason in code.order) for code in record.of_kind(kind)]
        assert sums == sorted(sums, reverse=True)
    features = {reason.feature for code in record.codes for reason in code.order}
    assert {"listed_position", "acute_heart_attack_before_its_disease", "operated"} <= features


def test_every_rule_cites_its_source() -> None:
    table = step_data("prioritise")
    for rule in (*table["rule"], *table["before"]):
        assert rule["id"]
        assert rule["citation"], rule
        assert rule["system"] in set(System)
    ids = [rule["id"] for rule in (*table["rule"], *table["before"])]
    assert len(ids) == len(set(ids))
