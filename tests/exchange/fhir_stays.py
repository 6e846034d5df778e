"""FHIR resources of an invented stay, as a hospital's server would send them: what the tests of FHIR begin with."""

from __future__ import annotations

import base64
from typing import Any

NOTE = "Admitted with fever and cough. Chest film: infiltrate of the right lower lobe.\nTreated for pneumonia."
REPORT = "Bronchoscopy: purulent secretions in the right lower lobe bronchus."
CHINESE = "患者因发热、咳嗽3天入院，诊断为右下肺肺炎。"
SECRET = "Zebrowski"


def b64(text: str | bytes, encoding: str = "utf-8") -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode(encoding)).decode("ascii")


def bundle(*resources: dict[str, Any], type: str = "collection", **fields: Any) -> dict[str, Any]:
    entries = [{"fullUrl": f"https://his.example/fhir/{one['resourceType']}/{one.get('id', '')}", "resource": one}
               for one in resources]  # fmt: skip
    return {"resourceType": "Bundle", "type": type, "entry": entries, **fields}


def patient(id: str = "p1", **fields: Any) -> dict[str, Any]:
    given = {"gender": "female", "birthDate": "1958-11-30", "name": [{"family": SECRET}]}
    return {"resourceType": "Patient", "id": id, **given, **fields}


def encounter(id: str = "e1", **fields: Any) -> dict[str, Any]:
    period = {"start": "2026-01-02T23:30:00+08:00", "end": "2026-01-09T10:00:00+08:00"}
    given = {"status": "finished", "class": {"code": "IMP"}, "subject": {"reference": "Patient/p1"}, "period": period}
    return {"resourceType": "Encounter", "id": id, **given, **fields}


def document(
    text: str = NOTE, *, id: str = "d1", stay: str = "e1", type: str = "Discharge summary", **attachment: Any
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "id": id,
        "status": "current",
        "type": {"text": type},
        "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": "text/plain", "data": b64(text), **attachment}}],
    }
    if stay:
        found["context"] = {"encounter": [{"reference": f"Encounter/{stay}"}]}
    return found


def composition(id: str = "c1", stay: str = "e1") -> dict[str, Any]:
    def section(title: str, text: str, *inner: dict[str, Any]) -> dict[str, Any]:
        return {
            "title": title,
            "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'},
            **({"section": list(inner)} if inner else {}),
        }

    inner = section("Allergies", "<ul><li>penicillin</li><li>latex &amp; tape</li></ul>")
    return {
        "resourceType": "Composition",
        "id": id,
        "status": "final",
        "type": {"text": "Discharge summary"},
        "date": "2026-01-09",
        "author": [{"display": "ward"}],
        "title": "Discharge summary",
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": f"Encounter/{stay}"},
        "section": [
            section("History", "<p>Fever,<br/>cough.</p>", inner),
            section("Course", "<table><tr><th>Day</th><th>Finding</th></tr><tr><td>1</td><td>Fever</td></tr></table>"),
        ],
    }


def condition(code: str, name: str, *, id: str, stay: str = "e1", **fields: Any) -> dict[str, Any]:
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code, "display": name}
    return {
        "resourceType": "Condition",
        "id": id,
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "1234"}, coding]},
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": f"Encounter/{stay}"},
        **fields,
    }
