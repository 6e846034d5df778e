"""Invented stays with codes: short notes in English, and in Chinese notes beside lists of entries.

Every disease is written in a few ways, some notes deny one, and the first code is the principal one.
"""

from __future__ import annotations

import random
from pathlib import Path

from jointcoder.corpora import Corpus, GoldCode, Labelled
from jointcoder.records import Encounter

ENGLISH = {
    ("ICD-10-CM", "I10"): ("hypertension", ("hypertension", "raised blood pressure at home")),
    ("ICD-10-CM", "E11.9"): ("type 2 diabetes", ("type 2 diabetes", "on metformin for sugar")),
    ("ICD-10-CM", "J44.9"): (
        "chronic obstructive lung disease",
        ("obstructive lung disease", "uses an inhaler"),
    ),
    ("ICD-10-CM", "N18.9"): ("chronic kidney disease", ("chronic kidney disease", "poor kidney function")),
    ("ICD-10-CM", "I50.9"): ("heart failure", ("heart failure", "swollen legs and an ejection fraction of 30")),
    ("ICD-10-PCS", "4A023N7"): ("cardiac catheterisation", ("cardiac catheterisation", "the coronaries were pictured")),
}
CHINESE = {
    ("ICD-10-CN", "I10.x"): ("高血压病", ("高血压病", "血压升高")),
    ("ICD-10-CN", "E11.9"): ("2型糖尿病", ("2型糖尿病", "口服二甲双胍")),
    ("ICD-10-CN", "J18.9"): ("肺炎", ("肺炎", "右肺片状影")),
    ("ICD-10-CN", "K76.0"): ("脂肪肝", ("脂肪肝", "肝脏回声增强")),
    ("ICD-10-CN", "I50.9"): ("心力衰竭", ("心力衰竭", "双下肢水肿伴喘")),
}


def english(n: int = 60, seed: int = 0, *, ordered: bool = True) -> Corpus:
    """Notes with a diagnosis or three, some with a procedure."""
    draw = random.Random(seed)
    items = []
    for number in range(n):
        diagnoses = draw.sample([key for key in ENGLISH if key[0] == "ICD-10-CM"], draw.choice((1, 2, 3)))
        keys = [*diagnoses, *([("ICD-10-PCS", "4A023N7")] if ("ICD-10-CM", "I50.9") in diagnoses else [])]
        absent = draw.choice([key for key in ENGLISH if key not in keys])
        said = [draw.choice(ENGLISH[key][1]) for key in keys]
        text = (
            f"Chief complaint:\n{said[0]}.\n\nHospital course:\nThe patient has {'. Also '.join(said)}. "
            f"No {ENGLISH[absent][0]}. Discharged home well.\n"
        )
        gold = tuple(
            GoldCode(*key, primary=ordered and place == 0, name=ENGLISH[key][0]) for place, key in enumerate(keys)
        )
        items.append(Labelled(Encounter.from_text(text, id=f"en {number}", language="en"), gold))
    return Corpus("invented", Path("invented.jsonl"), tuple(items), ("ICD-10-CM", "ICD-10-PCS"), ordered=ordered)


def chinese(n: int = 50, lists: int = 40, seed: int = 0) -> Corpus:
    """``n`` notes and ``lists`` lists of entries, all of one closed set."""
    draw = random.Random(seed)
    fillers = ("血常规", "心电图", "双肺", "腹部", "阿司匹林", "咳嗽", "胸闷", "查体", "尿常规", "肝功", "体重", "乏力")
    items = []
    for number in range(n + lists):
        keys = draw.sample(sorted(CHINESE), draw.choice((1, 2, 3)))
        absent = draw.choice([key for key in sorted(CHINESE) if key not in keys])
        said = [draw.choice(CHINESE[key][1]) for key in keys]
        gold = tuple(GoldCode(*key, primary=place == 0, name=CHINESE[key][0]) for place, key in enumerate(keys))
        if number < n:
            sections = {
                "主诉": f"{said[0]}3天。",
                "既往史": f"否认{CHINESE[absent][0]}病史。",
                "入院诊断": "".join(f"{i}.{words}" for i, words in enumerate(said, start=1)),
                "诊疗经过": f"入院后查血常规，心电图，给予治疗，考虑{said[-1]}，好转出院。",
            }
            encounter = Encounter.from_sections(sections, id=f"zh {number}", language="zh")
        else:
            entries = [*said, *draw.sample(fillers, 11)]
            encounter = Encounter.from_text("实体: " + "，".join(entries), id=f"zh {number}", language="zh")
        items.append(Labelled(encounter, gold))
    return Corpus("invented", Path("invented.jsonl"), tuple(items), ("ICD-10-CN",), closed=True)
