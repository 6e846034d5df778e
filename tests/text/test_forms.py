"""Other forms of Chinese wordings: numerals, doubt, states, how well names fit; and days and notes of a course."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.text.bare import bare, unbracketed
from jointcoder.text.fit import CONTRADICTED, fit, kernel, same, sites
from jointcoder.text.numerals import forms, grades, levelled
from jointcoder.text.passages import passages
from jointcoder.text.status import state
from jointcoder.text.times import moments

NUMERALS = st.sampled_from(["1", "2", "3", "I", "II", "Ⅲ", "IV", "一", "二", "四"])
UNITS = st.sampled_from(["级", "度", "期", "型"])


class TestNumerals:
    @pytest.mark.parametrize(
        ("written", "form"),
        [
            ("二度二型房室传导阻滞", "II度2型房室传导阻滞"),
            ("心功能3级（Killip分级）", "KillipIII级"),
            ("NYHA分级Ⅳ级", "心功能IV级(NYHA分级)"),
            ("CKD5期", "慢性肾脏病5期"),
            ("1级高血压（中危组）", "高血压病1级（中危）"),
            ("糖尿病（2型）", "2型糖尿病"),
            ("Ⅱ°烧伤", "二度烧伤"),
        ],
    )
    def test_other_forms(self, written: str, form: str) -> None:
        assert form in forms(written, "zh")

    @pytest.mark.parametrize("written", ["肺炎", "T10椎体骨折", "EF45%", ""])
    def test_what_grades_nothing_has_none(self, written: str) -> None:
        assert forms(written, "zh") == []
        assert grades(written, "zh") == {}

    def test_grades_are_numbers(self) -> None:
        assert grades("心功能Ⅱ-III级，2型", "zh") == {"级": frozenset({2, 3}), "型": frozenset({2})}

    @given(NUMERALS, UNITS)
    def test_scripts_change_and_values_stay(self, numeral: str, unit: str) -> None:
        term = f"某病{numeral}{unit}"
        (values,) = grades(term, "zh").values()
        assert len(values) == 1
        assert all(grades(form, "zh") == grades(term, "zh") for form in forms(term, "zh"))
        assert levelled(term, "zh") == f"某病{next(iter(values))}{unit}"

    def test_a_language_without_the_data_has_none(self) -> None:
        assert forms("NYHA class III", "en") == []
        with pytest.raises(InputError, match="JC105"):
            forms("x", "xx")


class TestFit:
    @pytest.mark.parametrize(
        ("wording", "better", "worse"),
        [
            ("淋巴管炎", "淋巴管炎", "急性淋巴管炎"),  # a detail added
            ("2型糖尿病肾病", "2型糖尿病性肾病", "2型糖尿病肾病Ⅲ期"),  # a stage added
            ("高血压2级", "高血压2级", "高血压3级"),
            ("皮脂腺囊肿", "皮脂腺囊肿", "颈部皮脂腺囊肿"),  # a place added
            ("肺结节", "肺结节", "肺结节病"),  # another kind of thing
            ("慢性肾炎", "慢性肾炎", "急性肾炎"),
        ],
    )
    def test_names_that_say_more_or_otherwise_fit_worse(self, wording: str, better: str, worse: str) -> None:
        assert fit(wording, better, "zh") > fit(wording, worse, "zh")

    def test_contradictions_weigh_most(self) -> None:
        assert fit("高血压2级", "高血压3级", "zh") == CONTRADICTED
        assert fit("右肺囊肿", "右肺结石", "zh") == CONTRADICTED

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("糖尿病酮症酸中毒", "糖尿病性酮症酸中毒"),
            ("不稳定心绞痛", "不稳定型心绞痛"),
            ("急性心肌梗塞", "急性心肌梗死"),
            ("Ⅲ度烧伤", "3度烧伤"),
        ],
    )
    def test_spellings_are_the_same(self, one: str, other: str) -> None:
        assert same(one, other, "zh")
        assert same(other, one, "zh")

    @pytest.mark.parametrize(("one", "other"), [("不稳定型心绞痛", "稳定型心绞痛"), ("2级", "3级"), ("肺炎", "肺癌")])
    def test_others_are_not(self, one: str, other: str) -> None:
        assert not same(one, other, "zh")

    def test_the_kernel_is_the_condition_without_its_details(self) -> None:
        assert 0 < kernel("右下肢淋巴管炎", "淋巴管炎", "zh") < 1
        assert kernel("不稳定型心绞痛", "稳定型心绞痛", "zh") == 0  # turned round
        assert kernel("急性心力衰竭", "心力衰竭", "zh") == 0  # acute tells one from another

    def test_sites(self) -> None:
        assert sites("胆囊结石伴阑尾炎", "zh") == ["胆囊", "阑尾"]


class TestDoubtAndStates:
    @pytest.mark.parametrize(
        ("written", "left"),
        [
            ("肺结核待排？", "肺结核"),
            ("考虑急性胰腺炎", "急性胰腺炎"),
            ("肺癌可能性大", "肺癌"),
            ("肺炎", "肺炎"),
            ("？", "？"),
        ],
    )
    def test_doubt_comes_off(self, written: str, left: str) -> None:
        assert bare(written, "zh") == left
        assert bare(left, "zh") == left

    def test_languages_with_blanks_keep_their_words(self) -> None:
        assert bare("possible pneumonia", "en") == "possible pneumonia"

    def test_brackets_come_off(self) -> None:
        assert unbracketed("脂肪肝（重度）") == "脂肪肝"
        assert unbracketed("（重度）") == "（重度）"

    def test_a_state_names_its_operation(self) -> None:
        found = state("左侧髋关节置换术后", "zh")
        assert found is not None
        assert found.operation == "左侧髋关节置换"
        assert "髋关节置换术后" in found.wordings

    @pytest.mark.parametrize("written", ["胃癌术后", "术后感染", "术后出血", "髋关节置换术后假体周围感染", "肺炎"])
    def test_diseases_are_no_states(self, written: str) -> None:
        assert state(written, "zh") is None


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("于2023-05-02 08:30行", [dt.datetime(2023, 5, 2, 8, 30)]),
            ("2023-05-0208：30行，05-07拔除", [dt.datetime(2023, 5, 2, 8, 30), dt.datetime(2023, 5, 7)]),
            ("2023年12月1日、12月9日", [dt.datetime(2023, 12, 1), dt.datetime(2023, 12, 9)]),
            ("2023.5.2", [dt.datetime(2023, 5, 2)]),
            ("血压120-80mmHg，比例1:1，CT 1-2cm，2023-02-30", []),
            ("05-07", []),  # the year is not known
        ],
    )
    def test_days_as_notes_write_them(self, text: str, expected: list[dt.datetime]) -> None:
        assert [moment.at for moment in moments(text)] == expected

    def test_a_year_may_be_given(self) -> None:
        assert [moment.at.date() for moment in moments("5月7日", year=2023)] == [dt.date(2023, 5, 7)]

    @given(st.text(alphabet="0123456789-./:： 年月日时", max_size=40))
    def test_places_lie_in_the_text(self, text: str) -> None:
        found = moments(text, year=2023)
        assert all(0 <= m.start < m.end <= len(text) for m in found)
        assert all(one.end <= other.start for one, other in pairwise(found))


class TestPassages:
    COURSE = (
        "首次病程记录患者因胸痛入院。病例特点：1.既往PCI术后。诊疗计划：拟行造影。"
        "2023-05-02 10:20医师查房记录患者平稳。医师查房分析：继续治疗。"
        "2023-05-03 09:00会诊记录同意贵科诊治。建议：行胃镜。2023-05-04 08:00抢救记录立即插管。"
    )

    def test_notes_and_their_parts(self) -> None:
        found = passages(self.COURSE, "zh", name="progress_note")
        assert [part.name for part in found] == [
            "progress_note",
            "history_present_illness",
            "plan",
            "progress_note",
            "hospital_course",
            "consultation",
            "plan",
            "progress_note",
        ]
        assert found[0].on is None
        assert [part.on.day for part in found[3:] if part.on] == [2, 2, 3, 3, 4]

    def test_a_title_inside_a_sentence_is_none(self) -> None:
        assert len(passages("患者平稳，已阅读转出记录并复习资料，同转出记录。", "zh")) == 1

    @given(
        st.lists(
            st.sampled_from(["会诊记录", "2023-05-02 10:20", "建议：", "患者", "\n", "。", "诊療經過："]), max_size=12
        )
    )
    def test_they_cover_the_text_without_gaps(self, pieces: list[str]) -> None:
        text = "".join(pieces)
        found = passages(text, "zh")
        assert "".join(text[part.start : part.end] for part in found) == text
        assert all(one.end == other.start for one, other in pairwise(found))

    def test_other_languages_are_one_passage(self) -> None:
        assert [(p.start, p.end) for p in passages("Consult: rest.", "en")] == [(0, 14)]
