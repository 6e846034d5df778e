"""Tiny carriers of bytes for the tests of assets: real wheels, a real source package, a real HTTP server.

pip and urllib run for real against them; only the network is left out.
"""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def model_toml(name: str, data: bytes, sources: str, *, sha: str = "", size: int = 0) -> str:
    """A models manifest with one entry."""
    return f"""
[[model]]
name = "{name}"
file = "{name}.gguf"
size = {size or len(data)}
sha256 = "{sha or sha256(data)}"
quantisation = "Q4"
architecture = "none"
parameters = 1
licence = "Apache-2.0"
sources = [{sources}]
"""


def wheel(folder: Path, package: str, version: str, members: dict[str, bytes]) -> Path:
    """A wheel that pip accepts, holding ``members`` besides its metadata."""
    stem = package.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    texts = {
        f"{stem}/__init__.py": b"",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
        for name, data in {**members, **texts}.items():
            box.writestr(name, data)
    return path


def part_wheels(folder: Path, prefix: str, data: bytes, count: int) -> list[Path]:
    """``data`` cut into ``count`` wheels, numbered from 1."""
    step = -(-len(data) // count)
    return [
        wheel(folder, f"{prefix}{n + 1}", "1.0", {"data/part.bin": data[n * step : (n + 1) * step]})
        for n in range(count)
    ]


_BACKEND = """
import os, pathlib
def _note(): pathlib.Path(os.environ["BACKEND_MARK"]).touch()
def get_requires_for_build_wheel(config_settings=None): return []
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    _note()
    info = pathlib.Path(folder) / "carrier-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: carrier\\nVersion: 1.0\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return info.name
def build_wheel(folder, config_settings=None, metadata_directory=None): raise SystemExit("never built")
"""


def source_package(folder: Path, members: dict[str, bytes]) -> Path:
    """The sdist ``carrier 1.0`` with a build backend of its own, which leaves a mark when it is run."""
    path = folder / "carrier-1.0.tar.gz"
    project = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    texts = {
        "PKG-INFO": b"Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n",
        "pyproject.toml": project,
        "backend.py": _BACKEND.encode(),
    }
    with tarfile.open(path, "w:gz") as tape:
        for name, data in {**texts, **members}.items():
            info = tarfile.TarInfo(f"carrier-1.0/{name}")
            info.size = len(data)
            tape.addfile(info, io.BytesIO(data))
    return path


class Site:
    """What a served site did: ``ranges`` lists the Range header of every request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ranges: list[str | None] = []


@contextmanager
def serve(data: bytes, *, breaks_after: int = 0, resumes: bool = True, status: int = 200) -> Iterator[Site]:
    """Serve ``data`` at every path. ``breaks_after`` bytes of one answer the connection is cut."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.ranges.append(asked)
            if status != 200:
                self.send_error(status)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and resumes else 0
            body = data[start:]
            self.send_response(206 if asked and resumes else 200)
            if asked and resumes:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:breaks_after] if breaks_after else body)

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_address[1]}/file")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
