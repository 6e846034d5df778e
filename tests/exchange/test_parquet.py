"""Parquet in: flat tables, nested columns of our records, broken files; and coded records out and back."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointcoder.batch.inputs import Inputs
from jointcoder.errors import InputError, UsageError
from jointcoder.exchange import parquet as own
from jointcoder.exchange.coded_records import read_coded
from jointcoder.exchange.incoming import Incoming
from jointcoder.exchange.mapping import ColumnMapping
from jointcoder.exchange.parquet_coded import parquet_writer, schema
from jointcoder.exchange.reading import inspect, read
from jointcoder.exchange.source import Source
from jointcoder.parsing import parse_encounter
from jointcoder.records import (
    Assertion,
    AssignedCode,
    CodedRecord,
    Finding,
    Flag,
    Link,
    PresentOnAdmission,
    Reason,
    Role,
    Severity,
    Span,
    System,
    Verdict,
    Versions,
)

from ..cli.command import ROOT

pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
pq = pytest.importorskip("pyarrow.parquet")

NOTE = "Discharge diagnosis: pneumonia"


def written(path: Path, rows: list[dict[str, Any]], schema: Any = None, **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, **options)
    return path


def only(found: Iterator[Incoming]) -> Incoming:
    (one,) = found
    return one


# ---------------------------------------------------------------------------------------------------------------- flat


def test_a_flat_table_is_read_as_one_of_a_spreadsheet(tmp_path: Path) -> None:
    rows = [
        {
            "病案号": 1001,
            "性别": "女",
            "年龄": 61.0,
            "入院时间": dt.datetime(2024, 3, 1, 8, 30),
            "出院时间": dt.date(2024, 3, 9),
            "现病史": "咳嗽三天，发热一天。",
            "主要诊断编码": "J18.900",
            "主要诊断": "肺炎",
            "费用": Decimal("12.50"),
        },
        {"病案号": 1002, "现病史": None},
    ]
    path = written(tmp_path / "stays.parquet", rows)
    first, second = read(path)
    assert first.encounter is not None
    assert first.id == "1001"
    assert first.encounter.patient.sex == "female"
    assert first.encounter.patient.age_years == 61
    assert (first.encounter.admitted, first.encounter.discharged) == (dt.date(2024, 3, 1), dt.date(2024, 3, 9))
    assert [document.text for document in first.encounter.documents] == ["咳嗽三天，发热一天。"]
    assert [(code.code, code.name, code.primary) for code in first.codes] == [("J18.900", "肺炎", True)]
    assert first.encounter.fields == {"费用": "12.50"}
    assert first.place.record == 1
    assert second.error is not None
    assert second.error.code == "JC101"
    assert second.error.message.startswith("stays.parquet, record 2")


def test_a_mapping_says_what_the_columns_are(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", [{"k": "A", "t": NOTE, "blob": b"\x00"}])
    mapping = ColumnMapping(id=("k",), text=("t",))
    one = only(read(path, mapping=mapping))
    assert one.encounter is not None
    assert (one.id, one.encounter.documents[0].text) == ("A", NOTE)
    lacking = only(read(path, mapping=ColumnMapping(text=("blob",))))
    assert lacking.error is not None
    assert lacking.error.code == "JC121"


def test_a_mapping_is_proposed(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", [{"id": "A", "text": NOTE}, {"id": "B", "text": NOTE}])
    (proposal,) = inspect(path)
    assert proposal.mapping == ColumnMapping(id=("id",), text=("text",))
    with pytest.raises(UsageError, match="JC001"):
        list(inspect(written(tmp_path / "n.parquet", [{"id": "A", "documents": [{"id": "0", "text": NOTE}]}])))
    with pytest.raises(UsageError, match="JC001"):
        list(read(path, sheet=1))


def test_the_bytes_say_what_a_file_is(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", [{"id": "A", "text": NOTE}])
    assert only(read(path.read_bytes())).id == "A"
    assert only(read(path.rename(tmp_path / "x.dat"))).id == "A"


# -------------------------------------------------------------------------------------------------------------- nested


def test_nested_columns_with_our_names_are_our_records(tmp_path: Path) -> None:
    documents = [{"id": "0", "text": NOTE, "title": "letter"}, {"id": "1", "text": "Cough.", "title": None}]
    code = {"system": "ICD-10-CM", "code": "J18.9", "primary": True, "rank": 1}
    rows = [
        {
            "id": "E1",
            "documents": documents,
            "patient": {"age_years": 61.0, "sex": "female"},
            "admitted": dt.datetime(2024, 3, 1, 8, 30),
            "discharged": dt.date(2024, 3, 9),
            "codes": [code],
            "fields": [("ward", "3")],
            "payer": "7",
            "phone": "555",
            "fee": None,
        }
    ]
    kinds = pa.Table.from_pylist([{**rows[0], "fields": None}]).schema
    place = kinds.get_field_index("fields")
    kinds = kinds.set(place, pa.field("fields", pa.map_(pa.string(), pa.string())))
    one = only(read(written(tmp_path / "x.parquet", rows, kinds)))
    assert one.encounter == parse_encounter(
        {
            "id": "E1",
            "documents": [documents[0], {"id": "1", "text": "Cough."}],
            "patient": {"age_years": 61.0, "sex": "female"},
            "admitted": "2024-03-01",
            "discharged": "2024-03-09",
            "fields": {"payer": "7", "ward": "3"},
        }
    )
    assert [dict(found.given) for found in one.codes] == [code]


def test_sections_as_a_struct(tmp_path: Path) -> None:
    rows = [{"id": "E1", "sections": {"主诉": "咳嗽三天", "现病史": None}}, {"id": "E1", "sections": {"主诉": "胸痛"}}]
    first, second = read(written(tmp_path / "x.parquet", rows))
    assert first.encounter is not None
    assert [(document.title, document.text) for document in first.encounter.documents] == [("主诉", "咳嗽三天")]
    assert second.error is not None
    assert second.error.code == "JC123"


def test_columns_of_another_shape_are_refused(tmp_path: Path) -> None:
    one = only(read(written(tmp_path / "x.parquet", [{"id": "A", "text": NOTE, "documents": ["secret words"]}])))
    assert one.error is not None
    assert one.error.code == "JC181"
    assert "secret" not in one.error.message
    binary = only(read(written(tmp_path / "b.parquet", [{"x": b"\x00", "y": [1]}])))
    assert binary.error is not None
    assert binary.error.code == "JC181"


# ----------------------------------------------------------------------------------------------------------------- bad


def test_broken_files_are_coded_errors(tmp_path: Path) -> None:
    good = written(tmp_path / "x.parquet", [{"id": "A", "text": NOTE}]).read_bytes()
    for name, data in (("cut", good[:-20]), ("none", b"hello"), ("empty", b""), ("head", b"PAR1" + b"\x07" * 99)):
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(data)
        one = only(read(path))
        assert one.error is not None
        assert one.error.code == "JC180", name
    assert only(read(written(tmp_path / "no.parquet", [], pa.schema({"id": "string", "text": "string"})))).error


def test_what_stands_around_the_damage_is_read(tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": f"{NOTE} {n}"} for n in range(300)]
    path = written(tmp_path / "x.parquet", rows, row_group_size=100, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    at = data.index(b"pneumonia 100")
    data[at - 300 : at + 300] = b"\xff" * 600  # the second group's pages
    path.write_bytes(bytes(data))
    found = list(read(path))
    assert [one.id for one in found if one.encounter] == [str(n) for n in (*range(100), *range(200, 300))]
    (broken,) = [one for one in found if one.error]
    assert broken.error is not None
    assert broken.error.code == "JC180"
    assert broken.error.message.startswith("x.parquet, record 101: the file is damaged from here to record 200")


def test_an_encrypted_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PARE" + b"\x00" * 64 + b"PARE")
    one = only(read(path))
    assert one.error is not None
    assert one.error.code == "JC180"
    assert "encrypted" in one.error.message


def test_torn_text_costs_its_row_alone(tmp_path: Path) -> None:
    texts = pa.array([NOTE.encode(), b"\xff\xfe pneumonia", NOTE.encode()]).view(pa.string())
    table = pa.Table.from_arrays([pa.array(["A", "B", "C"]), texts], names=["id", "text"])
    pq.write_table(table, tmp_path / "x.parquet")
    found = list(read(tmp_path / "x.parquet"))
    assert [one.error.code if one.error else "" for one in found] == ["", "JC106", ""]


def test_moments_and_days_that_python_does_not_have(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["A", "B"],
            "text": [NOTE, NOTE],
            "admitted": pa.array([1_709_251_200_000_000_001, None], pa.timestamp("ns", "UTC")),
            "discharged": pa.array([19_800, 10_000_000], pa.int32()).cast(pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    first, second = read(tmp_path / "x.parquet")
    assert first.encounter is not None
    assert (first.encounter.admitted, first.encounter.discharged) == (dt.date(2024, 3, 1), dt.date(2024, 3, 18))
    assert second.error is not None
    assert second.error.code == "JC181"


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array(["A"]), pa.array([NOTE])], names=["text", "text"]), tmp_path / "x.pq")
    one = only(read(tmp_path / "x.pq"))
    assert one.error is not None
    assert one.error.code == "JC181"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.parquet"
        rows = ({"id": str(n), "text": f"{NOTE} {n} " * 40} for n in range(count))
        batch = pa.RecordBatch.from_pylist(list(rows))
        with pq.ParquetWriter(path, batch.schema) as writer:
            writer.write_batch(batch, row_group_size=200)
        tracemalloc.start()
        try:
            assert sum(item.incoming.encounter is not None for item in Inputs((path,)).items()) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(400)  # what is loaded on first use
    assert peak(4000) < 2 * peak(400)


def test_a_run_knows_how_many_there_are(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", [{"id": str(n), "text": NOTE} for n in range(7)])
    (tmp_path / "y.parquet").write_bytes(b"none")
    assert Inputs((path,)).count() == 7
    assert Inputs((path, tmp_path / "y.parquet")).count() == 8
    assert [item.id for item in Inputs((path,)).items()] == [str(n) for n in range(7)]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = written(tmp_path / "x.parquet", [{"id": "A", "text": NOTE}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="JC002"):
        list(read(path))
    with pytest.raises(UsageError, match="JC002"), parquet_writer(tmp_path / "out.parquet"):
        pass


# ----------------------------------------------------------------------------------------------------------------- out

WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
SPANS = st.builds(
    lambda document, start, quote: Span(document=document, start=start, end=start + len(quote), quote=quote),
    st.integers(0, 3),
    st.integers(0, 10_000),
    WORDS,
)
SHARES = st.floats(0, 1)
FIGURES = st.floats(allow_nan=False, allow_infinity=False)
REASONS = st.lists(st.builds(Reason, feature=WORDS, value=FIGURES, weight=FIGURES), max_size=2).map(tuple)
SYSTEMS = st.sampled_from(list(System))
CODES = st.builds(
    AssignedCode,
    system=SYSTEMS,
    code=st.from_regex(r"[A-Z][0-9]{2}\.[0-9]", fullmatch=True),
    name=WORDS,
    role=st.sampled_from(list(Role)),
    rank=st.integers(0, 40),
    confidence=SHARES,
    evidence=st.lists(SPANS, max_size=3).map(tuple),
    assertion=st.sampled_from(list(Assertion)),
    present_on_admission=st.none() | st.sampled_from(list(PresentOnAdmission)),
    mentions=st.lists(WORDS, max_size=2).map(tuple),
    links=st.lists(st.builds(Link, relation=WORDS, system=SYSTEMS, code=WORDS), max_size=2).map(tuple),
    checks=st.lists(
        st.builds(Finding, rule=WORDS, severity=st.sampled_from(list(Severity)), message=WORDS), max_size=2
    ).map(tuple),
    verdicts=st.lists(st.builds(Verdict, step=WORDS, question=WORDS, answer=WORDS, probability=SHARES), max_size=2).map(
        tuple
    ),
    reasons=REASONS,
    order=REASONS,
    stages=st.lists(WORDS, max_size=2).map(tuple),
)
RECORDS = st.builds(
    CodedRecord,
    encounter=st.sampled_from(["A", "B", "北", "="]),
    language=st.sampled_from(["en", "zh"]),
    codes=st.lists(CODES, max_size=4).map(tuple),
    flags=st.lists(st.builds(Flag, code=WORDS, step=WORDS, message=WORDS), max_size=2).map(tuple),
    versions=st.builds(Versions, program=st.sampled_from(["1", "2"]), model=WORDS),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(st.lists(RECORDS, max_size=4))
def test_what_goes_out_comes_back(tmp_path: Path, records: list[CodedRecord]) -> None:
    out = tmp_path / "codes.parquet"
    with parquet_writer(out) as target:
        for record in records:
            assert target.add(record) == ()
    assert [line.record for line in read_coded(Source.of(out))] == records
    told = pq.read_metadata(out).metadata
    assert told[b"jointcoder.coded_records"] == b"1"
    assert pq.read_schema(out).remove_metadata() == schema().remove_metadata()


def test_groups_of_rows_part_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jointcoder.exchange import parquet_coded

    monkeypatch.setattr(parquet_coded, "GROUP", 2)
    code = AssignedCode(system=System.ICD10CM, code="J18.9", name="Pneumonia", confidence=0.5)
    records = [
        CodedRecord(encounter="A", language="en", codes=(code,) * n, versions=Versions(program="1")) for n in (3, 0, 5)
    ]
    with parquet_writer(tmp_path / "x.parquet") as target:
        for record in records:
            target.add(record)
    assert pq.ParquetFile(tmp_path / "x.parquet").num_row_groups > 1
    assert [line.record for line in read_coded(Source.of(tmp_path / "x.parquet"))] == records


def test_characters_that_no_encoding_has(tmp_path: Path) -> None:
    record = CodedRecord(encounter="A\ud800", language="en", versions=Versions(program="1"))
    with parquet_writer(tmp_path / "x.parquet") as target:
        assert [flag.code for flag in target.add(record)] == ["JC143"]
    (line,) = read_coded(Source.of(tmp_path / "x.parquet"))
    assert line.record is not None
    assert line.record.encounter == "A\ufffd"


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    out.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), parquet_writer(out):
        raise ZeroDivisionError
    assert out.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    with pytest.raises(InputError, match="JC148"), parquet_writer(tmp_path / "gone" / "x.parquet"):
        pass


@pytest.mark.parametrize(("form", "name"), [("parquet", "x.parquet"), ("codes-csv", "x.csv"), ("xlsx", "x.xlsx")])
def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path, form: str, name: str) -> None:
    """In a process of its own, whose files may not grow."""
    pytest.importorskip("resource")
    code = AssignedCode(system=System.ICD10CM, code="J18.9", name="Pneumonia" * 50, confidence=0.5)
    made = Versions(program="1")
    records = [CodedRecord(encounter=str(n), language="en", codes=(code,), versions=made) for n in range(300)]
    (tmp_path / "coded.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in records), "utf-8")
    program = f"""
import resource, sys
from jointcoder.cli import main
sys.argv = ["jointcoder", "exchange", "export", "coded.jsonl", "--to", {form!r}, "-o", {name!r}]
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
main.run()
"""
    settings = {"PYTHONPATH": str(ROOT), "JOINTCODER_CONFIG": os.devnull, "JOINTCODER_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | settings,
        check=False,
    )
    assert "JC148" in done.stderr, done.stderr
    assert done.returncode == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coded.jsonl"]


def test_files_that_are_not_ours_are_not_read_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JC182"):
        list(read_coded(Source.of(written(tmp_path / "x.parquet", [{"id": "A"}]))))
    newer = schema().with_metadata({"jointcoder.coded_records": "9"})
    with pytest.raises(InputError, match="JC182"):
        list(read_coded(Source.of(written(tmp_path / "y.parquet", [], newer))))
    (tmp_path / "z.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="JC180"):
        list(read_coded(Source.of(tmp_path / "z.parquet")))


def test_its_rows_are_counted_from_the_footer(tmp_path: Path) -> None:
    assert own.rows_in(Source.of(written(tmp_path / "x.parquet", [{"id": "A"}] * 3))) == 3
