"""Who asks, from where, how often, and what they may: everything between a socket and a route.

install(app, store=…, settings=…)          one middleware (gate.py) around everything; app.state.auth (Auth)
Depends(require("coder", "lead"))          the User who asks, or AccessError JC472

gate.py        each request: headers, Host, who, rate, Origin, CSRF; refuses whom it does not know
people.py      User; roles.py  which roles may what          refusals.py   errors as responses
signing.py     Auth: signing in and out; cookies.py          oidc.py       sign-in by an OpenID provider
places.py      loopback, hosts, origins, public binds         rates.py      so many requests a minute
"""

from jointcoder.server.auth import roles
from jointcoder.server.auth.people import User, current_user, maybe_user, require
from jointcoder.server.auth.places import require_safe_bind
from jointcoder.server.auth.refusals import SIGN_IN, STATUS, headers_of
from jointcoder.server.auth.signing import Auth, install

__all__ = [
    "SIGN_IN",
    "STATUS",
    "Auth",
    "User",
    "current_user",
    "headers_of",
    "install",
    "maybe_user",
    "require",
    "require_safe_bind",
    "roles",
]
