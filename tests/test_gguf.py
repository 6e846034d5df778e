"""Headers of weights files: what is read, and that nothing but a coded refusal comes of a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.assets.gguf import GgufError, GgufHeader, read_header
from tests.gguf_files import MODEL, TENSORS, gguf, lora


def whole(path: Path) -> GgufHeader:
    header = read_header(path)
    header.require_whole()
    return header


def test_a_header_says_what_the_file_holds(tmp_path: Path) -> None:
    extra = {"llama.attention.sliding": [1, -2, 3], "llama.rope": 0.5, "tokenizer.ggml.add_bos_token": False}
    header = whole(gguf(tmp_path / "tiny.gguf", {**MODEL, **extra}))
    assert (header.architecture, header.name, header.quantisation) == ("llama", "Tiny", "F32")
    assert header.own("block_count") == 2
    assert header.own("attention.sliding") == (1, -2, 3)
    assert header.own("rope") == 0.5
    assert header.metadata["tokenizer.ggml.add_bos_token"] is False
    assert header.lengths["tokenizer.ggml.tokens"] == 3
    assert "tokenizer.ggml.tokens" not in header.metadata
    assert {t.name: t.shape for t in header.tensors} == dict(TENSORS)
    assert header.parameters == 64 * 3 + 2 * 64 * 64
    assert header.needed == header.size
    assert not header.is_adapter
    assert whole(lora(tmp_path / "lora.gguf")).is_adapter


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")
    return path.with_name("bad.gguf"), path.read_bytes()


@given(share=st.floats(0, 1, exclude_max=True))
def test_every_cut_is_noticed(raw: tuple[Path, bytes], share: float) -> None:
    path, data = raw
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(GgufError):
        whole(path)


@given(changes=st.lists(st.tuples(st.integers(4, 900), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_is_read_or_refused(raw: tuple[Path, bytes], changes: list[tuple[int, int]]) -> None:
    path, data = raw
    damaged = bytearray(data)
    for at, byte in changes:
        damaged[at] = byte
    path.write_bytes(damaged)
    try:
        header = whole(path)
    except GgufError:
        return
    assert header.needed <= len(data)
    assert isinstance(header.quantisation, str)
    assert header.parts >= 1
