"""Encounters in the store, on both databases: versions, the worklist, who has what, and what is sealed."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jointcoder.errors import InputError, UsageError
from jointcoder.records import Encounter
from jointcoder.store.encounters import Encounters, version_of
from jointcoder.store.engine import Store
from jointcoder.store.jobs import Jobs
from jointcoder.store.lines import SORTS, Query, Status
from jointcoder.store.queue import Queue
from jointcoder.store.reviews import Reviews

from .desk_rows import NOW, Backwards, Heard, allow, coded, encounter

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def encounters(store: Store) -> Encounters:
    return Encounters(store)


def later() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + HOUR


# -------------------------------------------------------------------------------------------------------- versions


def test_what_is_put_comes_back_by_id_and_by_version(encounters: Encounters):
    given = encounter(1, discharged=dt.date(2026, 3, 1))
    line = encounters.put(given, source="ward 3", priority=2, by="his")
    assert encounters.get("E001") == encounters.get(line.version) == given
    assert (line.id, line.version, line.status) == ("E001", version_of(given), Status.RECEIVED)
    assert (line.source, line.priority, line.characters) == ("ward 3", 2, given.characters)
    assert line.discharged == dt.date(2026, 3, 1)
    assert encounters.line(line.version) == encounters.line("E001") == line


def test_the_same_content_again_changes_nothing_but_may_raise_the_priority(encounters: Encounters):
    first = encounters.put(encounter(1), priority=1)
    again = encounters.put(encounter(1), priority=5)
    assert (again.version, again.versions, again.received) == (first.version, 1, first.received)
    assert again.priority == 5
    assert encounters.put(encounter(1)).priority == 5


def test_other_content_under_the_id_is_a_new_version_and_the_old_one_stays(encounters: Encounters):
    old = encounters.put(encounter(1))
    new = encounters.put(encounter(1, text="Type 2 diabetes."))
    assert (new.versions, new.version != old.version) == (2, True)
    assert encounters.get("E001").documents[0].text.startswith("Type 2")
    assert encounters.get(old.version).documents[0].text.startswith("Essential")
    assert encounters.line(old.version).version == new.version
    assert [version for version, _ in encounters.versions("E001")] == [old.version, new.version]


def test_an_earlier_version_that_comes_again_is_the_newest_with_the_review_it_had(store: Store):
    encounters, jobs, queue = Encounters(store), Jobs(store), Queue(store)
    old = coded(jobs, queue).version
    Reviews(store).append("E001", by="ana", expected=0, judge=allow(), at=NOW)
    new = encounters.put(encounter(1, text="Type 2 diabetes."))
    assert (new.status, new.seq, new.band) == (Status.RECEIVED, 0, "")
    back = encounters.put(encounter(1))
    assert (back.version, back.status, back.seq, back.band, back.versions) == (old, Status.IN_REVIEW, 1, "medium", 2)


@pytest.mark.parametrize(
    ("identity", "code"), [("", "JC123"), ("a\nb", "JC108"), ("x" * 201, "JC108"), ("\0", "JC108")]
)
def test_ids_that_cannot_be_kept_are_refused_without_being_quoted(encounters: Encounters, identity: str, code: str):
    given = Encounter(id=identity, documents=encounter(1).documents)
    with pytest.raises(InputError) as caught:
        encounters.put(given)
    assert caught.value.code == code
    assert not identity or identity not in str(caught.value)


@pytest.mark.parametrize("ref", ["unknown", "f" * 64, "", "a\0b", "'; DROP TABLE encounters; --"])
def test_an_unknown_encounter_is_said_to_be_unknown(encounters: Encounters, ref: str):
    for ask in (encounters.get, encounters.line, encounters.versions):
        with pytest.raises(UsageError) as caught:
            ask(ref)
        assert caught.value.code == "JC460"


def test_two_that_put_the_same_new_encounter_at_once_make_one(encounters: Encounters):
    with ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(lambda _: encounters.put(encounter(1)), range(16)))
    assert len({line.version for line in lines}) == 1
    assert encounters.lines(Query()).total == 1
    assert len(encounters.versions("E001")) == 1


# --------------------------------------------------------------------------------------------------------- worklist


def fill(encounters: Encounters, count: int = 23) -> None:
    for number in range(count):
        discharged = dt.date(2026, 3, 1 + number % 5) if number % 3 else None
        given = encounter(number, text="Cough. " * (number % 4 + 1), discharged=discharged)
        encounters.put(given, priority=number % 3, source=f"ward {number % 2}")


def test_paging_shows_every_line_once_in_the_order_of_one_long_page(encounters: Encounters):
    fill(encounters)
    for sort in (*SORTS, *(f"-{sort}" for sort in SORTS)):
        whole = [line.id for line in encounters.lines(Query(sort=sort, limit=200)).lines]
        assert len(set(whole)) == 23
        seen: list[str] = []
        after = "begin"
        while after:
            page = encounters.lines(Query(sort=sort, limit=4, after=after.removeprefix("begin")))
            seen += [line.id for line in page.lines]
            assert page.total == 23
            after = page.next
        assert seen == whole, sort


def test_orders_are_what_they_are_called(encounters: Encounters):
    fill(encounters)

    def of(sort: str, field: str) -> list[object]:
        return [getattr(line, field) for line in encounters.lines(Query(sort=sort, limit=200)).lines]

    assert of("priority", "priority") == sorted(of("id", "priority"), reverse=True)
    assert of("received", "id") == of("id", "id") == list(reversed(of("-id", "id")))
    assert of("characters", "characters") == sorted(of("id", "characters"), reverse=True)
    dates = of("discharged", "discharged")
    known = [date for date in dates if date is not None]
    assert known == sorted(known)
    assert dates[: len(known)] == known


def test_a_line_that_comes_in_between_two_pages_neither_hides_nor_repeats_another(encounters: Encounters):
    fill(encounters, 8)
    first = encounters.lines(Query(sort="id", limit=4))
    encounters.put(Encounter.from_text("Cough.", id="A000"))
    second = encounters.lines(Query(sort="id", limit=50, after=first.next))
    assert [line.id for line in (*first.lines, *second.lines)] == [f"E{number:03}" for number in range(8)]


def test_filters_choose_and_counts_leave_the_status_aside(store: Store):
    encounters, jobs, queue = Encounters(store), Jobs(store), Queue(store)
    fill(encounters, 6)
    coded(jobs, queue, 7)
    ids = lambda **query: [line.id for line in encounters.lines(Query(sort="id", **query)).lines]  # noqa: E731
    assert ids(status=("to_review",)) == ids(band=("medium",)) == ["E007"]
    assert ids(source="ward 1") == ["E001", "E003", "E005"]
    assert ids(text="e00", min_priority=2) == ["E002", "E005"]
    assert ids(text="%") == []
    assert ids(language="fr") == []
    moment = encounters.line("E003").received
    assert ids(received_to=moment) == ["E000", "E001", "E002"]
    assert ids(received_from=moment) == ["E003", "E004", "E005", "E007"]
    encounters.claim("E002", by="ana", until=later())
    encounters.claim("E003", by="bo", until=dt.datetime.now(dt.UTC) - HOUR)
    assert ids(holder="ana") == ["E002"]
    assert ids(holder="bo") == []
    assert ids(holder="", status=("received",)) == ["E000", "E001", "E003", "E004", "E005"]
    counts = encounters.counts(Query(status=("failed",), text="E00"))
    assert {status: number for status, number in counts.items() if number} == {"received": 6, "to_review": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": ("open",)},
        {"band": ("best",)},
        {"sort": "note"},
        {"limit": 0},
        {"limit": 201},
        {"received_from": dt.datetime(2026, 3, 1)},
        {"received_to": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14)))},
        {"text": "a\0b"},
        {"min_priority": 2**40},
    ],
)
def test_a_query_that_cannot_be_is_refused(wrong: dict[str, object]):
    with pytest.raises(UsageError) as caught:
        Query(**wrong)  # type: ignore[arg-type]
    assert caught.value.code == "JC469"


@pytest.mark.parametrize("after", ["x", "////", "W10", "WyJpZCIsIDEsIDJd", "WyJwcmlvcml0eSIsICJhIiwgImIiLCAiYyJd", "é"])
def test_a_cursor_that_is_none_is_refused(encounters: Encounters, after: str):
    with pytest.raises(UsageError) as caught:
        encounters.lines(Query(sort="id", after=after))
    assert caught.value.code == "JC469"


def test_two_hundred_readers_at_once_while_others_write(encounters: Encounters):
    fill(encounters, 30)
    gate = threading.Barrier(204, timeout=120)

    def read(_: int) -> int:
        gate.wait()
        return len(encounters.lines(Query(limit=30)).lines) + sum(encounters.counts().values())

    def write(number: int) -> int:
        gate.wait()
        return encounters.put(encounter(100 + number)).versions

    with ThreadPoolExecutor(204) as pool:
        readers = [pool.submit(read, number) for number in range(200)]
        writers = [pool.submit(write, number) for number in range(4)]
        assert all(future.result() >= 60 for future in readers)
        assert [future.result() for future in writers] == [1] * 4


# ---------------------------------------------------------------------------------------------------------- holding


def test_one_coder_has_an_encounter_until_it_is_given_back_or_taken_over(encounters: Encounters):
    encounters.put(encounter(1))
    until = later()
    line = encounters.claim("E001", by="ana", until=until)
    assert (line.holder, line.held_until, line.held(until - HOUR / 2)) == ("ana", until, True)
    for refused in (
        lambda: encounters.claim("E001", by="bo", until=until),
        lambda: encounters.release("E001", by="bo"),
    ):
        with pytest.raises(UsageError) as caught:
            refused()
        assert caught.value.code == "JC462"
        assert "ana" in caught.value.message
    assert encounters.claim("E001", by="ana", until=until + HOUR).held_until == until + HOUR
    assert encounters.claim("E001", by="lea", until=until, lead=True).holder == "lea"
    assert encounters.release("E001", by="lea").holder == ""
    assert encounters.claim("E001", by="bo", until=until).holder == "bo"


def test_a_claim_that_ran_out_holds_nobody_up(encounters: Encounters):
    encounters.put(encounter(1))
    encounters.claim("E001", by="ana", until=dt.datetime.now(dt.UTC) - HOUR)
    assert encounters.claim("E001", by="bo", until=later()).holder == "bo"


def test_of_many_that_claim_at_once_one_has_it(encounters: Encounters):
    encounters.put(encounter(1))

    def claim(name: str) -> bool:
        try:
            encounters.claim("E001", by=name, until=later())
        except UsageError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, [f"coder{n}" for n in range(8)])) == 1


# ------------------------------------------------------------------------------------------------ sealing and audit


def test_texts_are_sealed_and_the_worklist_needs_none_of_them(store: Store):
    from sqlalchemy import text

    plain, sealed = Encounters(store), Encounters(store, sealer=Backwards())
    given = encounter(1)
    sealed.put(given)
    assert sealed.get("E001") == given
    with store.reading() as session:
        kept = bytes(session.execute(text("SELECT content FROM encounter_versions")).scalar_one())
    assert kept.startswith(b"sealed:" + version_of(given).encode())
    assert b"Essential" not in kept
    assert plain.lines(Query()).lines == sealed.lines(Query()).lines


def test_pictures_of_pages_are_kept_with_their_version(store: Store):
    encounters = Encounters(store, sealer=Backwards())
    old = encounters.put(encounter(1)).version
    encounters.keep_pages("E001", {(0, 1): b"first", (0, 2): b"second"})
    encounters.keep_pages("E001", {(0, 2): b"better"}, media_type="image/jpeg")
    assert encounters.page("E001", 0, 1) == (b"first", "image/png")
    assert encounters.page(old, 0, 2) == (b"better", "image/jpeg")
    encounters.put(encounter(1, text="Another text."))
    assert encounters.page("E001", 0, 1) is None
    assert encounters.page(old, 0, 1) == (b"first", "image/png")


def test_every_change_is_told_to_the_audit_without_text_and_is_undone_where_it_refuses(store: Store):
    heard = Heard()
    encounters = Encounters(store, audit=heard)
    version = encounters.put(encounter(1), by="his").version
    encounters.put(encounter(1), by="his")
    encounters.claim("E001", by="ana", until=later())
    encounters.claim("E001", by="ana", until=later())
    encounters.release("E001", by="ana")
    encounters.release("E001", by="ana")
    assert heard.actions == ["encounter.received", "encounter.claimed", "encounter.released"]
    assert {event.subject for event in heard.events} == {version}
    assert "hypertension" not in repr(heard.events)
    silent = Encounters(store, audit=Heard(refuses=True))
    for change in (
        lambda: silent.put(encounter(2)),
        lambda: silent.claim("E001", by="ana", until=later()),
    ):
        with pytest.raises(RuntimeError):
            change()
    assert encounters.lines(Query()).total == 1
    assert encounters.line("E001").holder == ""
