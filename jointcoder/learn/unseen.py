"""What the part ``mentions`` would have said of its training encounters had it not seen them, as JSON lines.

    {"encounter", "source", "system", "code", "probability", "known", "right", "spans": [[document, start, end], …]}

The material for a model that judges what the part is unsure of (``python -m jointcoder.finetune data --doubts FILE``).
Places and codes only, no words of the notes; yet it tells who had what: treat it as the data themselves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jointcoder.learn.mentions import Made

LEAST = 0.02  # probability under which nobody would ask


def write_unseen(path: Path, made: Made, sources: Sequence[str]) -> None:
    """One line a code that has a held-out probability of at least :data:`LEAST`. ``sources``: of the encounters."""
    with path.open("w", encoding="utf-8") as file:
        for example, rows, held, source in zip(made.examples, made.rows, made.held, sources, strict=True):
            for row, probability in zip(rows, held, strict=True):
                if probability < LEAST:
                    continue
                line = {
                    "encounter": example.id,
                    "source": source,
                    "system": row.code[0],
                    "code": row.code[1],
                    "probability": round(probability, 4),
                    "known": row.known,
                    "right": row.code in example.codes,
                    "spans": [[span.document, span.start, span.end] for span in example.note.pieces(row.words)],
                }
                file.write(json.dumps(line) + "\n")
