"""FHIR resources come in as encounters: every way a document may stand in them, whose it is, and what is wrong."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.exchange.attached import narrative
from jointcoder.exchange.fhir import outcome, read_bundle, read_resources, validate
from jointcoder.exchange.reading import read
from tests.exchange.fhir_stays import (
    CHINESE,
    NOTE,
    REPORT,
    SECRET,
    b64,
    bundle,
    composition,
    condition,
    document,
    encounter,
    patient,
)

WHOLE = bundle(
    patient(),
    encounter(diagnosis=[{"condition": {"reference": "Condition/k2"}, "rank": 1},
                         {"condition": {"reference": "Condition/k1"}, "rank": 2}]),
    document(),
    composition(),
    {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "code": {"text": "Bronchoscopy"},
     "encounter": {"reference": "Encounter/e1"}, "presentedForm": [{"contentType": "text/html",
      "data": b64(f"<html><head><title>x</title></head><body><p>{REPORT}</p></body></html>")}],
     "conclusion": "Purulent bronchitis."},
    {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "Smoking"},
     "encounter": {"reference": "Encounter/e1"}, "valueString": "Smokes 20 a day."},
    {"resourceType": "Observation", "id": "o2", "status": "final", "code": {"text": "CRP"},
     "encounter": {"reference": "Encounter/e1"}, "valueQuantity": {"value": 212}},
    condition("E11.9", "Type 2 diabetes mellitus", id="k1"),
    condition("J18.9", "Pneumonia", id="k2"),
)  # fmt: skip


def codes_of(one: Any) -> list[tuple[str, str, int, bool]]:
    return [(code.system, code.code, code.rank, code.primary) for code in one.codes]


def test_a_bundle_is_one_encounter_with_all_its_documents() -> None:
    (one,) = read_resources(WHOLE)
    assert one.error is None
    assert one.flags == ()
    stay = one.encounter
    assert (stay.id, stay.admitted, stay.discharged) == ("e1", dt.date(2026, 1, 2), dt.date(2026, 1, 9))
    assert (stay.patient.sex, stay.patient.age_years) == ("female", 67.0)
    assert stay.fields == {"fhir.encounter": "Encounter/e1", "fhir.patient": "Patient/p1"}
    assert [(one.id, one.title, one.text) for one in stay.documents] == [
        ("DocumentReference/d1", "Discharge summary", NOTE),
        ("Composition/c1#0", "History", "Fever,\ncough."),
        ("Composition/c1#1", "History / Allergies", "- penicillin\n- latex & tape"),
        ("Composition/c1#2", "Course", "Day\tFinding\n1\tFever"),
        ("DiagnosticReport/r1", "Bronchoscopy", REPORT),
        ("DiagnosticReport/r1#conclusion", "Bronchoscopy", "Purulent bronchitis."),
        ("Observation/o1", "Smoking", "Smokes 20 a day."),
    ]
    assert codes_of(one) == [("ICD-10-CM", "J18.9", 1, True), ("ICD-10-CM", "E11.9", 2, False)]


@pytest.mark.parametrize("kind", ["document", "searchset", "transaction", "batch", "history"])
def test_every_type_of_bundle_reads_the_same(kind: str) -> None:
    data = bundle(composition(), patient(), encounter(), type=kind)
    for entry in data["entry"]:
        entry["request"] = {"method": "PUT", "url": "x"}
    (stay,) = read_bundle(data)
    assert [one.title for one in stay.documents] == ["History", "History / Allergies", "Course"]


def test_what_is_deleted_void_or_an_outcome_of_the_search_is_no_part() -> None:
    data = bundle(
        encounter(),
        document(),
        document("superseded", id="d2") | {"status": "superseded"},
        document("wrong", id="d3") | {"docStatus": "entered-in-error"},
        {"resourceType": "OperationOutcome", "issue": []},
        document("deleted", id="d4"),
    )
    data["entry"][-1]["request"] = {"method": "DELETE", "url": "DocumentReference/d4"}
    (stay,) = read_bundle(data)
    assert [one.text for one in stay.documents] == [NOTE]


def test_one_resource_and_parameters_are_read_too() -> None:
    (alone,) = read_bundle(document())
    assert (alone.id, alone.fields) == ("e1", {"fhir.encounter": "Encounter/e1", "fhir.patient": "Patient/p1"})
    parameter = {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": document()}]}
    assert read_bundle(parameter) == [alone]
    (nameless,) = read_bundle(document(stay="", id="x") | {"subject": {}})
    assert len(nameless.id) == 16  # of the text


def test_stays_are_told_apart_and_parts_of_a_stay_go_to_it() -> None:
    ward = encounter("ward", partOf={"reference": "Encounter/e1"})
    other = encounter("e2", subject={"reference": "Patient/p2"}, period={"start": "2026-02-01"})
    strays = [
        document("of p2's only stay", id="d3", stay="") | {"subject": {"reference": "Patient/p2"}},
        document("of nobody's stay here", id="d4", stay="") | {"subject": {"reference": "Patient/p9"}},
        document("of a stay that is not here", id="d5", stay="e9"),
    ]
    data = bundle(document(stay="ward"), ward, encounter(), other, patient(), patient("p2", gender="male"), *strays)
    found = {stay.id: stay for stay in read_bundle(data)}
    assert {id: [one.text for one in stay.documents] for id, stay in found.items() if id.startswith("e")} == {
        "e1": [NOTE],
        "e2": ["of p2's only stay"],
        "e9": ["of a stay that is not here"],
    }
    assert len(found) == 4
    assert (found["e1"].patient.sex, found["e2"].patient.sex) == ("female", "male")
    assert found["e9"].fields["fhir.encounter"] == "Encounter/e9"


def test_references_by_urn_identifier_and_foreign_address() -> None:
    stay = encounter(identifier=[{"system": "urn:his", "value": "4711"}])
    by_urn = document("by urn", id="d1")
    by_urn["context"]["encounter"] = [{"reference": "urn:uuid:0b1c"}]
    by_identifier = document("by identifier", id="d2")
    logical = {"type": "Encounter", "identifier": {"system": "urn:his", "value": "4711"}}
    by_identifier["context"]["encounter"] = [logical]
    by_address = document("by address", id="d3")
    by_address["context"]["encounter"] = [{"reference": "https://other.example/r4/Encounter/e1/_history/3"}]
    data = bundle(stay, by_urn, by_identifier, by_address)
    data["entry"][0]["fullUrl"] = "urn:uuid:0b1c"
    (found,) = read_bundle(data)
    assert [one.text for one in found.documents] == ["by urn", "by identifier", "by address"]


@pytest.mark.parametrize(
    ("type", "encoding"),
    [
        ("text/plain; charset=GB18030", "gb18030"),
        ("text/plain;charset=gb2312", "gb2312"),
        ("text/plain; charset=big5", "big5"),
        ("text/plain; charset=UTF-16LE", "utf-16-le"),
        ("text/plain", "gb18030"),
        ("text/plain", "utf-8-sig"),
    ],
)
def test_attachments_of_any_character_set(type: str, encoding: str) -> None:
    text = "病人因發熱、咳嗽入院，診斷為肺炎。" if encoding == "big5" else CHINESE
    (one,) = read_resources(document(data=b64(text, encoding), contentType=type))
    assert one.encounter.documents[0].text == text
    assert [flag.code for flag in one.flags] == (["JC109"] if type == "text/plain" and encoding == "gb18030" else [])


def test_a_wrong_character_set_is_put_right_and_said() -> None:
    (one,) = read_resources(document(data=b64(CHINESE, "gb18030"), contentType="text/plain; charset=utf-8"))
    assert one.encounter.documents[0].text == CHINESE
    assert [flag.code for flag in one.flags] == ["JC109"]
    assert "DocumentReference.content[0].attachment.data" in one.flags[0].message


def test_binaries_of_the_bundle_and_the_best_of_several_forms() -> None:
    several = document(id="d1")
    several["content"] = [
        {"attachment": {"contentType": "application/rtf", "data": b64("{\\rtf1 no}")}},
        {"attachment": {"contentType": "text/html", "data": b64("<p>markup</p>")}},
        {"attachment": {"contentType": "text/plain", "url": "Binary/b1"}},
    ]
    binary = {"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": b64("plain")}
    (stay,) = read_bundle(bundle(several, binary))
    assert stay.documents[0].text == "plain"
    (without,) = read_resources(bundle(several))  # the Binary is not there: the next best form
    assert without.encounter.documents[0].text == "markup"


def test_the_same_text_twice_counts_once() -> None:
    report = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "code": {"text": "Summary"},
              "encounter": {"reference": "Encounter/e1"},
              "presentedForm": [{"contentType": "text/plain", "data": b64(NOTE)}]}  # fmt: skip
    (stay,) = read_bundle(bundle(document(), report))
    assert [one.id for one in stay.documents] == ["DocumentReference/d1"]


def test_a_pdf_attachment_keeps_the_places_of_its_lines() -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    canvas = pytest.importorskip("reportlab.pdfgen.canvas", reason="sets its PDF with reportlab")
    import io

    file = io.BytesIO()
    sheet = canvas.Canvas(file)
    sheet.drawString(72, 700, "Treated for pneumonia.")
    sheet.save()
    (stay,) = read_bundle(document(data=b64(file.getvalue()), contentType="application/pdf"))
    (only,) = stay.documents
    assert (only.text.strip(), only.title) == ("Treated for pneumonia.", "Discharge summary")
    assert only.pages[0].number == 1
    assert only.lines


def test_a_damaged_pdf_and_an_unreadable_form_leave_the_other_documents() -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    data = bundle(
        document(),
        document(id="d2", data=b64(b"%PDF-1.4 broken"), contentType="application/pdf"),
        document(id="d3", data=b64("<ClinicalDocument/>"), contentType="text/xml"),
        document(id="d4", data="!!", contentType="text/plain"),
        document(id="d5", data=None, url="Binary/none"),
    )
    (one,) = read_resources(data, name="stay.json")
    assert [document.text for document in one.encounter.documents] == [NOTE]
    assert [flag.code for flag in one.flags] == ["JC130", "JC164", "JC164", "JC163"]
    assert all(flag.message.startswith("stay.json: Bundle.entry[") for flag in one.flags)


@pytest.mark.parametrize(
    ("resource", "code", "path"),
    [
        ({"type": "Bundle"}, "JC160", "the input"),
        ({"resourceType": "no type"}, "JC160", "the input"),
        (bundle({"resourceType": 7}), "JC160", "Bundle.entry[0].resource"),
        (bundle(), "JC162", ""),
        (bundle(patient()), "JC162", ""),
        (bundle(encounter()), "JC162", ""),
        ({"resourceType": "Bundle", "entry": {}}, "JC161", "Bundle.entry"),
        (document() | {"context": [SECRET]}, "JC161", "DocumentReference.context"),
        (document() | {"content": [SECRET]}, "JC161", "DocumentReference.content[0]"),
        (document(contentType=7), "JC161", "DocumentReference.content[0].attachment.contentType"),
        (document(data=b64("  \n")), "JC101", "DocumentReference.content[0].attachment.data"),
        (document(data=SECRET + "!"), "JC164", "DocumentReference.content[0].attachment.data"),
        (
            document(data=b64(b"\x00\x01" + SECRET.encode() * 9)),
            "JC164",
            "DocumentReference.content[0].attachment.data",
        ),
        (document(data=None), "JC164", "DocumentReference.content[0].attachment"),
        (
            document(data=None, url=f"https://x.example/{SECRET}"),
            "JC163",
            "DocumentReference.content[0].attachment.url",
        ),
        (bundle(patient(gender=["x"]), encounter(), document()), "JC161", "Bundle.entry[0].resource.gender"),
    ],
)
def test_bad_input_names_the_path_and_never_the_content(resource: dict[str, Any], code: str, path: str) -> None:
    with pytest.raises(InputError) as raised:
        read_bundle(resource, name="post")
    assert raised.value.code == code
    assert raised.value.message.startswith("post: ")
    assert path in raised.value.message
    assert SECRET not in raised.value.message + raised.value.hint
    assert validate(outcome(raised.value)) == []


def test_values_that_cannot_be_read_are_left_out_and_said() -> None:
    data = bundle(
        patient(gender="F", birthDate="2027-01-01"),
        encounter(period={"start": "2026-01", "end": "2026-01-09"}),
        document(),
    )
    (one,) = read_resources(data)
    assert (one.encounter.patient.sex, one.encounter.patient.age_years) == ("unknown", None)
    assert (one.encounter.admitted, one.encounter.discharged) == (None, dt.date(2026, 1, 9))
    assert [flag.code for flag in one.flags] == ["JC125", "JC125", "JC125"]
    turned = bundle(encounter(period={"start": "2026-02-01", "end": "2026-01-09"}), document())
    (one,) = read_resources(turned)
    assert (one.encounter.admitted, [flag.code for flag in one.flags]) == (None, ["JC125"])


@pytest.mark.parametrize(("born", "age"), [("1958-01-03", 67.0), ("1958-01-02", 68.0), ("2025-11-20", 1 / 12),
                                           ("1958-01", 67.0), ("1958", 67.0)])  # fmt: skip
def test_age_on_admission(born: str, age: float) -> None:
    (stay,) = read_bundle(bundle(patient(birthDate=born), encounter(), document()))
    assert stay.patient.age_years == pytest.approx(age)


def test_codes_of_a_claim_come_before_those_of_conditions() -> None:
    concept = {"coding": [{"system": "urn:oid:2.16.156.10011.2.3.3.12", "code": "33.2200", "version": "clinical 3"}]}
    claim = {
        "resourceType": "Claim",
        "id": "cl",
        "status": "active",
        "patient": {"reference": "Patient/p1"},
        "diagnosis": [
            {"sequence": 2, "diagnosisReference": {"reference": "Condition/k1"}},
            {"sequence": 1, "diagnosisReference": {"reference": "Condition/k2"}, "type": [{"coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/ex-diagnosistype", "code": "principal"}]}]},
        ],
        "procedure": [{"sequence": 1, "procedureCodeableConcept": concept}],
    }  # fmt: skip
    (one,) = read_resources(bundle(*[entry["resource"] for entry in WHOLE["entry"]], claim))
    assert codes_of(one) == [
        ("ICD-10-CM", "J18.9", 1, True),
        ("ICD-10-CM", "E11.9", 2, False),
        ("ICD-9-CM-3", "33.2200", 1, False),
    ]
    assert one.codes[-1].edition == "clinical 3"


def test_refuted_conditions_and_undone_procedures_are_no_codes() -> None:
    refuted = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "refuted"}]}
    undone = condition("0BJ08ZZ", "x", id="q1") | {"resourceType": "Procedure", "status": "not-done"}
    data = bundle(encounter(), document(), condition("J18.9", "Pneumonia", id="k1"), undone,
                  condition("I26.99", "Embolism", id="k2", verificationStatus=refuted))  # fmt: skip
    (one,) = read_resources(data)
    assert codes_of(one) == [("ICD-10-CM", "J18.9", 1, False)]


def test_narratives_keep_words_apart_and_scripts_out() -> None:
    assert narrative("<div>A<b>B</b> c<script>x()</script><p>d\n  e</p>f&#160;g<br/>h</div>") == "AB c\nd e\nf g\nh"
    assert narrative("<pre>a\n  b</pre>") == "a\n  b"
    assert narrative("no < markup > at all") == "no < markup > at all"
    assert narrative("") == ""


# -------------------------------------------------------------------------------------------------- through the reader


def written(tmp_path: Path, name: str, *values: Any) -> Path:
    file = tmp_path / name
    file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in values), "utf-8")
    return file


def test_files_with_resources_are_told_from_encounters_of_our_own(tmp_path: Path) -> None:
    (one,) = read(written(tmp_path, "a.json", WHOLE))
    assert (one.id, len(one.encounter.documents), len(one.codes)) == ("e1", 7, 2)
    (pretty,) = read(json.dumps(WHOLE, indent=2).encode(), name="piped")
    assert pretty.encounter == one.encounter
    (ours,) = read(written(tmp_path, "b.json", {"id": "1", "text": "resourceType is a word here"}))
    assert ours.id == "1"
    (wrong,) = read(written(tmp_path, "c.json", {"resourceType": "Patient", "id": "p"}))
    assert (wrong.error.code, wrong.error.message[:8]) == ("JC162", "c.json: ")


def test_bulk_export_is_grouped_by_encounter_wherever_the_lines_stand(tmp_path: Path) -> None:
    second = [encounter("e2", subject={"reference": "Patient/p2"}), patient("p2", gender="male"),
              document(CHINESE, id="d9", stay="e2", data=None, url="Binary/b9"),
              {"resourceType": "Binary", "id": "b9", "data": b64(CHINESE)}]  # fmt: skip
    first = [entry["resource"] for entry in WHOLE["entry"]]
    mixed = [one for pair in zip(reversed(first), [*second, *[None] * len(first)], strict=False) for one in pair if one]
    file = written(tmp_path, "bulk.ndjson", *mixed)
    with file.open("a", encoding="utf-8") as lines:
        lines.write('{"resourceType": "Patient", "id"\n\n{"id": "x"}\n')
        for wrong in (document(id="d7") | {"context": [1]}, document(id="d8", stay="e8") | {"content": "x"}):
            lines.write(json.dumps(wrong) + "\n")
    found = list(read(file))
    assert sorted((one.id, one.error.code if one.error else "") for one in found) == [
        ("", "JC104"), ("", "JC160"), ("", "JC161"), ("e1", ""), ("e2", ""), ("e8", "JC161")
    ]  # fmt: skip
    stays = {one.id: one for one in found if one.encounter}
    assert stays["e2"].encounter.documents[0].text == CHINESE
    assert stays["e2"].encounter.patient.sex == "male"
    (whole,) = read_resources(WHOLE)
    assert {one.text for one in stays["e1"].encounter.documents} == {one.text for one in whole.encounter.documents}
    assert stays["e1"].encounter.patient == whole.encounter.patient
    assert codes_of(stays["e1"]) == codes_of(whole)


def test_a_bundle_a_line_and_the_same_stay_twice(tmp_path: Path) -> None:
    other = bundle(encounter("e2"), document(CHINESE, stay="e2"))
    found = list(read(written(tmp_path, "x.jsonl", WHOLE, other, WHOLE)))
    assert [(one.place.line, one.id, one.error.code if one.error else "") for one in found] == [
        (1, "e1", ""), (2, "e2", ""), (3, "e1", "JC123")
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ anything


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


@contextmanager
def suppress_ours() -> Iterator[None]:
    """Errors of ours may leave, as long as they tell nothing."""
    try:
        yield
    except InputError as error:
        told = error.message + error.hint
    else:
        return
    assert SECRET not in told


PLACES = places(WHOLE)
WRONG = st.sampled_from([None, 7, -1.5, True, "", SECRET, [], [SECRET], [[]], [{}], {}, {"reference": SECRET},
                         {"resourceType": "Bundle"}, {"coding": SECRET}, "urn:uuid:x", "\ud800"])  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), WRONG), min_size=1, max_size=3))
@example([(("entry", 4, "resource", "presentedForm", 0, "contentType"), "\ud800")])
def test_whatever_is_wrong_with_a_bundle_is_an_error_of_ours(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = copy.deepcopy(WHOLE)
    for path, value in changes:
        holder: Any = data
        try:
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    found: list[Any] = []
    with suppress_ours():
        found = list(read_resources(data))
    for one in found:
        assert (one.encounter is None) is not (one.error is None)
        assert one.error is None or SECRET not in one.error.message
        assert all(SECRET not in flag.message for flag in one.flags)
