"""How soon the page of a long record is usable in a browser, beside its limit.

    python benchmarks/desk_page.py [--json] [--book us-2026] [--characters 20000] [--codes 40] [--loads 7]

A record of invented text is given codes with one to four places of evidence each, put on a desk (SQLite in a temporary
folder, open mode) and shown by the real service to the system's Chromium. Measured in the browser: from the start of a
navigation until the page's script has taken over the keyboard (median of the loads, each with an empty cache), and from
pressing the key that accepts a code until the new right half stands (median over the codes). Searches are measured as
the browser sends them, one after the other. Needs the extra ``server``, Playwright, Chromium and the code book. Not
covered: a slow network, coding itself, many readers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tables import row, show

from jointcoder.coder import Coder
from jointcoder.records import AssignedCode, CodedRecord, Document, Encounter, Reason, Role, Span, System, Versions

USABLE_MS, ROUND_TRIP_MS, SEARCH_MS = 1000, 300, 50
QUERIES = (
    "heart failure",
    "pneumonia",
    "I50",
    "E11.",
    "fracture of left femur",
    "sepsis",
    "acute kidney injury",
    "R05",
)
WORDS = "patient was given oral fluids and rested while the nurse noted a steady course over the night with no change "
ROUND_TRIP = """() => new Promise((done) => {
  const began = performance.now();
  const ended = () => requestAnimationFrame(() => done(performance.now() - began));
  document.addEventListener("desk:decided", ended, { once: true });
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "a", bubbles: true }));
})"""
SEARCH = """([url, q]) => {
  const began = performance.now();
  const token = document.querySelector("meta[name=csrf-token]").content;
  const body = new URLSearchParams({ q, of: "diagnosis" });
  return fetch(url, { method: "POST", body, headers: { "X-CSRF-Token": token, "HX-Request": "true" } })
    .then((answer) => answer.text()).then(() => performance.now() - began);
}"""


def stay(characters: int, count: int, book: Any) -> tuple[Encounter, CodedRecord]:
    """A long discharge summary and its record: every place of evidence is a line of its own, some of them overlap."""
    chance = random.Random(5)
    codes = [
        name for (name,) in book.rows("SELECT code FROM node WHERE system = ? AND billable ORDER BY id", System.ICD10CM)
    ]
    chosen = chance.sample(codes, count)
    text, spans = "Discharge diagnosis:\n", {name: [] for name in chosen}
    places = [name for name in chosen for _ in range(chance.randint(1, 4))]
    chance.shuffle(places)
    filler = max(40, (characters - len(text)) // len(places))
    for number, name in enumerate(places):
        named = book.name(System.ICD10CM, name)[: filler // 2]
        if number % 12 == 11:
            text += "Hospital course:\n"
        start = len(text)
        text += named
        spans[name].append((start, len(text)))
        if number % 5 == 4:  # within the place of another code
            spans[chance.choice(chosen)].append((start, start + max(1, len(named) // 2)))
        text += ". " + (WORDS * 9)[: max(0, filler - len(named) - 3)] + "\n"
    text = text[:characters].ljust(characters)
    made = tuple(
        AssignedCode(
            system=System.ICD10CM,
            code=name,
            name=book.name(System.ICD10CM, name),
            role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
            rank=rank,
            confidence=round(chance.random(), 2),
            evidence=tuple(
                Span(document=0, start=a, end=b, quote=text[a:b]) for a, b in spans[name] if b <= characters
            ),
            reasons=(Reason(feature="lookup_score", value=1.0, weight=1.0),),
        )
        for rank, name in enumerate(chosen, 1)
    )
    encounter = Encounter(id="long", documents=(Document(id="0", text=text),), language="en")
    return encounter, CodedRecord(encounter="long", language="en", codes=made, versions=Versions(program="benchmark"))


class ByHand(Coder):
    """Gives the record that was made here."""

    record: CodedRecord

    def code(self, encounter: Encounter, *, observer: Any = None) -> CodedRecord:
        return self.record


@contextmanager
def served(folder: Path, book: Any, encounter: Encounter, record: CodedRecord) -> Iterator[str]:
    """The service with the record on its desk: the URL of its page."""
    import uvicorn

    from jointcoder.codebook.editions import Editions
    from jointcoder.desk.service import Desk
    from jointcoder.server.app import create_app
    from jointcoder.settings import Settings
    from jointcoder.store.audit import listen
    from jointcoder.store.engine import open_store

    def make() -> Coder:
        coder = ByHand(settings, code_book=book, workflow="lexical")
        coder.record = record
        return coder

    # asyncio sends small answers at once only where the socket names its protocol, as `jointcoder serve` does
    with socket.socket(proto=socket.IPPROTO_TCP) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        settings = Settings(cache=folder, store=str(folder / "desk.sqlite"), port=port, request_rate="100000/minute")
        with (
            open_store(settings.store_place) as store,
            Desk(store, editions=Editions([book]), make_coder=make, settings=settings, audit=listen) as desk,
        ):
            version = desk.receive(encounter).version
            desk.submit([encounter])
            for event in desk.stages.subscribe(version, timeout_s=60):
                if event is None or event.last:
                    break
            config = uvicorn.Config(create_app(settings, desk=desk), log_level="warning")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
            thread.start()
            while not server.started:
                time.sleep(0.05)
            try:
                yield f"http://127.0.0.1:{port}/encounters/{version}"
            finally:
                server.should_exit = True
                thread.join()


def measure(url: str, loads: int, decisions: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds: until usable, round trips of decisions, searches."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    usable: list[float] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(loads):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            page = context.new_page()
            page.goto(url)
            page.wait_for_selector("html[data-ready]")
            usable.append(page.evaluate('performance.getEntriesByName("usable")[0].startTime'))
            if len(usable) < loads:
                context.close()
        for query in QUERIES:
            page.evaluate(SEARCH, [f"{url}/search", query])  # the first reads the index in
        searches = [page.evaluate(SEARCH, [f"{url}/search", f"{query} {n}"]) for n in range(5) for query in QUERIES]
        trips = [page.evaluate(ROUND_TRIP) for _ in range(decisions)]
        browser.close()
    return usable, trips, searches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--book", default=None)
    parser.add_argument("--characters", type=int, default=20_000)
    parser.add_argument("--codes", type=int, default=40)
    parser.add_argument("--loads", type=int, default=7)
    arguments = parser.parse_args()

    from jointcoder.codebook.store import open_book
    from jointcoder.settings import Settings

    book = open_book(Settings.load(), arguments.book)
    encounter, record = stay(arguments.characters, arguments.codes, book)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), book, encounter, record) as url,
    ):
        usable, trips, searches = measure(url, arguments.loads, min(15, arguments.codes))
    size = f"{encounter.characters:,} characters, {len(record.codes)} codes"
    searches.sort()
    rows = [
        row(f"page usable, median of {len(usable)} ({size})", statistics.median(usable), USABLE_MS, "ms"),
        row("page usable, slowest", max(usable), USABLE_MS, "ms"),
        row(f"accept, key to new page half, median of {len(trips)}", statistics.median(trips), ROUND_TRIP_MS, "ms"),
        row(f"search, 95th percentile of {len(searches)}", searches[int(len(searches) * 0.95)], SEARCH_MS, "ms"),
    ]
    show(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
