"""The room as a whole: what it exports, and that opening the door costs nothing."""

from __future__ import annotations

import subprocess
import sys

import jointcoder.text


def test_the_names_exported() -> None:
    for name in jointcoder.text.__all__:
        assert type(getattr(jointcoder.text, name)).__name__ != "module"


def test_importing_does_no_work() -> None:
    heavy = ("numpy", "jieba", "opencc", "py3langid", "rapidfuzz", "charset_normalizer")
    modules = (
        "assertion, chunks, decode, dictionary, expand, han_headings, items, language, locate, normalise, sections"
    )
    modules += ", segment"
    program = f"import sys; from jointcoder.text import {modules}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
