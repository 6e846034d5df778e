"""The text room: from bytes to typed, segmented, asserted text, every offset into the original.

    decode → detect → find_sections → plan_chunks        a file becomes parts that a model can read
    normalise, sentences, words, split_items, expand     what those and the code book build on
    locate, assert_spans                                 from a copied wording back to the text and what it says

Names are loaded on first use; importing this package does no work. ``decode``, ``normalise``, ``locate`` and
``expand`` have their module's name and are imported from it: ``from jointcoder.text.decode import decode``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jointcoder.text.assertion import assert_span, assert_spans
    from jointcoder.text.chunks import Chunk, plan_chunks
    from jointcoder.text.decode import Decoded
    from jointcoder.text.items import split_items
    from jointcoder.text.language import Detected, detect
    from jointcoder.text.locate import locate_all
    from jointcoder.text.normalise import Normalised
    from jointcoder.text.resources import LANGUAGES
    from jointcoder.text.sections import canonical_name, find_sections, section_kind
    from jointcoder.text.segment import Segmenter, Word, sentences, words

__all__ = [
    "LANGUAGES",
    "Chunk",
    "Decoded",
    "Detected",
    "Normalised",
    "Segmenter",
    "Word",
    "assert_span",
    "assert_spans",
    "canonical_name",
    "detect",
    "find_sections",
    "locate_all",
    "plan_chunks",
    "section_kind",
    "sentences",
    "split_items",
    "words",
]

_HOME = {
    "LANGUAGES": "resources",
    "Chunk": "chunks",
    "Decoded": "decode",
    "Detected": "language",
    "Normalised": "normalise",
    "Segmenter": "segment",
    "Word": "segment",
    "assert_span": "assertion",
    "assert_spans": "assertion",
    "canonical_name": "sections",
    "detect": "language",
    "find_sections": "sections",
    "locate_all": "locate",
    "plan_chunks": "chunks",
    "section_kind": "sections",
    "sentences": "segment",
    "split_items": "items",
    "words": "segment",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        import importlib

        return getattr(importlib.import_module(f"jointcoder.text.{_HOME[name]}"), name)
    raise AttributeError(f"module 'jointcoder.text' has no attribute {name!r}")
