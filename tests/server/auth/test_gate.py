"""What the gate lets through and what it refuses: names, places, keys, tokens, rates; the headers of every response."""

from __future__ import annotations

import logging
import time

import pytest

from .conftest import HOME, PASSWORD, Site, Sites

NOTE = "胸痛三天，夜间加重。 She coughs at night."


def code_of(response) -> str:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.json()["code"]


# --------------------------------------------------------------------------------------------------------- open mode


def test_open_mode_is_one_local_user_with_every_role(open_site: Site):
    client = open_site.client()
    shown = client.get("/").json()
    assert (shown["user"], shown["way"]) == ("local", "open")
    assert shown["roles"] == ["admin", "coder", "lead", "service"]
    assert client.post("/v1/thing").status_code == 200  # a program on this machine needs no token
    assert client.post("/").status_code == 403  # a page does
    assert client.post("/", headers={"x-csrf-token": shown["csrf"]}).status_code == 200


@pytest.mark.parametrize("url", ["http://localhost:8417", "http://127.0.0.2", "http://[::1]:8417", "http://LOCALHOST"])
def test_open_mode_knows_the_names_of_this_machine(open_site: Site, url: str):
    assert open_site.client(url).get("/").status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.5", "", "a@localhost", "[::1", "x:y"],
)
def test_open_mode_refuses_foreign_names(open_site: Site, host: str):
    response = open_site.client().get("/v1/thing", headers={"host": host})
    assert (response.status_code, code_of(response)) == (403, "JC473")


def test_open_mode_is_for_this_machine_alone(open_site: Site):
    assert code_of(open_site.client(address="10.0.0.7").get("/")) == "JC473"
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert code_of(open_site.client().get("/", headers={header: "10.0.0.7"})) == "JC473"


def test_open_mode_refuses_what_other_sites_pages_send(open_site: Site):
    client = open_site.client()
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": HOME},
    ):
        assert code_of(client.post("/v1/thing", headers=headers)) == "JC473", headers
    for headers in ({"origin": HOME}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
        assert client.post("/v1/thing", headers=headers).status_code == 200, headers


def test_the_first_account_ends_open_mode_at_once(open_site: Site):
    client = open_site.client()
    assert client.get("/").json()["user"] == "local"
    open_site.auth.accounts.add("ada", roles=["admin"], password=PASSWORD, by="cli:root")
    assert client.get("/v1/thing").status_code == 401


def test_a_public_address_without_accounts_lets_nobody_in(sites: Sites):
    site = sites(loopback=False, allowed_hosts=("desk.example",))
    response = site.client("http://desk.example", address="10.0.0.7").get("/v1/thing")
    assert (response.status_code, code_of(response)) == (401, "JC470")


# ------------------------------------------------------------------------------------------------------- who and where


def test_nobody_is_refused_before_any_route(site: Site):
    client = site.client()
    for path in ("/v1/thing", "/v1/no/such/route", "/metrics", "/openapi.json"):
        response = client.get(path)
        assert (response.status_code, code_of(response)) == (401, "JC470"), path
        assert response.headers["www-authenticate"] == "Bearer"
    page = client.get("/forgot?a=1&b=%2F")
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=%2Fforgot%3Fa%3D1%26b%3D%252F")
    fragment = client.get("/forgot", headers={"hx-request": "true"})
    assert (fragment.status_code, fragment.headers["hx-redirect"], fragment.content) == (401, "/login", b"")
    assert client.post("/").status_code == 401
    for path in ("/health/live", "/static/desk.css", "/login"):
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize("host", ["127.0.0.1/static/?", "127.0.0.1/health/?", "127.0.0.1/login?", "127.0.0.1/static/#"])
def test_a_path_in_the_name_of_the_host_opens_nothing(site: Site, host: str):
    for path in ("/v1/thing", "/forgot"):
        assert site.client().get(path, headers={"host": host}).status_code in (303, 401, 403)


def test_a_key_is_asked_for_in_either_header(site: Site):
    key, secret = site.auth.keys.add("feeder", by="ada")
    client = site.client()
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"bearer {secret}"},
        {"X-API-Key": secret},
    ):
        shown = client.post("/v1/thing", headers={**headers, "origin": "http://elsewhere.example"})
        assert shown.json() == {"user": "feeder", "way": "key", "roles": ["service"], "csrf": ""}
    site.auth.keys.revoke(key.prefix, by="ada")
    for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": "jc_x_y"}, {"X-API-Key": "x" * 5000}):
        response = client.get("/v1/thing", headers=headers)
        assert (response.status_code, code_of(response)) == (401, "JC470")
    assert client.get("/v1/thing", headers={"Authorization": "Basic eDp5"}).status_code == 401


