"""What peft saved: ``adapter_config.json`` and ``adapter_model.safetensors`` → pairs of matrices with their scales.

    read_peft(folder) → PeftAdapter(pairs={"model.layers.0.self_attn.q_proj": Pair(a, b, scale)}, alpha, rank, …)

Read without torch. Everything that plain LoRA is not (DoRA, trained biases, whole modules, embeddings) is refused by
name, for the engine would silently leave it out. This module knows nothing of GGUF and of the base model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import AssetError, UsageError, name_list

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."

# Options of peft's LoRA that change what the adapter computes, and what each is called.
BEYOND_LORA: Mapping[str, str] = {
    "use_dora": "DoRA",
    "lora_bias": "biases of the LoRA layers",
    "modules_to_save": "whole modules that were trained",
    "trainable_token_indices": "trained tokens",
    "fan_in_fan_out": "transposed weights",
    "layer_replication": "replicated layers",
    "target_parameters": "parameters that belong to no linear layer",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "velora_config": "VeLoRA",
}
_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(?:\.(?P<adapter>[^.]+))?\.weight")


@dataclass(frozen=True)
class Pair:
    """One adapted weight: it gains ``scale · b @ a``. ``a`` has shape (rank, in), ``b`` (out, rank), both float32."""

    a: NDArray[np.float32]
    b: NDArray[np.float32]
    scale: float

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])


@dataclass(frozen=True)
class PeftAdapter:
    """``pairs`` by the module's name in transformers. ``alpha``: as configured; the scales hold what follows from it.
    ``invocation``: tokens from which an activated adapter acts; empty for a plain one. ``base``: as peft noted it."""

    folder: Path
    pairs: Mapping[str, Pair]
    alpha: float
    rank: int
    rslora: bool = False
    invocation: tuple[int, ...] = ()
    base: str = ""

    @property
    def parameters(self) -> int:
        return sum(pair.a.size + pair.b.size for pair in self.pairs.values())


def read_peft(folder: Path) -> PeftAdapter:
    """The adapter in ``folder``. Raises AssetError JC221 (no whole LoRA adapter of peft), JC222 (more than LoRA)."""
    config = _config(folder)
    more = [name for key, name in BEYOND_LORA.items() if config.get(key)]
    if config.get("bias", "none") != "none":
        more.append("trained biases")
    if more:
        raise _refused(folder, f"uses {name_list(more)}, which the engine would leave out")
    try:
        alpha, rank = float(config["lora_alpha"]), int(config["r"])
        invocation = tuple(int(token) for token in config.get("alora_invocation_tokens") or ())
    except (KeyError, TypeError, ValueError):
        raise _damaged(folder, f"{CONFIG} names no rank or no alpha") from None
    if not alpha > 0 or not math.isfinite(alpha):
        raise _refused(folder, f"has an alpha of {alpha}: the engine would take it for 1")
    if min(invocation, default=0) < 0:
        raise _damaged(folder, "its invocation tokens are no tokens")
    halves = _halves(folder, _tensors(folder))
    rslora = bool(config.get("use_rslora"))
    alphas = dict(config.get("alpha_pattern") or {})
    pairs = {}
    for module, (a, b) in halves.items():
        own = float(_matching(alphas, module, alpha))
        pairs[module] = Pair(a, b, own / (math.sqrt(len(a)) if rslora else len(a)))
    return PeftAdapter(folder, pairs, alpha, rank, rslora, invocation, str(config.get("base_model_name_or_path") or ""))


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        inside = name_list(p.name for p in folder.iterdir()) if folder.is_dir() else "no such folder"
        raise AssetError(
            "JC221",
            f"{folder} holds no {CONFIG} ({inside})",
            hint="name the folder that peft's save_pretrained wrote, or a checkpoint of the training run",
        )
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{CONFIG} cannot be read ({type(error).__name__})") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type", "no adapter") if isinstance(config, dict) else "no adapter"
        raise AssetError("JC221", f"{folder} holds {kind}, not LoRA", hint="the engine knows LoRA adapters only")
    return config


def _tensors(folder: Path) -> dict[str, NDArray[np.float32]]:
    try:
        safetensors: Any = import_module("safetensors")
    except ImportError:
        raise UsageError(
            "JC002", "safetensors is not installed", hint="pip install 'jointcoder[finetune]', then try again"
        ) from None
    path = folder / WEIGHTS
    try:
        raw = safetensors.deserialize(path.read_bytes())
    except FileNotFoundError:
        raise _damaged(folder, f"{WEIGHTS} is missing") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise _damaged(folder, f"{WEIGHTS} cannot be read ({type(error).__name__})") from None
    return {name: _array(folder, name, entry) for name, entry in raw}


def _array(folder: Path, name: str, entry: Mapping[str, Any]) -> NDArray[np.float32]:
    kind, data, shape = entry["dtype"], entry["data"], tuple(entry["shape"])
    if kind == "BF16":  # the upper half of a float32
        wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        values = wide.view(np.float32)
    elif kind in ("F32", "F16"):
        values = np.frombuffer(data, "<f4" if kind == "F32" else "<f2").astype(np.float32)
    else:
        raise _damaged(folder, f"{name} is of type {kind}")
    if not np.isfinite(values).all():
        raise _damaged(folder, f"{name} holds values that are no numbers: the training diverged")
    return values.reshape(shape)


def _halves(
    folder: Path, tensors: Mapping[str, NDArray[np.float32]]
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    sides: dict[str, dict[str, NDArray[np.float32]]] = {}
    adapters: set[str] = set()
    for name, values in tensors.items():
        plain = name.removeprefix(PREFIX)
        if "lora_embedding_" in plain:
            raise _refused(folder, "adapts the token embedding, which the quantised base shares with its output")
        found = _NAME.fullmatch(plain)
        if found is None or values.ndim != 2:
            raise _refused(folder, f"holds {plain}, which is no LoRA matrix")
        adapters.add(found["adapter"] or "")
        sides.setdefault(found["module"], {})[found["side"]] = values
    if not sides:
        raise _damaged(folder, f"{WEIGHTS} is empty")
    if len(adapters) > 1:
        raise _refused(folder, f"holds several adapters ({name_list(adapters)})")
    pairs = {}
    for module, pair in sides.items():
        if len(pair) < 2 or pair["A"].shape[0] != pair["B"].shape[1]:
            raise _damaged(folder, f"the two matrices of {module} do not go together")
        pairs[module] = pair["A"], pair["B"]
    return pairs


def _matching(patterns: Mapping[str, float], module: str, default: float) -> float:
    """As peft chooses: the first pattern that matches the end of the module's name."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _damaged(folder: Path, problem: str) -> AssetError:
    return AssetError("JC221", f"{folder}: {problem}", hint="save the adapter again, or take an earlier checkpoint")


def _refused(folder: Path, problem: str) -> AssetError:
    return AssetError(
        "JC222",
        f"the adapter in {folder} {problem}",
        hint="train plain or activated LoRA on the linear layers of the blocks, or merge it (merge)",
    )
