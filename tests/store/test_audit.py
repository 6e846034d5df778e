"""The audit log: appended in the change's transaction, chained, guarded by the database; what was touched is found."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jointcoder.errors import AssetError, InputError
from jointcoder.records import Versions
from jointcoder.store.audit import Anchor, Audit, append, listen, versions_of
from jointcoder.store.chain import LARGEST, Broken, Entry, Walk, read_entry
from jointcoder.store.engine import Store, open_store
from jointcoder.store.events import AuditEvent

NOTE = "The patient came in with chest pain.\nShe had smoked for thirty years."


def filled(store: Store, number: int = 7) -> Audit:
    log = Audit(store)
    for place in range(number):
        actor = "ana" if place % 2 else "bo"
        log.add(actor=actor, action="record.view", kind="encounter", subject=f"e{place}", details={"place": place})
    return log


def tamper(store: Store, *statements: str) -> None:
    """As somebody who owns the database: without its triggers."""
    with store._engine.connect().execution_options(writing=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            for table in ("audit", "audit_head"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        else:
            for name in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
                connection.exec_driver_sql(f"DROP TRIGGER {name[0]}")
        for statement in statements:
            connection.exec_driver_sql(statement)


# ------------------------------------------------------------------------------------------------------- appending


def test_entries_are_numbered_chained_and_given_back_as_they_were(store: Store):
    log = Audit(store)
    details = {"codes": ["J18.9", "I10"], "share": 0.95, "deep": {"n": 3, "yes": True, "none": None}, "科室": "内科"}
    written = log.add(
        actor="ana",
        action="record.decide",
        kind="encounter",
        subject="e1",
        details=details,
        versions={"book": "ab" * 32},
    )
    after = log.add(actor="ana", action="record.finish", kind="encounter", subject="e1")
    assert (written.seq, after.seq) == (1, 2)
    assert after.previous == written.hash == written.digest()
    assert log.page() == [after, written]
    assert log.page()[1].details == details
    assert log.verify().ok
    assert log.verify().rows == 2


def test_the_change_and_its_entry_are_one_transaction(store: Store):
    log = filled(store, 2)

    def fail() -> None:
        with store.writing() as session:
            append(session, actor="ana", action="record.finish", kind="encounter", subject="lost")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert [one.subject for one in log.page()] == ["e1", "e0"]
    assert log.add(actor="ana", action="record.view", kind="encounter").seq == 3
    assert log.verify().ok


def test_an_entry_that_would_be_lost_is_refused(store: Store):
    with store.reading() as session, pytest.raises(ValueError, match="writing"):
        append(session, actor="ana", action="record.view", kind="encounter")


@pytest.mark.parametrize("action", ["", "Record", "record view", "record.", "记录"])
def test_actions_have_plain_names(store: Store, action: str):
    with pytest.raises(ValueError, match="lower-case"):
        Audit(store).add(actor="ana", action=action, kind="encounter")


def test_text_does_not_get_in(store: Store, tmp_path: Path):
    entry = Audit(store).add(
        actor="ana\x00",
        action="record.decide",
        kind="encounter",
        subject="x" * 500,
        details={"comment": NOTE, "lone": "\ud800", NOTE: 1, "list": [NOTE]},
    )
    shown = json.dumps(entry.values())
    assert "chest" not in shown
    assert shown.count("sha256:") == 6
    assert Audit(store).page() == [entry]
    assert Audit(store).verify().ok


def test_details_that_are_too_many_are_told_by_their_hash(store: Store):
    entry = Audit(store).add(
        actor="a", action="export.write", kind="export", details={"ids": ["id" * 20] * 1000, "n": 1}
    )
    assert set(entry.details) == {"sha256", "characters"}
    assert entry.details["characters"] > LARGEST


def test_details_are_ids_codes_and_counts_only(store: Store):
    with pytest.raises(TypeError):
        Audit(store).add(actor="a", action="record.view", kind="encounter", details={"what": object()})


def test_eight_writers_at_once_make_one_chain(place: str):
    open_store(place).close()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with open_store(place) as own:
                log = Audit(own)
                for turn in range(12):
                    log.add(actor=f"w{number}", action="record.view", kind="encounter", subject=f"{number}-{turn}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_store(place) as store:
        found = Audit(store).verify(page=7)
        assert (found.ok, found.rows, found.seq) == (True, 96, 96)
        written = {one.subject for one in Audit(store).entries()}
        assert written == {f"{number}-{turn}" for number in range(8) for turn in range(12)}


def test_what_the_desk_reports_becomes_an_entry(store: Store):
    with store.writing() as session:
        listen(session, AuditEvent("review.accept", "ana", "e1", {"seq": 3, "versions": {"model": "ff", "pack": ""}}))
        listen(session, AuditEvent("encounter.coded", "", "e1"))
    last, first = Audit(store).page()
    assert (first.kind, first.subject, first.details, first.versions) == ("review", "e1", {"seq": 3}, {"model": "ff"})
    assert (last.actor, last.kind) == ("system", "encounter")


def test_the_versions_of_a_record_are_its_hashes():
    versions = Versions(
        program="0.4", workflow="w", workflow_hash="aa", model_hash="bb", adapters={"read": "cc"}, code_book_hash="dd"
    )
    expected = {"program": "0.4", "workflow": "aa", "model": "bb", "adapters": {"read": "cc"}, "book": "dd"}
    assert versions_of(versions) == expected
    assert versions_of(Versions(program="0.4")) == {"program": "0.4"}


# ------------------------------------------------------------------------------------------------------------ paging


def test_pages_and_filters(store: Store):
    log = filled(store, 9)
    log.add(actor="ana", action="record", kind="job", subject="e1")
    assert [one.seq for one in log.page(limit=3)] == [10, 9, 8]
    assert [one.seq for one in log.page(limit=3, before=8)] == [7, 6, 5]
    assert [one.seq for one in log.page(limit=3, after=2)] == [5, 4, 3]
    assert [one.seq for one in log.page(actor="bo")] == [9, 7, 5, 3, 1]
    assert [one.seq for one in log.page(subject="e1")] == [10, 2]
    assert [one.seq for one in log.page(kind="job")] == [10]
    assert len(log.page(action="record")) == 10
    assert len(log.page(action="record.view")) == 9
    assert log.page(action="rec") == log.page(action="%") == []
    middle = log.page()[4].time
    assert [one.seq for one in log.page(since=middle)] == [10, 9, 8, 7, 6]
    assert [one.seq for one in log.page(until=middle)] == [5, 4, 3, 2, 1]
    assert (log.actors(), log.actions()) == (["ana", "bo"], ["record", "record.view"])


# --------------------------------------------------------------------------------------------------------- tampering


def test_the_database_refuses(store: Store):
    from sqlalchemy.exc import DBAPIError

    log = filled(store)
    columns = "time, actor, action, kind, subject, details, versions, previous, hash"
    for statement in (
        "UPDATE audit SET actor = 'bo' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 7",
        f"INSERT INTO audit (seq, {columns}) SELECT 99, {columns} FROM audit WHERE seq = 3",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET seq = 3",
        "UPDATE audit_head SET seq = 9, id = 2",
    ):
        with pytest.raises(DBAPIError), store._engine.begin() as connection:
            connection.exec_driver_sql(statement)
    assert log.verify().ok
    assert log.verify().rows == 7


def test_sqlite_refuses_to_replace(tmp_path: Path):
    from sqlalchemy.exc import DBAPIError

    with open_store(tmp_path / "s.sqlite") as store:
        log = filled(store)
        columns = "seq, time, 'mallory', action, kind, subject, details, versions, previous, hash"
        with pytest.raises(DBAPIError), store._engine.begin() as connection:
            connection.exec_driver_sql(f"INSERT OR REPLACE INTO audit SELECT {columns} FROM audit WHERE seq = 3")
        assert log.verify().ok


def test_postgresql_refuses_to_empty(store: Store):
    from sqlalchemy.exc import DBAPIError

    if store._engine.dialect.name != "postgresql":
        pytest.skip("SQLite knows no TRUNCATE")
    filled(store)
    for table in ("audit", "audit_head"):
        with pytest.raises(DBAPIError), store._engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {table}")


TOUCHED = {
    "UPDATE audit SET actor = 'mallory' WHERE seq = 3": Broken(3, "changed"),
    "UPDATE audit SET details = '{\"place\": 9}' WHERE seq = 3": Broken(3, "changed"),
    "UPDATE audit SET time = (SELECT time FROM audit WHERE seq = 1) WHERE seq = 5": Broken(5, "changed"),
    "DELETE FROM audit WHERE seq = 4": Broken(4, "missing"),
    "DELETE FROM audit WHERE seq = 1": Broken(1, "missing"),
    "DELETE FROM audit WHERE seq > 5": Broken(6, "cut"),
    "DELETE FROM audit": Broken(1, "cut"),
    "UPDATE audit_head SET seq = 5": Broken(5, "rewritten"),
    "UPDATE audit_head SET seq = 5, hash = (SELECT hash FROM audit WHERE seq = 5)": Broken(6, "added"),
}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store with seven entries, to be copied."""
    path = tmp_path_factory.mktemp("log") / "store.sqlite"
    with open_store(path) as store:
        filled(store)
    return path


