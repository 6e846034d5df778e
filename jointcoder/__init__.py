"""jointcoder: an encounter in, a joint coded record out.

>>> from jointcoder import Coder, Encounter            # doctest: +SKIP
>>> Coder().code(Encounter.from_text("…"))              # doctest: +SKIP

Importing this package does no work: names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jointcoder.version import __version__

__all__ = ["AssignedCode", "CodeBook", "CodedRecord", "Coder", "Encounter", "JointCoderError", "__version__"]

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.coder import Coder
    from jointcoder.errors import JointCoderError
    from jointcoder.records import AssignedCode, CodedRecord, Encounter

_HOME = {
    "AssignedCode": "jointcoder.records",
    "CodeBook": "jointcoder.codebook.book",
    "CodedRecord": "jointcoder.records",
    "Coder": "jointcoder.coder",
    "Encounter": "jointcoder.records",
    "JointCoderError": "jointcoder.errors",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        import importlib

        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'jointcoder' has no attribute {name!r}")
