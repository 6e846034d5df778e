from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.text.segment import Segmenter, sentences, split_items, words

MARKED = Path(__file__).parent / "marked"
CLINICAL = st.text(st.sampled_from("aB1. ,;:!?\n-(）（)、。；？2型高血压①•\t"), max_size=60)
LANGUAGES = st.sampled_from(["en", "es", "zh"])


def cut(text: str, lang: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text, lang)]


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        (
            "Dr. Lee saw the pt. at 5 p.m. today. BP was 120.5 over 80. Given 81 mg. Stable.",
            "en",
            ["Dr. Lee saw the pt. at 5 p.m. today.", "BP was 120.5 over 80.", "Given 81 mg.", "Stable."],
        ),
        ("1. CHF\n2. COPD exacerbation\nPlan:\nrest", "en", ["1. CHF", "2. COPD exacerbation", "Plan:", "rest"]),
        ("1. CHF 2. COPD 3. Gout", "en", ["1. CHF 2. COPD 3. Gout"]),
        ("Hepatitis C. Seen by J. Smith.", "en", ["Hepatitis C.", "Seen by J. Smith."]),
        ("He felt chest\npain at night.", "en", ["He felt chest\npain at night."]),
        ("Chest pain\nDyspnea", "en", ["Chest pain", "Dyspnea"]),
        ("First part.\n\nsecond part", "en", ["First part.", "second part"]),
        ("No fever. (None at home.) Cough!", "en", ["No fever.", "(None at home.)", "Cough!"]),
        ("? pneumonia. Rest", "en", ["? pneumonia.", "Rest"]),
        (
            "Acude por dolor de 2.5 h. de evolución. Dr. Gil. ¿Neumonía?",
            "es",
            ["Acude por dolor de 2.5 h. de evolución.", "Dr. Gil.", "¿Neumonía?"],
        ),
        ("胸痛3天。否认高血压；有糖尿病！", "zh", ["胸痛3天。", "否认高血压；", "有糖尿病！"]),
        ("1.高血压病3级 2.2型糖尿病。体温36.5℃", "zh", ["1.高血压病3级 2.2型糖尿病。", "体温36.5℃"]),
        ("“肺炎？”、心衰。", "zh", ["“肺炎？”、心衰。"]),
        ("高血压\n糖尿病", "zh", ["高血压", "糖尿病"]),
        ("", "en", []),
        (" \n ", "zh", []),
    ],
)
def test_sentences(text: str, lang: str, expected: list[str]) -> None:
    assert cut(text, lang) == expected


def test_wrapped_lines_go_on() -> None:
    text = (
        "The patient was transferred from the ward to the medical\n"
        "Intensive care unit because of worsening breathlessness,\n"
        "Fever and chills.\nDischarged home."
    )
    assert len(cut(text, "en")) == 2


@given(CLINICAL, LANGUAGES)
def test_sentences_hold_all_but_white_space(text: str, lang: str) -> None:
    spans = sentences(text, lang)
    inside = {place for start, end in spans for place in range(start, end)}
    assert all(char.isspace() or place in inside for place, char in enumerate(text))
    assert all(start < end and text[start:end].strip() == text[start:end] for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_latin_words() -> None:
    found = [word.text for word in words("The patient's T-cell count: 1,200.5/mL, cafe\u0301 (C5-6).", "en")]
    assert found == ["The", "patient's", "T-cell", "count", "1,200.5", "mL", "cafe\u0301", "C5-6"]


def test_chinese_words_and_user_words_stay_apart(tmp_path: Path) -> None:
    text = "行经皮冠脉药物球囊术治疗，LVEF 35%"
    own = Segmenter("zh", ["经皮冠脉药物球囊术"], cache_dir=tmp_path)
    assert "经皮冠脉药物球囊术" in [word.text for word in own.words(text)]
    assert any(tmp_path.iterdir())
    plain = Segmenter("zh", cache_dir=tmp_path).words(text)
    assert "经皮冠脉药物球囊术" not in [word.text for word in plain]
    assert [word.text for word in plain][-2:] == ["LVEF", "35"]


@pytest.mark.parametrize("kind", ["file in the way", "read-only", "damaged"])
def test_a_cache_that_cannot_be_used_does_not_matter(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "jieba"
    if kind == "file in the way":
        folder.write_text("")
    elif kind == "read-only":
        folder = Path("/proc/self/fdinfo")  # also for root
        if not folder.is_dir():
            pytest.skip("no /proc here")
    else:
        Segmenter("zh", cache_dir=folder).words("胸痛")
        (kept,) = folder.iterdir()
        kept.write_bytes(kept.read_bytes()[:1000])
    assert [word.text for word in Segmenter("zh", cache_dir=folder).words("患者胸痛三天")] == ["患者", "胸痛", "三天"]
    assert capfd.readouterr() == ("", "")


def test_a_disk_that_is_full_keeps_no_torn_file(tmp_path: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from jointcoder.text.segment import Segmenter
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
print(len(Segmenter("zh", cache_dir=Path({str(tmp_path / "jieba")!r})).words("患者胸痛三天")))
"""
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3\n", "")
    assert list((tmp_path / "jieba").iterdir()) == []


@given(CLINICAL, LANGUAGES)
def test_words_are_where_they_say(text: str, lang: str) -> None:
    found = words(text, lang)
    assert all(text[word.start : word.end] == word.text for word in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
    inside = {place for word in found for place in range(word.start, word.end)}
    assert all(place in inside for place, char in enumerate(text) if char.isalnum() and char != "①")


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("1.高血压病3级 2.2型糖尿病", "zh", ["高血压病3级", "2型糖尿病"]),
        ("1.2型糖尿病2.高血压病3级（很高危）3.冠心病", "zh", ["2型糖尿病", "高血压病3级（很高危）", "冠心病"]),
        ("右肾结石1.5cm", "zh", ["右肾结石1.5cm"]),
        ("1.左肾结石2.5cm 2.肾囊肿", "zh", ["左肾结石2.5cm", "肾囊肿"]),
        ("C5-6椎间盘突出", "zh", ["C5-6椎间盘突出"]),
        ("高血压3级，很高危", "zh", ["高血压3级，很高危"]),
        ("高血压病、2型糖尿病、冠心病", "zh", ["高血压病", "2型糖尿病", "冠心病"]),
        ("①肺炎②心衰；③肾衰", "zh", ["肺炎", "心衰", "肾衰"]),
        ("（1）肺炎（2）心力衰竭", "zh", ["肺炎", "心力衰竭"]),
        ("一、肺炎 二、心衰", "zh", ["肺炎", "心衰"]),
        ("1、高血压 2、糖尿病", "zh", ["高血压", "糖尿病"]),
        ("肝、脾肿大", "zh", ["肝、脾肿大"]),
        ("1.高血压病3级，很高危\n2.冠心病、心功能III级", "zh", ["高血压病3级，很高危", "冠心病、心功能III级"]),
        ("肺恶性肿瘤（右上叶、腺癌）；骨继发恶性肿瘤", "zh", ["肺恶性肿瘤（右上叶、腺癌）", "骨继发恶性肿瘤"]),
        ("9.2型糖尿病10.阑尾炎术后", "zh", ["2型糖尿病", "阑尾炎术后"]),
        ("肺炎 2.心衰", "zh", ["肺炎", "心衰"]),
        ("1.慢支2.COPD3.DIC4.低钠血症", "zh", ["慢支", "COPD", "DIC", "低钠血症"]),  # a number after a short form
        ("1.肾炎2.肺炎5.胸腔积液6.贫血", "zh", ["肾炎", "肺炎", "胸腔积液", "贫血"]),  # numbers left out
        ("1.肾炎2.肺炎9.胸腔积液", "zh", ["肾炎", "肺炎9.胸腔积液"]),  # too many left out to be numbering
        (
            "冠心病 稳定型心绞痛 CABG术后 高血压2级高危",
            "zh",
            ["冠心病", "稳定型心绞痛", "CABG术后", "高血压2级高危"],
        ),
        ("高血压病 2级 高危 1型糖尿病", "zh", ["高血压病 2级 高危", "1型糖尿病"]),
        ("急性 胆囊炎 心功能 III级", "zh", ["急性 胆囊炎", "心功能 III级"]),
        ("左侧 胫骨骨折 右侧腓骨骨折", "zh", ["左侧 胫骨骨折", "右侧腓骨骨折"]),
        ("多发肋骨骨折 左侧", "zh", ["多发肋骨骨折 左侧"]),
        ("冠状动脉造影术+支架置入术", "zh", ["冠状动脉造影术", "支架置入术"]),
        ("乙肝(HBsAg+)+肝硬化", "zh", ["乙肝(HBsAg+)", "肝硬化"]),
        ("ER+ breast cancer; A + B", "en", ["ER+ breast cancer", "A + B"]),
        ("1. MI 2. CKD3. Worse. 3. Gout", "en", ["MI", "CKD3. Worse", "Gout"]),
        (
            "1. Acute CHF\n2. Type 2 diabetes\n3) Hypertension and CKD",
            "en",
            ["Acute CHF", "Type 2 diabetes", "Hypertension and CKD"],
        ),
        ("CHF; COPD; DM2", "en", ["CHF", "COPD", "DM2"]),
        ("1. Kidney stone 2.5 cm 2. Cyst 3. C5-6 herniation", "en", ["Kidney stone 2.5 cm", "Cyst", "C5-6 herniation"]),
        ("- Pneumonia\n- Sepsis, resolved", "en", ["Pneumonia", "Sepsis, resolved"]),
        ("• Diabetes\n• Gout", "en", ["Diabetes", "Gout"]),
        ("1.- Neumonía\n2.- Insuficiencia cardíaca", "es", ["Neumonía", "Insuficiencia cardíaca"]),
        ("pneumonia", "en", ["pneumonia"]),
        ("", "en", []),
    ],
)
def test_list_items(text: str, lang: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in split_items(text, lang)] == expected


@pytest.mark.parametrize("lang", ["en", "es"])
def test_names_written_as_sentences_are_items(lang: str) -> None:
    lines = (MARKED / f"rows.{lang}.txt").read_text("utf-8").splitlines()
    numbers = re.compile(r"^\d\.-? ")
    for line in (one for one in lines if not one.startswith("#")):
        text = line.replace("|", "")
        found = [text[start:end] for start, end in split_items(text, lang)]
        assert found == [numbers.sub("", item).strip(" .;") for item in line.split("|")], line


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        (
            "1. Acute appendicitis\n2. Type 2 diabetes\n\nLaparoscopic appendectomy was done.\nBlood pressure 130/80.",
            "en",
            ["Acute appendicitis", "Type 2 diabetes"],
        ),
        ("Gout\nAnemia\n\nShe was sent home. Gout flare.", "en", ["Gout", "Anemia"]),
        ("- Gota\n- Anemia\n\nEl paciente fue dado de alta.\n- Tos", "es", ["Gota", "Anemia", "Tos"]),
        ("1. Gout\n\nAnemia, stable\n\n2. Cough", "en", ["Gout", "Anemia, stable", "Cough"]),
        ("Pneumonia\n\nGout, which was treated", "en", ["Pneumonia", "Gout, which was treated"]),  # an item a paragraph
    ],
)
def test_a_paragraph_that_tells_is_no_item_of_the_list_above(text: str, lang: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in split_items(text, lang)] == expected


@given(CLINICAL, LANGUAGES)
def test_items_are_in_order_and_not_empty(text: str, lang: str) -> None:
    spans = split_items(text, lang)
    assert all(start < end and text[start:end].strip() for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    inside = {place for start, end in spans for place in range(start, end)}
    told_below = re.search(r"\n\s*\n", text)
    assert told_below or all(place in inside for place, char in enumerate(text) if char in "aB型高血压")


def test_unknown_language() -> None:
    for function in (sentences, words, split_items):
        with pytest.raises(InputError, match="JC105"):
            function("x", "xx")
