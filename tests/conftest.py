"""Shared fixtures: two small code books, built by the real builders from tables written for the tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.cn import build_cn
from jointcoder.codebook.build.us import build_us
from jointcoder.coder import Coder
from jointcoder.settings import Settings

FIXTURES = Path(__file__).parent / "fixtures"
PLACES = ("CACHE", "DATA", "BOOKS", "TEST_POSTGRES", "LLAMA_CPP", "SCREENSHOTS")
TERMINAL = ("COLUMNS", "LINES", "FORCE_COLOR", "CLICOLOR_FORCE", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")

# Every run of the suite draws the same examples; `--hypothesis-profile=explore` draws new ones, and more.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None, derandomize=False, database=None, max_examples=500, print_blob=True)
settings.load_profile("suite")


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


@pytest.fixture(autouse=True, scope="session")
def own_surroundings() -> Iterator[None]:
    """Neither the settings of who runs the tests nor the terminal decide one: only where models, books and data lie,
    and which servers may be asked. What listens on loopback is asked without a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in TERMINAL or (name.startswith("JOINTCODER_") and name.removeprefix("JOINTCODER_") not in PLACES):
                patch.delenv(name)
        patch.setenv("JOINTCODER_CONFIG", os.devnull)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost"))))
        yield


@pytest.fixture(autouse=True)
def own_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command line run in this process chose, or read in the settings, ends with its test."""
    from jointcoder.cli import language

    monkeypatch.setattr(language.CHOSEN, "language", None)
    language._configured.cache_clear()


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
