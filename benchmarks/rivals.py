"""What the engine is measured against: llama-cpp-python's high-level ``Llama``, and llama.cpp's own server.

Both get the same tokens, the same threads and ``use_extra_bufts`` off (a default build dies at its first decode on some
machines with it on, and it is the fastest setting here). Both keep what they can of a prompt's prefix; neither may keep
it across adapters, because a plain adapter changes the prefix's keys and values.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SERVER_SOURCE = "llama_cpp_python-*.tar.gz"
STARTING = 120.0  # seconds that a server may take to load


class HighLevel:
    """``llama_cpp.Llama``, one sequence, its own prefix reuse; adapters switched by the low-level call."""

    def __init__(self, model: Path, adapters: Sequence[Path], *, context_tokens: int, threads: int) -> None:
        import llama_cpp
        import llama_cpp.llama_cpp as api

        plain = api.llama_model_default_params

        def careful() -> Any:
            parameters = plain()
            parameters.use_extra_bufts = False
            return parameters

        llama_cpp.llama_cpp.llama_model_default_params = careful  # type: ignore[assignment]
        try:
            self._llama = llama_cpp.Llama(
                str(model),
                n_ctx=context_tokens,
                n_batch=512,
                n_threads=threads,
                n_threads_batch=threads,
                flash_attn=True,
                verbose=False,
            )
        finally:
            llama_cpp.llama_cpp.llama_model_default_params = plain
        self._api = api
        handle = self._llama._model.model
        self._adapters = [api.llama_adapter_lora_init(handle, os.fsencode(path)) for path in adapters]

    def use(self, number: int) -> None:
        """Apply an adapter. What was read under another one is worthless and forgotten."""
        import ctypes

        handles = (self._api.llama_adapter_lora_p_ctypes * 1)(self._adapters[number])
        self._api.llama_set_adapters_lora(self._llama._ctx.ctx, handles, 1, (ctypes.c_float * 1)(1.0))
        self._llama.reset()
        self._llama._ctx.kv_cache_clear()

    def ask(self, tokens: Sequence[int]) -> None:
        """The scores behind a prompt; what it shares with the last one is not read again."""
        next(iter(self._llama.generate(list(tokens), temp=0.0)))

    def close(self) -> None:
        self._llama.close()


class Server:
    """``llama-server``: a slot for each agent, prompts cached in their slots, the adapter named in each request."""

    def __init__(
        self, program: Path, model: Path, adapters: Sequence[Path], *, context_tokens: int, threads: int
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._address = f"http://127.0.0.1:{port}"
        slots = max(1, len(adapters))
        command = [str(program), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "-np", str(slots)]
        command += ["-c", str(context_tokens * slots), "-t", str(threads), "-tb", str(threads)]
        command += ["-b", "512", "-ub", "512"]
        command += ["--no-repack", "-fa", "on", "--lora-init-without-apply", "--no-webui"]
        for path in adapters:
            command += ["--lora", str(path)]
        self._adapters = len(adapters)
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"llama-server ended with status {self._process.returncode}")
            try:
                with urllib.request.urlopen(f"{self._address}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            if time.monotonic() - began > STARTING:
                self.close()
                raise RuntimeError("llama-server did not become ready")
            time.sleep(0.2)

    def ask(self, slot: int, tokens: Sequence[int]) -> int:
        """One answer token and its alternatives; returns how many prompt tokens were read afresh."""
        body = {
            "prompt": list(tokens),
            "n_predict": 1,
            "temperature": 0,
            "n_probs": 10,
            "cache_prompt": True,
            "id_slot": slot,
            "lora": [{"id": i, "scale": float(i == slot)} for i in range(self._adapters)],
        }
        request = urllib.request.Request(
            f"{self._address}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            told = json.loads(answer.read())
        return int(told["timings"]["prompt_n"])

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


def server_program(folder: Path) -> Path:
    """``llama-server``: the one named in LLAMA_SERVER, or on the path, or built into ``folder`` from the source that
    llama-cpp-python is built from (about five minutes the first time)."""
    named = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    if named:
        return Path(named)
    from importlib.metadata import version

    release = version("llama-cpp-python")
    program = folder / f"llama-server-{release}" / "bin" / "llama-server"
    if program.is_file():
        return program
    print(f"building llama-server {release} once …", file=sys.stderr)
    work = folder / f"source-{release}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--no-build-isolation", "--dest", work, f"llama-cpp-python=={release}"], check=False)
    archives = list(work.glob(SERVER_SOURCE))
    if not archives:
        subprocess.run([*pip, "--dest", work, f"llama-cpp-python=={release}"], check=True)
        archives = list(work.glob(SERVER_SOURCE))
    shutil.unpack_archive(archives[0], work, filter="data")
    source = next(work.glob("llama_cpp_python-*/vendor/llama.cpp"))
    build = work / "build"
    off = ("LLAMA_CURL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "BUILD_SHARED_LIBS", "LLAMA_OPENSSL")
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_BUILD_SERVER=ON", *(f"-D{name}=OFF" for name in off)]
    subprocess.run(["cmake", "-S", source, "-B", build, *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        ["cmake", "--build", build, "--target", "llama-server", "-j", "2"], check=True, stdout=subprocess.DEVNULL
    )
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(build / "bin" / "llama-server", program)
    shutil.rmtree(work, ignore_errors=True)
    return program
