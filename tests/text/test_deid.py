"""De-identification: what is marked goes, everything else reads as before, evidence and codes stay where they were."""

from __future__ import annotations

import datetime as dt
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Document,
    Encounter,
    Line,
    Page,
    Patient,
    Section,
    Span,
    System,
    Verdict,
    Versions,
)
from jointcoder.text.deid import Change, Deidentifier, Found, Identifier, Key, Moved, Wishes
from jointcoder.text.deid.patterns import cn_mark, es_mark

MARKED = Path(__file__).parent / "marked"
MARK = re.compile(r"<([a-z]+)>(.*?)</\1>")
KEY = Key(b"k" * 32)


def sentences(name: str) -> list[str]:
    lines = (MARKED / name).read_text("utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def plain(text: str, language: str = "en", **wishes: bool) -> str:
    return Deidentifier(key=KEY, wishes=Wishes(**wishes)).text(text, language=language)[0]


@pytest.mark.parametrize(("name", "language"), [("deid.en.txt", "en"), ("deid.zh.txt", "zh"), ("deid.es.txt", "es")])
def test_what_is_marked_goes_and_the_rest_stays(name: str, language: str) -> None:
    for line in sentences(name):
        text = MARK.sub(r"\2", line)
        changed = plain(text, language)
        unmarked = MARK.sub("\n", line)
        for kind, words in MARK.findall(line):
            assert kind == "date" or changed.count(words) == unmarked.count(words), line
        for words in unmarked.split("\n"):
            assert words.strip("日年月 ") in changed, line


# ------------------------------------------------------------------------------------------------------------- dates

DAYS = [
    ("en", "seen on 2025-03-04", "seen on 2025-03-14"),
    ("en", "seen on 2025-03-04T10:20", "seen on 2025-03-14T10:20"),
    ("en", "seen on 3/4", "seen on 3/14"),
    ("en", "from 3/4 to 3/25", "from 3/14 to 4/4"),
    ("en", "on 03/04/2025", "on 03/14/2025"),
    ("en", "on 12/28/24", "on 1/7/25"),
    ("en", "on March 4th, 2025", "on March 14th, 2025"),
    ("en", "on Mar 22nd", "on Apr 1st"),
    ("en", "on 4 March 2025", "on 14 March 2025"),
    ("en", "the 4th of March", "the 14th of March"),
    ("en", "04-Mar-2025", "14-Mar-2025"),
    ("en", "MARCH 30, 2025", "APRIL 9, 2025"),
    ("en", "March 18-25, 2025", "March 28-April 4, 2025"),
    ("en", "Tuesday, March 4, 2025", "Friday, March 14, 2025"),
    ("en", "in March 2025", "in March 2025"),
    ("en", "in 12/2024", "in 12/2024"),
    ("en", "stamp 20250304", "stamp 20250314"),
    ("zh", "于2025年3月4日入院", "于2025年3月14日入院"),
    ("zh", "于２０２５年３月４日入院", "于2025年3月14日入院"),
    ("zh", "2025年3月4日（星期二）", "2025年3月14日（星期五）"),
    ("zh", "2024年12月28日至31日", "2025年1月7日至10日"),
    ("zh", "3月25日至28日", "4月4日至7日"),
    ("zh", "3月18日至25日", "3月28日至4月4日"),
    ("zh", "2025年3月4日入院，8日手术", "2025年3月14日入院，3月18日手术"),
    ("zh", "二〇二五年三月四日", "二〇二五年三月十四日"),
    ("zh", "2025.03.04 10:20", "2025.03.14 10:20"),
    ("zh", "于03-25复查", "于04-04复查"),
    ("es", "el 4 de marzo de 2025", "el 14 de marzo de 2025"),
    ("es", "el 4/3/2025", "el 14/3/2025"),
    ("es", "el 25/03", "el 04/04"),
]


@pytest.mark.parametrize(("language", "before", "after"), DAYS)
def test_days_in_every_spelling_move_alike(language: str, before: str, after: str) -> None:
    deid = Deidentifier(key=KEY)
    found = deid.look(before, language, days=10, year=2025).found
    changes = [Change(one.start, one.end, one.becomes or "") for one in found if one.kind is Identifier.DATE]
    assert Moved.of(before, changes).text == after


UNTOUCHED = [
    ("en", "POD 3: strength 4/5, murmur 3/6, BP 120/80, on day 3 of 5/7 doses; appendectomy in 1985"),
    ("en", "Parkinson disease, Crohn's disease, Hodgkin lymphoma, Foley catheter, Whipple procedure, Murphy sign"),
    ("en", "warfarin, Lasix 40 mg, Zosyn 3.375 g; I50.23, E11.22, 0W9930Z; viral load 13500000000 copies/ml"),
    ("zh", "术后第3天，肌力4/5级，杂音3/6级，病史20年3个月，每日2次，3月前发现，心功能Ⅱ级，血糖7.8mmol/L"),
    ("zh", "川崎病、梅尼埃病、帕金森病、白塞病、高雪病，白细胞12.3×10^9/L，HBV-DNA 13500000000IU/ml，I10.x00x002"),
    (
        "zh",
        "主任医师查房，于主任医师指导下，管床医师、经治医师、高年资医师、全科医师到场，责任护士宣教，患者高热，黄疸，何时出院",
    ),
    ("es", "enfermedad de Parkinson, signo de Murphy, leucocitos 12.300, fuerza 4/5, apendicectomía en 1985"),
]


@pytest.mark.parametrize(("language", "text"), UNTOUCHED)
def test_diseases_drugs_values_and_codes_stay(language: str, text: str) -> None:
    assert plain(text, language, hospitals=True, wards=True) == text


def test_a_day_that_no_calendar_has_is_taken_out() -> None:
    assert plain("seen on 02/30/2025") == "seen on [DATE]"


def test_all_days_of_an_encounter_move_alike_and_not_by_weeks() -> None:
    encounter = Encounter(
        id="stay-1",
        documents=(Document(id="0", text="Admitted March 4, 2025, discharged 3/9."),),
        admitted=dt.date(2025, 3, 4),
        discharged=dt.date(2025, 3, 9),
        fields={"Date of operation": "2025-03-06", "ward": "cardiology"},
    )
    done = Deidentifier(key=KEY).encounter(encounter)
    new, move = done.encounter, dt.timedelta(done.shift_days)
    assert new.admitted == dt.date(2025, 3, 4) + move
    assert new.discharged == dt.date(2025, 3, 9) + move
    assert new.fields["Date of operation"] == (dt.date(2025, 3, 6) + move).isoformat()
    assert new.fields["ward"] == "cardiology"
    day, last = dt.date(2025, 3, 4) + move, dt.date(2025, 3, 9) + move
    said = f"Admitted {day:%B} {day.day}, {day.year}, discharged {last.month}/{last.day}."
    assert new.documents[0].text == said
    assert done.shift_days % 7


@given(st.dates(dt.date(1990, 1, 1), dt.date(2080, 1, 1)), st.text(min_size=1, max_size=8))
@settings(max_examples=60)
def test_a_shift_never_leaves_the_edition_of_the_code_book(day: dt.date, whose: str) -> None:
    moved = day + dt.timedelta(KEY.shift(whose, (day,)))
    half = [(one.year - (one.month < 4), 4 <= one.month < 10) for one in (day, moved)]
    assert half[0] == half[1]
    assert (moved - day).days % 7
    assert abs((moved - day).days) <= 365


# -------------------------------------------------------------------------------------------------- names and numbers


def test_one_person_is_one_placeholder_and_eponyms_stay() -> None:
    text = "Mrs. Ellen Hart was seen by Dr. Wilson. Wilson disease was excluded. ELLEN HART is well; Hart agrees."
    said = "Mrs. [NAME-1] was seen by Dr. [NAME-2]. Wilson disease was excluded. [NAME-1] is well; [NAME-1] agrees."
    assert plain(text) == said


def test_a_name_that_is_a_word_too_is_one_only_where_a_name_stands() -> None:
    said = "姓名：[姓名-1]，血流高峰减低。Dr. [姓名-2] saw white matter; White blood cells 12."
    assert plain("姓名：高峰，血流高峰减低。Dr. White saw white matter; White blood cells 12.", "zh") == said


def test_surrogates_are_consistent_and_of_the_same_shape() -> None:
    text = "Mrs. Ellen Hart, MRN 00481937, tel. (415) 555-0172. HART agrees. Ellen sleeps well."
    changed = plain(text, surrogates=True)
    match = re.fullmatch(
        r"Mrs\. (\w+) (\w+), MRN (\d{8}), tel\. \(415\) 555-01\d\d\. (\w+) agrees\. (\w+) sleeps well\.", changed
    )
    assert match, changed
    assert match[4] == match[2].upper()
    assert match[5] == match[1]
    assert match[3] != "00481937"
    assert plain(text, surrogates=True) == changed


def test_chinese_surrogates_keep_surname_and_check_digit() -> None:
    text = "姓名：张伟，身份证号：440524188001010014，手机13900001234。张伟诉头痛，张先生要求出院。"
    changed = plain(text, "zh", surrogates=True)
    match = re.fullmatch(
        r"姓名：(.)(.)，身份证号：(\d{17}[\dX])，手机(1\d{10})。(..)诉头痛，(.)先生要求出院。", changed
    )
    assert match, changed
    assert match[5] == match[1] + match[2]
    assert match[6] == match[1] != "张"
    assert match[3][17] == cn_mark(match[3][:17])


def test_numbers_without_a_label_are_told_by_their_check_digit() -> None:
    good, bad = "11010519491231002X", "110105194912310021"
    assert plain(f"证件 {good} 已核", "zh") == "证件 [编号-1] 已核"
    assert plain(f"流量 {bad} 已核", "zh") == f"流量 {bad} 已核"
    assert plain(f"aportó 12345678{es_mark('12345678')} al ingreso", "es") == "aportó [IDENTIFICADOR-1] al ingreso"
    assert plain("lote 12345678A al ingreso", "es") == "lote 12345678A al ingreso"


def test_the_same_number_has_the_same_stand_in_in_all_encounters_of_a_key() -> None:
    deid = Deidentifier(key=KEY, wishes=Wishes(surrogates=True))
    one = deid.encounter(Encounter.from_text("MRN: 00481937", id="a")).encounter.documents[0].text
    two = deid.encounter(Encounter.from_text("MRN: 00481937", id="b")).encounter.documents[0].text
    assert one == two != "MRN: 00481937"


def test_a_patients_encounters_move_alike_where_a_field_names_the_patient() -> None:
    deid = Deidentifier(key=KEY, wishes=Wishes(patient_field="person"))
    stays = [
        Encounter.from_text("ok", id=str(month), fields={"person": "p1"}, discharged=dt.date(2025, month, 28))
        for month in range(1, 13)
    ]
    assert len({deid.encounter(stay).shift_days for stay in stays}) == 1


def test_ages_over_89_become_90_and_birthdays_with_them() -> None:
    encounter = Encounter.from_text(
        "DOB: 02/17/1931. This 94-year-old man, age 94, is a 70 pack-year smoker.",
        id="old",
        patient=Patient(age_years=94),
        discharged=dt.date(2025, 3, 9),
    )
    done = Deidentifier(key=KEY).encounter(encounter)
    text = done.encounter.documents[0].text
    assert "This 90-year-old man, age 90, is a 70 pack-year smoker." in text
    assert done.encounter.patient.age_years == 90
    born = re.search(r"DOB: \d\d/\d\d/(\d{4})", text)
    assert born is not None
    assert done.encounter.discharged is not None
    assert done.encounter.discharged.year - int(born[1]) == 90


def test_hospitals_and_wards_only_on_request() -> None:
    text = "Transferred from Mercy General Hospital to room 412B."
    assert plain(text) == text
    assert plain(text, hospitals=True, wards=True) == "Transferred from [HOSPITAL-1] to room [WARD-1]."
    text = "由滨江市第二医院转入，床号：12"
    assert plain(text, "zh", hospitals=True, wards=True) == "由[医院-1]转入，床号：[病区-1]"


def test_fields_are_read_as_what_they_are_called() -> None:
    fields = {"姓名": "张伟", "住院号": "0012345", "出院科别": "心内科", "付费方式": "城镇职工医保"}
    encounter = Encounter.from_text("张伟诉胸痛。", id="1", language="zh", fields=fields)
    new = Deidentifier(key=KEY).encounter(encounter).encounter
    assert new.documents[0].text == "[姓名-1]诉胸痛。"
    assert new.fields == {"姓名": "[姓名-1]", "住院号": "[编号-1]", "出院科别": "心内科", "付费方式": "城镇职工医保"}


def test_a_recogniser_of_ones_own_is_heard() -> None:
    def tagger(text: str, language: str) -> list[Found]:
        return [Found(match.start(), match.end(), Identifier.NAME, whole=True) for match in re.finditer("Zyx", text)]

    changed, _, counts = Deidentifier(key=KEY, finders=(tagger,)).text("Zyx sleeps; ｆull width", language="en")
    assert changed == "[NAME-1] sleeps; ｆull width"
    assert counts == {"name": 1}


def test_what_still_looks_like_an_identifier_is_flagged() -> None:
    flags = Deidentifier(key=KEY).encounter(Encounter.from_text("reference 990018273645")).flags
    assert [flag.code for flag in flags] == ["JC724"]
    assert not Deidentifier(key=KEY).encounter(Encounter.from_text("MRN: 990018273645")).flags


# ---------------------------------------------------------------------------------------------------- moved along

IDENTIFIERS = ["Dr. Hart", "MRN: 00481937", "on 03/04/2025", "tel. 415-555-0172", "Mrs. Ann Bell-Ross", "aged 97"]
WORDS = ["acute appendicitis", "pneumonia", "type 2 diabetes", "left femur", "胸痛", "sepsis"]


@given(st.lists(st.tuples(st.sampled_from(IDENTIFIERS), st.sampled_from(WORDS)), min_size=1, max_size=6), st.booleans())
@settings(max_examples=60)
def test_evidence_that_is_no_identifier_reads_the_same(pairs: list[tuple[str, str]], surrogates: bool) -> None:
    text, spans = "", []
    for identifier, words in pairs:
        text += f"{identifier}. "
        spans.append(Span(document=0, start=len(text), end=len(text) + len(words), quote=words))
        text += f"{words}. "
    encounter = Encounter.from_text(text, language="en")
    done = Deidentifier(key=KEY, wishes=Wishes(surrogates=surrogates)).encounter(encounter)
    for span in spans:
        moved = done.span(span)
        assert moved.quote == span.quote
        assert moved.reproduces(done.encounter)
    for identifier, _ in pairs:
        assert identifier not in done.encounter.documents[0].text


changed_texts = st.text(alphabet="abc张 ", max_size=30).flatmap(
    lambda text: st.tuples(
        st.just(text),
        st.lists(
            st.tuples(st.integers(0, len(text)), st.integers(0, len(text)), st.text("xy", max_size=4)), max_size=4
        ),
    )
)


@given(changed_texts, st.integers(0, 30), st.integers(0, 30))
def test_offsets_move_with_the_text(given_: tuple[str, list[tuple[int, int, str]]], a: int, b: int) -> None:
    text, wanted = given_
    changes: list[Change] = []
    for start, end, new in sorted(wanted):
        if start < end and (not changes or changes[-1].end <= start):
            changes.append(Change(start, end, new))
    moved = Moved.of(text, changes)
    start, end = sorted((min(a, len(text)), min(b, len(text))))
    new_start, new_end = moved.span(start, end)
    assert 0 <= new_start <= new_end <= len(moved.text)
    if not moved.touched(start, end):
        assert moved.text[new_start:new_end] == text[start:end]


def test_changes_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        Moved.of("abcdef", [Change(0, 3, "x"), Change(2, 4, "y")])


def test_sections_lines_and_titles_move_too() -> None:
    text = "Patient: Ellen Hart\nDr. Wilson\nAppendicitis"
    lines = tuple(
        Line(start=text.index(one), end=text.index(one) + len(one), page=1, box=(0, n, 9, n + 1))
        for n, one in enumerate(text.split("\n"))
    )
    document = Document(
        id="Hart_Ellen.pdf",
        title="Letter of Dr. Wilson",
        text=text,
        pages=(Page(number=1, width=9, height=9),),
        lines=lines,
    )
    encounter = Encounter(
        id="e",
        documents=(document,),
        sections=(Section(name="diagnosis", document=0, start=31, end=43),),
        language="en",
    )
    new = Deidentifier(key=KEY).encounter(encounter).encounter
    moved = new.documents[0]
    assert [moved.text[line.start : line.end] for line in moved.lines] == [
        "Patient: [NAME-1]",
        "Dr. [NAME-2]",
        "Appendicitis",
    ]
    assert moved.text[new.sections[0].start : new.sections[0].end] == "Appendicitis"
    assert moved.title == "Letter of Dr. [NAME-2]"
    assert "Hart" not in moved.id
    assert new.id != "e"


def test_a_coded_record_keeps_its_codes_and_points_to_the_same_words() -> None:
    encounter = Encounter.from_text("Dr. Wilson saw Ellen Hart: acute appendicitis.", id="stay", language="en")
    text = encounter.documents[0].text

    def span(words: str) -> Span:
        start = text.index(words)
        return Span(document=0, start=start, end=start + len(words), quote=words)

    code = AssignedCode(
        system=System.ICD10CM,
        code="K35.80",
        name="Unspecified acute appendicitis",
        confidence=0.9,
        rank=1,
        evidence=(span("acute appendicitis"), span("Ellen Hart")),
        verdicts=(Verdict(step="validate", question="Does Ellen Hart have it?", answer="yes", probability=0.9),),
    )
    record = CodedRecord(encounter="stay", language="en", codes=(code,), versions=Versions(program="0"))
    done = Deidentifier(key=KEY).encounter(encounter)
    new = done.record(record)
    assert [(one.code, one.confidence, one.rank) for one in new.codes] == [("K35.80", 0.9, 1)]
    assert new.codes[0].evidence[0].quote == "acute appendicitis"
    assert all(one.reproduces(done.encounter) for one in new.codes[0].evidence)
    assert new.encounter == done.encounter.id
    assert "Hart" not in new.model_dump_json()
    assert [flag.code for flag in new.flags] == ["JC721"]


def test_evidence_outside_the_text_is_an_error() -> None:
    done = Deidentifier(key=KEY).encounter(Encounter.from_text("short", id="s"))
    with pytest.raises(InputError, match="JC722"):
        done.span(Span(document=0, start=3, end=9, quote="xxxxxx"))
    with pytest.raises(InputError, match="JC722"):
        done.span(Span(document=2, start=0, end=1, quote="x"))


# ------------------------------------------------------------------------------------------------------------- keys


def test_a_key_file_is_for_its_owner_and_reproduces_everything(tmp_path: Path) -> None:
    path = tmp_path / "deid.key"
    made = Key.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Key.read(path) == made
    assert made.secret.hex() not in repr(made)
    text = "Dr. Hart, 03/04/2025, MRN: 00481937"
    results = {Deidentifier(key=Key.read(path), wishes=Wishes(surrogates=True)).text(text)[0] for _ in range(2)}
    assert len(results) == 1
    with pytest.raises(InputError, match="JC720"):
        Key.create(path)


def test_bad_keys(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("jointcoder-deid-key-1 00ff\n", "utf-8")
    (tmp_path / "zh").write_text("密钥", "utf-8")
    for name in ("bad", "zh", "missing"):
        with pytest.raises(InputError, match="JC720"):
            Key.read(tmp_path / name)
    with pytest.raises(InputError, match="JC720"):
        Key.create(tmp_path / "no" / "folder")


def test_without_a_key_two_runs_differ() -> None:
    encounter = Encounter.from_text("MRN: 00481937", id="x")
    ids = {Deidentifier().encounter(encounter).encounter.id for _ in range(2)}
    assert len(ids) == 2
