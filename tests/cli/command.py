"""Runs the program as a user does: a process of its own, output in pipes, no terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def jointcoder(*arguments: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """``jointcoder ARGUMENTS`` with an own cache; ``environment`` is added to the present one."""
    path = os.pathsep.join(p for p in (environment.pop("PYTHONPATH", ""), str(ROOT)) if p)
    settings = {"JOINTCODER_CACHE": str(cache), "JOINTCODER_CONFIG": os.devnull, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-m", "jointcoder", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | settings | environment,
        check=False,
    )
