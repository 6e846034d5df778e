"""The door to llama.cpp: loads llama-cpp-python's low-level binding once and keeps its log off the terminal.

Knows nothing of models. llama.cpp's log function is one for the whole process, hence one collector here.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from functools import cache
from typing import Any, NamedTuple

from jointcoder.errors import ModelError

LINES_KEPT = 60


class EngineLogError(Exception):
    """The engine's last words, chained to a ModelError so that ``--debug`` shows them. It holds no note text."""


class Library(NamedTuple):
    """The binding, the lines it logged last, and the callback (which must outlive the process's use of it)."""

    api: Any
    lines: deque[str]
    callback: Any

    def log(self) -> EngineLogError:
        """The lines logged since the last call."""
        text = "".join(self.lines)
        self.lines.clear()
        return EngineLogError(text.strip())


@cache
def library() -> Library:
    """The loaded binding. Raises ModelError JC303 if the package is missing or its libraries do not load."""
    # Threads that spin while they wait make two busy processes ruin each other (three times slower here); parked
    # ones cost nothing when alone. Must be set before the native library is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import llama_cpp.llama_cpp as api
    except ImportError:
        raise ModelError(
            "JC303",
            "the in-process engine (llama-cpp-python) is not installed",
            hint="pip install 'jointcoder[llamacpp]' (needs a C compiler)",
        ) from None
    except (OSError, RuntimeError, AttributeError) as error:
        raise ModelError(
            "JC303",
            "llama-cpp-python is installed but its native library does not load",
            hint="reinstall it: pip install --force-reinstall --no-cache-dir llama-cpp-python",
        ) from error
    lines: deque[str] = deque(maxlen=LINES_KEPT)

    def collect(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
        lines.append(text.decode("utf-8", "replace"))

    callback = api.llama_log_callback(collect)
    api.llama_log_set(callback, ctypes.c_void_p(0))
    api.llama_backend_init()
    return Library(api, lines, callback)
