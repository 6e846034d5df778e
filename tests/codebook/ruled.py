"""Two small books made for the rules, a US one with notes, editor's flags and dates, a Chinese one; and records.

A book is written as lines: ``CODE | title | kind: note ; kind: note``, going on in the next line where that begins
with a bar; a code stands below the longest code before it that it begins with. ``#`` opens a chapter, ``##`` a block.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.writer import Dated, Draft, Plan, write
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.rules import check
from jointcoder.records import AssignedCode, Finding, Kind, Patient, PresentOnAdmission, Role, System

CM, PCS, CN, CM3 = System.ICD10CM, System.ICD10PCS, System.ICD10CN, System.ICD9CM3

US = """
# 1 | Certain infectious diseases
A41.9 | Sepsis, unspecified organism
B96.20 | Unspecified Escherichia coli as the cause of diseases classified elsewhere
# 4 | Endocrine diseases
E11 | Type 2 diabetes mellitus | use_additional: code to identify control using: ; use_additional: insulin (Z79.4)
E11.22 | Type 2 diabetes mellitus with diabetic chronic kidney disease
 | use_additional: code to identify stage of chronic kidney disease (N18.1-N18.6)
E11.9 | Type 2 diabetes mellitus without complications
# 5 | Mental disorders
F02 | Dementia in other diseases classified elsewhere
 | code_first: the underlying physiological condition, such as: ; code_first: Alzheimer's (G30.-)
 | code_first: Parkinson's disease (G20.-)
F02.80 | Dementia in other diseases classified elsewhere, unspecified severity
# 6 | Nervous system
G20.A1 | Parkinson's disease without dyskinesia
G30.9 | Alzheimer's disease, unspecified
G46.4 | Cerebellar stroke syndrome | code_first: underlying cerebrovascular disease (I60-I69)
# 9 | Circulatory system
## I10-I16 | Hypertensive diseases | use_additional: code to identify: ; use_additional: tobacco dependence (F17.-)
I10 | Essential (primary) hypertension | excludes1: hypertensive disease of a lung (I15.-)
I11.0 | Hypertensive heart disease with heart failure | use_additional: code to identify type of heart failure (I50.-)
I15.0 | Renovascular hypertension
I50 | Heart failure | code_first: heart failure due to hypertension (I11.0)
I50.9 | Heart failure, unspecified
I63.9 | Cerebral infarction, unspecified
# 10 | Respiratory system
J18.9 | Pneumonia, unspecified organism
J44.0 | Chronic obstructive pulmonary disease with (acute) lower respiratory infection
 | code_also: to identify the infection
