"""The one who asks, as routes see them: dependencies that give a ``User`` or refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fastapi import Request

from jointcoder.errors import AccessError, name_list
from jointcoder.store.accounts import ROLES, Account

Way = Literal["open", "session", "key"]
LOCAL = "local"


@dataclass(frozen=True)
class User:
    """Who asks. ``name``: what audit and decisions call them; ``language``: "en", "zh" or "" (as the browser says);
    ``way``: by session, by API key, or open: nobody has made accounts yet and the request is from this machine."""

    name: str
    display: str
    roles: frozenset[str]
    language: str
    way: Way
    account: int | None = None
    key: str = ""

    def may(self, *roles: str) -> bool:
        """Whether they have one of the roles."""
        return bool(self.roles.intersection(roles))

    @property
    def open(self) -> bool:
        return self.way == "open"


def user_of(account: Account, way: Way, key: str = "") -> User:
    """The user of an account."""
    return User(account.name, account.display, frozenset(account.roles), account.language, way, account.id, key)


def local_user() -> User:
    """The one user of open mode: this machine's, with every role."""
    return User(LOCAL, LOCAL, frozenset(ROLES), "", "open")


def maybe_user(request: Request) -> User | None:
    """Who asks, None where nobody is signed in (public paths only)."""
    user: User | None = getattr(request.state, "user", None)
    return user


def current_user(request: Request) -> User:
    """Who asks. AccessError JC470 where nobody is signed in."""
    user = maybe_user(request)
    if user is None:
        raise AccessError("JC470", "nobody is signed in")
    return user


def require(*any_of: str) -> Callable[[Request], User]:
    """A dependency: the user, who has one of the roles. AccessError JC470, JC472. ValueError for a role that there is
    not, when the route is made."""
    if not any_of or not set(any_of) <= set(ROLES):
        raise ValueError(f"roles are {name_list(ROLES)}, not {name_list(any_of)}")

    def allowed(request: Request) -> User:
        user = current_user(request)
        if not user.may(*any_of):
            raise AccessError("JC472", f"this needs one of the roles {name_list(any_of)}")
        return user

    return allowed
