"""A small Chinese book for inpatient records, and records coded with it without a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.cn import build_cn
from jointcoder.coder import Coder
from jointcoder.records import CodedRecord, Encounter
from jointcoder.settings import Settings

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="session")
def inpatient_book(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """Some eighty diagnoses and forty procedures of Chinese inpatient records."""
    target = tmp_path_factory.mktemp("books") / "cn-inpatient"
    sources = {kind: FIXTURES / f"inpatient_zh_{kind}.tsv" for kind in ("diagnoses", "procedures")}
    build_cn("cn-inpatient", sources, target)
    return CodeBook.open(target)


@pytest.fixture(scope="session")
def inpatient_coder(inpatient_book: CodeBook, tmp_path_factory: pytest.TempPathFactory) -> Coder:
    settings = Settings(cache=tmp_path_factory.mktemp("cache"), dense="off")
    return Coder(settings, code_book=inpatient_book, workflow="lexical")


@pytest.fixture
def stay(inpatient_coder: Coder) -> Callable[..., CodedRecord]:
    """``stay(出院诊断="…", 病程记录="…")``: the coded record of a stay with these fields."""

    def code(**sections: str) -> CodedRecord:
        return inpatient_coder.code(Encounter.from_sections(sections, language="zh"))

    return code
