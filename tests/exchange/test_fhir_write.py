"""Coded records leave as FHIR that is valid, says what the record says, and reads back."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.exchange.fhir import checked, coded_bundle, merged, read_bundle, read_coded, read_resources, validate
from jointcoder.exchange.fhir_files import fhir_writer
from jointcoder.exchange.fhir_terms import SYSTEMS
from jointcoder.records import (
    Assertion,
    AssignedCode,
    CodedRecord,
    Document,
    Encounter,
    Finding,
    Flag,
    Link,
    Patient,
    PresentOnAdmission,
    Role,
    Severity,
    Span,
    System,
    Versions,
)
from tests.exchange.fhir_stays import NOTE, bundle, document, encounter, patient

pytest.importorskip("fhir.resources", reason="needs the extra fhir")

STAY = Encounter.from_documents(
    (
        Document(id="a", text=NOTE, title="Discharge summary"),
        Document(id="b", text="Bronchoscopy was done."),
    ),
    id="e 1",
    patient=Patient(age_years=67, sex="female"),
    admitted=dt.date(2026, 1, 2),
    discharged=dt.date(2026, 1, 9),
)
VERSIONS = Versions(
    program="0.1",
    workflow="jointcoder",
    workflow_hash="ab12",
    model="small",
    model_hash="cd34",
    adapters={"standardise": "x@1", "extract": "y@2"},
    code_book="us",
    edition="FY2026",
)


def span(document: int, quote: str) -> Span:
    start = STAY.documents[document].text.index(quote)
    return Span(document=document, start=start, end=start + len(quote), quote=quote)


def code(system: System, value: str, name: str, *, rank: int, **fields: Any) -> AssignedCode:
    role = Role.PRINCIPAL if rank == 1 else Role.SECONDARY
    return AssignedCode(**{"system": system, "code": value, "name": name, "rank": rank, "role": role,
                           "confidence": 0.9, **fields})  # fmt: skip


PNEUMONIA = code(
    System.ICD10CM,
    "J18.9",
    "Pneumonia, unspecified organism",
    rank=1,
    confidence=0.931234,
    present_on_admission=PresentOnAdmission.YES,
    evidence=(span(0, "pneumonia"), span(0, "infiltrate")),
)
RECORD = CodedRecord(
    encounter="e 1",
    language="en",
    codes=(
        PNEUMONIA,
        code(System.ICD10CM, "R05.9", "Cough", rank=2, confidence=0.5, assertion=Assertion.POSSIBLE,
             present_on_admission=PresentOnAdmission.CLINICALLY_UNDETERMINED),
        code(System.ICD10CM, "Z79.4", "", rank=3, present_on_admission=PresentOnAdmission.EXEMPT),
        code(System.ICD10PCS, "0BJ08ZZ", "Inspection of bronchus", rank=1, evidence=(span(1, "Bronchoscopy"),),
             links=(Link(relation="explained_by", system=System.ICD10CM, code="J18.9"),)),
        code(System.ICD10PCS, "3E03329", "Antibiotic", rank=2),
    ),
    suggestions=(code(System.ICD10CM, "R50.9", "Fever", rank=0, role=Role.SECONDARY, confidence=0.2),),
    findings=(Finding(rule="us.x", severity=Severity.WARNING, codes=("R05.9",), message="a sign", citation="I.B.5"),),
    flags=(Flag(code="JC605", step="validate", message="the model was unsure"),),
    versions=VERSIONS,
)  # fmt: skip
AT = dt.datetime(2026, 1, 10, 8, tzinfo=dt.timezone(dt.timedelta(hours=8)))


def written(**options: Any) -> dict[str, Any]:
    made = coded_bundle(STAY, RECORD, recorded=AT, **options)
    return json.loads(json.dumps(made, ensure_ascii=False))


def of(data: dict[str, Any], type: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in data["entry"] if entry["resource"]["resourceType"] == type]


def path(data: dict[str, Any], expression: str) -> list[Any]:
    fhirpathpy = pytest.importorskip("fhirpathpy", reason="needs the extra fhir")
    from fhirpathpy.models import models

    return fhirpathpy.evaluate(data, expression, {}, models["r4"])


@pytest.mark.parametrize(
    "options",
    [{}, {"documents": True}, {"suggestions": True, "reviewed": True}, {"quotes": False}],
    ids=["plain", "documents", "suggestions", "without-quotes"],
)
def test_every_bundle_is_valid_by_itself_and_each_resource_too(options: dict[str, Any]) -> None:
    data = written(**options)
    assert validate(data) == []
    assert [validate(entry["resource"]) for entry in data["entry"]] == [[]] * len(data["entry"])
    assert validate(coded_bundle(None, RECORD, **options)) == []
    empty = RECORD.model_copy(update={"codes": (), "suggestions": (), "flags": (), "findings": ()})
    assert validate(coded_bundle(STAY, empty, **options)) == []


def test_validation_sees_what_is_wrong_and_names_places_only() -> None:
    data = written()
    del of(data, "Claim")[0]["use"]
    of(data, "Condition")[0]["code"] = "Zebrowski"
    problems = validate(data)
    assert any("use" in problem for problem in problems)
    assert not any("Zebrowski" in problem for problem in problems)
    with pytest.raises(InputError) as raised:
        checked(data)
    assert (raised.value.code, "Zebrowski" in str(raised.value)) == ("JC165", False)


@pytest.mark.parametrize("stay", [STAY, None], ids=["with-encounter", "without"])
def test_rules_of_fhir_that_the_models_do_not_check(stay: Encounter | None) -> None:
    """Invariants of the specification by their names."""
    data = coded_bundle(stay, RECORD, suggestions=True)
    rules = {
        "con-2": "Bundle.entry.resource.ofType(Condition).evidence.all(code.exists() or detail.exists())",
        "ext-1": "Bundle.descendants().where(url.exists() and url.startsWith('urn:jointcoder'))"
        ".all(extension.exists() != value.exists())",
        "bdl-7": "Bundle.entry.fullUrl.isDistinct()",
        "ref-1": "Bundle.entry.all(fullUrl.startsWith('urn:uuid:') and resource.id.exists())",
    }
    assert {name: path(data, rule) for name, rule in rules.items()} == {name: [True] for name in rules}
    (back,) = read_coded(data)
    assert back.codes == RECORD.codes


def test_every_reference_leads_to_an_entry_and_every_url_is_given_once() -> None:
    data = written(suggestions=True)
    urls = [entry["fullUrl"] for entry in data["entry"]]
    assert len(urls) == len(set(urls))
    referred = {one for one in path(data, "Bundle.descendants().reference") if isinstance(one, str)}
    assert len(referred) > 8
    assert referred <= set(urls)


def test_what_the_resources_say() -> None:
    data = written()
    conditions = "Bundle.entry.resource.ofType(Condition)"
    assert path(data, f"{conditions}.code.coding.code") == ["J18.9", "R05.9", "Z79.4"]
    assert set(path(data, f"{conditions}.code.coding.system")) == {"http://hl7.org/fhir/sid/icd-10-cm"}
    assert path(data, f"{conditions}.verificationStatus.coding.code") == ["unconfirmed", "provisional", "unconfirmed"]
    confidence = "extension.where(url='urn:jointcoder:fhir:confidence').value"
    assert [float(one) for one in path(data, f"{conditions}.{confidence}")] == [0.931234, 0.5, 0.9]
    claim = "Bundle.entry.resource.ofType(Claim)"
    assert path(data, f"{claim}.diagnosis.sequence") == [1, 2, 3]
    assert path(data, f"{claim}.diagnosis.type.coding.code") == ["principal", "discharge", "discharge"]
    nubc = "coding.where(system='https://www.nubc.org/CodeSystem/PresentOnAdmissionIndicator').code"
    assert path(data, f"{claim}.diagnosis.onAdmission.{nubc}") == ["Y", "W", "1"]
    assert path(data, f"{claim}.procedure.type.coding.code") == ["primary", "secondary"]
    assert path(data, f"{claim}.billablePeriod.start") == ["2026-01-02"]
    first, second = of(data, "Procedure")
    pneumonia = data["entry"][[e["resource"].get("code", {}).get("text") for e in data["entry"]].index(PNEUMONIA.name)]
    assert first["reasonReference"] == [{"reference": pneumonia["fullUrl"]}]
    assert "reasonReference" not in second
    assert [one["code"] for one in first["code"]["coding"]] == ["0BJ08ZZ"]
    sources = [one["fullUrl"] for one in data["entry"] if one["resource"]["resourceType"] == "DocumentReference"]
    assert [one["detail"][0]["reference"] for one in pneumonia["resource"]["evidence"]] == [sources[0]] * 2
    assert first["report"] == [{"reference": sources[1]}]
    (issues,) = of(data, "OperationOutcome")
    assert [(one["severity"], one["details"]["coding"][0]["code"]) for one in issues["issue"]] == [
        ("warning", "us.x"),
        ("information", "JC605"),
    ]
    (place,) = issues["issue"][0]["expression"]
    assert path(data, f"{place}.code.coding.code") == ["R05.9"]
    (provenance,) = of(data, "Provenance")
    assert provenance["recorded"] == "2026-01-10T00:00:00Z"
    assert path(data, "Bundle.entry.resource.ofType(Device).version.value") == [
        "0.1", "jointcoder", "ab12", "small", "cd34", "x@1", "y@2", "us", "FY2026"
    ]  # fmt: skip


def test_a_review_confirms_and_text_leaves_only_where_it_is_wanted() -> None:
    reviewed = written(reviewed=True, suggestions=True)
    status = "Bundle.entry.resource.ofType(Condition).verificationStatus.coding.code"
    assert path(reviewed, status) == ["confirmed", "provisional", "confirmed", "provisional"]
    bare = json.dumps(written(quotes=False))
    assert "infiltrate" not in bare
    assert "infiltrate" in json.dumps(written())
    assert "data" not in of(written(), "DocumentReference")[0]["content"][0]["attachment"]


@pytest.mark.parametrize("documents", [False, True])
def test_codes_order_roles_admission_evidence_and_versions_come_back(documents: bool) -> None:
    (back,) = read_coded(written(documents=documents, suggestions=True))
    for name in ("encounter", "language", "codes", "suggestions", "versions"):
        assert getattr(back, name) == getattr(RECORD, name), name


def test_the_encounter_and_its_codes_come_back_where_the_text_went_along() -> None:
    (one,) = read_resources(written(documents=True, suggestions=True))
    assert one.encounter == STAY
    assert [(code.code, code.primary) for code in one.codes] == [
        ("J18.9", True), ("R05.9", False), ("Z79.4", False), ("0BJ08ZZ", True), ("3E03329", False)
    ]  # fmt: skip


def test_chinese_editions_have_their_identifiers_and_version() -> None:
    codes = (
        code(System.ICD10CN, "I10.x00", "高血压", rank=1, present_on_admission=PresentOnAdmission.YES),
        code(System.ICD9CM3, "36.0700", "药物洗脱冠状动脉支架置入", rank=1),
    )
    record = CodedRecord(
        encounter="z", language="zh", codes=codes, versions=Versions(program="0", edition="clinical 2")
    )
    data = coded_bundle(None, record)
    assert validate(data) == []
    codings = [entry["resource"]["code"]["coding"][0] for entry in data["entry"] if "code" in entry["resource"]]
    assert [(one["system"], one["version"]) for one in codings] == [
        ("urn:oid:2.16.156.10011.2.3.3.11", "clinical 2"),
        ("urn:oid:2.16.156.10011.2.3.3.12", "clinical 2"),
    ]
    assert set(SYSTEMS) == set(System)
    (back,) = read_coded(data)
    assert back.codes == codes


def test_what_came_as_fhir_is_referred_to_not_written_again() -> None:
    (stay,) = read_bundle(bundle(patient(), encounter(), document()))
    found = CodedRecord(encounter=stay.id, language="en", versions=VERSIONS, codes=(PNEUMONIA,))
    data = coded_bundle(stay, found)
    assert validate(data) == []
    types = [entry["resource"]["resourceType"] for entry in data["entry"]]
    assert types == ["Condition", "Claim", "Device", "Provenance"]
    (condition,) = of(data, "Condition")
    assert (condition["subject"], condition["encounter"]) == (
        {"reference": "Patient/p1"}, {"reference": "Encounter/e1"}
    )  # fmt: skip
    assert condition["evidence"][0]["detail"] == [{"reference": "DocumentReference/d1"}]
    whole = bundle(patient(), encounter(), document())
    whole["entry"] += data["entry"]  # as a server keeps both
    (one,) = read_resources(whole)
    assert [code.code for code in one.codes] == ["J18.9"]


def test_the_day_of_a_procedure_is_told_only_where_a_field_names_it() -> None:
    stay = STAY.model_copy(update={"fields": {"手术操作编码1": "0BJ08ZZ", "手术日期1": "2026-01-03"}})
    done = {
        one["code"]["coding"][0]["code"]: one.get("performedDateTime")
        for one in of(coded_bundle(stay, RECORD), "Procedure")
    }
    assert done == {"0BJ08ZZ": "2026-01-03", "3E03329": None}


def test_the_same_record_has_the_same_ids_and_several_go_into_one_bundle() -> None:
    other = RECORD.model_copy(update={"encounter": "e2"})
    assert written() == written()
    both = merged([written(), written(), coded_bundle(None, other, recorded=AT)])
    assert validate(both) == []
    assert [record.encounter for record in read_coded(both)] == ["e 1", "e2"]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"resourceType": "Bundle", "type": "collection"}, "JC160"),
        ([], "JC160"),
        (written() | {"entry": "x"}, "JC161"),
    ],
)
def test_what_holds_no_coded_record_is_said_so(data: Any, error: str) -> None:
    with pytest.raises(InputError) as raised:
        read_coded(data)
    assert raised.value.code == error


def test_a_claim_that_lost_its_conditions_is_refused() -> None:
    data = written()
    data["entry"] = [entry for entry in data["entry"] if entry["resource"]["resourceType"] != "Condition"]
    with pytest.raises(InputError, match=r"diagnosis\[0\]\.diagnosisReference") as raised:
        read_coded(data)
    assert raised.value.code == "JC163"


systems = st.sampled_from(list(System))
assigned = st.builds(
    AssignedCode,
    system=systems,
    code=st.from_regex(r"[A-Z][0-9]{2}\.[0-9a-z]{1,4}", fullmatch=True),
    name=st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs")), max_size=20).map(str.strip),
    role=st.sampled_from(list(Role)),
    confidence=st.floats(0, 1).map(lambda value: round(value, 6)),
    present_on_admission=st.none() | st.sampled_from(list(PresentOnAdmission)),
    assertion=st.sampled_from(list(Assertion)),
)


def ranked(codes: list[AssignedCode]) -> tuple[AssignedCode, ...]:
    """Diagnoses before procedures, each once, ranks from 1; only diagnoses have an indicator."""
    known = {(one.system.value, one.code): one for one in codes}
    found: list[AssignedCode] = []
    for kind in ("diagnosis", "procedure"):
        for rank, one in enumerate((one for one in known.values() if one.kind == kind), start=1):
            poa = one.present_on_admission if kind == "diagnosis" else None
            found.append(one.with_(rank=rank, present_on_admission=poa))
    return tuple(found)


@settings(max_examples=60, deadline=None)
@given(st.lists(assigned, max_size=6).map(ranked))
def test_any_record_is_valid_and_comes_back(codes: tuple[AssignedCode, ...]) -> None:
    record = CodedRecord(encounter="x", language="zh", codes=codes, versions=Versions(program="0", edition="2026"))
    data = coded_bundle(None, record)
    assert validate(data) == []
    (back,) = read_coded(json.loads(json.dumps(data)))
    assert back.codes == codes


# ---------------------------------------------------------------------------------------------------------------- files


def test_files_of_one_bundle_and_of_a_bundle_a_line(tmp_path: Path) -> None:
    other = RECORD.model_copy(update={"encounter": "e2"})
    for name in ("a.json", "a.ndjson"):
        with fhir_writer(tmp_path / name, check=True) as target:
            target.add(RECORD, STAY)
            target.add(other, None)
            assert not (tmp_path / name).exists()  # only when it is whole
    one = json.loads((tmp_path / "a.json").read_text("utf-8"))
    lines = [json.loads(line) for line in (tmp_path / "a.ndjson").read_text("utf-8").splitlines()]
    assert [record.encounter for record in read_coded(one)] == ["e 1", "e2"]
    assert [record.encounter for line in lines for record in read_coded(line)] == ["e 1", "e2"]
    with pytest.raises(InputError) as raised, fhir_writer(tmp_path / "no" / "a.json") as target:
        target.add(RECORD, None)
    assert raised.value.code == "JC148"
