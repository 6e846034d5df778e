"""Invented term pairs in three languages: sites × lesions × operations, written as wards write them."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

SITES = {
    "en": ["thyroid", "larynx", "kidney", "bladder", "liver", "spleen", "tongue", "eyelid"],
    "es": ["tiroides", "laringe", "riñón", "vejiga", "hígado", "bazo", "lengua", "párpado"],
    "zh": ["甲状腺", "喉部", "肾脏", "膀胱", "肝脏", "脾脏", "舌部", "眼睑"],
}
LESIONS = {"en": ["mass", "nodule", "tumour"], "es": ["bulto", "nódulo", "tumor"], "zh": ["肿物", "结节", "包块"]}
SIDES = {"en": ["left ", "right ", ""], "es": ["izquierdo ", "derecho ", ""], "zh": ["左", "右", ""]}
CUT = {"en": "{side}{site} {lesion} removal", "es": "quitar {lesion} {side}de {site}", "zh": "{side}{site}{lesion}摘掉"}
CUT_NAME = {"en": "Excision of lesion of {site}", "es": "Escisión de lesión de {site}", "zh": "{site}病损切除术"}
LOOK = {"en": "{side}{site} sample taken", "es": "muestra {side}de {site}", "zh": "{side}{site}取样"}
LOOK_NAME = {"en": "Biopsy of {site}", "es": "Biopsia de {site}", "zh": "{site}活组织检查"}
PLUS = {"en": " + ", "es": " + ", "zh": "+"}


def pairs(language: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """(mention, [(name, code)]): one operation each, and some that hold two."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for (number, site), side in product(enumerate(SITES[language]), SIDES[language]):
        for lesion in LESIONS[language]:
            mention = CUT[language].format(side=side, site=site, lesion=lesion)
            found.append((mention, [(CUT_NAME[language].format(site=site), f"{10 + number}.1")]))
        mention = LOOK[language].format(side=side, site=site)
        found.append((mention, [(LOOK_NAME[language].format(site=site), f"{10 + number}.2")]))
    singles = list(found)
    for at in range(0, len(singles) - 9, 7):
        (one, its), (other, theirs) = singles[at], singles[at + 9]
        found.append((one + PLUS[language] + other, its + theirs))
    random.Random(0).shuffle(found)  # what is held out later must follow no pattern
    return found


def write(path: Path, language: str, rows: list[tuple[str, list[tuple[str, str]]]]) -> Path:
    """As a file of term pairs."""
    lines = [
        {
            "id": f"{language}-{number}",
            "lang": language,
            "kind": "procedure",
            "mention": mention,
            "normalized": [name for name, _ in given],
            "codes": [code for _, code in given],
        }
        for number, (mention, given) in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path
