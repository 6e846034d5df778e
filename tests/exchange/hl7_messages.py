"""HL7 v2 messages of invented stays, as interface engines send them: what the tests of HL7 begin with."""

from __future__ import annotations

import base64

from jointcoder.exchange.hl7_message import escape
from jointcoder.exchange.incoming import Incoming
from jointcoder.exchange.reading import read

NOTE = "Admitted with fever and cough. Chest film: infiltrate of the right lower lobe.\nTreated for pneumonia."
REPORT = "Infiltrate of the right lower lobe.\nNo effusion."
CHINESE = "患者因发热、咳嗽3天入院，诊断为右下肺肺炎。"
SECRET = "Zebrowski"


def segment(name: str, **fields: str) -> str:
    """``segment("PV1", f19="V1")``: PV1-19 set, what lies before it empty."""
    numbered = {int(key.removeprefix("f")): value for key, value in fields.items()}
    first = 2 if name == "MSH" else 1
    return "|".join([name, *(numbered.get(number, "") for number in range(first, max(numbered) + 1))])


def header(type: str, **fields: str) -> str:
    given = {"f2": r"^~\&", "f3": "HIS", "f7": "20260103080000", "f9": type, "f10": "C1", "f11": "P", "f12": "2.5"}
    return segment("MSH", **{**given, **fields})


def message(*segments: str, end: str = "\r") -> str:
    return "".join(f"{one}{end}" for one in segments)


def pid(patient: str = "P1", **fields: str) -> str:
    given = {"f1": "1", "f3": f"{patient}^^^HOSP^MR", "f5": f"{SECRET}^Anna", "f7": "19581130", "f8": "F"}
    return segment("PID", **{**given, **fields})


def pv1(visit: str = "V1", **fields: str) -> str:
    return segment("PV1", **{"f1": "1", "f2": "I", "f19": f"{visit}^^^HOSP^VN" if visit else "", **fields})


def admission(visit: str = "V1", event: str = "A01", *more: str, patient: str = "P1", sent: str = "20260102233000",
              **fields: str) -> str:  # fmt: skip
    """An ADT message; ``fields`` are those of PV1."""
    given = {"f44": "20260102233000", **fields}
    head = header(f"ADT^{event}^ADT_A01", f7=sent)
    return message(head, segment("EVN", f1=event, f2=sent), pid(patient), pv1(visit, **given), *more)


def lines(text: str, *, code: str = "18748-4^Report^LN", type: str = "TX", status: str = "F") -> list[str]:
    """A text as OBX, one a line."""
    return [
        segment("OBX", f1=str(number), f2=type, f3=code, f5=escape(line), f11=status)
        for number, line in enumerate(text.split("\n"), start=1)
    ]


def report(text: str = REPORT, *, visit: str = "V1", order: str = "R1", title: str = "71020^Chest film^L",
           sent: str = "20260103080000", patient: str = "P1", status: str = "F", **obr: str) -> str:  # fmt: skip
    """An ORU message with one report."""
    given = {"f1": "1", "f3": order, "f4": title, "f7": "20260103", "f25": status, **obr}
    body = lines(text, code=title) if text else []
    return message(header("ORU^R01", f7=sent), pid(patient), pv1(visit), segment("OBR", **given), *body)


def document(text: str = NOTE, *, visit: str = "V1", number: str = "D1", event: str = "T02", type: str = "DS",
             sent: str = "20260109100000", patient: str = "P1", **txa: str) -> str:  # fmt: skip
    """An MDM message with one document."""
    given = {"f1": "1", "f2": type, "f3": "TX", "f4": "20260109", "f12": number, "f17": "AU", **txa}
    body = lines(text, code="") if text else []
    head = header(f"MDM^{event}", f7=sent)
    return message(head, segment("EVN", f1=event), pid(patient), pv1(visit), segment("TXA", **given), *body)


def file_in_obx(data: bytes, *, type: str = "application", subtype: str = "pdf", encoding: str = "Base64") -> str:
    """An OBX of type ED."""
    written = data.hex() if encoding == "Hex" else base64.b64encode(data).decode("ascii")
    return segment("OBX", f1="1", f2="ED", f3="D", f5=f"SRC^{type}^{subtype}^{encoding}^{written}", f11="F")


def mllp(*messages: str) -> bytes:
    """Messages in the blocks of the minimal lower layer protocol."""
    return b"".join(b"\x0b" + one.encode("utf-8") + b"\x1c\r" for one in messages)


# ------------------------------------------------------------------------------------------------- what they become


def only(*messages: str) -> Incoming:
    (one,) = read("".join(messages).encode("utf-8"))
    return one


def texts(one: Incoming) -> list[str]:
    assert one.encounter is not None, one.error
    return [held.text for held in one.encounter.documents]


def titles(one: Incoming) -> list[str]:
    assert one.encounter is not None, one.error
    return [held.title for held in one.encounter.documents]


def code_of(one: Incoming) -> str:
    assert one.error is not None
    assert SECRET not in str(one.error) + one.error.hint
    return one.error.code


def oru(*body: str, visit: str = "V1") -> str:
    return message(header("ORU^R01"), pid(), pv1(visit), *body)