@pytest.mark.parametrize(("statement", "broken"), TOUCHED.items())
def test_the_first_touched_entry_is_named(log_file: Path, tmp_path: Path, statement: str, broken: Broken):
    with open_store(shutil.copy(log_file, tmp_path)) as store:
        assert Audit(store).verify().ok
        tamper(store, statement)
        assert Audit(store).verify(page=2).broken == broken


def test_a_touched_entry_is_named_on_either_database(store: Store):
    log = filled(store)
    tamper(store, "UPDATE audit SET actor = 'mallory' WHERE seq = 3", "DELETE FROM audit WHERE seq = 6")
    assert log.verify(page=2).broken == Broken(3, "changed")


def test_entries_that_changed_places_are_found(store: Store):
    log = filled(store)
    swap = ("SET seq = -1 WHERE seq = 3", "SET seq = 3 WHERE seq = 4", "SET seq = 4 WHERE seq = -1")
    tamper(store, *(f"UPDATE audit {one}" for one in swap))
    assert log.verify().broken == Broken(3, "unlinked")


def rewrite(store: Store, change: Callable[[Entry], Entry | None]) -> None:
    """As somebody who knows the program: every hash made anew, and the head too."""
    kept: list[Entry] = []
    for old in Audit(store).entries():
        new = change(old)
        if new is not None:
            new = replace(new, seq=len(kept) + 1, previous=kept[-1].hash if kept else "0" * 64)
            kept.append(replace(new, hash=new.digest()))
    tamper(store, "DELETE FROM audit")
    with store.writing() as session:
        from sqlalchemy import insert, update

        from jointcoder.store.tables.audit import AuditRow, HeadRow

        for one in kept:
            session.execute(insert(AuditRow).values(**vars(one)))
        session.execute(update(HeadRow).values(seq=kept[-1].seq, hash=kept[-1].hash))


