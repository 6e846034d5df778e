"""Invented encounters whose codes have marked evidence, in English and Chinese."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from jointcoder.corpora.base import Corpus, GoldCode, GoldSpan, Labelled, systems_of
from jointcoder.records import Encounter

CM, PCS, CN = "ICD-10-CM", "ICD-10-PCS", "ICD-10-CN"

EN = [
    "He was seen for [J18.9:community acquired pneumonia] of the right side.",
    "She has [J18.9:pneumonia] and a dry cough.",
    "Known [I10:hypertension], on tablets.",
    "[I10:High blood pressure] has been stable.",
    "A [S52.501A:fracture] of the distal [S52.501A:radius] after a fall.",
    "There is [E11.9:type 2 diabetes mellitus], diet only.",
    "[E11.9:Diabetes] was found five years ago.",
    "We carried out a [0DTJ4ZZ:laparoscopic appendectomy] without trouble.",
    "A [BW03ZZZ:chest radiograph] was taken on arrival.",
    "[K35.80:Acute appendicitis] was the reason for admission.",
]
PLAIN = [
    "The patient slept well and ate his lunch.",
    "Family members were informed about the plan.",
    "Vital signs were within normal limits all day.",
    "She lives with her sister on the third floor.",
    "He was discharged home in good condition.",
    "His mother takes pills for diabetes and high blood pressure.",
    "There was no pneumonia on review.",
    "The fracture clinic will see him for his radius next week.",
    "A leaflet about appendicitis was handed out.",
    "An earlier chest radiograph could not be found, nor a note on his appendectomy.",
]
ZH = [
    "患者因[J18.900:肺部感染]入院。",
    "既往有[I10.x00:高血压]病史。",
    "诊断为[E11.900:2型糖尿病]。",
    "[I10.x00:血压升高]三年。",
]
PLAIN_ZH = ["患者睡眠良好。", "家属已知情同意。", "今日办理出院手续。", "母亲有糖尿病及高血压。", "未见肺部感染征象。"]
_MARK = re.compile(r"\[([A-Z0-9.x]+):([^\]]+)\]")


def marked(text: str, system: str = "") -> tuple[str, dict[tuple[str, str], list[tuple[int, int]]]]:
    """``[CODE:words]`` → plain text and the places of each code."""
    plain, places, at = "", {}, 0
    for match in _MARK.finditer(text):
        plain += text[at : match.start()]
        key = (system or (PCS if len(match[1]) == 7 and "." not in match[1] else CM), match[1])
        places.setdefault(key, []).append((len(plain), len(plain) + len(match[2])))
        plain, at = plain + match[2], match.end()
    return plain + text[at:], places


def encounter(
    identity: str, sentences: Sequence[str], *, language: str, system: str = "", joined: bool = False
) -> Labelled:
    """One document of ``sentences``; with ``joined`` several places of one code in a sentence are one mention."""
    glue = "" if language == "zh" else " "
    text, gold = "", []
    for sentence in sentences:
        plain, places = marked(sentence, system)
        text = text + glue if text else text
        for (name, code), pairs in places.items():
            shifted = tuple((a + len(text), b + len(text)) for a, b in pairs)
            whole = (text + plain)[shifted[0][0] : shifted[-1][1]]
            gold.append(GoldCode(name, code, spans=(GoldSpan(0, shifted[0][0], shifted[-1][1], whole, shifted),)))
        text += plain
    return Labelled(Encounter.from_text(text, id=identity, language=language), tuple(gold))


def corpus(number: int = 30, *, language: str = "en", seed: int = 3) -> Corpus:
    """``number`` encounters, each of two to four marked sentences among plain ones."""
    source, plain, system = (ZH, PLAIN_ZH, CN) if language == "zh" else (EN, PLAIN, "")
    draw = random.Random(seed)
    items = []
    for i in range(number):
        sentences = draw.sample(source, draw.randint(2, min(4, len(source)))) + draw.sample(plain, 2)
        draw.shuffle(sentences)
        items.append(encounter(f"{language}-{i}", sentences, language=language, system=system))
    return Corpus("invented", Path("invented.jsonl"), tuple(items), systems_of(items))
