"""Reading what records departments export, measured in one run and printed beside its limits.

    python benchmarks/exchange.py [--records 20000] [--json]

Made-up stays of about 1,000 characters in the JointCoder layout, as CSV and as a workbook: processor time a record, and
what reading adds to memory, in a process of its own each. A text streams: ten times the records must not take ten times
the memory (what grows are the ids, to notice one that comes twice). A workbook is loaded whole, a sheet at a time.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tables import row, show

ROOT = Path(__file__).resolve().parent.parent
NOTE = "患者3天前受凉后出现咳嗽、咳痰，伴发热，最高体温38.5℃，无胸痛、咯血。\n"
READ = """
import resource, sys, time
from pathlib import Path
from jointcoder.exchange.reading import read

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
count = sum(one.encounter is not None for one in read(Path(sys.argv[1])))
print(count, time.process_time() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def rows(count: int) -> Iterator[list[str]]:
    """Header and stays."""
    sections = ["主诉", "现病史", "既往史", "诊疗经过", "病程记录", "手术名称", "出院诊断", "出院医嘱"]
    others = [head for number in range(1, 41) for head in (f"其他诊断编码{number}", f"其他诊断名称{number}")]
    yield ["病案号", "性别", "年龄", "出院时间", *sections, "离院方式", "主要诊断编码", "主要诊断名称", *others]
    texts = ["咳嗽3天", NOTE * 4, "否认高血压、糖尿病史。", NOTE * 6, NOTE * 15, "", "1.肺炎\n2.高血压病", "随诊"]
    codes = ["1", "J18.900", "肺炎", "I10.x00", "高血压", *[""] * 78]
    for number in range(count):
        yield [f"{number:08d}", "男", "65岁", "2024/3/5", *texts, *codes]


def write_csv(path: Path, count: int) -> None:
    with path.open("w", encoding="gb18030", newline="") as file:
        csv.writer(file).writerows(rows(count))


def write_workbook(path: Path, count: int) -> None:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("病案")
    for cells in rows(count):
        sheet.append(cells)
    book.save(path)


def reading(path: Path) -> tuple[int, float, float]:
    """Records, processor seconds, and megabytes that opening and reading added."""
    command = (sys.executable, "-c", READ, str(path))
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    count, seconds, megabytes = output.split()
    return int(count), float(seconds), float(megabytes)


def measure(count: int, folder: Path) -> list[dict[str, Any]]:
    large, small, book = folder / "large.csv", folder / "small.csv", folder / "stays.xlsx"
    write_csv(large, count)
    write_csv(small, count // 10)
    write_workbook(book, count // 10)
    read, seconds, grown = reading(large)
    _, _, grown_little = reading(small)
    held, workbook_seconds, workbook_grown = reading(book)
    return [
        row("CSV, processor time a record", 1000 * seconds / read, 5, "ms"),
        row(f"CSV, memory that {read} records add to that of a tenth", grown - grown_little, 30, "MB"),
        row("workbook, processor time a record", 1000 * workbook_seconds / held, 10, "ms"),
        row(f"workbook of {held} records, memory added", workbook_grown, 150, "MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(max(100, arguments.records), Path(folder))
    show(found, as_json=arguments.json)


if __name__ == "__main__":
    main()
