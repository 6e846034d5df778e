"""How soon the worklist's page answers when it is long, beside its limit.

    python benchmarks/worklist.py [--json] [--book us-2026] [--encounters 10000] [--requests 15] [--store URL]

So many encounters of invented text are put into a store (SQLite in a temporary folder, or an empty database by URL), in
states, bands and with days of discharge as a house has them. The real application then answers, in process and in
open mode: the first page, filtered, sorted and searched lists, and a page far down. Each figure is the median of the
requests, from the call to the whole page. Needs the extra ``server`` and the code book. Not covered: the network, the
browser's drawing, many readers at once (``service.py``), opening an encounter (``desk_page.py``).
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tables import row, show

from jointcoder.records import Encounter

LIMIT_MS = 200
LISTS = {
    "first page": "/worklist",
    "all states": "/worklist?status=all",
    "low confidence, longest gone first": "/worklist?status=to_review&band=low&sort=discharged",
    "nobody's, most findings first": "/worklist?holder=nobody&sort=findings",
    "part of an id": "/worklist?status=all&q=0777",
    "the list alone, as it refreshes": "/worklist",
}
DEEP = "page 60 of all states"
STATES = ("to_review", "to_review", "to_review", "in_review", "finished", "finished", "queried", "failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--book", default=None)
    parser.add_argument("--encounters", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=15)
    parser.add_argument("--store", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(measured(Path(folder), given), as_json=given.json)


def filled(store: Any, count: int) -> None:
    """The encounters, by the program's own way in; then states as if they had been coded and reviewed."""
    from sqlalchemy import select

    from jointcoder.store.encounters import Encounters
    from jointcoder.store.tables.desk import EncounterRow

    chance, today = random.Random(7), dt.date.today()
    encounters = Encounters(store)
    with store.writing() as session:
        for number in range(count):
            left = today - dt.timedelta(days=chance.randrange(60))
            text = f"Discharge diagnosis {number}. " + "The course was steady. " * chance.randrange(5, 90)
            encounter = Encounter.from_text(text, id=f"stay-{number:05}", language="en", discharged=left)
            encounters.put_in(session, encounter, priority=chance.randrange(4))
        for line in session.scalars(select(EncounterRow)):
            line.status, line.band = chance.choice(STATES), chance.choice(("high", "medium", "low"))
            line.codes, line.findings = chance.randrange(1, 40), chance.randrange(3)


def measured(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    from fastapi.testclient import TestClient

    from jointcoder.server.app import create_app
    from jointcoder.settings import Settings
    from jointcoder.store.engine import open_store

    chosen: dict[str, Any] = {"store": given.store or str(folder / "desk.sqlite"), "request_rate": "1000000/minute"}
    settings = Settings.load(workflow="lexical", dense="off", code_book=given.book, **chosen)
    with open_store(settings.store_place) as store:
        began = time.perf_counter()
        filled(store, given.encounters)
        print(f"{given.encounters:,} encounters put in within {time.perf_counter() - began:.0f} s", file=sys.stderr)
    with TestClient(create_app(settings), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        while client.get("/health/ready").status_code != 200:  # what is read in at the start is no part of it
            time.sleep(0.2)
        rows = []
        for name, path in LISTS.items():
            headers = {"HX-Request": "true"} if "alone" in name else {}
            rows.append(row(f"{name}, {given.encounters:,}", median_ms(client, path, headers, given), LIMIT_MS, "ms"))
        deep = "/worklist?status=all"
        for _ in range(59):
            found = re.search(r'rel="next" href="([^"]+)"', client.get(deep).text)
            if found is None:
                break
            deep = found[1].replace("&amp;", "&")
        rows.append(row(f"{DEEP}, {given.encounters:,}", median_ms(client, deep, {}, given), LIMIT_MS, "ms"))
    return rows


def median_ms(client: Any, path: str, headers: dict[str, str], given: argparse.Namespace) -> float:
    times = []
    for _ in range(given.requests):
        began = time.perf_counter()
        answer = client.get(path, headers=headers)
        times.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, answer.text[:300]
    return statistics.median(times)


if __name__ == "__main__":
    main()
