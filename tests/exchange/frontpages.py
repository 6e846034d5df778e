"""A coded Chinese stay, and a book whose table of procedures has grades: what the tests of front pages begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.cn import build_cn
from jointcoder.records import AssignedCode, CodedRecord, PresentOnAdmission, Role, System, Versions

CN, CM3 = System.ICD10CN, System.ICD9CM3


def diagnosis(code: str, name: str, *, rank: int = 0, poa: str | None = None, main: bool = False) -> AssignedCode:
    return AssignedCode(
        system=CN,
        code=code,
        name=name,
        rank=rank,
        role=Role.PRINCIPAL if main else Role.SECONDARY,
        confidence=0.9,
        present_on_admission=PresentOnAdmission(poa) if poa else None,
    )


def procedure(code: str, name: str, *, rank: int = 0, main: bool = False) -> AssignedCode:
    role = Role.PRINCIPAL if main else Role.SECONDARY
    return AssignedCode(system=CM3, code=code, name=name, rank=rank, role=role, confidence=0.8)


def record(*codes: AssignedCode, id: str = "b1", edition: str = "", **fields: Any) -> CodedRecord:
    versions = Versions(program="0", edition=edition)
    return CodedRecord(encounter=id, language="zh", codes=codes, versions=versions, **fields)


STAY = record(
    diagnosis("E11.900", "2型糖尿病", rank=2, poa="Y"),
    diagnosis("I20.000", "不稳定型心绞痛", rank=1, poa="Y", main=True),
    diagnosis("J18.900", "肺炎", rank=3, poa="N"),
    diagnosis("I25.103", "冠状动脉粥样硬化性心脏病", rank=4, poa="U"),
    diagnosis("K29.500", "慢性胃炎", rank=5, poa="W"),
    procedure("88.5500", "单根导管的冠状动脉造影术", rank=2),
    procedure("36.0700", "药物洗脱冠状动脉支架置入", rank=1, main=True),
)


def graded_book(folder: Path) -> CodeBook:
    """A book whose table of procedures has grades and categories."""
    (folder / "d.tsv").write_text("code\tname\nI20.000\t不稳定型心绞痛\n", "utf-8")
    rows = "code\tname\t手术级别\t类别\n36.0700\t药物洗脱冠状动脉支架置入\tⅣ\t介入治疗\n88.5500\t造影\t\t诊断性操作\n"
    (folder / "p.tsv").write_text(rows, "utf-8")
    build_cn("cn-graded", {"diagnoses": folder / "d.tsv", "procedures": folder / "p.tsv"}, folder / "book")
    return CodeBook.open(folder / "book")
