from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.text.expand import abbreviations, expand

LEAST = {"en": 100, "es": 80, "zh": 100}


@pytest.mark.parametrize(
    ("term", "lang", "expected"),
    [
        ("CHF exacerbation", "en", "congestive heart failure exacerbation"),
        ("chf", "en", "congestive heart failure"),
        ("s/p CABG", "en", "s/p coronary artery bypass graft"),
        ("HFrEF", "en", "heart failure with reduced ejection fraction"),
        ("HTN and T2DM", "en", "hypertension and type 2 diabetes mellitus"),
        ("HTA y EPOC", "es", "hipertensión arterial y enfermedad pulmonar obstructiva crónica"),
        ("ITU por E. coli", "es", "infección del tracto urinario por E. coli"),
        ("PCI术后", "zh", "经皮冠状动脉介入治疗术后"),
        ("高血压3级", "zh", "高血压病3级"),
        ("陈旧性心梗", "zh", "陈旧性心肌梗死"),
        ("阵发性房颤", "zh", "阵发性心房颤动"),
        ("冠脉造影+支架植入术", "zh", "冠状动脉造影+支架置入术"),
    ],
)
def test_expansions(term: str, lang: str, expected: str) -> None:
    assert expand(term, lang)[:2] == [term, expected]


@pytest.mark.parametrize(
    ("term", "lang"),
    [
        ("pneumonia", "en"),
        ("ms", "en"),
        ("pe", "en"),
        ("CHFX", "en"),
        ("PCIs", "en"),
        ("fa", "es"),
        ("高血压病3级", "zh"),
        ("高血压性心脏病", "zh"),
        ("脑梗死", "zh"),
        ("心力衰竭", "zh"),
        ("慢性阻塞性肺疾病", "zh"),
        ("冠状动脉粥样硬化性心脏病", "zh"),
    ],
)
def test_what_is_no_short_form_stays(term: str, lang: str) -> None:
    assert expand(term, lang) == [term]


def test_ambiguous_forms_give_every_reading() -> None:
    assert expand("MS", "en") == ["MS", "multiple sclerosis", "mitral stenosis"]
    assert expand("MS", "zh") == ["MS", "二尖瓣狭窄", "多发性硬化"]


@pytest.mark.parametrize(
    ("term", "context", "expected"),
    [
        ("风湿性MS", "", ["风湿性二尖瓣狭窄"]),
        ("MS", "患者视力下降，头颅磁共振示脱髓鞘改变", ["多发性硬化"]),
        ("PE", "患者突发胸痛、咯血", ["肺动脉栓塞"]),
        ("PE", "孕32周，血压升高", ["子痫前期"]),
        ("AD", "记忆力减退3年", ["阿尔茨海默病"]),
        ("CAG", "胸闷", ["冠状动脉造影"]),  # the reading that needs no cue
        ("RA", "晨僵2年", ["类风湿关节炎"]),
        ("UC", "尿频3天", []),  # nothing speaks for it
    ],
)
def test_what_stands_around_a_form_decides_between_its_readings(term: str, context: str, expected: list[str]) -> None:
    assert expand(term, "zh", context=context) == [term, *expected]


@pytest.mark.parametrize("lang", sorted(LEAST))
def test_the_table(lang: str) -> None:
    rows = abbreviations(lang)
    assert len({row.form for row in rows}) >= LEAST[lang]
    assert {row.kind for row in rows} >= {"dx", "px"}
    assert {row.kind for row in rows} <= {"dx", "px", "other"}
    assert all(row.form == row.form.strip() and row.expansion == row.expansion.strip() for row in rows)
    assert len({(row.form, row.expansion) for row in rows}) == len(rows)
    forms = [row.form for row in rows]
    assert all(row.caution for row in rows if forms.count(row.form) > 1), "a form of two readings is ambiguous"


@given(st.text(st.sampled_from("CHFMSPI 高血压病心梗死,/"), max_size=16), st.sampled_from(["en", "es", "zh"]))
def test_the_term_comes_first_and_nothing_twice(term: str, lang: str) -> None:
    alternatives = expand(term, lang)
    assert alternatives[0] == term
    assert len(alternatives) == len(set(alternatives)) <= 8


@pytest.mark.parametrize("lang", sorted(LEAST))
def test_an_expansion_is_stable(lang: str) -> None:
    """Writing out what is written out already changes no part of it back and forth without end."""
    for row in abbreviations(lang):
        if row.form != row.expansion:
            again = expand(row.expansion, lang)
            assert again[0] == row.expansion
            assert not any(row.expansion in other and other != row.expansion for other in again), row


def test_unknown_language() -> None:
    with pytest.raises(InputError, match="JC105"):
        expand("CHF", "fr")
