"""Stays for the tests in a browser: notes written for them, in English and Chinese, and the records made of them.

A record is put together by quotes: ``("J18.9", 0.94, "community-acquired pneumonia")`` is a code, its confidence and
the words that are its evidence. The codes are those of the two small books of ``tests/conftest.py``. :class:`Hand`
stands in for a :class:`jointcoder.coder.Coder`: it looks the record up by the id of the encounter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.llm.scripted import Scripted
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Document,
    Encounter,
    Kind,
    Link,
    Patient,
    PresentOnAdmission,
    Reason,
    Role,
    Span,
    System,
    Verdict,
    Versions,
)
from jointcoder.settings import Settings
from jointcoder.workflow.run import Observer

Quoted = tuple[str, float, str]


@dataclass(frozen=True)
class Stay:
    """One stay: its documents by title, what was coded, and how long ago the patient left."""

    name: str
    language: str
    documents: Sequence[tuple[str, str]]
    diagnoses: Sequence[Quoted]
    procedures: Sequence[Quoted] = ()
    suggestions: Sequence[Quoted] = ()
    days: int = 3
    patient: Patient = field(default_factory=lambda: Patient(age_years=67, sex="female"))

    def encounter(self, number: int = 0) -> Encounter:
        """The encounter; with a ``number`` one of its own with the same texts."""
        left = dt.date.today() - dt.timedelta(days=self.days)
        documents = tuple(Document(id=str(i), title=title, text=text) for i, (title, text) in enumerate(self.documents))
        return Encounter(
            id=f"{self.name}.{number}" if number else self.name,
            documents=documents,
            patient=self.patient,
            admitted=left - dt.timedelta(days=5),
            discharged=left,
            language=self.language,
        )

    def record(self, encounter: Encounter, book: CodeBook) -> CodedRecord:
        """The record that the model is said to have made."""
        codes = [
            self._code(encounter, book, given, rank, Kind.DIAGNOSIS) for rank, given in enumerate(self.diagnoses, 1)
        ]
        codes += [
            self._code(encounter, book, given, rank, Kind.PROCEDURE) for rank, given in enumerate(self.procedures, 1)
        ]
        return CodedRecord(
            encounter=encounter.id,
            language=self.language,
            codes=tuple(codes),
            suggestions=tuple(
                self._code(encounter, book, given, rank, Kind.DIAGNOSIS)
                for rank, given in enumerate(self.suggestions, 2)
            ),
            versions=Versions(
                program="0", workflow="by hand", workflow_hash="0" * 64, code_book=book.info.id, edition=book.info.id
            ),
        )

    def _code(self, encounter: Encounter, book: CodeBook, given: Quoted, rank: int, kind: Kind) -> AssignedCode:
        code, confidence, quote = given
        system = _system(self.language, kind)
        principal = self.diagnoses[0][0]
        return AssignedCode(
            system=system,
            code=code,
            name=book.name(system, code, self.language) or book.name(system, code) or code,
            role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
            rank=rank,
            confidence=confidence,
            evidence=_spans(encounter, quote),
            present_on_admission=PresentOnAdmission.YES if kind is Kind.DIAGNOSIS else None,
            links=(Link(relation="explains", system=_system(self.language, Kind.DIAGNOSIS), code=principal),)
            if kind is Kind.PROCEDURE
            else (),
            verdicts=(Verdict(step="validate", question="is it supported", answer="yes", probability=confidence),),
            reasons=(
                Reason(feature="lookup_score", value=confidence, weight=1.4),
                Reason(feature="quote_in_discharge_section", value=1.0, weight=0.6),
            ),
            stages=("extract", "standardise", "validate"),
        )


def _system(language: str, kind: Kind) -> System:
    if language == "zh":
        return System.ICD10CN if kind is Kind.DIAGNOSIS else System.ICD9CM3
    return System.ICD10CM if kind is Kind.DIAGNOSIS else System.ICD10PCS


def _spans(encounter: Encounter, quote: str) -> tuple[Span, ...]:
    found = []
    for number, document in enumerate(encounter.documents):
        start = document.text.find(quote)
        if start >= 0:
            found.append(Span(document=number, start=start, end=start + len(quote), quote=quote))
    assert found, f"the stay does not say {quote!r}"
    return tuple(found)


class Hand(Coder):
    """A coder whose records were written by hand; what is no stay of ours gets a record without codes."""

    def __init__(self, book: CodeBook, settings: Settings) -> None:
        super().__init__(settings, model=Scripted([]), code_book=book)

    def code(self, encounter: Encounter, *, observer: Observer | None = None) -> CodedRecord:
        """The record of the stay that the encounter is one of."""
        stay = STAYS.get(encounter.id.partition(".")[0])
        if stay is not None:
            return stay.record(encounter, self.book)
        return CodedRecord(encounter=encounter.id, language="en", versions=Versions(program="0"))


PNEUMONIA = Stay(
    name="pneumonia",
    language="en",
    days=4,
    documents=[
        (
            "Admission note",
            "Chief complaint: cough and fever for five days.\n\n"
            "History of present illness: The patient is a 67-year-old woman who developed a productive cough, fever to "
            "39.1 and shortness of breath. She was treated at home with fluids only. On the day of admission she was "
            "short of breath at rest.\n\n"
            "Past medical history: type 2 diabetes mellitus, on insulin glargine at night. Essential hypertension, "
            "well controlled on amlodipine. No history of heart failure.\n\n"
            "Family history: her father had a stroke.\n\n"
            "Examination: crackles over the left lower lobe, dullness to percussion at the left base.\n",
        ),
        (
            "Discharge summary",
            "Discharge diagnosis: Community-acquired pneumonia of the left lower lobe with parapneumonic effusion.\n"
            "Type 2 diabetes mellitus without complications. Essential hypertension.\n\n"
            "Hospital course: A CT of chest and abdomen showed consolidation and an effusion on the left. The left "
            "pleural effusion was drained percutaneously under ultrasound; 600 ml of clear fluid were taken off. She "
            "was given ceftriaxone and azithromycin and improved within three days. The cough was still present at "
            "discharge. Insulin was continued throughout.\n\n"
            "Discharge medication: insulin glargine, amlodipine, azithromycin for two more days.\n",
        ),
    ],
    diagnoses=[
        ("J18.9", 0.94, "Community-acquired pneumonia"),
        ("E11.9", 0.88, "Type 2 diabetes mellitus without complications"),
        ("I10", 0.83, "Essential hypertension"),
        ("Z79.4", 0.71, "insulin glargine"),
        ("R05.9", 0.38, "cough"),
    ],
    procedures=[
        ("0W9B3ZZ", 0.86, "effusion was drained percutaneously"),
        ("BW24ZZZ", 0.62, "CT of chest and abdomen"),
    ],
    suggestions=[("E11.22", 0.12, "diabetes mellitus")],
)
HEART = Stay(
    name="heart",
    language="en",
    days=9,
    patient=Patient(age_years=81, sex="male"),
    documents=[
        (
            "Discharge summary",
            "Discharge diagnosis: Acute decompensation of chronic heart failure in hypertensive heart disease.\n"
            "Diabetic chronic kidney disease in type 2 diabetes.\n\n"
            "Hospital course: The patient came in with swollen legs and shortness of breath at night. He was given "
            "furosemide intravenously and lost 6 kg. Kidney function remained stable. He fell on the ward "
            "without harm.\n",
        ),
    ],
    diagnoses=[
        ("I11.0", 0.79, "hypertensive heart disease"),
        ("I50.9", 0.91, "heart failure"),
        ("E11.22", 0.66, "Diabetic chronic kidney disease"),
    ],
)
KNEE = Stay(
    name="knee",
    language="en",
    days=1,
    documents=[
        (
            "Operation note",
            "Diagnosis: primary osteoarthritis of the left knee.\n\nThe patient has had pain on walking for years. "
            "High blood pressure is treated with ramipril.\n",
        ),
    ],
    diagnoses=[("M17.12", 0.97, "primary osteoarthritis of the left knee"), ("I10", 0.52, "High blood pressure")],
)
ANGINA = Stay(
    name="zh_angina",
    language="zh",
    days=6,
    patient=Patient(age_years=63, sex="male"),
    documents=[
        (
            "入院记录",
            "主诉：反复胸痛两月，加重三天。\n\n现病史：患者近两月活动后胸骨后闷痛，休息数分钟缓解；三天来静息时亦发作，"
            "每次约十分钟，遂来院。病程中无发热，无咳嗽。\n\n既往史：高血压病十余年，最高达 190/110 mmHg，服药不规律。"
            "2型糖尿病五年，口服二甲双胍。否认肝炎、结核病史。\n\n家族史：父亲患脑梗死。\n",
        ),
        (
            "出院记录",
            "出院诊断：1. 冠状动脉粥样硬化性心脏病，不稳定型心绞痛 2. 高血压病3级（极高危） 3. 2型糖尿病\n\n"
            "诊疗经过：入院后行冠状动脉造影，示前降支中段狭窄百分之九十。于前降支置入药物洗脱支架一枚，术后胸痛未再发作。"
            "给予双联抗血小板、调脂及降压治疗，血糖控制平稳。\n\n出院医嘱：规律服药，一月后门诊复查。\n",
        ),
    ],
    diagnoses=[
        ("I25.103", 0.92, "冠状动脉粥样硬化性心脏病"),
        ("I20.000", 0.74, "不稳定型心绞痛"),
        ("I10.x00x032", 0.89, "高血压病3级（极高危）"),
        ("E11.900", 0.86, "2型糖尿病"),
    ],
    procedures=[
        ("36.0700", 0.9, "置入药物洗脱支架一枚"),
        ("88.5500", 0.68, "冠状动脉造影"),
    ],
)
LUNG = Stay(
    name="zh_pneumonia",
    language="zh",
    days=2,
    documents=[
        ("出院记录", "出院诊断：肺炎。\n\n诊疗经过：患者因咳嗽、发热入院，胸片示右下肺斑片影，予抗感染治疗后好转。\n"),
    ],
    diagnoses=[("J18.900", 0.95, "肺炎"), ("R05.x00", 0.33, "咳嗽")],
)
ENGLISH = (PNEUMONIA, HEART, KNEE)
CHINESE = (ANGINA, LUNG)
STAYS = {stay.name: stay for stay in (*ENGLISH, *CHINESE)}
