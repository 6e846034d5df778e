"""The shipped examples through the shipped workflow with the default model and the full US book: no double anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jointcoder.assets import Manifest, is_verified
from jointcoder.coder import Coder
from jointcoder.errors import AssetError
from jointcoder.records import CodedRecord, Encounter, Kind, System
from jointcoder.settings import Settings

pytestmark = [pytest.mark.default_model, pytest.mark.books]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def program() -> Iterator[Coder]:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    settings = Settings.load()
    if not is_verified(Manifest.models()[settings.model], settings):
        pytest.skip("the default model is not there; run `jointcoder setup`")
    try:
        with Coder(settings) as coder:
            yield coder
    except AssetError as error:
        pytest.skip(f"{error.message}; run `jointcoder setup`")


def coded(program: Coder, name: str) -> tuple[Encounter, CodedRecord]:
    encounter = Encounter.from_text((EXAMPLES / name).read_text("utf-8"))
    record = program.code(encounter)
    assert all(span.reproduces(encounter) for code in record.codes for span in code.evidence)
    assert all(program.book.is_valid(code.system, code.code) for code in record.codes)
    assert CodedRecord.model_validate_json(record.model_dump_json()) == record
    return encounter, record


def test_an_english_discharge_summary(program: Coder) -> None:
    _, record = coded(program, "discharge_en.txt")
    codes = {code.code for code in record.of_kind(Kind.DIAGNOSIS)}
    assert {"I50.23", "I11.0", "J90", "J44.9", "E03.9", "E11.9"} <= codes
    assert not {"I10", "C18.9", "I26.99", "R07.9"} & codes  # combined; the father's; excluded by CT; denied
    principal = record.principal()
    assert principal is not None
    assert principal.code in {"I11.0", "I50.23"}
    procedures = [code.code for code in record.of_kind(Kind.PROCEDURE)]
    assert procedures[0] == "0W993ZX"  # a thoracentesis goes through the skin
    assert not any(code.startswith("X") for code in procedures)  # plain echocardiography is no new technology
    assert record.versions.model_hash
    assert record.cost.reused_tokens > record.cost.prompt_tokens / 4  # the note is read once, not once a question


def test_a_chinese_discharge_record_in_us_codes(program: Coder) -> None:
    _, record = coded(program, "discharge_zh.txt")
    assert record.language == "zh"
    codes = {code.code for code in record.of_kind(Kind.DIAGNOSIS)}
    assert {"I10", "E11.9", "E78.5"} <= codes
    assert {code.system for code in record.codes} <= {System.ICD10CM, System.ICD10PCS}


def test_a_spanish_note_is_coded_from_english_names(program: Coder) -> None:
    _, record = coded(program, "visit_es.txt")
    assert record.language == "es"
    assert "K81.0" in {code.code for code in record.of_kind(Kind.DIAGNOSIS)}  # colecistitis aguda
