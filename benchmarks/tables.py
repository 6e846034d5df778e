"""Rows beside their limits, as a table or as JSON: how the benchmarks of limits show what they measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def row(name: str, ours: float, limit: float, unit: str) -> dict[str, Any]:
    return {"name": name, "ours": round(ours, 3), "limit": limit, "unit": unit, "holds": ours <= limit}


def show(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print the rows that :func:`row` made."""
    if as_json:
        print(json.dumps({"rows": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "limit", "")
    for item in rows:
        mark = "holds" if item["holds"] else "MISSED"
        table.add_row(item["name"], f"{item['ours']} {item['unit']}", f"{item['limit']} {item['unit']}", mark)
    Console(width=120).print(table)
