"""Where an empty store can be opened: a SQLite file, or a schema of its own on PostgreSQL where a server can be asked.

The server is that of ``JOINTCODER_TEST_POSTGRES`` (a URL whose user may make schemas), else one at 127.0.0.1:5432. A
schema is dropped at the end of its test.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LOCAL = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres?connect_timeout=2"
BACKENDS = ("sqlite", "postgresql")


@contextmanager
def place_of(backend: str, folder: Path) -> Iterator[str]:
    """A path below ``folder``, or a URL; the test is skipped where no server answers."""
    if backend == "sqlite":
        yield str(folder / "store.sqlite")
        return
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    url = make_url(os.environ.get("JOINTCODER_TEST_POSTGRES", LOCAL)).set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(url)
        with engine.connect():
            pass
    except (ImportError, SQLAlchemyError):
        pytest.skip("no PostgreSQL answers at 127.0.0.1:5432, and JOINTCODER_TEST_POSTGRES names none")
    schema = f"test_{secrets.token_hex(6)}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    try:
        own = url.update_query_dict({"options": f"-csearch_path={schema}"})
        yield own.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()
