"""Accounts, keys, sessions and failed attempts: what is let in, what is not, and what is kept of it."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from pathlib import Path

import pytest

pytest.importorskip("argon2", reason="the extra server is not installed")

from jointcoder.errors import AccessError, UsageError
from jointcoder.store.accounts import Accounts
from jointcoder.store.attempts import LONGEST, PAIR, WINDOW
from jointcoder.store.audit import Audit
from jointcoder.store.engine import Store, open_store
from jointcoder.store.keys import Keys
from jointcoder.store.passwords import Cost, Hasher, require_acceptable
from jointcoder.store.sessions import Sessions

CHEAP = Cost(passes=1, memory_kib=64, lanes=1)
PASSWORD = "seven grey herons"
OTHER = "nine brass lanterns"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += dt.timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quick(tmp_path: Path):
    """A store on SQLite, for what no database does differently."""
    with open_store(tmp_path / "quick.sqlite") as store:
        yield store


def people(store: Store, clock: Clock | None = None) -> Accounts:
    accounts = Accounts(store, cost=CHEAP, clock=clock) if clock else Accounts(store, cost=CHEAP)
    accounts.add("ana", roles=["coder"], password=PASSWORD, display="Ana Ruiz", language="zh", by="cli:root")
    accounts.add("ada", roles=["admin"], password=PASSWORD, by="cli:root")
    return accounts


def code_of(error: pytest.ExceptionInfo[AccessError] | pytest.ExceptionInfo[UsageError]) -> str:
    return error.value.code


# ---------------------------------------------------------------------------------------------------------- accounts


def test_an_account_from_its_making_to_its_end(store: Store):
    accounts = Accounts(store, cost=CHEAP)
    assert not accounts.any()
    people(store)
    assert accounts.any()
    ana = accounts.check(" ANA ", PASSWORD)
    assert (ana.name, ana.display, ana.roles, ana.language) == ("ana", "Ana Ruiz", ("coder",), "zh")
    assert accounts.set_roles("ana", ["lead", "coder"], by="ada").roles == ("coder", "lead")
    assert accounts.set_language("ana", "en", by="ana").language == "en"
    accounts.change_password("ana", PASSWORD, OTHER)
    with pytest.raises(AccessError, match="JC471"):
        accounts.check("ana", PASSWORD)
    assert accounts.check("ana", OTHER).name == "ana"
    accounts.disable("ana", by="ada")
    with pytest.raises(AccessError, match="JC471"):
        accounts.check("ana", OTHER)
    accounts.enable("ana", by="ada")
    assert accounts.check("ana", OTHER).roles == ("coder", "lead")
    assert [one.name for one in accounts.all()] == ["ada", "ana"]
    told = [(one.actor, one.action, one.subject) for one in reversed(Audit(store).page(subject="ana"))]
    assert told == [
        ("cli:root", "account.add", "ana"),
        ("ada", "account.roles", "ana"),
        ("ana", "account.language", "ana"),
        ("ana", "account.password", "ana"),
        ("ana", "session.refused", "ana"),
        ("ada", "account.disable", "ana"),
        ("ana", "session.refused", "ana"),
        ("ada", "account.enable", "ana"),
    ]
    assert Audit(store).verify().ok


def test_neither_passwords_nor_keys_nor_tokens_are_kept_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "store.sqlite"
    with open_store(path) as store:
        accounts = people(store)
        _, secret = Keys(store).add("ana", by="ada")
        token = Sessions(store).begin(accounts.check("ana", PASSWORD))
        with pytest.raises(AccessError) as caught:
            accounts.check("ana", OTHER)
        with pytest.raises(AccessError):
            accounts.check(OTHER, "typed into the wrong field")
        held = b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
        assert b"argon2id" in held
        secrets = (PASSWORD, OTHER, secret, secret.rpartition("_")[2], token)
        assert [one for one in secrets if one.encode() in held or one in caplog.text or one in str(caught.value)] == []


@pytest.mark.parametrize("name", ["", "a b", "local", "System", "-x", "x" * 65, "a\x00", "a/b"])
def test_names_that_are_none(quick: Store, name: str):
    with pytest.raises(UsageError) as caught:
        Accounts(quick, cost=CHEAP).add(name, roles=["coder"], password=PASSWORD, by="x")
    assert code_of(caught) == "JC477"
    assert not Accounts(quick).any()


@pytest.mark.parametrize("password", ["", "too short", "a" * 40, "ana" * 10, "x" * 2000, "1212121212121212"])
def test_passwords_that_are_none(password: str):
    with pytest.raises(UsageError) as caught:
        require_acceptable(password, name="ana")
    assert code_of(caught) == "JC477"
    assert password not in str(caught.value) or not password


def test_other_things_that_are_refused(quick: Store):
    accounts = people(quick)
    for attempt in (
        lambda: accounts.add("ANA", roles=["coder"], by="x"),
        lambda: accounts.add("bo", roles=[], by="x"),
        lambda: accounts.add("bo", roles=["root"], by="x"),
        lambda: accounts.set_roles("ada", ["coder"], by="ada"),
        lambda: accounts.disable("ada", by="ada"),
        lambda: accounts.get("nobody"),
        lambda: accounts.set_password("ana", "short", by="ada"),
    ):
        with pytest.raises(UsageError) as caught:
            attempt()
        assert code_of(caught) == "JC477"
    with pytest.raises(UsageError, match="JC001"):
        accounts.set_language("ana", "fr", by="ana")
    assert accounts.get("ada").roles == ("admin",)
    assert len(Audit(quick).page()) == 2  # what was refused left no entry


def test_a_password_is_the_same_however_it_is_typed():
    hasher = Hasher(CHEAP)
    composed, decomposed = "caf\u00e9 terraza norte", "cafe\u0301 terraza norte"
    assert hasher.matches(hasher.hash(composed), decomposed)
    assert not hasher.matches(None, "nobody has this password")
    assert not hasher.matches("no hash", PASSWORD)
    assert not hasher.matches(hasher.hash(composed), composed + "\ud800")


def test_a_hash_of_another_cost_is_made_anew(quick: Store):
    people(quick)
    dearer = Accounts(quick, cost=Cost(passes=2, memory_kib=64, lanes=1))
    for _ in range(2):
        assert dearer.check("ana", PASSWORD)
    from sqlalchemy import text

    with quick.reading() as session:
        held = session.execute(text("SELECT password FROM accounts WHERE name = 'ana'")).scalar_one()
    assert "t=2" in held


def test_people_of_a_provider(store: Store):
    accounts = people(store)
    him = {"issuer": "https://id.example", "subject": "a|17", "name": "Bo@example", "display": "Bo\nSmith"}
    first = accounts.of_provider(roles=["coder"], **him)
    assert (first.name, first.display, first.issuer, first.has_password) == (
        "bo@example",
        "BoSmith",
        "https://id.example",
        False,
    )
    again = accounts.of_provider(roles=["lead"], **{**him, "name": "renamed"})
    assert (again.id, again.name, again.roles) == (first.id, "bo@example", ("lead",))
    with pytest.raises(AccessError, match="JC471"):
        accounts.check("bo@example", "nobody has this password")
    with pytest.raises(AccessError, match="JC471"):  # a local account is nobody's to claim
        accounts.of_provider(roles=["admin"], **{**him, "subject": "18", "name": "ana"})
    accounts.disable("bo@example", by="ada")
    with pytest.raises(AccessError, match="JC471"):
        accounts.of_provider(roles=["lead"], **him)
    assert [one.action for one in Audit(store).page(subject="bo@example")] == [
        "account.disable",
        "session.refused",
        "account.roles",
        "account.add",
    ]


# ---------------------------------------------------------------------------------------------------------- attempts


def test_who_fails_too_often_waits_longer_each_time(store: Store, clock: Clock):
    accounts = people(store, clock)

    def fail(address: str = "10.0.0.1", name: str = "ana") -> str:
        with pytest.raises(AccessError) as caught:
            accounts.check(name, "wrong", address=address)
        return caught.value.code

    assert [fail() for _ in range(PAIR)] == ["JC471"] * PAIR
    with pytest.raises(AccessError) as caught:
        accounts.check("ana", PASSWORD, address="10.0.0.1")  # right, but locked
    assert (caught.value.code, caught.value.retry_after) == ("JC474", 60)
    assert accounts.check("ana", PASSWORD, address="10.0.0.2")  # a colleague cannot lock her out from elsewhere
    clock.forward(seconds=61)
    assert fail() == "JC471"
    with pytest.raises(AccessError) as caught:
        accounts.check("ana", PASSWORD, address="10.0.0.1")
    assert caught.value.retry_after == 120
    clock.forward(minutes=20)
    assert accounts.check("ana", PASSWORD, address="10.0.0.1")
    assert [fail() for _ in range(PAIR - 1)] == ["JC471"] * (PAIR - 1)  # counted from the start again
    assert accounts.check("ana", PASSWORD, address="10.0.0.1")


def test_unknown_names_are_locked_like_known_ones(quick: Store, clock: Clock):
    accounts = people(quick, clock)
    codes = []
    for _ in range(PAIR + 1):
        with pytest.raises(AccessError) as caught:
            accounts.check("nobody", "wrong", address="10.0.0.1")
        codes.append(caught.value.code)
    assert codes == ["JC471"] * PAIR + ["JC474"]
    assert {one.actor for one in Audit(quick).page(action="session.refused")} == {"anonymous"}


def test_a_name_is_locked_from_everywhere_in_the_end(quick: Store, clock: Clock):
    accounts = people(quick, clock)
    for number in range(25):
        with pytest.raises(AccessError):
            accounts.check("ana", "wrong", address=f"10.0.1.{number}")
    with pytest.raises(AccessError) as caught:
        accounts.check("ana", PASSWORD, address="10.0.2.1")
    assert caught.value.code == "JC474"
    clock.forward(seconds=(WINDOW + LONGEST).total_seconds())
    assert accounts.check("ana", PASSWORD, address="10.0.2.1")


def test_many_attempts_at_once_gain_nothing(store: Store, clock: Clock):
    accounts = people(store, clock)
    codes: list[str] = []

    def attempt() -> None:
        try:
            accounts.check("ana", "wrong", address="10.0.0.1")
        except AccessError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["JC471"] * PAIR + ["JC474"] * (12 - PAIR)


# -------------------------------------------------------------------------------------------------------------- keys


def test_a_key_from_its_making_to_its_end(store: Store, clock: Clock):
    accounts = people(store)
    accounts.add("feeder", roles=["service"], by="ada")
    keys = Keys(store, clock=clock)
    key, secret = keys.add("feeder", label="HIS export", days=30, by="ada")
    assert secret.startswith(f"jc_{key.prefix}_")
    assert keys.find(secret) == (accounts.get("feeder"), key.prefix)
    assert keys.of("feeder")[0].used == clock.now
    assert [one.label for one in keys.of()] == ["HIS export"]
    assert keys.of("ana") == []
    assert keys.revoke(key.prefix, by="ada").revoked == clock.now
    with pytest.raises(AccessError, match="JC470"):
        keys.find(secret)
    keys.revoke(key.prefix, by="ada")  # again: nothing happens
    told = [(one.action, one.subject) for one in Audit(store).page(kind="key")]
    assert told == [("key.revoke", key.prefix), ("key.add", key.prefix)]


def test_keys_that_let_nobody_in(quick: Store, clock: Clock):
    accounts = people(quick)
    keys = Keys(quick, clock=clock)
    _, old = keys.add("ana", days=1, by="ada")
    key, secret = keys.add("ana", days=None, by="ada")
    assert key.expires is None
    clock.forward(days=1)
    with pytest.raises(AccessError, match="JC470"):
        keys.find(old)
    assert keys.find(secret)[0].name == "ana"
    wrong = [
        secret[:-1],
        secret + "A",
        secret.swapcase(),
        key.prefix,
        f"jc_{key.prefix}_",
        "jc__",
        "",
        "jc_é_x",
        "x" * 99,
    ]
    for one in wrong:
        with pytest.raises(AccessError) as caught:
            keys.find(one)
        assert (caught.value.code, caught.value.message) == ("JC470", "the key is unknown, expired or revoked")
    accounts.disable("ana", by="ada")
    with pytest.raises(AccessError, match="JC470"):
        keys.find(secret)
    for attempt in (lambda: keys.add("nobody", by="ada"), lambda: keys.revoke("nope", by="ada"), lambda: keys.of("no")):
        with pytest.raises(UsageError, match="JC477"):
            attempt()
    with pytest.raises(UsageError, match="JC001"):
        keys.add("ana", days=0, by="ada")


# ---------------------------------------------------------------------------------------------------------- sessions


def test_a_session_ends_idle_or_old_or_signed_out(store: Store, clock: Clock):
    accounts = people(store)
    sessions = Sessions(store, idle_minutes=30, hours=2, clock=clock)
    ana = accounts.get("ana")
    token = sessions.begin(ana, address="10.0.0.1")
    assert sessions.find(token) == ana
    for _ in range(5):  # kept alive by requests, but not for ever
        clock.forward(minutes=20)
        assert sessions.find(token) == ana
    clock.forward(minutes=20)
    assert sessions.find(token) is None
    idle, out = sessions.begin(ana), sessions.begin(ana)
    assert idle != out
    sessions.end(out)
    sessions.end(out)
    assert sessions.find(out) is None
    assert sessions.find(idle) == ana
    clock.forward(minutes=31)
    assert sessions.find(idle) is None
    assert sessions.find("") is sessions.find("\ud800") is None
    told = [one.action for one in reversed(Audit(store).page(action="session"))]
    assert told == ["session.begin"] * 3 + ["session.end"]


def test_a_password_change_and_disabling_end_sessions(quick: Store):
    accounts, sessions = people(quick), Sessions(quick)
    ana, ada = accounts.get("ana"), accounts.get("ada")
    tokens, other = [sessions.begin(ana) for _ in range(2)], sessions.begin(ada)
    accounts.set_password("ana", OTHER, by="ada")
    assert [sessions.find(one) for one in tokens] == [None, None]
    assert sessions.find(other) == ada
    token = sessions.begin(ana)
    accounts.disable("ana", by="ada")
    assert sessions.find(token) is None
    accounts.enable("ana", by="ada")
    assert sessions.find(token) is None
    sessions.begin(accounts.get("ana"))
    assert sessions.end_all("ana", by="ada") == 1


def test_roles_count_at_once(quick: Store):
    accounts, sessions = people(quick), Sessions(quick)
    token = sessions.begin(accounts.get("ana"))
    accounts.set_roles("ana", ["lead"], by="ada")
    found = sessions.find(token)
    assert found is not None
    assert found.roles == ("lead",)


def test_without_argon2_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(UsageError) as caught:
        Hasher()
    assert caught.value.code == "JC002"
    assert "jointcoder[server]" in caught.value.hint