def test_a_chain_written_anew_is_found_by_an_anchor_alone(store: Store):
    log = filled(store)
    anchor = log.anchor()
    rewrite(store, lambda one: replace(one, actor="mallory") if one.seq == 2 else one)
    assert log.verify().ok
    assert log.verify(anchor).broken == Broken(7, "rewritten")


def test_a_tail_cut_off_with_its_head_is_found_by_an_anchor_alone(store: Store):
    log = filled(store)
    anchor = log.anchor()
    rewrite(store, lambda one: one if one.seq < 6 else None)
    assert log.verify().ok
    assert log.verify(anchor).broken == Broken(6, "cut")
    assert log.verify(Anchor(5, log.anchor().hash)).ok


def test_a_lost_head_stops_writing(store: Store):
    log = filled(store)
    tamper(store, "DELETE FROM audit_head")
    for ask in (log.verify, log.anchor, lambda: log.add(actor="a", action="record.view", kind="encounter")):
        with pytest.raises(AssetError) as caught:
            ask()
        assert caught.value.code == "JC478"


# ------------------------------------------------------------------------------------------------ outside the database


def test_an_exported_log_holds_by_itself(store: Store):
    log = filled(store)
    lines = [json.dumps(one.values()) for one in log.entries(page=3)]
    walk = Walk(log.anchor())
    assert all(walk.step(read_entry(line)) for line in lines)
    assert walk.end() == log.verify()
    touched = Walk()
    lines[4] = lines[4].replace('"bo"', '"ana"')
    assert [touched.step(read_entry(line)) for line in lines] == [True] * 4 + [False] * 3
    assert touched.end().broken == Broken(5, "changed")


@pytest.mark.parametrize("line", ["", "{}", "[]", "not json", '{"seq": "1"}', '{"time": "yesterday"}'])
def test_what_is_no_entry(line: str):
    with pytest.raises(InputError) as caught:
        read_entry(line)
    assert caught.value.code == "JC104"


def test_anchors_are_kept_in_files(tmp_path: Path):
    path = tmp_path / "anchor.json"
    Anchor(7, "ab").write(path)
    assert Anchor.read(path) == Anchor(7, "ab")
    for text in ("", "{}", '{"seq": "7", "hash": "ab"}', "[1]"):
        path.write_text(text, "utf-8")
        with pytest.raises(InputError, match="JC104"):
            Anchor.read(path)
    with pytest.raises(InputError, match="JC107"):
        Anchor.read(tmp_path / "none.json")
    with pytest.raises(InputError, match="JC107"):
        Anchor(1, "").write(tmp_path / "no" / "folder.json")


def test_the_hash_is_of_canonical_json():
    """Written down once: another hash would make every log that there is look touched."""
    entry = Entry(
        seq=1,
        time=dt.datetime(2026, 3, 1, 9, 30, 0, 5, tzinfo=dt.timezone(dt.timedelta(hours=8))),
        actor="王",
        action="record.view",
        kind="encounter",
        subject="e1",
        details={"b": 1, "a": [0.5, None]},
    )
    canonical = (
        '{"action":"record.view","actor":"王","details":{"a":[0.5,null],"b":1},"format":1,"kind":"encounter",'
        f'"previous":"{"0" * 64}","seq":1,"subject":"e1","time":"2026-03-01T01:30:00.000005+00:00","versions":{{}}}}'
    )
    import hashlib

    assert entry.digest() == hashlib.sha256(canonical.encode()).hexdigest()
