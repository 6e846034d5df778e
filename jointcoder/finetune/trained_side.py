"""The other side of a comparison: the log-probabilities of ``engine_side.py``, by transformers and peft.

    side = TrainedSide(base, adapter_folder, dtype="float32")
    tokens, rows = side.greedy(prompt, 16)          # with the adapter
    rows = side.forced(prompt, continuation, adapter=False)

Prompts come as tokens, so that both sides read the same. The whole text is read anew for each token of an activated
adapter, for peft finds its invocation tokens in what it is given. This module knows nothing of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from jointcoder.errors import ModelError
from jointcoder.finetune.base_model import Base, load_model
from jointcoder.finetune.engine_side import Row, log_softmax


class TrainedSide:
    """The base, dequantised, under the adapter in ``folder``. Raises AssetError and ModelError as
    :func:`jointcoder.finetune.base_model.load_model`, ModelError JC301 where peft does not take the adapter."""

    def __init__(self, base: Base, folder: Path, *, dtype: str = "float32", threads: int | None = None) -> None:
        model = load_model(base, dtype=dtype)
        import torch
        from peft import PeftModel

        if threads:
            torch.set_num_threads(threads)
        try:
            self._model: Any = PeftModel.from_pretrained(model, str(folder)).eval()
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(
                "JC301", f"peft could not put the adapter in {folder} on {base.name} ({type(error).__name__})"
            ) from error
        config = self._model.peft_config[self._model.active_adapter]
        self._activated = bool(getattr(config, "alora_invocation_tokens", None))

    def greedy(self, prompt: Sequence[int], most: int, *, end: Sequence[int] = ()) -> tuple[list[int], list[Row]]:
        """The likeliest continuation up to ``most`` tokens or one of ``end``, and the rows behind it."""
        import torch

        rows: list[Row] = []
        written: list[int] = []
        past, given = None, list(prompt)
        with torch.inference_mode():
            while len(written) < most and not (written and written[-1] in end):
                if self._activated:
                    out = self._model(input_ids=torch.tensor([[*prompt, *written]]), use_cache=False)
                else:
                    out = self._model(input_ids=torch.tensor([given]), past_key_values=past, use_cache=True)
                    past = out.past_key_values
                rows.append(log_softmax(out.logits[0, -1].float().numpy()))
                written.append(int(rows[-1].argmax()))
                given = written[-1:]
        return written, rows

    def forced(self, prompt: Sequence[int], continuation: Sequence[int], *, adapter: bool = True) -> list[Row]:
        """The log-probabilities from which each token of ``continuation`` would be drawn."""
        import torch

        tokens = torch.tensor([[*prompt, *continuation[:-1]]])
        with torch.inference_mode(), nullcontext() if adapter else self._model.disable_adapter():
            logits = self._model(input_ids=tokens, use_cache=False).logits[0]
        return [log_softmax(row.float().numpy()) for row in logits[len(prompt) - 1 :]]
