"""An adapter merged into its base: one model file, for engines that take no adapters.

    merge(base, out, adapter, kind="f16")     every weight dequantised, the adapter added, written as f16, bf16 or f32
    quantise(model, out, "q4_k_m")            by llama.cpp itself
    answers(model)                            loads it and lets it write a few tokens

Without an adapter ``merge`` writes the dequantised base, which the agreement check compares with. Tensors are read,
changed and written one at a time; metadata and tokenizer are the base's. Needs no torch. This module trains nothing.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jointcoder.assets.gguf import GgufHeader
from jointcoder.assets.register import BASE_SHA256, checked
from jointcoder.assets.store import free_bytes
from jointcoder.errors import AssetError, ModelError, UsageError, name_list
from jointcoder.finetune.gguf_lora import delta, engine_names
from jointcoder.finetune.gguf_write import coded
from jointcoder.finetune.peft_folder import PeftAdapter

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter

Kind = Literal["f16", "bf16", "f32"]
KINDS: Mapping[Kind, tuple[str, int, int]] = {  # tensor type, general.file_type, bytes of a weight
    "f16": ("F16", 1, 2),
    "bf16": ("BF16", 32, 2),
    "f32": ("F32", 0, 4),
}
QUANTISATIONS = ("q8_0", "q4_k_m", "q5_k_m", "q6_k", "q4_0")
Progress = Callable[[int, int], None]  # weights done, weights in all


def merge(
    base: Path,
    out: Path,
    adapter: PeftAdapter | None = None,
    *,
    kind: Kind = "f16",
    name: str = "",
    base_sha256: str = "",
    progress: Progress | None = None,
) -> Path:
    """Write ``base`` without quantisation, with ``adapter`` added.

    Raises AssetError JC201, JC209 (no whole GGUF), JC210 (another base), JC222 (unknown architecture), JC205 (no room).
    """
    header = checked(base)
    names = {f"{target}.weight": module for module, target in engine_names(adapter, header).items()} if adapter else {}
    need = KINDS[kind][2] * header.parameters
    if free_bytes(out.parent) < 1.02 * need:
        raise AssetError(
            "JC205", f"{out} needs {need / 1e9:.1f} GB, more than the disk has", hint="name a place on another disk"
        )
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    with coded(out):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            _write(header, part, adapter, names, kind, name, base_sha256, progress)
            _settle(part, out)
        finally:
            part.unlink(missing_ok=True)
    return out


def quantise(model: Path, out: Path, kind: str, *, threads: int = 0) -> Path:
    """Quantise a model by llama.cpp (``threads`` 0: as it chooses).

    Raises UsageError JC001 (unknown kind), ModelError JC303 (engine absent), JC301 (it failed), AssetError JC205.
    """
    from jointcoder.llm.native import library

    if kind not in QUANTISATIONS:
        raise UsageError("JC001", f"unknown quantisation {kind!r}", hint=f"known: {name_list(QUANTISATIONS)}")
    loaded = library()
    parameters = loaded.api.llama_model_quantize_default_params()
    parameters.ftype = getattr(loaded.api, f"LLAMA_FTYPE_MOSTLY_{kind.upper()}")
    parameters.nthread = threads
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    with coded(out):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            loaded.lines.clear()
            if loaded.api.llama_model_quantize(os.fsencode(model), os.fsencode(part), ctypes.byref(parameters)):
                raise ModelError(
                    "JC301", f"llama.cpp could not quantise {model.name} as {kind}", hint="is there room on the disk?"
                ) from loaded.log()
            checked(part)
            _settle(part, out)
        finally:
            part.unlink(missing_ok=True)
    return out


def answers(model: Path, *, prompt: str = "1 2 3 4", tokens: int = 8, threads: int | None = None) -> str:
    """What the model writes behind ``prompt``: it loads, computes numbers and ends. Raises ModelError JC301, JC312."""
    from jointcoder.finetune.engine_side import EngineSide

    with EngineSide(model, threads=threads) as side:
        written, rows = side.greedy(side.tokens(prompt), tokens)
        if not rows or not all(np.isfinite(row).all() for row in rows):
            raise ModelError("JC312", f"{model.name} loads but computes no numbers", hint="try it as f16 or q8_0")
        return side.text(written)


def _write(
    header: GgufHeader,
    part: Path,
    adapter: PeftAdapter | None,
    names: Mapping[str, str],
    kind: Kind,
    name: str,
    base_sha256: str,
    progress: Progress | None,
) -> None:
    try:
        from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, quants
    except ImportError:
        raise UsageError("JC002", "gguf is not installed", hint="pip install 'jointcoder[finetune]'") from None
    label, file_type, width = KINDS[kind]
    plain, full = GGMLQuantizationType.F32, GGMLQuantizationType[label]
    reader, writer = GGUFReader(header.path), GGUFWriter(part, header.architecture)
    try:
        _copy_metadata(reader, writer, {"general.file_type": file_type, "general.name": name, BASE_SHA256: base_sha256})
        tensors = [(t, tuple(int(n) for n in reversed(t.shape))) for t in reader.tensors]
        for tensor, shape in tensors:
            flat = len(shape) < 2
            size = int(np.prod(shape)) * (4 if flat else width)
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), size, plain if flat else full)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for done, (tensor, shape) in enumerate(tensors, start=1):
            values = quants.dequantize(tensor.data, tensor.tensor_type).reshape(shape).astype(np.float32, copy=False)
            if adapter is not None and (module := names.get(tensor.name)):
                values = values + delta(adapter.pairs[module], tensor.name.removesuffix(".weight"), header)
            if kind == "f16" and np.abs(values).max(initial=0.0) > np.finfo(np.float16).max:
                raise AssetError("JC222", f"{tensor.name} holds values too large for f16", hint="merge as bf16")
            writer.write_tensor_data(quants.quantize(values, plain if len(shape) < 2 else full))
            if progress is not None:
                progress(done, len(tensors))
    finally:
        writer.close()


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter, changed: Mapping[str, Any]) -> None:
    from gguf import GGUFValueType

    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture" or changed.get(key) not in (None, ""):
            continue
        inner = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(key, field.contents(), field.types[0], inner)
    for key, value in changed.items():
        if value != "":
            writer.add_key_value(key, value, GGUFValueType.UINT32 if isinstance(value, int) else GGUFValueType.STRING)


def _settle(part: Path, out: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(out)
