"""Small official-looking files of our own making for the US book: index, tables, lists, calendar, names."""

from __future__ import annotations

import gzip
from pathlib import Path

INDEX = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.index><version>2026</version><title>Index</title>
<letter><title>H</title>
 <mainTerm><title>Hypertension, hypertensive<nemod>(accelerated) (benign) (essential)</nemod></title><code>I10</code>
  <term level="1"><title>with</title>
   <term level="2"><title>stenosis of renal artery</title><code>I15.0</code></term></term>
  <term level="1"><title>renovascular</title><code>I15.0</code></term>
  <term level="1"><title>secondary NEC</title><code>I15.8</code></term>
  <term level="1"><title>renal</title><see>Hypertension, renovascular</see></term>
  <term level="1"><title>vascular</title><seeAlso>Hypertension, renal</seeAlso></term></mainTerm>
 <mainTerm><title>High</title>
  <term level="1"><title>blood pressure</title><see>Hypertension</see></term></mainTerm></letter>
<letter><title>L</title>
 <mainTerm><title>Loop</title>
  <term level="1"><title>one</title><see>Loop, two</see></term>
  <term level="1"><title>two</title><see>Loop, one</see></term></mainTerm></letter>
<letter><title>O</title>
 <mainTerm><title>Osteoarthritis</title><see>Arthritis, by type</see></mainTerm>
 <mainTerm><title>Gonarthrosis</title><code>M17.9</code><manif>I15.8</manif>
  <term level="1"><title>one-sided</title><code>M17.10</code></term></mainTerm></letter>
<letter><title>S</title>
 <mainTerm><title>Sarcoma, of synovia</title><see>Neoplasm, connective tissue, malignant</see></mainTerm>
 <mainTerm><title>Sprain</title><term level="1"><title>ankle</title><code>S93.4-</code></term></mainTerm></letter>
</ICD10CM.index>
"""
INDEX_CSV = """RowID,Letter,Level,Term,See,SeeAlso,NonEssModif,Code
1,H,0,"Hypertension, hypertensive",,,(benign) (essential),I10
2,H,1,renovascular,,,,I15.0
3,H,1,renal,"Hypertension, renovascular",,,
4,M,0,Ménière's sign,,,,I15.8
"""
EXTERNAL = """<ICD10CM.index><version>2026</version><letter><title>F</title>
 <mainTerm><title>Fall, falling<nemod>(accidental)</nemod></title><code>W19</code></mainTerm></letter></ICD10CM.index>
"""
DRUGS = """<ICD10CM.index><version>2026</version>
<indexHeading><head col="1">Substance</head><head col="2">Poisoning</head><head col="3">Adverse effect</head>
</indexHeading><letter><title>A</title>
 <mainTerm><title>Asafetida<nemod>(gum)</nemod></title><cell col="2">T48.4X1</cell><cell col="3">--</cell></mainTerm>
 <mainTerm><title>Devil's dung</title><see>Asafetida</see></mainTerm></letter></ICD10CM.index>
"""
NEOPLASMS = """<ICD10CM.index><version>2026</version>
<indexHeading><head col="1">Neoplasm</head><head col="2">Malignant Primary</head><head col="3">Benign</head>
</indexHeading><letter><title>N</title>
 <mainTerm><title>Neoplasm, neoplastic</title><cell col="2">C80.1</cell><cell col="3">D36.9</cell>
  <term level="1"><title>connective tissue NEC</title><cell col="2">I15.8</cell><cell col="3">D21.9</cell>
   <term level="2"><title>knee</title><cell col="2">C49.2-</cell><cell col="3">-</cell></term></term></mainTerm>
</letter></ICD10CM.index>
"""
CALENDAR = """system\tcode\tvalid_from\tvalid_to
CM\tI10\t20151001\t20270331
CM\tM1710\t20151001\t20250930
CM\tM1710\t20251001\t20260930
CM\tI119\t20151001\t20200930
PCS\t0FT40ZZ\t2015-10-01\t2027-03-31
"""
POA = "OrdFY25\tPOAexemptCode\tDescription\n00001\tI10\tEssential (primary) hypertension\n00002\tM17.10\tKnee\n"
NAMES = """code\tbillable\tname_en\tname_zh_tw\tname_zh_cn_t2s
I10\t1\tEssential (primary) hypertension\t本態性(原發性)高血壓\t本态性(原发性)高血压
S93\t\tSprain of ankle and foot\t踝足扭傷\t踝足扭伤
"""
TITLES = """I10     Essential (primary) hypertension
S9340A  Sprain of ankle, first time
S9340D  Sprain of ankle, again
S936XXA Sprain of foot, first time
T360X1A Poisoning by one thing
T360X5A Adverse effect of one thing
"""
ORDER = (
    "00001 I15     0 Secondary hypertension                                       Secondary hypertension\n"
    "00002 I150    1 Renovascular hypertension                                    Renovascular hypertension\n"
)


def write_all(folder: Path) -> dict[str, Path]:
    """Every optional source, under names of the fiscal year 2026."""
    files = {
        "index": ("icd10cm-index-April-1-2026.xml", INDEX),
        "external": ("icd10cm-eindex-April-1-2026.xml", EXTERNAL),
        "drugs": ("icd10cm-drug-April-1-2026.xml", DRUGS),
        "neoplasms": ("icd10cm-neoplasm-April-1-2026.xml", NEOPLASMS),
        "calendar": ("code_validity_calendar.tsv", CALENDAR),
        "poa": ("POAexemptCodesFY25.txt", POA),
    }
    paths = {}
    for role, (name, text) in files.items():
        paths[role] = folder / name
        paths[role].write_text(text, "utf-8")
    paths["chinese_cm"] = folder / "icd10cm_2023_zh_en.tsv.gz"
    paths["chinese_cm"].write_bytes(gzip.compress(NAMES.encode()))
    return paths
