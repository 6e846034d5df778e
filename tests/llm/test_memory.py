"""What a model takes, what there is, and what is said when it does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.assets.gguf import GgufHeader, read_header
from jointcoder.errors import ModelError
from jointcoder.llm.load import open_model
from jointcoder.llm.memory import LEAST_TOKENS, available, fitting, installed, need, require
from jointcoder.llm.options import EngineOptions
from jointcoder.settings import Settings
from tests.gguf_files import MODEL, gguf

OPTIONS = EngineOptions()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    return read_header(gguf(tmp_path_factory.mktemp("memory") / "tiny.gguf"))


def test_the_cache_is_exact(tiny: GgufHeader) -> None:
    found = need(tiny, context_tokens=2048, options=OPTIONS)
    assert found is not None
    # 2 layers, 2 groups of heads, keys and values of 16 numbers, 2 bytes; 256 cells beyond the context
    assert found.cache == (2048 + 256) * 2 * 2 * (16 + 16) * 2
    assert found.weights == sum(tensor.elements * 4 for tensor in tiny.tensors)
    assert found.total == found.weights + found.cache + found.buffers
    double = need(tiny, context_tokens=2048, options=EngineOptions(kv_type="f32"))
    assert double is not None
    assert double.cache == 2 * found.cache


def test_layers_may_differ_and_a_header_may_not_tell(tmp_path: Path) -> None:
    by_layer = read_header(gguf(tmp_path / "a.gguf", {**MODEL, "llama.attention.head_count_kv": [2, 0]}))
    found = need(by_layer, context_tokens=2048, options=OPTIONS)
    assert found is not None
    assert found.cache == (2048 + 256) * 2 * (16 + 16) * 2
    untold = {key: value for key, value in MODEL.items() if key != "llama.block_count"}
    assert need(read_header(gguf(tmp_path / "b.gguf", untold)), context_tokens=2048, options=OPTIONS) is None


def test_what_lies_on_a_gpu_is_not_counted(tiny: GgufHeader) -> None:
    here, half, none = (need(tiny, context_tokens=2048, options=OPTIONS, gpu_layers=n) for n in (0, 1, -1))
    assert here is not None
    assert half is not None
    assert none is not None
    assert half.cache == here.cache // 2
    assert none.cache == none.weights == 0


@given(tokens=st.integers(1024, 200_000), room=st.integers(0, 200_000_000))
def test_a_context_that_is_said_to_fit_fits(tiny: GgufHeader, tokens: int, room: int) -> None:
    found = need(tiny, context_tokens=tokens, options=OPTIONS)
    assert found is not None
    fits = fitting(found, room)
    if fits == 0:
        least = need(tiny, context_tokens=LEAST_TOKENS, options=OPTIONS)
        assert least is not None
        assert least.total + 256 * found.per_token > room
        return
    smaller = need(tiny, context_tokens=fits, options=OPTIONS)
    assert smaller is not None
    assert smaller.total <= room
    assert fits == tokens or found.total > room


def test_a_refusal_shows_the_arithmetic_and_what_would_do(tiny: GgufHeader) -> None:
    found = need(tiny, context_tokens=100_000, options=OPTIONS)
    assert found is not None
    require(found, None, what="tiny")
    require(found, found.total, what="tiny")
    with pytest.raises(ModelError, match="JC311") as caught:
        require(found, found.total - 1_000_000, what="tiny")
    assert "100,256 tokens × 2 layers × 64 numbers × 2 bytes" in caught.value.message
    assert f"= {found.total / 1e9:.2f} GB" in caught.value.message
    assert caught.value.hint == f"lower context_tokens to {fitting(found, found.total - 1_000_000)}"
    with pytest.raises(ModelError, match="JC311") as caught:
        require(found, 1000, what="tiny")
    assert "smaller model" in caught.value.hint


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "ascii")
    return root


MEMINFO = "MemTotal: 8000000 kB\nMemFree: 1000000 kB\nMemAvailable: 6000000 kB\n"


def test_memory_is_the_machines_or_its_groups(tmp_path: Path) -> None:
    assert available(tmp_path / "nowhere") is None
    plain = machine(tmp_path / "plain", {"proc/meminfo": MEMINFO})
    assert (available(plain), installed(plain)) == (6_000_000 * 1024, 8_000_000 * 1024)
    two = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/outer/inner\n"}
    two |= {"sys/fs/cgroup/outer/inner/memory.max": "max\n", "sys/fs/cgroup/outer/inner/memory.current": "5\n"}
    two |= {"sys/fs/cgroup/outer/memory.max": "2000000000\n", "sys/fs/cgroup/outer/memory.current": "1500000000\n"}
    two |= {"sys/fs/cgroup/outer/memory.stat": "anon 500000000\ninactive_file 700000000\nactive_file 300000000\n"}
    group = machine(tmp_path / "two", two)
    assert (available(group), installed(group)) == (1_500_000_000, 2_000_000_000)
    one = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "5:cpu,memory:/not/here\n3:pids:/\n"}
    one |= {"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n"}
    one |= {"sys/fs/cgroup/memory/memory.usage_in_bytes": "900000000\n"}
    container = machine(tmp_path / "one", one)
    assert (available(container), installed(container)) == (100_000_000, 1_000_000_000)


# ----------------------------------------------------------------------------------------------------- the engine


@pytest.mark.engine
def test_the_engine_refuses_before_it_loads(smallest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jointcoder.llm.llamacpp import LlamaCpp

    monkeypatch.setattr("jointcoder.llm.engine.available", lambda: 200_000_000)
    with pytest.raises(ModelError, match="JC311") as caught:
        LlamaCpp(smallest)
    assert "30 layers" in caught.value.message
    tokens = int(caught.value.hint.removeprefix("lower context_tokens to "))
    with LlamaCpp(smallest, context_tokens=tokens) as model:
        assert model.info.context_tokens == tokens


@pytest.mark.engine
def test_a_bound_makes_the_context_smaller_or_is_an_error(smallest: Path, tmp_path: Path) -> None:
    with open_model(Settings(cache=tmp_path, memory_mb=250), path=smallest) as model:
        assert 1024 <= model.info.context_tokens < 8192
    with pytest.raises(ModelError, match="JC311") as caught:
        open_model(Settings(cache=tmp_path, memory_mb=100), path=smallest)
    assert "memory_mb" in caught.value.hint
    with open_model(Settings(cache=tmp_path, memory_mb=1000, context_tokens=1024), path=smallest) as model:
        assert model.info.context_tokens == 1024


@pytest.mark.engine
def test_what_is_no_model_says_so(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    from jointcoder.llm.llamacpp import LlamaCpp
    from tests.gguf_files import lora

    with pytest.raises(ModelError, match=r"JC301.*is an adapter"):
        LlamaCpp(lora(tmp_path / "lora.gguf"))
    strange = gguf(tmp_path / "strange.gguf", {**MODEL, "general.architecture": "abacus"})
    with pytest.raises(ModelError, match=r"JC301.*abacus"):
        LlamaCpp(strange)
