"""Sealing anew what lies in a store: after encryption was switched on or off, and when its key is changed.

    resealed(store, sealer)      # every sealed column, in small transactions; may be stopped and begun again

What already lies as the sealer would seal it now is left alone. The service may run meanwhile: rows are only ever added
to these tables, and a sealer with both keys opens either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jointcoder.store.encryption import AesGcm
    from jointcoder.store.engine import Store

AT_A_TIME = 50


@dataclass(frozen=True)
class Sealed:
    """A column of sealed bytes, the columns of its row's key, and the version of the encounter it is bound to."""

    table: Any
    key: tuple[str, ...]
    column: str
    version: Any


def sealed_columns() -> tuple[Sealed, ...]:
    """Every column whose bytes pass the sealer."""
    from sqlalchemy import select

    from jointcoder.store.tables.desk import DecisionRow, PageRow, ResultRow, ReviewRow, VersionRow

    reviewed = select(ReviewRow.version).where(ReviewRow.id == DecisionRow.review).scalar_subquery()
    return (
        Sealed(VersionRow, ("version",), "content", VersionRow.version),
        Sealed(PageRow, ("version", "document", "page"), "content", PageRow.version),
        Sealed(ResultRow, ("id",), "record", ResultRow.version),
        Sealed(DecisionRow, ("id",), "body", reviewed),
    )


def resealed(store: Store, sealer: AesGcm, *, advance: Callable[[int], None] = lambda seen: None) -> int:
    """Seal anew what is not as it would be sealed now: how many rows that were. Raises InputError JC479 for what no key
    opens; what was done until then stays done."""
    done = 0
    for column in sealed_columns():
        for keys in _pages(store, column):
            done += _page(store, sealer, column, keys)
            advance(len(keys))
    return done


def _pages(store: Store, column: Sealed) -> Iterator[list[tuple[Any, ...]]]:
    """The keys of a table's rows, some at a time, in their order."""
    from sqlalchemy import select, tuple_

    parts = [getattr(column.table, name) for name in column.key]
    last: tuple[Any, ...] | None = None
    while True:
        wanted = select(*parts).order_by(*parts).limit(AT_A_TIME)
        if last is not None:
            wanted = wanted.where(tuple_(*parts) > last)
        with store.reading() as session:
            keys = [tuple(row) for row in session.execute(wanted)]
        if not keys:
            return
        yield keys
        last = keys[-1]


def _page(store: Store, sealer: AesGcm, column: Sealed, keys: list[tuple[Any, ...]]) -> int:
    from sqlalchemy import select, tuple_, update

    parts = [getattr(column.table, name) for name in column.key]
    wanted = select(getattr(column.table, column.column), column.version, *parts).where(tuple_(*parts).in_(keys))
    done = 0
    with store.writing() as session:
        for data, version, *key in session.execute(wanted).all():
            if sealer.current(data):
                continue
            fresh = sealer.seal(sealer.open(data, bound=version), bound=version)
            here = [part == value for part, value in zip(parts, key, strict=True)]
            session.execute(update(column.table).where(*here).values({column.column: fresh}))
            done += 1
    return done
