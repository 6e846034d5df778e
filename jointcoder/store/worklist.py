"""The worklist's query in SQL: conditions, order, and what comes behind a cursor. Opens no text."""

from __future__ import annotations

import datetime as dt
from typing import Any

from jointcoder.store.lines import BANDS, Query


def conditions(query: Query, *, status: bool = True) -> list[Any]:
    """What a line must be for the query; ``status``: its statuses too."""
    from sqlalchemy import func, or_

    from jointcoder.store.tables.desk import EncounterRow as Row

    now = dt.datetime.now(dt.UTC)
    found: list[Any] = []
    if status and query.status:
        found.append(Row.status.in_(query.status))
    if query.band:
        found.append(Row.band.in_(query.band))
    for column, wanted in ((Row.source, query.source), (Row.language, query.language)):
        if wanted:
            found.append(column == wanted)
    if query.holder:
        found += [Row.holder == query.holder, Row.held_until > now]
    elif query.holder == "":
        found.append(or_(Row.holder == "", Row.held_until <= now))
    if query.text.strip():
        found.append(func.lower(Row.id).contains(query.text.strip().lower(), autoescape=True))
    if query.min_priority is not None:
        found.append(Row.priority >= query.min_priority)
    if query.received_from is not None:
        found.append(Row.received >= query.received_from)
    if query.received_to is not None:
        found.append(Row.received < query.received_to)
    return found


def order_of(sort: str) -> list[tuple[Any, bool, type]]:
    """(expression, descending, type of its values) of every sort column; the row's number tells equals apart."""
    from sqlalchemy import Date, case, func, literal

    from jointcoder.store.tables.desk import EncounterRow as Row

    weakest_first = {band: place for place, band in enumerate(reversed(BANDS))}
    orders: dict[str, list[tuple[Any, bool, type]]] = {
        "priority": [(Row.priority, True, int), (Row.received, False, dt.datetime)],
        "received": [(Row.received, False, dt.datetime)],
        "updated": [(Row.updated, True, dt.datetime)],
        "discharged": [(func.coalesce(Row.discharged, literal(dt.date.max, Date)), False, dt.date)],
        "band": [(case(weakest_first, value=Row.band, else_=len(BANDS)), False, int)],
        "characters": [(Row.characters, True, int)],
        "codes": [(Row.codes, True, int)],
        "findings": [(Row.findings, True, int)],
        "id": [(Row.id, False, str)],
    }
    turned = sort.startswith("-")
    columns = [*orders[sort.removeprefix("-")], (Row.number, False, int)]
    return [(column, down != turned, kind) for column, down, kind in columns]


def behind(order: list[tuple[Any, bool, type]], values: list[Any]) -> Any:
    """The rows that come after those values."""
    from sqlalchemy import and_, or_

    alternatives = []
    for place, ((column, down, _), value) in enumerate(zip(order, values, strict=True)):
        equal = [other == same for (other, *_), same in zip(order[:place], values[:place], strict=True)]
        alternatives.append(and_(*equal, column < value if down else column > value))
    # Said once more of the first column alone: from where on an index is read.
    first, down, _ = order[0]
    return and_(first <= values[0] if down else first >= values[0], or_(*alternatives))
