"""Opens a store: ``open_store("search.sqlite")``, or a URL of SQLAlchemy (``postgresql://user@host/name``).

A SQLite file is readable by its owner alone, keeps a write-ahead log (readers do not wait for a writer), and a writing
transaction takes its lock at the start, so that two writers queue instead of failing. A store of an older revision is
migrated when it is opened; one of a newer program is refused. Errors of the database leave as coded errors that name
the kind of failure, never a statement or its values, which may quote notes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jointcoder.errors import AssetError, UsageError
from jointcoder.store.migrations import HEAD

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine
    from sqlalchemy.orm import Session

WAIT_S = 30  # for another process that writes
_LOCK = 0x6A63  # of PostgreSQL: one process migrates at a time
_HINT = "pip install 'jointcoder[store]'"


class Store:
    """An open database. Safe to share between threads; not across a fork.

    ``place``: the file, or the URL without its password.
    """

    def __init__(self, engine: Engine) -> None:
        from sqlalchemy.orm import sessionmaker

        self._engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        url = engine.url
        self.place = (
            str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
        )

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads. Raises AssetError JC430."""
        with self._guarded(), self._sessions() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction: all of it is written when the block ends well, nothing otherwise. Raises AssetError JC430."""
        with self._guarded(), self._sessions() as session, session.begin():
            session.connection(execution_options={"writing": True})
            yield session

    def compact(self) -> None:
        """Write a SQLite file anew, so that nothing of what was deleted or replaced stays in it; PostgreSQL cleans up
        by itself. Raises AssetError JC430 while others write."""
        if self._engine.dialect.name != "sqlite":
            return
        with self._guarded(), self._engine.connect() as connection:
            # Past SQLAlchemy, which would begin a transaction, and none may be open.
            raw: Any = connection.connection.driver_connection
            try:
                raw.execute("VACUUM")
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except raw.OperationalError as error:
                raise _failed(self.place, error) from None

    def close(self) -> None:
        """Give the connections back. Safe to call twice."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except SQLAlchemyError as error:
            raise _failed(self.place, error) from None


def open_store(where: str | Path) -> Store:
    """The store at a path or URL, made if it is not there, migrated if it is old.

    Raises UsageError JC002 (the extra is not installed), AssetError JC430 (cannot be opened), JC431 (of a newer
    program).
    """
    try:
        from sqlalchemy import create_engine, event
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    except ImportError:
        raise UsageError("JC002", "a store needs the package SQLAlchemy", hint=_HINT) from None
    url = _url(str(where), make_url, ArgumentError)
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=url.get_backend_name() != "sqlite")
    except ImportError:
        hint = "pip install 'jointcoder[postgres]'"
        raise UsageError("JC002", f"no driver for {url.get_backend_name()} is installed", hint=hint) from None
    except (ArgumentError, SQLAlchemyError):
        raise UsageError("JC001", f"{url.get_backend_name()} is no database that a store can be on") from None
    if url.get_backend_name() == "sqlite":
        _private(Path(str(url.database)))
        event.listen(engine, "connect", _prepared)
        event.listen(engine, "begin", _begun)
    store = Store(engine)
    try:
        _migrated(engine, store.place)
    except SQLAlchemyError as error:
        store.close()
        raise _failed(store.place, error) from None
    except BaseException:
        store.close()
        raise
    return store


def _url(where: str, make_url: Any, wrong: type[Exception]) -> URL:
    if "://" not in where:
        made: URL = make_url("sqlite://").set(database=str(Path(where).expanduser()))
        return made
    try:
        url: URL = make_url(where)
    except (wrong, ValueError):
        raise UsageError("JC001", "the store's URL cannot be read", hint="e.g. postgresql://user@host/name") from None
    if url.get_backend_name() == "sqlite" and not url.database:
        raise UsageError("JC001", "a store in memory would be lost", hint="name a file")
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _private(path: Path) -> None:
    """The file, made for its owner alone. SQLite gives its side files the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with suppress(PermissionError):
            path.chmod(0o600)
    except OSError as error:
        raise AssetError("JC430", f"{path} cannot be opened ({error.strerror or type(error).__name__})") from None


def _prepared(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own way would begin transactions too late
    for pragma in (
        f"busy_timeout = {WAIT_S * 1000}",  # first: the next one may have to wait already
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows no letters beyond ASCII


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _begun(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _migrated(engine: Engine, place: str) -> None:
    from sqlalchemy import text

    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with engine.connect().execution_options(writing=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _revision(connection)
        if found is not None and found > HEAD:
            raise AssetError(
                "JC431",
                f"{place} was made by a newer version of the program",
                hint="update jointcoder, or name another",
            )
        _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    try:
        from alembic import command
        from alembic.config import Config
    except ImportError:
        raise UsageError("JC002", "setting up a store needs the package alembic", hint=_HINT) from None
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    """The revision of the tables, None where there are none. Revisions are numbers that sort as text."""
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _failed(place: str, error: Exception) -> AssetError:
    cause = type(getattr(error, "orig", None) or error).__name__
    return AssetError(
        "JC430", f"{place}: the database refuses ({cause})", hint="is it there, free, and yours to write?"
    )
