"""Real weights for the engine's tests: the smallest model, and the default one for a handful."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jointcoder.llm.llamacpp import LlamaCpp
from jointcoder.settings import Settings

SMALLEST = "smollm2-135m-instruct-q4_1"


def weights(name: str) -> Path:
    # As native.py does, but before the next line loads the native library: spinning threads ruin busy neighbours.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    path = Settings.load().models_dir / f"{name}.gguf"
    if not path.is_file():
        pytest.skip(f"no weights: {path.name} is not in the models folder (jointcoder models pull {name})")
    return path


@pytest.fixture(scope="session")
def smallest() -> Path:
    return weights(SMALLEST)


@pytest.fixture(scope="session")
def model(smallest: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(smallest, context_tokens=1024) as opened:
        yield opened


@pytest.fixture
def fresh(model: LlamaCpp) -> LlamaCpp:
    """The shared model with nothing kept from earlier tests."""
    forget(model)
    return model


def forget(model: LlamaCpp) -> None:
    """Make the next request start from nothing."""
    model._prefixes.forget()