J44.9 | Chronic obstructive pulmonary disease, unspecified | excludes2: lung diseases due to external agents (J60)
J60 | Coalworker's pneumoconiosis
# 13 | Musculoskeletal system
M17 | Osteoarthritis of knee
M17.0 | Bilateral primary osteoarthritis of knee
M17.10 | Unilateral primary osteoarthritis, unspecified knee
M17.11 | Unilateral primary osteoarthritis, right knee
M17.12 | Unilateral primary osteoarthritis, left knee
# 14 | Genitourinary system
N18.30 | Chronic kidney disease, stage 3 unspecified
N18.6 | End stage renal disease
N39.0 | Urinary tract infection, site not specified | use_additional: code (B95-B97), to identify infectious agent.
N40.0 | Benign prostatic hyperplasia without lower urinary tract symptoms
# 15 | Pregnancy
O70.0 | First degree perineal laceration during delivery
O80 | Encounter for full-term uncomplicated delivery
# 18 | Symptoms
R05.9 | Cough, unspecified
# 19 | Injury
S93.4 | Sprain of ankle
S93.401 | Sprain of unspecified ligament of right ankle
S93.401A | Sprain of unspecified ligament of right ankle, initial encounter
S93.401D | Sprain of unspecified ligament of right ankle, subsequent encounter
T75.3 | Motion sickness
T75.3XXA | Motion sickness, initial encounter
T75.3XXD | Motion sickness, subsequent encounter
# 20 | External causes
W19.XXXA | Unspecified fall, initial encounter
Y65.51 | Performance of wrong procedure (operation) on correct patient
# 21 | Health status
Z34.90 | Encounter for supervision of normal pregnancy, unspecified, unspecified trimester
Z37.0 | Single live birth
Z51.89 | Encounter for other specified aftercare
Z79.4 | Long term (current) use of insulin
Z97.4 | Presence of external hearing-aid
"""
US_PROCEDURES = """
# 0 | Medical and Surgical
0FT44ZZ | Resection of Gallbladder, Percutaneous Endoscopic Approach
0FJ44ZZ | Inspection of Gallbladder, Percutaneous Endoscopic Approach
0SRC0J9 | Replacement of Right Knee Joint with Synthetic Substitute, Cemented, Open Approach
# 1 | Obstetrics
10E0XZZ | Delivery of Products of Conception, External Approach
"""
FLAGS = {
    "manifestation": ["F02.80"],
    "ecodepdx": ["W19.XXXA", "Y65.51"],
    "unacceptable": ["Z97.4", "Z51.89", "B96.20"],
    "reqsdx": ["Z51.89"],
    "qadm": ["I10"],
    "male": ["N40.0"],
    "maternity": ["O80", "O70.0"],
    "unspecified": ["M17.10"],
    "wrngproc": ["Y65.51"],
    "delout": ["Z37.0"],
    "poa-exempt": ["Z79.4", "Z97.4", "Z37.0"],
}
PROCEDURE_FLAGS = {"vagdel": ["10E0XZZ"]}
FIRST, LAST = 20151001, 20270331

CHINESE = """
C34.900 | 支气管或肺恶性肿瘤
C34.900M81400/0 | 肺腺瘤
C34.901M81400/3 | 肺腺癌
E11.400 | 2型糖尿病伴有神经的并发症
E11.401+G63.2* | 2型糖尿病性周围神经病
E11.900 | 2型糖尿病
G63.2* | 糖尿病性多神经病
G63.200* | 糖尿病性周围神经病变
I10.x00 | 原发性高血压
I50.900 | 心力衰竭
J18.900 | 肺炎
K80.200 | 胆囊结石不伴有胆囊炎
N40.x00 | 前列腺增生
R05.x00 | 咳嗽
S72.000 | 股骨颈骨折
W19.900 | 跌倒
"""
CHINESE_PROCEDURES = """
00.4000 | 单根血管操作
00.4500 | 置入一根血管支架
00.6600 | 经皮冠状动脉腔内血管成形术
36.0700 | 药物洗脱冠状动脉支架置入
51.2300 | 腹腔镜下胆囊切除术
54.1100 | 开腹探查术
81.5100 | 全髋关节置换
"""


def drafts(text: str, system: System, start: int = 0) -> list[Draft]:
    """The lines of a book; what has something below it, or fewer characters than three, is a heading."""
    found: list[Draft] = []
    chapter = block = None
    for line in text.strip().replace("\n |", " |").splitlines():
        code, name, *rest = (part.strip() for part in line.split(" | "))
        level = "chapter" if code.startswith("# ") else "block" if code.startswith("## ") else "code"
        code = code.lstrip("# ")
        key = normalise_code(code)
        above = [
            n for n, d in enumerate(found) if d.level in ("code", "category") and key.startswith(normalise_code(d.code))
        ]
        parent = {"chapter": None, "block": chapter}.get(level, above[-1] if above else block if block else chapter)
        if above and level == "code":
            found[parent or 0].level, found[parent or 0].billable = "category", False
        notes = [note.strip().split(": ", 1) for part in rest for note in part.split(" ; ")]
        noted = [(kind, "", words) for kind, words in notes]
        if level == "chapter":
            chapter, block = len(found), None
        elif level == "block":
            block = len(found)
        else:
            if block is not None and found[block].code[:1] != code[:1]:
                block = None
        found.append(Draft(system, code, name, level, level == "code", parent, notes=noted))
    for draft in found:
        draft.parent = None if draft.parent is None else draft.parent + start
    return found


def us_book(folder: Path) -> CodeBook:
    """The US book of the rules."""
    diagnoses = drafts(US, CM)
    entries = [*diagnoses, *drafts(US_PROCEDURES, PCS, start=len(diagnoses))]
    periods = [Dated(d.system, normalise_code(d.code), FIRST, LAST) for d in entries if d.billable]
    periods += [Dated(CM, "M545", FIRST, 20210930)]  # divided since
    edits = [Dated(CM, normalise_code(c), FIRST, LAST, flag) for flag, codes in FLAGS.items() for c in codes]
    edits += [
        Dated(PCS, normalise_code(c), FIRST, LAST, flag) for flag, codes in PROCEDURE_FLAGS.items() for c in codes
    ]
    write(Plan("ruled", "Rules 2026", "en", entries, [], periods, edits), folder)
    return CodeBook.open(folder)


def chinese_book(folder: Path) -> CodeBook:
    """The Chinese book of the rules."""
    diagnoses = drafts(CHINESE, CN)
    for draft in diagnoses:  # every row of a Chinese table is assignable
        draft.parent, draft.level, draft.billable = None, "code", True
    entries = [*diagnoses, *drafts(CHINESE_PROCEDURES, CM3, start=len(diagnoses))]
    write(Plan("cn-ruled", "规则", "zh", entries, []), folder)
    return CodeBook.open(folder)


def record(book: CodeBook, text: str) -> list[AssignedCode]:
    """``"I10/Y N39.0 - 0FT44ZZ"`` → codes, procedures after the dash, with indicators of presence on admission; the
    first of each kind is principal, and one written with ``!``."""
    found: list[AssignedCode] = []
    diagnoses, _, procedures = text.partition(" - ")
    for kind, words in ((Kind.DIAGNOSIS, diagnoses.split()), (Kind.PROCEDURE, procedures.split())):
        for place, word in enumerate(words):
            marked = word.startswith("!")
            code, slash, poa = (
                word.lstrip("!").rpartition("/")
                if word[-2:-1] == "/" and word[-1] in "YNUW1"
                else (word.lstrip("!"), "", "")
            )
            found.append(
                AssignedCode(
                    system=book.systems(kind)[0],
                    code=code,
                    name=code,
                    role=Role.PRINCIPAL if place == 0 or marked else Role.SECONDARY,
                    confidence=1.0,
                    present_on_admission=PresentOnAdmission(poa) if slash else None,
                )
            )
    return found


def judged(book: CodeBook, text: str, **options: Any) -> list[Finding]:
    """The findings about ``text``; ``age`` and ``sex`` make the patient, ``day`` is a date in ISO form."""
    patient = Patient(age_years=options.pop("age", None), sex=options.pop("sex", "unknown"))
    day = options.pop("day", None)
    return check(book, record(book, text), on=dt.date.fromisoformat(day) if day else None, patient=patient, **options)
