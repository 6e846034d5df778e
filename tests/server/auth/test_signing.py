"""Signing in and out: cookies, fixed sessions, locks; what may be bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from jointcoder.errors import UsageError
from jointcoder.server.auth import Auth, require_safe_bind
from jointcoder.settings import Settings
from jointcoder.store.accounts import Accounts
from jointcoder.store.engine import Store, open_store

from .conftest import PASSWORD, Site, Sites

SESSION, VISITOR = "jointcoder_session", "jointcoder_visitor"


def sign_in(client, password: str = PASSWORD, **fields: str):
    token = client.get("/login").json()["csrf"]
    return client.post("/login", data={"name": "ana", "password": password, "csrf_token": token} | fields)


def test_signing_in_and_out(site: Site):
    client = site.client()
    response = sign_in(client, next="/worklist?x=1")
    assert (response.status_code, response.headers["location"]) == (303, "/worklist?x=1")
    shown = client.get("/").json()
    assert (shown["user"], shown["way"], shown["roles"]) == ("ana", "session", ["coder"])
    token = client.cookies[SESSION]
    out = client.post("/logout", headers={"x-csrf-token": shown["csrf"]})
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert SESSION not in client.cookies
    again = site.client(cookies={SESSION: token})
    assert again.get("/v1/thing").status_code == 401  # the token is worth nothing to whoever kept it
    told = [(one.action, one.actor) for one in site.auth.audit.page(action="session")]
    assert told == [("session.end", "ana"), ("session.begin", "ana")]


def test_cookies_are_for_this_service_alone(site: Site):
    for url, secure in (("http://127.0.0.1", False), ("https://127.0.0.1", True)):
        client = site.client(url)
        names = ("__Host-" if secure else "") + SESSION, ("__Host-" if secure else "") + VISITOR
        made = [client.get("/login"), sign_in(client)]
        for name, response in zip((names[1], names[0]), made, strict=True):
            cookie = next(one for one in response.headers.get_list("set-cookie") if one.startswith(f"{name}="))
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert {"httponly", "path=/", "samesite=strict"} <= parts
            assert ("secure" in parts) == secure
            assert not any(part.startswith(("domain", "expires", "max-age")) for part in parts)


def test_behind_a_proxy_cookies_are_secure_if_the_settings_say_so(sites: Sites):
    site = sites(secure_cookies=True)
    site.auth.accounts.add("ana", roles=["coder"], password=PASSWORD, by="x")
    cookie = site.client().get("/login").headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert "secure" in cookie.lower()


def test_a_planted_session_is_worth_nothing(site: Site):
    planted = site.client()
    assert sign_in(planted).status_code == 303
    theirs = planted.cookies[SESSION]
    victim = site.client(cookies={SESSION: theirs})
    csrf = victim.get("/login").json()["csrf"]
    lea = {"name": "lea", "password": PASSWORD, "csrf_token": csrf}
    fresh = victim.post("/login", data=lea)
    assert fresh.status_code == 303
    assert theirs not in fresh.headers["set-cookie"]
    assert site.client(cookies={SESSION: theirs}).get("/v1/thing").status_code == 401
    unknown = site.client(cookies={SESSION: "chosen by somebody else"})
    assert sign_in(unknown).status_code == 303
    assert site.client(cookies={SESSION: "chosen by somebody else"}).get("/v1/thing").status_code == 401


def test_the_sign_in_form_needs_its_token(site: Site):
    client = site.client()
    form = {"name": "ana", "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 403
    csrf = client.get("/login").json()["csrf"]
    assert site.client().post("/login", data=form | {"csrf_token": csrf}).status_code == 403  # of another browser
    assert client.post("/login", data=form | {"csrf_token": csrf}).status_code == 303


def test_failures_lock_and_say_how_long(site: Site):
    client = site.client()
    answers = [sign_in(client, "wrong") for _ in range(6)]
    assert [one.json()["code"] for one in answers] == ["JC471"] * 5 + ["JC474"]
    assert answers[0].json()["detail"] == "name or password is wrong"
    assert answers[5].status_code == 429
    assert 1 <= int(answers[5].headers["retry-after"]) <= 60
    assert sign_in(client).json()["code"] == "JC474"


def test_a_changed_password_ends_the_session(site: Site):
    client = site.signed_in()
    site.auth.accounts.set_password("ana", "nine brass lanterns", by="ada")
    assert client.get("/v1/thing").status_code == 401


def test_a_disabled_account_is_out_at_once(site: Site):
    client = site.signed_in()
    _, secret = site.auth.keys.add("ana", by="ada")
    site.auth.accounts.disable("ana", by="ada")
    assert client.get("/v1/thing").status_code == 401
    assert site.client(headers={"X-API-Key": secret}).get("/v1/thing").status_code == 401


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("/worklist", "/worklist"),
        ("/a?b=c#d", "/a?b=c#d"),
        ("", "/"),
        ("worklist", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_a_sign_in_leads_nowhere_else(path: str, safe: str):
    assert Auth.safe_next(path) == safe


# ------------------------------------------------------------------------------------------------------- what is bound


@pytest.fixture
def accounts(tmp_path: Path):
    with open_store(tmp_path / "store.sqlite") as store:
        yield Accounts(store)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_may_be_bound_without_accounts(accounts: Accounts, host: str):
    assert require_safe_bind(host, accounts, Settings())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "desk.example", "", "localhost.example"])
def test_what_others_can_reach_needs_accounts_and_a_name(accounts: Accounts, host: str):
    named = Settings(allowed_hosts=("desk.example",))
    with pytest.raises(UsageError, match="JC476") as caught:
        require_safe_bind(host, accounts, named)
    assert "accounts add" in caught.value.hint
    accounts.add("ada", roles=["admin"], by="x")
    with pytest.raises(UsageError, match="JC476") as caught:
        require_safe_bind(host, accounts, Settings())
    assert "allowed_hosts" in caught.value.hint
    assert require_safe_bind(host, accounts, named) is False


def test_a_store_may_come_later(tmp_path: Path):
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from jointcoder.server.auth import install

    app = FastAPI()
    auth = install(app, store=None, settings=Settings())
    store: Store
    with open_store(tmp_path / "store.sqlite") as store:
        auth.open(store)
        client = TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 1))
        assert client.get("/openapi.json").status_code == 200
