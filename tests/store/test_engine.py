"""Opening, migrating and refusing; transactions; errors that tell nothing of what was being written."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jointcoder.errors import AssetError, UsageError
from jointcoder.store.archive import Archive, Run
from jointcoder.store.engine import Store, open_store
from jointcoder.store.migrations import HEAD


def run(number: int = 1) -> Run:
    return Run(id=f"run{number:05}", name=f"run {number}")


def test_a_new_store_has_the_newest_tables_and_opens_again(place: str):
    with open_store(place) as store:
        Archive(store).begin(run())
    with open_store(place) as store:
        assert [one.name for one in Archive(store).runs()] == ["run 1"]


def test_the_migrations_make_exactly_the_tables_that_the_program_uses(store: Store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from jointcoder.store.tables import Base

    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == HEAD


def test_every_revision_can_be_taken_back(tmp_path: Path):
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import inspect

    import jointcoder.store.migrations as migrations

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
    with open_store(tmp_path / "s.sqlite") as store, store._engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        connection.commit()
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_a_sqlite_file_is_its_owners_alone_and_keeps_a_log(tmp_path: Path):
    path = tmp_path / "deep" / "store.sqlite"
    with open_store(path) as store:
        Archive(store).begin(run())
        files = sorted(path.parent.iterdir())
        assert {file.name for file in files} >= {"store.sqlite", "store.sqlite-wal"}
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_a_store_of_a_newer_program_is_refused(tmp_path: Path):
    path = tmp_path / "store.sqlite"
    open_store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    with pytest.raises(AssetError) as caught:
        open_store(path)
    assert caught.value.code == "JC431"


def test_what_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("These are not the tables you are looking for. " * 40, "utf-8")
    before = path.read_bytes()
    with pytest.raises(AssetError) as caught:
        open_store(path)
    assert caught.value.code == "JC430"
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["sqlite://", "sqlite:///", "nonsense://x/y", "://", "mysql://u:secret@h/db"])
def test_urls_that_name_no_store(where: str):
    with pytest.raises(UsageError) as caught:
        open_store(where)
    assert caught.value.code in ("JC001", "JC002")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_a_coded_error_without_the_password():
    pytest.importorskip("psycopg")
    with pytest.raises(AssetError) as caught:
        open_store("postgresql://someone:secret@127.0.0.1:9/none?connect_timeout=2")
    assert caught.value.code == "JC430"
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in caught.value.message


def test_a_transaction_that_fails_writes_nothing_and_quotes_nothing(store: Store):
    archive = Archive(store)
    archive.begin(run())
    with pytest.raises(AssetError) as caught:
        archive.begin(Run(id="run00001", name="the note says that the patient"))
    assert caught.value.code == "JC430"
    assert "patient" not in str(caught.value)
    assert [one.name for one in archive.runs()] == ["run 1"]


def test_writers_queue(place: str):
    with open_store(place) as store:
        archive = Archive(store)
        threads = [threading.Thread(target=lambda n=n: archive.begin(run(n))) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(archive.runs()) == 12


def test_the_rest_of_the_program_needs_no_database():
    code = "import sys, jointcoder.store, jointcoder.store.approvals, jointcoder.store.archive, jointcoder.cli.main"
    code += "; print([m for m in ('sqlalchemy', 'alembic', 'psycopg', 'jinja2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(UsageError) as caught:
        open_store(tmp_path / "s.sqlite")
    assert caught.value.code == "JC002"
    assert "jointcoder[store]" in caught.value.hint
