"""Procedures that the course of a Chinese stay tells, beside those that it lists."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jointcoder.records import CodedRecord, Kind

Stay = Callable[..., CodedRecord]


def codes(record: CodedRecord) -> set[str]:
    return {code.code for code in record.of_kind(Kind.PROCEDURE)}


def flags(record: CodedRecord) -> set[str]:
    return {flag.code for flag in record.flags}


DIAGNOSED = "1.急性呼吸衰竭2.肺部感染"


class TestVentilation:
    def test_hours_counted_from_tube_to_tube(self, stay: Stay) -> None:
        record = stay(
            诊疗经过="2023-05-02 08:30行经口气管插管，接呼吸机辅助通气。2023-05-07 10:00拔除气管插管。",
            出院诊断=DIAGNOSED,
        )
        assert codes(record) == {"96.0400", "96.7201"}
        assert "JC613" not in flags(record)

    def test_less_than_96_hours(self, stay: Stay) -> None:
        record = stay(诊疗经过="2023-05-02 08:30行气管插管，接呼吸机辅助通气，05-04 拔除气管插管。", 出院诊断=DIAGNOSED)
        assert codes(record) == {"96.0400", "96.7101"}

    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ("有创呼吸机辅助通气共120小时", "96.7201"),
            ("呼吸机辅助呼吸3天", "96.7101"),
            ("机械通气时间为96小时", "96.7201"),
        ],
    )
    def test_hours_as_told(self, stay: Stay, told: str, expected: str) -> None:
        assert expected in codes(stay(诊疗经过=f"予气管插管接呼吸机辅助呼吸，{told}。", 出院诊断=DIAGNOSED))

    def test_notes_of_five_days_are_long_enough(self, stay: Stay) -> None:
        notes = "".join(
            f"2023-05-{day:02d} 09:10医师查房记录患者镇静状态，持续经口气管插管呼吸机辅助呼吸。" for day in range(3, 8)
        )
        course = "2023-05-02 20:00抢救记录患者血氧下降，立即行气管插管，接呼吸机。" + notes
        record = stay(病程记录=course, 出院诊断=DIAGNOSED)
        assert "96.7201" in codes(record)
        assert "JC613" not in flags(record)

    def test_weaning_that_fails_is_an_inference_and_flagged(self, stay: Stay) -> None:
        record = stay(诊疗经过="予气管插管接呼吸机辅助呼吸，呼吸机依赖，脱机困难。", 出院诊断=DIAGNOSED)
        assert "96.7201" in codes(record)
        assert "JC613" in flags(record)

    def test_untold_hours_stay_untold(self, stay: Stay) -> None:
        record = stay(诊疗经过="予气管插管接呼吸机辅助呼吸。", 出院诊断=DIAGNOSED)
        assert "96.7000" in codes(record)
        assert "JC613" in flags(record)

    def test_a_mask_is_no_tube(self, stay: Stay) -> None:
        record = stay(诊疗经过="间断无创呼吸机辅助通气，氧合改善。家属拒绝气管插管。", 出院诊断=DIAGNOSED)
        assert codes(record) == {"93.9000"}


class TestWhatWasNotDone:
    @pytest.mark.parametrize(
        "sections",
        [
            {"现病史": "3年前外院行冠状动脉造影，植入药物洗脱支架1枚。"},
            {"既往史": "2年前行腹腔镜下胆囊切除术。"},
            {"诊疗经过": "建议行冠脉造影，家属拒绝。拟行胸腔穿刺抽液。"},
            {"诊疗经过": "必要时行气管插管。有CRRT指征，患者家属放弃CRRT治疗。"},
            {"病程记录": "2023-05-02 10:00会诊记录建议：1.完善冠脉造影；2.行胸腔穿刺抽液。"},
            {"病程记录": "首次病程记录病例特点：患者5年前行冠状动脉造影及支架植入术。诊疗计划：拟行冠状动脉造影。"},
        ],
    )
    def test_nothing_is_coded(self, stay: Stay, sections: dict[str, str]) -> None:
        assert codes(stay(**sections, 出院诊断="1.冠心病")) == set()


class TestCatheters:
    def test_of_the_veins_the_one_told(self, stay: Stay) -> None:
        record = stay(诊疗经过="局麻下行右侧颈内静脉穿刺置管，中心静脉置管顺利。", 出院诊断=DIAGNOSED)
        assert codes(record) == {"38.9302"}  # the central vein is the jugular one

    def test_for_dialysis(self, stay: Stay) -> None:
        record = stay(
            诊疗经过="行股静脉临时透析导管置入，予床旁CRRT治疗。今日拔除股静脉透析导管。", 出院诊断="1.急性肾衰竭"
        )
        assert codes(record) == {"38.9502", "39.9500x007", "97.8900x005"}
        assert "JC614" not in flags(record)

    def test_not_told_but_needed_is_flagged(self, stay: Stay) -> None:
        record = stay(诊疗经过="予床旁CRRT治疗。", 出院诊断="1.急性肾衰竭")
        assert codes(record) == {"38.9502", "39.9500x007"}
        assert "JC614" in flags(record)
        implied = next(code for code in record.codes if code.code == "38.9502")
        assert implied.confidence < 0.6

    def test_not_where_a_lasting_access_is_told(self, stay: Stay) -> None:
        record = stay(
            既往史="规律血液透析3年，左前臂动静脉内瘘。", 诊疗经过="予床旁CRRT治疗。", 出院诊断="1.慢性肾脏病5期"
        )
        assert codes(record) == {"39.9500x007"}

    def test_the_balloon_pump_goes_in_and_out(self, stay: Stay) -> None:
        record = stay(
            诊疗经过="经股动脉穿刺置管，植入主动脉内球囊反搏。循环稳定后予拔除IABP。", 出院诊断="1.急性心肌梗死"
        )
        assert codes(record) == {"37.6101", "97.4400x003"}  # the way in is part of it


class TestCoronaries:
    NOTE = (
        "以6F TIG造影导管行冠状动脉造影示：左主干未见狭窄，"
        "前降支近段狭窄90%，对角支未见狭窄，右冠中段狭窄80%。"
        "送导丝至前降支远端，以2.5×15mm球囊扩张前降支病变，植入3.0×24mm药物洗脱支架1枚。"
        "于右冠中段植入3.5×18mm药物洗脱支架1枚。"
    )

    def test_vessels_and_stents_as_the_note_counts_them(self, stay: Stay) -> None:
        record = stay(手术名称="冠状动脉药物洗脱支架置入术", 手术经过=self.NOTE, 出院诊断="1.急性心肌梗死2.冠心病")
        assert codes(record) == {"36.0700", "00.6600x004", "88.5500", "00.4100", "00.4600"}
        added = next(code for code in record.codes if code.code == "00.4600")
        assert added.links[0].code == "36.0700"
        assert "00.45–00.48" in added.checks[0].citation

    def test_two_catheters(self, stay: Stay) -> None:
        record = stay(手术经过="以JL4.0、JR4.0造影导管行左右冠状动脉造影。", 出院诊断="1.冠心病")
        assert codes(record) == {"88.5600"}

    def test_catheters_untold(self, stay: Stay) -> None:
        assert codes(stay(诊疗经过="行冠脉造影示三支病变。", 出院诊断="1.冠心病")) == {"88.5700"}

    def test_a_number_that_is_not_told_is_flagged_and_not_guessed(self, stay: Stay) -> None:
        record = stay(手术名称="冠状动脉药物洗脱支架置入术", 出院诊断="1.急性心肌梗死")
        assert codes(record) == {"36.0700"}
        assert "JC613" in flags(record)


def test_an_operation_is_found_under_its_name_where_it_is_told_as_done(stay: Stay) -> None:
    record = stay(诊疗经过="入院当日全麻下行腹腔镜下阑尾切除术，术程顺利。", 出院诊断="1.急性阑尾炎")
    assert codes(record) == {"47.0100"}


def test_what_is_listed_and_told_is_one_code_with_both_as_evidence(stay: Stay) -> None:
    record = stay(手术名称="气管插管", 诊疗经过="立即予气管插管。", 出院诊断=DIAGNOSED)
    (code,) = record.of_kind(Kind.PROCEDURE)
    assert len(code.evidence) == 2
    assert {"extract:list", "extract:told"} <= set(code.stages)


def test_a_planned_item_of_the_list_is_not_coded(stay: Stay) -> None:
    assert codes(stay(手术名称="拟行腹腔镜下阑尾切除术", 出院诊断="1.急性阑尾炎")) == set()


def test_traditional_characters_are_read_alike(stay: Stay) -> None:
    record = stay(诊疗经过="立即予氣管插管，接呼吸機輔助通氣，機械通氣120小時。", 出院诊断="1.急性呼吸衰竭")
    assert codes(record) == {"96.0400", "96.7201"}


def test_other_code_systems_are_left_alone(coder: Callable[..., object]) -> None:
    from jointcoder.records import Encounter

    program = coder(workflow="lexical")
    record = program.code(Encounter.from_text("诊疗经过：行气管插管，予CRRT治疗。", language="zh"))  # type: ignore[attr-defined]
    assert codes(record) == set()
