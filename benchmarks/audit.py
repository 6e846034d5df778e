"""What security costs: an entry of the audit log, verifying a long one, who asks, a password.

    python benchmarks/audit.py [--json] [--entries N] [--store URL]

Each figure is beside its limit. ``--store`` (a URL of PostgreSQL whose tables may be made) measures there what is
otherwise measured on SQLite in a temporary file. Not covered: the network.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tables import row, show

from jointcoder.store.accounts import Accounts
from jointcoder.store.audit import Audit
from jointcoder.store.engine import Store, open_store
from jointcoder.store.keys import Keys
from jointcoder.store.passwords import Hasher
from jointcoder.store.sessions import Sessions

WRITERS = 8
ENTRY = {"action": "record.view", "kind": "encounter", "subject": "ab" * 32, "details": {"form": "coded", "seq": 12}}


def each(times: int, work: Callable[[], object]) -> float:
    """Milliseconds of one, of many."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times * 1000


def together(store: Store, entries: int) -> float:
    """Milliseconds of an entry when several write at once."""
    log = Audit(store)
    share = entries // WRITERS
    threads = [
        threading.Thread(target=lambda: each(share, lambda: log.add(actor="w", **ENTRY))) for _ in range(WRITERS)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - began) / (share * WRITERS) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--store")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_store(arguments.store or Path(folder) / "s.sqlite") as store:
        log, hasher = Audit(store), Hasher()
        alone = each(arguments.entries // 2, lambda: log.add(actor="ana", **ENTRY))
        shared = together(store, arguments.entries // 2)
        began = time.perf_counter()
        found = log.verify()
        walked = time.perf_counter() - began
        assert found.ok, found
        accounts, keys, sessions = Accounts(store), Keys(store), Sessions(store)
        account = accounts.add(f"bench-{found.seq}", roles=["coder"], by="bench")
        token, (_, secret) = sessions.begin(account), keys.add(account.name, by="bench")
        hashed = hasher.hash("seven grey herons")
        figures = [
            row("an entry of the log", alone, 5.0, "ms"),
            row(f"the same, {WRITERS} writers at once", shared, 5.0, "ms"),
            row("verifying 100,000 entries", walked / found.rows * 100_000, 30.0, "s"),
            row("whose session it is", each(1000, lambda: sessions.find(token)), 2.0, "ms"),
            row("whose key it is", each(1000, lambda: keys.find(secret)), 2.0, "ms"),
            row("a password", each(5, lambda: hasher.matches(hashed, "seven grey herons")), 500.0, "ms"),
        ]
    show(figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
