"""Shared fixtures: two small code books, built by the real builders from tables written for the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.cn import build_cn
from jointcoder.codebook.build.us import build_us
from jointcoder.coder import Coder
from jointcoder.settings import Settings

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def small_us(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """A dozen ICD-10-CM codes and four ICD-10-PCS codes."""
    target = tmp_path_factory.mktemp("books") / "us-small"
    sources = {"tabular": FIXTURES / "tabular.xml", "pcs": FIXTURES / "icd10pcs_codes.txt"}
    build_us(sources, target, book_id="us-small")
    return CodeBook.open(target)


@pytest.fixture(scope="session")
def small_cn(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """A few lines of Chinese ICD-10 and ICD-9-CM-3."""
    target = tmp_path_factory.mktemp("books") / "cn-small"
    sources = {"diagnoses": FIXTURES / "diagnoses_zh.tsv", "procedures": FIXTURES / "procedures_zh.tsv"}
    build_cn("cn-small", sources, target)
    return CodeBook.open(target)


@pytest.fixture
def coder(small_us: CodeBook, small_cn: CodeBook, tmp_path: Path) -> Callable[..., Coder]:
    """``coder(answers, book="us", workflow=…)``: a Coder with a scripted model over a small code book."""

    def make(answers: Any = None, *, book: str = "us", workflow: str = "jointcoder", **options: Any) -> Coder:
        from jointcoder.llm.scripted import Scripted

        model = Scripted(answers) if answers is not None else None
        return Coder(
            Settings(cache=tmp_path),
            model=model,
            code_book={"us": small_us, "cn": small_cn}[book],
            workflow=workflow,
            **options,
        )

    return make
