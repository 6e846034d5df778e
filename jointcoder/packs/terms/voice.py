"""How much a model's choice among a mention's candidates counts beside the part's own opinion, as it was measured.

The file ``choice.json`` lies beside the part where a model has been weighed (``python -m jointcoder.finetune weigh``);
without it nobody is asked, and none but the model under the adapter that was weighed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from jointcoder.errors import AssetError
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.terms.choosing import Choosing

FILE = "choice.json"


@dataclass(frozen=True)
class Voice:
    """``adapter``: under which the model was weighed; ``k``: candidates put to it; ``sure``: probability of the best
    one from which nobody is asked; ``choosing``: which of the asked candidates become the answer."""

    combiner: Combiner
    choosing: Choosing
    adapter: str
    k: int
    sure: float

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """None where no model has been weighed. Raises AssetError JC212 when the file is damaged."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_text("utf-8"))
            choosing = Choosing(float(data["threshold"]), float(data["least"]))
            combiner = Combiner.from_json(data["combiner"])
            return cls(combiner, choosing, str(data["adapter"]), int(data["k"]), float(data["sure"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AssetError("JC212", f"the terms of the pack are damaged ({type(error).__name__})") from None

    def save(self, folder: Path) -> None:
        """Write it beside the part; the pack has to be described anew."""
        data = {
            "threshold": self.choosing.threshold,
            "least": self.choosing.least,
            "adapter": self.adapter,
            "k": self.k,
            "sure": self.sure,
            "combiner": self.combiner.to_json(),
        }
        (folder / FILE).write_text(json.dumps(data, indent=1) + "\n", "utf-8")
