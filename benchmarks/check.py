"""How long the compliance oracle takes over a record of twenty codes, beside its limit.

    python benchmarks/check.py [--json] [--book us-2026] [--records 200]

Records are drawn with a fixed seed from the codes of the book: common diagnoses of inpatients, diagnoses from
anywhere in the book, a few procedures. The process is warm: the tables are loaded and half as many other records
were checked before. Printed are the median and the 95th percentile of the records' times, and how much was found.
Not covered: opening the book (benchmarks/program.py).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import statistics
import time
from collections import Counter

LIMIT = 2.0
SIZE = 20
COMMON = (
    "I10 E11.9 E78.5 I25.10 N17.9 J18.9 I50.9 N18.30 N39.0 A41.9 J96.01 E87.6 E87.1 D64.9 K21.9 F32.A I48.91 J44.9",
    "J44.1 E03.9 Z79.4 Z87.891 F17.210 I11.0 E11.22 E11.65 N18.6 Z99.2 I63.9 G40.909 R65.20 K92.2 D62 E43",
    "E66.01 L89.152 M17.11 M17.12 I21.4 Z95.5 F03.90 G30.9 K80.20 K81.0 N20.0 N40.1 C34.90 Z51.11 B96.20 E86.0 R05.9",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--book", default=None)
    parser.add_argument("--records", type=int, default=200)
    arguments = parser.parse_args()

    from jointcoder.codebook.rules import Oracle
    from jointcoder.codebook.store import open_book
    from jointcoder.records import AssignedCode, Patient, Role, System
    from jointcoder.settings import Settings

    book = open_book(Settings.load(), arguments.book)
    codes = {
        system: [
            code for (code,) in book.rows("SELECT code FROM node WHERE system = ? AND billable ORDER BY id", system)
        ]
        for system in (System.ICD10CM, System.ICD10PCS)
    }
    common = [code for line in COMMON for code in line.split()]
    chance = random.Random(20)

    def record() -> list[AssignedCode]:
        diagnoses = [*chance.sample(common, 9), *chance.sample(codes[System.ICD10CM], 8)]
        chance.shuffle(diagnoses)
        chosen = [(System.ICD10CM, code) for code in diagnoses]
        chosen += [(System.ICD10PCS, code) for code in chance.sample(codes[System.ICD10PCS], SIZE - len(chosen))]
        return [
            AssignedCode(
                system=system,
                code=code,
                name=code,
                role=Role.SECONDARY if place else Role.PRINCIPAL,
                confidence=1.0,
            )
            for place, (system, code) in enumerate(chosen)
        ]

    oracle, day, patient = Oracle(book), dt.date(2026, 6, 1), Patient(age_years=70, sex="female")
    for _ in range(arguments.records // 2):
        oracle.check(record(), on=day, patient=patient)
    times: list[float] = []
    found: Counter[str] = Counter()
    for _ in range(arguments.records):
        one = record()
        began = time.perf_counter()
        findings = oracle.check(one, on=day, patient=patient)
        times.append((time.perf_counter() - began) * 1000)
        found.update(finding.rule for finding in findings)
    times.sort()
    result = {
        "records": len(times),
        "codes": SIZE,
        "median_ms": round(statistics.median(times), 3),
        "p95_ms": round(times[int(0.95 * len(times))], 3),
        "limit_ms": LIMIT,
        "holds": statistics.median(times) <= LIMIT,
        "findings": dict(found.most_common()),
    }
    if arguments.json:
        print(json.dumps(result))
        return
    print(
        f"check of a record of {SIZE} codes, {len(times)} records, median  {result['median_ms']} ms  limit {LIMIT} ms"
    )
    print(f"                                           95th percentile  {result['p95_ms']} ms")
    print("HOLDS" if result["holds"] else "MISSED")
    print(", ".join(f"{rule} {count}" for rule, count in found.most_common()))


if __name__ == "__main__":
    main()