def test_a_wrong_key_is_not_covered_by_a_session(site: Site):
    assert site.signed_in().get("/v1/thing", headers={"X-API-Key": "jc_x_y"}).status_code == 401


def test_names_of_the_service_are_set(sites: Sites):
    site = sites(allowed_hosts=("desk.hospital.example", "*.wards.example"))
    site.auth.accounts.add("ada", roles=["admin"], password=PASSWORD, by="x")
    for host in ("desk.hospital.example", "DESK.hospital.example:443", "three.wards.example", "127.0.0.1"):
        assert site.client().get("/login", headers={"host": host}).status_code == 200, host
    for host in ("hospital.example", "evil.example", "wards.example", "xwards.example"):
        assert code_of(site.client().get("/login", headers={"host": host})) == "JC473", host


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("ana", "coder either"), ("lea", "lead either"), ("ada", "admin"), ("feeder", "service")],
)
def test_no_role_implies_another(site: Site, name: str, allowed: str):
    client = site.signed_in(name)
    answers = {path: client.get(f"/only/{path}") for path in ("coder", "lead", "admin", "service", "either")}
    assert {path for path, answer in answers.items() if answer.status_code == 200} == set(allowed.split())
    assert {code_of(one) for one in answers.values() if one.status_code == 403} == {"JC472"}


def test_a_route_is_not_made_for_a_role_that_there_is_not():
    from jointcoder.server.auth import require

    for roles in ((), ("root",), ("coder", "")):
        with pytest.raises(ValueError, match="roles are"):
            require(*roles)


# --------------------------------------------------------------------------------------------------------------- CSRF


def test_writing_by_cookie_needs_the_token_of_this_session(site: Site):
    ana, lea = site.signed_in("ana"), site.signed_in("lea")
    token = ana.headers.pop("x-csrf-token")
    for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": lea.headers["x-csrf-token"]}, {"x-csrf-token": "é"}):
        for path in ("/", "/v1/thing", "/logout"):
            response = ana.post(path, headers={name: value.encode() for name, value in headers.items()})
            assert (response.status_code, code_of(response)) == (403, "JC473")
    assert ana.get("/").json()["user"] == "ana"  # nothing of it signed her out
    assert ana.post("/", headers={"x-csrf-token": token}).status_code == 200


def test_the_token_may_be_a_field_and_the_route_gets_the_form(site: Site):
    client = site.signed_in()
    token = client.headers.pop("x-csrf-token")
    assert client.post("/form", data={"note": "x" * 200_000, "csrf_token": token}).json() == {"note": "x" * 200_000}
    assert client.post("/form", data={"note": NOTE, "csrf_token": token}).json() == {"note": NOTE}
    assert client.post("/form", data={"note": NOTE, "csrf_token": token[:-1]}).status_code == 403
    assert client.post("/form", data={"note": "x" * 2_000_000, "csrf_token": token}).status_code == 403
    assert client.post("/form", data={f"n{n}": "" for n in range(2000)} | {"csrf_token": token}).status_code == 403
    multipart = {"files": {"file": b"x"}, "data": {"note": NOTE, "csrf_token": token}}
    assert client.post("/form", **multipart).status_code == 403  # a file goes with the header
    assert client.post("/form", **multipart, headers={"x-csrf-token": token}).json() == {"note": NOTE}


def test_pages_of_other_sites_are_refused_though_they_had_the_token(site: Site):
    client = site.signed_in()
    assert code_of(client.post("/", headers={"origin": "http://evil.example"})) == "JC473"
    assert client.post("/", headers={"origin": HOME}).status_code == 200


# -------------------------------------------------------------------------------------------------------------- rates


