"""Sign-in by a provider: a real one, small, on loopback, that checks what it is sent and signs what it says."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("authlib", reason="the extra oidc is not installed")
pytest.importorskip("joserfc", reason="the extra oidc is not installed")

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from jointcoder.errors import UsageError

from .conftest import Site, Sites

CLIENT, SECRET = "jointcoder-desk", "the client's secret"
LONG_AGO, FAR_AHEAD = 1_000_000_000, 32_000_000_000  # seconds since 1970: the years 2001 and 2984


@functools.cache
def key_of(kid: str, number: int = 0) -> RSAKey:
    """A key of this name; another ``number``, another key. Making one takes a while."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


class Provider:
    """Issues one code for each attempt; ``claims`` and ``key`` are what its next token says and is signed with."""

    def __init__(self) -> None:
        self.key = key_of("one")
        self.published = [self.key]
        self.claims: dict[str, Any] = {"sub": "17", "preferred_username": "Ana", "name": "Ana Ruiz", "roles": ["coder"]}
        self.alg = "RS256"
        self.down = False
        self.asked: dict[str, dict[str, str]] = {}  # code → what the browser brought
        self.fetched: list[str] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetched.append(self.path)
                if self.path.endswith("/openid-configuration"):
                    names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                    self.say({"issuer": provider.issuer} | {k: f"{provider.issuer}/{v}" for k, v in names.items()})
                else:
                    self.say(KeySet(provider.published).as_dict(private=False))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.say(provider.token(self.headers, {name: one[0] for name, one in parse_qs(body).items()}))

            def say(self, value: Any) -> None:
                self.send_response(503 if provider.down else 200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"

    def authorize(self, url: str) -> str:
        """The person agrees: the address that the browser is sent back to."""
        asked = {name: one[0] for name, one in parse_qs(urlsplit(url).query).items()}
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return f"{urlsplit(asked['redirect_uri']).path}?code={code}&state={asked['state']}"

    def token(self, headers: Any, form: dict[str, str]) -> dict[str, Any]:
        """What the token endpoint says: an error unless client, redirect and PKCE verifier are right."""
        asked = self.asked.pop(form["code"], None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or headers["Authorization"] != f"Basic {basic}" or challenge != asked["code_challenge"]:
            return {"error": "invalid_grant"}
        if form["redirect_uri"] != asked["redirect_uri"]:
            return {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        token = jwt.encode({"alg": self.alg, "kid": self.key.kid}, claims | self.claims, self.key)
        return {"access_token": "x", "token_type": "Bearer", "id_token": token}


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def site(sites: Sites, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("JOINTCODER_OIDC_SECRET", SECRET)
    made = sites(oidc_issuer=provider.issuer, oidc_client_id=CLIENT)
    made.auth.accounts.add("ada", roles=["admin"], by="x")
    return made


def attempt(client: Any, provider: Provider, to: str = "/worklist") -> Any:
    """Begin, agree, come back."""
    begun = client.get("/login/oidc", params={"next": to})
    assert begun.status_code == 303, begun.text
    return client.get(provider.authorize(begun.headers["location"]), headers={"sec-fetch-site": "cross-site"})


def test_a_person_signs_in_by_the_provider(site: Site, provider: Provider):
    assert site.auth.oidc
    client = site.client()
    response = attempt(client, provider)
    assert (response.status_code, response.headers["location"]) == (303, "/worklist")
    session = next(one for one in response.headers.get_list("set-cookie") if one.startswith("jointcoder_session="))
    assert "samesite=lax" in session.lower()  # a strict one would not be sent on the way back from the provider
    shown = client.get("/").json()
    assert (shown["user"], shown["way"], shown["roles"]) == ("ana", "session", ["coder"])
    account = site.auth.accounts.get("ana")
    assert (account.display, account.issuer, account.has_password) == ("Ana Ruiz", provider.issuer, False)
    begun = site.auth.audit.page(action="session.begin")
    assert begun[0].details["way"] == "oidc"


def test_roles_are_those_that_the_provider_tells_now(site: Site, provider: Provider):
    attempt(site.client(), provider)
    provider.claims["roles"] = ["lead", "service", "something else"]
    client = site.client()
    attempt(client, provider)
    assert client.get("/").json()["roles"] == ["lead"]


def test_claims_may_be_nested_and_mapped(sites: Sites, provider: Provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JOINTCODER_OIDC_SECRET", SECRET)
    site = sites(
        oidc_issuer=provider.issuer,
        oidc_client_id=CLIENT,
        oidc_roles_claim="realm_access.roles",
        oidc_roles={"HIM-coders": "coder", "HIM-heads": "lead"},
        oidc_name_claim="employee",
    )
    site.auth.accounts.add("ada", roles=["admin"], by="x")
    provider.claims |= {"realm_access": {"roles": ["HIM-heads", "coder", "admin"]}, "employee": "E-1042"}
    client = site.client()
    attempt(client, provider)
    shown = client.get("/").json()
    assert (shown["user"], shown["roles"]) == ("e-1042", ["lead"])


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of another attempt"},
        {"aud": "another service"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"iss": "https://elsewhere.example"},
        {"exp": LONG_AGO},
        {"iat": FAR_AHEAD},
        {"sub": None},
        {"roles": []},
        {"roles": {"coder": True}},
        {"roles": ["service"]},
        {"preferred_username": "ada"},
        {"preferred_username": "two words"},
    ],
)
def test_tokens_that_let_nobody_in(site: Site, provider: Provider, claims: dict[str, Any]):
    provider.claims |= claims
    client = site.client()
    response = attempt(client, provider)
    assert (response.status_code, response.json()["code"]) == (401, "JC471")
    assert client.get("/v1/thing").status_code == 401
    assert [one.name for one in site.auth.accounts.all()] == ["ada"]


@pytest.mark.parametrize("kid", ["one", "other"])
def test_a_token_signed_by_another_key(site: Site, provider: Provider, kid: str):
    provider.key = key_of(kid, 1)
    assert attempt(site.client(), provider).json()["code"] == "JC471"


def test_an_unsigned_token(site: Site, provider: Provider, monkeypatch: pytest.MonkeyPatch):
    def unsigned(headers: Any, form: dict[str, str]) -> dict[str, Any]:
        now = int(time.time())
        nonce = provider.asked[form["code"]]["nonce"]
        claims = {"iss": provider.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce} | provider.claims
        parts = (base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": "none"}, claims))
        return {"access_token": "x", "token_type": "Bearer", "id_token": b".".join([*parts, b""]).decode()}

    monkeypatch.setattr(provider, "token", unsigned)
    assert attempt(site.client(), provider).json()["code"] == "JC471"


def test_the_providers_keys_may_change(site: Site, provider: Provider):
    attempt(site.client(), provider)
    asked = len(provider.fetched)
    attempt(site.client(), provider)
    assert len(provider.fetched) == asked  # description and keys are kept
    provider.key, provider.alg = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"}), "ES256"
    provider.published = [provider.key]
    assert attempt(site.client(), provider).status_code == 303


def test_an_answer_counts_for_the_browser_that_asked(site: Site, provider: Provider):
    client = site.client()
    back = provider.authorize(client.get("/login/oidc").headers["location"])
    assert site.client().get(back).json()["code"] == "JC471"  # another browser
    assert client.get(back + "x").json()["code"] == "JC471"  # another state
    assert client.get("/login/oidc/callback").json()["code"] == "JC471"
    assert client.get(back).status_code == 303
    assert client.get(back).json()["code"] == "JC471"  # once


def test_a_person_whom_the_provider_refuses(site: Site, provider: Provider):
    client = site.client()
    state = parse_qs(urlsplit(client.get("/login/oidc").headers["location"]).query)["state"][0]
    response = client.get("/login/oidc/callback", params={"state": state, "error": "access_denied"})
    assert response.json()["code"] == "JC471"


def test_a_sign_in_leads_back_here_only(site: Site, provider: Provider):
    assert attempt(site.client(), provider, to="//evil.example").headers["location"] == "/"


def test_a_provider_that_does_not_answer(site: Site, provider: Provider):
    provider.down = True
    response = site.client().get("/login/oidc")
    assert (response.status_code, response.json()["code"]) == (401, "JC471")
    assert "127.0.0.1" not in response.json()["detail"]


def test_a_wrong_client_secret(sites: Sites, provider: Provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JOINTCODER_OIDC_SECRET", "another")
    site = sites(oidc_issuer=provider.issuer, oidc_client_id=CLIENT)
    site.auth.accounts.add("ada", roles=["admin"], by="x")
    assert attempt(site.client(), provider).json()["code"] == "JC471"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"oidc_issuer": "http://id.example"}, "JC001"),
        ({"oidc_issuer": "id.example"}, "JC001"),
        ({"oidc_issuer": "https://id.example", "oidc_roles": {"everybody": "service"}}, "JC001"),
    ],
)
def test_settings_that_are_refused(sites: Sites, settings: dict[str, Any], code: str):
    with pytest.raises(UsageError) as caught:
        sites(oidc_client_id=CLIENT, **settings)
    assert caught.value.code == code


def test_without_a_provider_there_is_no_such_page(sites: Sites):
    site = sites()
    assert not site.auth.oidc
    assert site.client().get("/login/oidc").status_code == 404
