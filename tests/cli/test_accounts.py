"""``jointcoder accounts``, ``audit`` and ``store`` as a user runs them."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra store is not installed")
pytest.importorskip("argon2", reason="the extra server is not installed")
pytest.importorskip("cryptography", reason="the extra server is not installed")

from jointcoder.cli import language

from .conftest import Command

PASSWORD = "seven grey herons"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """What stdin holds."""

    def give(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return give


@pytest.fixture
def ana(command: Command, typed, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A store with one account."""
    monkeypatch.setattr(language.CHOSEN, "language", None)  # and what a test chooses ends with it
    typed(PASSWORD + "\n")
    code, out, err = command("accounts", "add", "Ana", "--role", "coder", "--name", "Ana Ruiz", "--password-stdin")
    assert (code, out) == (0, ""), err
    assert "account ana made: coder" in err
    assert "has to sign in" in err
    assert "--role admin" in err
    return command


def test_accounts_are_made_shown_and_changed(ana: Command, typed):
    typed("nine brass lanterns\n")
    assert ana("accounts", "password", "ana", "--password-stdin")[0] == 0
    assert ana("accounts", "roles", "ana", "--role", "lead", "--role", "admin")[0] == 0
    assert ana("accounts", "add", "feeder", "--role", "service", "--no-password")[0] == 0
    assert ana("accounts", "disable", "feeder")[0] == 0
    shown = json.loads(ana("accounts", "list", "--json")[1])
    assert [(one["name"], one["roles"], one["disabled"], one["has_password"]) for one in shown] == [
        ("ana", ["lead", "admin"], False, True),
        ("feeder", ["service"], True, False),
    ]
    assert ana("accounts", "enable", "feeder")[0] == 0
    table = ana("accounts", "list")[1]
    assert all(word in table for word in ("Ana Ruiz", "lead, admin", "key alone", "active"))
    chinese = ana("accounts", "list", "--lang", "zh")[1]
    assert all(word in chinese for word in ("账号", "仅密钥", "使用中"))


def test_a_key_is_printed_once(ana: Command):
    code, out, err = ana("accounts", "key", "add", "ana", "--label", "HIS", "--days", 30)
    assert (code, out.count("\n")) == (0, 1)
    prefix = out.split("_")[1]
    assert out.strip() not in err
    listed = ana("accounts", "key", "list", "--json")[1]
    assert out.strip() not in listed
    assert [(one["prefix"], one["label"], one["stands"]) for one in json.loads(listed)] == [(prefix, "HIS", True)]
    assert ana("accounts", "key", "revoke", prefix)[0] == 0
    assert "revoked" in ana("accounts", "key", "list", "ana")[1]
    assert "never expires" in ana("accounts", "key", "add", "ana", "--forever")[2]


def test_what_is_refused_says_why(ana: Command, typed):
    typed("short\n")
    code, _, err = ana("accounts", "password", "ana", "--password-stdin")
    assert (code, "JC477" in err, "at least 12" in err) == (2, True, True)
    for arguments in (
        ("accounts", "add", "ana", "--role", "coder", "--no-password"),
        ("accounts", "add", "bo", "--role", "root", "--no-password"),
        ("accounts", "disable", "nobody"),
        ("accounts", "key", "revoke", "nothing"),
    ):
        code, _, err = ana(*arguments)
        assert (code, "JC477" in err) == (2, True), arguments
    code, _, err = ana("accounts", "password", "ana")  # no terminal to ask at
    assert (code, "--password-stdin" in err) == (2, True)


def test_a_log_that_holds_and_one_that_was_touched(ana: Command, tmp_path: Path):
    anchor, exported = tmp_path / "anchor.json", tmp_path / "log.jsonl"
    assert ana("audit", "verify", "--anchor", anchor)[0] == 4  # there is none yet
    assert ana("audit", "verify", "--anchor", anchor, "--renew")[0] == 0
    assert ana("accounts", "roles", "ana", "--role", "lead")[0] == 0
    assert "2 entries, none touched" in ana("audit", "verify", "--anchor", anchor)[2]
    assert json.loads(ana("audit", "verify", "--json")[1])["ok"] is True
    assert ana("audit", "export", "--out", exported)[0] == 0
    assert "3 entries" in ana("audit", "verify", "--file", exported, "--anchor", anchor)[2]
    with sqlite3.connect(tmp_path / "cache" / "store.sqlite") as database:
        for trigger in ("audit_no_update", "audit_no_delete"):
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("UPDATE audit SET actor = 'mallory' WHERE seq = 2")
    database.close()
    code, out, err = ana("audit", "verify", "--anchor", anchor, "--renew", "--json")
    assert (code, "JC478" in err, "entry 2 was changed" in err) == (4, True, True)
    assert json.loads(out)["broken"] == {"seq": 2, "how": "changed"}
    assert json.loads(anchor.read_text("utf-8"))["seq"] == 1  # the anchor of a broken log is not renewed
    exported.write_text(exported.read_text("utf-8").replace('"coder"', '"admin"'), "utf-8")
    assert "entry 1 was changed" in ana("audit", "verify", "--file", exported)[2]
    assert "第 2 条记录被改动" in ana("audit", "verify", "--lang", "zh")[2]


def test_the_log_is_shown_and_looking_at_it_is_in_it(ana: Command):
    assert ana("accounts", "roles", "ana", "--role", "lead")[0] == 0
    assert ana("accounts", "list")[0] == 0
    shown = json.loads(ana("audit", "show", "--action", "account", "--json")[1])
    assert [one["action"] for one in shown] == ["account.list", "account.roles", "account.add"]
    assert all(one["actor"].startswith("cli:") for one in shown)
    assert json.loads(ana("audit", "show", "--limit", 1, "--json")[1])[0]["action"] == "audit.view"
    assert json.loads(ana("audit", "show", "--until", "2020-01-01", "--json")[1]) == []
    assert "account.add" in ana("audit", "show", "--since", "2020-01-01")[1]
    code, _, err = ana("audit", "show", "--since", "yesterday")
    assert (code, "YYYY-MM-DD" in err) == (2, True)
    lines = ana("audit", "export", "--after", 1)[1].splitlines()
    assert json.loads(lines[0])["seq"] == 2


def test_keys_for_note_text(ana: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("JOINTCODER_NOTE_KEY", raising=False)
    code, key, _ = ana("store", "key")
    assert code == 0
    monkeypatch.setenv("JOINTCODER_ENCRYPT_NOTES", "true")
    code, _, err = ana("store", "seal")
    assert (code, "JC479" in err) == (2, True)
    monkeypatch.setenv("JOINTCODER_NOTE_KEY", key.strip())
    assert "0 texts sealed anew" in ana("store", "seal")[2]
    assert key.strip() not in ana("audit", "show", "--json")[1]