@pytest.fixture
def mid_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands at half past a minute: windows of a minute begin with the minute."""
    monkeypatch.setattr(time, "time", lambda: 1_700_000_010.0)


@pytest.mark.usefixtures("mid_minute")
def test_an_account_has_its_rate_and_others_theirs(sites: Sites):
    site = sites(request_rate="5/minute")
    for name in ("ana", "lea"):
        site.auth.accounts.add(name, roles=["coder"], password=PASSWORD, by="x")
    _, ana = site.auth.keys.add("ana", by="x")
    _, lea = site.auth.keys.add("lea", by="x")
    client = site.client()
    statuses = [client.get("/v1/thing", headers={"X-API-Key": ana}).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    refused = client.get("/v1/thing", headers={"X-API-Key": ana})
    assert code_of(refused) == "JC475"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/v1/thing", headers={"X-API-Key": lea}).status_code == 200
    assert client.get("/health/live").status_code == 200


@pytest.mark.usefixtures("mid_minute")
def test_signing_in_has_a_rate_of_its_own(sites: Sites):
    site = sites(login_rate="3/minute")
    site.auth.accounts.add("ana", roles=["coder"], password=PASSWORD, by="x")
    client = site.client()
    form = {"name": "ana", "password": "wrong", "csrf_token": client.get("/login").json()["csrf"]}
    codes = [code_of(client.post("/login", data=form)) for _ in range(4)]
    assert codes == ["JC471"] * 3 + ["JC475"]
    assert client.get("/login").status_code == 200
    assert site.client(address="10.0.0.9").get("/login").status_code == 200


@pytest.mark.parametrize("rate", ["", "often", "0", "5/fortnight"])
def test_rates_that_cannot_be_read(sites: Sites, rate: str):
    from jointcoder.errors import UsageError

    with pytest.raises(UsageError, match=r"JC001.*request_rate"):
        sites(request_rate=rate)


# ------------------------------------------------------------------------------------------------------------ headers


def test_every_response_has_the_headers(site: Site):
    client = site.signed_in()
    wanted = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
    for response in (
        client.get("/"),
        client.get("/no/such/page"),
        client.get("/only/admin"),
        client.get("/static/desk.css"),
        site.client().get("/v1/thing"),
        site.client().get("/", headers={"host": "evil.example"}),
    ):
        assert response.headers["content-security-policy"] == wanted
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["x-frame-options"] == "DENY"
        assert ("cache-control" in response.headers) == (response.url.path != "/static/desk.css")
        assert "strict-transport-security" not in response.headers
    assert client.get("/").headers["cache-control"] == "no-store"


def test_streams_flow_and_keep_their_own_headers(site: Site):
    response = site.signed_in().get("/stream")
    assert (response.content, response.headers["cache-control"]) == (b"onetwo", "no-cache")
    assert response.headers["x-content-type-options"] == "nosniff"


def test_over_https_browsers_are_told_to_stay_there(site: Site):
    assert "max-age" in site.client("https://127.0.0.1").get("/login").headers["strict-transport-security"]


def test_there_are_no_websockets(site: Site):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), site.client().websocket_connect("/v1/thing"):
        pass


def test_refusals_look_as_the_application_says(sites: Sites):
    from starlette.responses import PlainTextResponse

    site = sites(render=lambda request, error, status, headers: PlainTextResponse(error.code, status, headers))
    response = site.client().get("/", headers={"host": "evil.example"})
    assert (response.status_code, response.text) == (403, "JC473")
    assert "content-security-policy" in response.headers


def test_nothing_of_a_request_gets_into_the_log(site: Site, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    client = site.signed_in()
    token = client.headers["x-csrf-token"]
    client.post("/form", data={"note": NOTE})
    client.post("/form", data={"note": NOTE, "csrf_token": "wrong"}, headers={"x-csrf-token": "wrong"})
    client.get("/v1/thing", params={"q": NOTE}, headers={"X-API-Key": "jc_secret_secret"})
    ours = "\n".join(one.getMessage() for one in caplog.records if not one.name.startswith("httpx"))
    assert [word for word in ("胸痛", "coughs", PASSWORD, token, "jc_secret") if word in ours] == []
