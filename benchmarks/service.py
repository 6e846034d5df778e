"""The service on loopback beside its limits: searching codes while others do, readers of the worklist, what HTTP adds.

    python benchmarks/service.py [--json] [--book us-2026] [--users 20] [--readers 200] [--seconds 15]

A service of its own is started (`jointcoder serve`, workflow lexical, no model, a store in a temporary folder) and
asked from this process, so that both share the machine's cores. Users type: the first letters of words of the book, a
pause of 0.5 to 1.5 s between requests. Readers read the first page of a worklist of 300, all at once, without a pause:
none may be turned away. Not covered: coding with a model, pages, networks. For longer loads:
benchmarks/load/locustfile.py.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tables import row, show

from jointcoder import Coder, Encounter
from jointcoder.codebook.store import open_book
from jointcoder.settings import Settings

SEARCH_MS, READ_MS, OVERHEAD_MS = 50, 2000, 50
PAUSE_S = (0.5, 1.5)
ENCOUNTERS = 300
ROUNDS = 5
NOTE = "Discharge diagnosis:\n1. Congestive heart failure\n2. Type 2 diabetes with chronic kidney disease\n" + (
    "Course: the patient was treated with diuretics and felt better from day to day. " * 60
)


@contextmanager
def served(book: str) -> Iterator[str]:
    """The address of a service over an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "jointcoder", "--quiet", "serve", "--no-model", "--port", "0", "--book", book]
        environment = {**os.environ, "JOINTCODER_REQUEST_RATE": "1000000/minute", "JOINTCODER_DENSE": "off"}
        process = subprocess.Popen(
            [*command, "--store", str(Path(folder) / "desk.sqlite")], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                sys.exit("the service did not start")
            yield address
        finally:
            process.terminate()
            process.wait(60)
            process.stdout.close()


def typed(book: str, number: int) -> list[list[str]]:
    """What people type on their way to a wording: its beginnings, from three letters on, in steps of two."""
    rows = open_book(Settings(), book).rows("SELECT text FROM term WHERE lang = 'en' ORDER BY id")
    chosen = random.Random(8).sample([text for (text,) in rows if len(text) > 8], number)
    return [[text[:length] for length in range(3, min(len(text), 25), 2)] for text in chosen]


async def searching(url: str, book: str, users: int, seconds: float) -> list[float]:
    """Milliseconds of every search."""
    words = typed(book, users * 20)
    found: list[float] = []

    async def user(number: int, client: httpx.AsyncClient) -> None:
        dice = random.Random(number)
        end = time.monotonic() + seconds
        await asyncio.sleep(dice.uniform(0, PAUSE_S[1]))
        while time.monotonic() < end:
            for text in dice.choice(words):
                began = time.perf_counter()
                answer = await client.get("/v1/codes", params={"q": text})
                found.append(1000 * (time.perf_counter() - began))
                answer.raise_for_status()
                if time.monotonic() >= end:
                    break
                await asyncio.sleep(dice.uniform(*PAUSE_S))

    limits = httpx.Limits(max_connections=users)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await asyncio.gather(*(user(number, client) for number in range(users)))
    return found


async def reading(url: str, readers: int) -> tuple[list[float], int]:
    """Milliseconds of every reading, and how many were not answered with a page."""
    found: list[float] = []
    failed = 0

    async def reader(client: httpx.AsyncClient) -> None:
        nonlocal failed
        for _ in range(ROUNDS):
            began = time.perf_counter()
            try:
                failed += (await client.get("/v1/encounters")).status_code != 200
            except httpx.TransportError:
                failed += 1
            found.append(1000 * (time.perf_counter() - began))

    limits = httpx.Limits(max_connections=readers)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await asyncio.gather(*(reader(client) for _ in range(readers)))
    return found, failed


def fill(url: str) -> None:
    """A worklist to read."""
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(ENCOUNTERS):
            body = {"id": f"2026-{number:04}", "text": f"{NOTE}{number}"}
            client.post("/v1/encounters?code=false", json=body).raise_for_status()


def overhead(url: str, book: str) -> tuple[float, float]:
    """Median milliseconds of coding one encounter in this process, and by the service."""
    encounter = Encounter.from_text(NOTE)
    with Coder(Settings(dense="off"), code_book=book, workflow="lexical") as coder:
        coder.code(encounter)
        here = [_timed(lambda: coder.code(encounter)) for _ in range(20)]
    with httpx.Client(base_url=url, timeout=60) as client:
        client.post("/v1/code", json={"text": NOTE}).raise_for_status()
        there = [_timed(lambda: client.post("/v1/code", json={"text": NOTE}).raise_for_status()) for _ in range(20)]
    return statistics.median(here), statistics.median(there)


def measure(book: str, users: int, readers: int, seconds: float) -> list[dict[str, Any]]:
    """All rows."""
    with served(book) as url:
        here, there = overhead(url, book)
        asyncio.run(searching(url, book, users, 3))  # as on any day but the first minute
        searches = asyncio.run(searching(url, book, users, seconds))
        fill(url)
        readings, failed = asyncio.run(reading(url, readers))
    what = f"code search, {users} users who type, {len(searches)} requests"
    return [
        row(f"{what}; p95", _percentile(searches, 95), SEARCH_MS, "ms"),
        row("the same, p50", _percentile(searches, 50), SEARCH_MS, "ms"),
        row(f"{readers} readers of the worklist at once, {len(readings)} requests; failed", failed, 0, ""),
        row("the same, p95", _percentile(readings, 95), READ_MS, "ms"),
        row(f"POST /v1/code, what the service adds to {here:.0f} ms", there - here, OVERHEAD_MS, "ms"),
    ]


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--book", default="us-2026")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    rows = measure(arguments.book, arguments.users, arguments.readers, arguments.seconds)
    show(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
