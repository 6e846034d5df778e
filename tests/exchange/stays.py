"""Invented stays as tables: the JointCoder layout (id, clinical fields, coded diagnoses and procedures), as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SECTIONS = (
    "主诉",
    "现病史",
    "既往史",
    "个人史",
    "婚姻史",
    "家族史",
    "入院情况",
    "入院诊断",
    "诊疗经过",
    "病程记录",
    "手术名称",
    "手术经过",
    "影像学意见",
    "超声提示",
    "出院诊断",
    "出院医嘱",
)
OTHERS = 40
Rows = Sequence[Sequence[Any]]


def layout() -> list[str]:
    """The headings of the layout: id, sixteen clinical fields, main and forty other diagnoses, likewise procedures."""
    heads = ["病案号", *SECTIONS]
    for kind in ("诊断", "手术"):
        heads += [f"主要{kind}编码", f"主要{kind}名称"]
        heads += [f"其他{kind}{what}{number}" for number in range(1, OTHERS + 1) for what in ("编码", "名称")]
    return heads


def stay(id: str = "1001", **cells: Any) -> dict[str, Any]:
    """One row by heading; two of its cells hold a line break."""
    return {
        "病案号": id,
        "主诉": "咳嗽3天",
        "现病史": "3天前受凉后咳嗽。\n无胸痛。",
        "出院诊断": "肺炎",
        "出院医嘱": "休息。\n门诊随访。",
        "主要诊断编码": "J18.900",
        "主要诊断名称": "肺炎",
        "其他诊断编码1": "I10.x00",
        "其他诊断名称1": "高血压",
        "主要手术编码": "33.2400",
        "主要手术名称": "支气管镜活检",
    } | cells


def rows_of(heads: Sequence[str], stays: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """The header and a row for every stay."""
    return [list(heads), *([given.get(head, "") for head in heads] for given in stays)]


def workbook(path: Path, *sheets: tuple[str, Rows], merge: Sequence[str] = ()) -> Path:
    """A workbook of named sheets; ``merge``: ranges of the first one."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    for area in merge:
        book.worksheets[0].merge_cells(area)
    book.save(path)
    return path


def csv_bytes(rows: Rows, *, encoding: str = "utf-8", delimiter: str = ",") -> bytes:
    """The rows as delimited text."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode(encoding)
