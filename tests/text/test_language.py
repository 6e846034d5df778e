from __future__ import annotations

import subprocess
import sys

import pytest

from jointcoder.errors import InputError
from jointcoder.text.language import detect


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The patient was admitted with chest pain and shortness of breath.", "en"),
        ("Pt c/o CP, SOB. PMH: HTN, DM2, CAD s/p PCI. Labs wnl.", "en"),
        ("CHF HTN DM2 COPD CKD", "en"),
        ("PATIENT ADMITTED WITH PNEUMONIA AND ACUTE RENAL FAILURE", "en"),
        ("pneumonia", "en"),
        ("120/80", "en"),
        ("Mujer de 70 años que acude por dolor torácico de dos horas.", "es"),
        ("PACIENTE CON HTA, DM2, EPOC. INGRESA POR DISNEA", "es"),
        ("Insuficiencia cardíaca congestiva", "es"),
        ("患者因胸痛3天入院。", "zh"),
        ("2型糖尿病", "zh"),
        ("1. CHF 2. 高血压", "zh"),
        ("病患因胸痛入院，診斷為急性心肌梗塞。", "zh"),
        ("患者行PCI术，予Aspirin 100mg qd、Clopidogrel 75mg qd、Atorvastatin 20mg qn，LVEF 35%。", "zh"),
    ],
)
def test_supported_languages(text: str, language: str) -> None:
    detected = detect(text)
    assert detected.language == language
    assert not detected.mixed
    assert 0 <= detected.confidence <= 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Le patient a été admis pour une douleur thoracique avec une hypertension artérielle.", "French"),
        ("Der Patient wurde mit Brustschmerzen und Atemnot in die Klinik eingeliefert.", "German"),
        ("O paciente foi internado com dor no peito e falta de ar há três dias.", "Portuguese"),
        ("Il paziente è stato ricoverato per dolore toracico e mancanza di respiro.", "Italian"),
        ("De patiënt werd opgenomen met pijn op de borst en kortademigheid.", "Dutch"),
        ("患者は胸の痛みで入院しました。高血圧の既往があります。", "Japanese"),
        ("Пациент поступил с болью в груди и одышкой.", "Russian"),
        ("환자는 흉통으로 입원하였다.", "Korean"),
        ("أدخل المريض إلى المستشفى بسبب ألم في الصدر.", "Arabic"),
    ],
)
def test_other_languages_are_refused_by_name(text: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        detect(text)
    assert caught.value.code == "JC105"
    assert name in caught.value.message
    assert all(supported in caught.value.hint for supported in ("English", "Spanish", "Chinese"))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (
            "The patient was admitted with chest pain and shortness of breath for three days. "
            "患者因胸痛三天入院，既往高血压病史十年，糖尿病五年，否认药物过敏史，入院诊断冠心病。",
            "zh",
        ),
        (
            "The patient was admitted with chest pain and shortness of breath, worse on exertion and at night.\n"
            "He has long standing hypertension and takes his tablets irregularly.\n"
            "患者因胸痛三天入院，既往高血压病史。",
            "en",
        ),
        (
            "The patient was admitted with chest pain and shortness of breath for three days.\n"
            "Paciente de 65 años que acude a urgencias por dolor torácico de tres días de evolución.",
            "es",
        ),
    ],
)
def test_two_languages(text: str, language: str) -> None:
    detected = detect(text)
    assert detected.mixed
    assert detected.language == language


def test_no_file_need_be_written() -> None:
    """A read-only system, a full disk: the identifier's model is unpacked in memory then."""
    pytest.importorskip("resource")
    program = """
import resource
from jointcoder.text.language import detect
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
print(detect("Mujer de 70 años que acude por dolor torácico de dos horas."))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == str(detect("Mujer de 70 años que acude por dolor torácico de dos horas."))
