"""A served process, as ``jointcoder serve`` starts it: its address, and how it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jointcoder.codebook.book import CodeBook


@dataclass
class Served:
    """A process that answers at ``url``. ``said``: the file that its standard error goes to."""

    url: str
    process: subprocess.Popen[str]
    said: Path

    def kill(self) -> None:
        """As a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        """As a supervisor does; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(folder: Path, book: CodeBook, *options: str, port: int = 0, **environment: str) -> Iterator[Served]:
    """A service over the store of a folder, killed at the end where it still runs."""
    said = folder / "said.txt"
    given = {"JOINTCODER_CACHE": str(folder), "JOINTCODER_DENSE": "off", "JOINTCODER_REQUEST_RATE": "1000000/minute"}
    command = [sys.executable, "-m", "jointcoder", "serve", "--no-model", "--port", str(port), "--book", str(book.path)]
    with said.open("a", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [*command, "--store", str(folder / "desk.sqlite"), *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **given, **environment},
        )
        try:
            yield Served(_address(process, said), process, said)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(60)
            _out(process).close()


def _address(process: subprocess.Popen[str], said: Path) -> str:
    line = _out(process).readline().strip()
    assert line.startswith("http://"), said.read_text("utf-8")
    return line


def _out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout
