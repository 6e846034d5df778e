"""Sign-in by an OpenID provider: authorization code flow with PKCE. Extra ``oidc`` (authlib).

    GET /login/oidc?next=…   → the provider's page → GET /login/oidc/callback?code=…&state=… → signed in

What an attempt has to remember until the answer comes (state, nonce, PKCE verifier) is derived from one random cookie
of ten minutes; nothing is kept here. The ID token's signature, issuer, audience, times and nonce are checked. Its roles
claim says what the person may; who has no role there is not let in. Signing out here does not sign out there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jointcoder.errors import AccessError, JointCoderError, UsageError, name_list
from jointcoder.server.auth.cookies import derived, new_token, same
from jointcoder.server.auth.places import is_loopback

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jointcoder.server.auth.signing import Auth
    from jointcoder.settings import Settings

SECRET_VARIABLE = "JOINTCODER_OIDC_SECRET"
START, CALLBACK = "/login/oidc", "/login/oidc/callback"
COOKIE, COOKIE_S = "jointcoder_oidc", 600
PEOPLE = ("coder", "lead", "admin")  # a program signs in by key
ALGORITHMS = ("RS256", "PS256", "ES256")
TIMEOUT_S, KEEP_S, LEEWAY_S = 10.0, 3600.0, 60
_HINT = "pip install 'jointcoder[oidc]'"


@dataclass(frozen=True)
class Person:
    """Whom the provider vouches for."""

    subject: str
    name: str
    display: str
    roles: tuple[str, ...]


@dataclass
class Provider:
    """An OpenID provider as this service is registered there. Its own description and keys are fetched when needed, and
    again after an hour or when a token is signed by a key that was not there."""

    issuer: str
    client_id: str
    secret: str = ""
    roles_claim: str = "roles"
    roles: Mapping[str, str] = field(default_factory=dict)
    name_claim: str = "preferred_username"
    _held: dict[str, tuple[float, Any]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """UsageError JC001 for an issuer that is not https, or roles that there are not; JC002 without authlib."""
        from importlib.util import find_spec

        if not (find_spec("authlib") and find_spec("joserfc")):
            raise UsageError("JC002", "sign-in by a provider needs the package authlib", hint=_HINT)
        parts = urlsplit(settings.oidc_issuer)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise UsageError("JC001", "settings: oidc_issuer: a provider is asked over https")
        if unknown := set(settings.oidc_roles.values()) - set(PEOPLE):
            hint = f"roles: {', '.join(PEOPLE)}"
            raise UsageError("JC001", f"settings: oidc_roles: unknown roles {name_list(unknown)}", hint=hint)
        return cls(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            secret=os.environ.get(SECRET_VARIABLE, ""),
            roles_claim=settings.oidc_roles_claim,
            roles=settings.oidc_roles,
            name_claim=settings.oidc_name_claim,
        )

    def page(self, secret: str, *, redirect: str) -> str:
        """Where the person is sent; ``secret`` is this attempt's. AccessError JC471 where the provider is silent."""
        with self._client(redirect) as client:
            url, _ = client.create_authorization_url(
                self._metadata()["authorization_endpoint"],
                state=derived(secret, "state"),
                nonce=derived(secret, "nonce"),
                code_verifier=derived(secret, "verifier"),
            )
        return str(url)

    def person(self, code: str, secret: str, *, redirect: str) -> Person:
        """Who came back with a code. AccessError JC471 for an answer that does not hold."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        metadata = self._metadata()
        with self._client(redirect) as client:
            tokens = client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=derived(secret, "verifier"),
            )
        expected = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": metadata["issuer"]},
            aud={"essential": True, "value": self.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": derived(secret, "nonce")},
        )
        try:
            claims = self._verified(str(tokens.get("id_token", "")))
            expected.validate(claims)
        except JoseError as error:
            raise _failed(f"the provider's token does not hold ({type(error).__name__})") from None
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self.client_id:
            raise _failed("the provider's token is for another service")
        name = claims.get(self.name_claim) or claims["sub"]
        return Person(str(claims["sub"]), str(name), str(claims.get("name", "")), self._roles_of(claims))

    def _roles_of(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        found: Any = claims
        for part in self.roles_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        said = [found] if isinstance(found, str) else found if isinstance(found, Sequence) else []
        meant = {self.roles.get(str(one), "") if self.roles else str(one) for one in said}
        return tuple(role for role in PEOPLE if role in meant)

    def _verified(self, token: str) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, InvalidKeyIdError

        try:
            return dict(jwt.decode(token, self._keys(), algorithms=ALGORITHMS).claims)
        except (BadSignatureError, InvalidKeyIdError, ValueError):
            # Perhaps the keys were changed since they were fetched.
            return dict(jwt.decode(token, self._keys(afresh=True), algorithms=ALGORITHMS).claims)

    def _metadata(self) -> Any:
        metadata = self._fetched(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        wanted = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
        if not isinstance(metadata, dict) or not all(isinstance(metadata.get(name), str) for name in wanted):
            raise _failed("the provider's description of itself is not whole")
        if metadata["issuer"].rstrip("/") != self.issuer.rstrip("/"):
            raise _failed("the provider calls itself by another name than oidc_issuer")
        return metadata

    def _keys(self, *, afresh: bool = False) -> Any:
        from joserfc.jwk import KeySet

        with _provider_errors():
            return KeySet.import_key_set(self._fetched(self._metadata()["jwks_uri"], afresh=afresh))

    def _fetched(self, url: str, *, afresh: bool = False) -> Any:
        with self._lock:
            at, value = self._held.get(url, (0.0, None))
            if value is None or afresh or time.monotonic() - at > KEEP_S:
                with self._client("") as client:
                    response = client.request("GET", url, withhold_token=True)
                    response.raise_for_status()
                    value = response.json()
                self._held[url] = (time.monotonic(), value)
        return value

    @contextmanager
    def _client(self, redirect: str) -> Iterator[Any]:
        from authlib.integrations.httpx_client import OAuth2Client

        with (
            _provider_errors(),
            OAuth2Client(
                self.client_id,
                self.secret or None,
                token_endpoint_auth_method="client_secret_basic" if self.secret else "none",
                scope="openid profile",
                redirect_uri=redirect,
                code_challenge_method="S256",
                timeout=TIMEOUT_S,
            ) as client,
        ):
            yield client


def add_routes(app: FastAPI, auth: Auth, provider: Provider) -> None:
    """The two routes of a sign-in by the provider."""

    def start(request: Request, next: str = "/") -> Response:
        secret = new_token()
        response = RedirectResponse(provider.page(secret, redirect=_callback(request)), 303)
        response.set_cookie(
            COOKIE,
            f"{secret}.{auth.safe_next(next).encode().hex()}",
            max_age=COOKIE_S,
            path=START,
            secure=auth.cookies.secure(request),
            httponly=True,
            samesite="lax",
        )
        return response

    def callback(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
        secret, to = _remembered(request.cookies.get(COOKIE, ""))
        if not secret or not same(state, derived(secret, "state")):
            raise _failed("this sign-in was not begun here, or too long ago", hint="begin at the sign-in page again")
        if error or not code:
            raise _failed("the provider did not let the person in")
        person = provider.person(code, secret, redirect=_callback(request))
        if not person.roles:
            raise _failed("the provider gives the person no role here", hint=f"claim {provider.roles_claim}")
        account = auth.accounts.of_provider(
            issuer=provider.issuer,
            subject=person.subject,
            name=person.name,
            display=person.display,
            roles=person.roles,
        )
        response = RedirectResponse(auth.safe_next(to), 303)
        response.delete_cookie(COOKIE, path=START)
        return auth.signed_in(request, account, response, way="oidc")

    app.add_api_route(START, start, include_in_schema=False)
    app.add_api_route(CALLBACK, callback, include_in_schema=False)


def _callback(request: Request) -> str:
    """This service's address as the browser knows it; the gate has checked its name."""
    return f"{request.scope['scheme']}://{request.headers['host']}{CALLBACK}"


def _remembered(cookie: str) -> tuple[str, str]:
    """Secret and destination of the attempt that a cookie is of; "" where it is none."""
    secret, _, to = cookie.partition(".")
    try:
        return secret, bytes.fromhex(to).decode()
    except ValueError:
        return "", "/"


@contextmanager
def _provider_errors() -> Iterator[None]:
    """Whatever goes wrong on the way to the provider or in its answer is one coded error, by the failure's kind."""
    try:
        yield
    except JointCoderError:
        raise
    except Exception as error:
        raise _failed(f"the provider does not answer as it should ({type(error).__name__})") from None


def _failed(message: str, *, hint: str = "") -> AccessError:
    return AccessError("JC471", message, hint=hint)
