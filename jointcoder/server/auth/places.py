"""Where requests come from and go to: loopback, names of this service, origins; which addresses may be bound.

A browser can be made to send requests to a service on its own machine or in its own network by any page it shows. Three
checks stand against that: the name asked for must be one of ours (a foreign name that was made to resolve to our
address is not), a writing request must come from our own pages, and what only a page can send needs the page's token.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jointcoder.errors import AccessError, UsageError

if TYPE_CHECKING:
    from jointcoder.settings import Settings
    from jointcoder.store.accounts import Accounts

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_OPEN_HINT = "make an account first: jointcoder accounts add NAME --role admin"


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, reached by nobody else."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str | None:
    """The name in a Host header, without its port; None for what is none."""
    try:
        parts = urlsplit(f"//{header}")
        port = parts.port
    except ValueError:
        return None
    name = parts.hostname
    plain = header.lower() in (name, f"[{name}]", f"{name}:{port}", f"[{name}]:{port}")
    return name if name and plain else None


def require_host(header: str | None, allowed: tuple[str, ...], *, open_mode: bool) -> None:
    """AccessError JC473 for a name that is not this service's. In open mode only those of this machine are; otherwise
    those of ``allowed`` ("*": any; "*.hospital.example": any below), and those of this machine."""
    name = host_of(header or "")
    if name is None or not (is_loopback(name) or (not open_mode and _listed(name, allowed))):
        hint = _OPEN_HINT if open_mode else "names of the service go into the setting allowed_hosts"
        raise AccessError("JC473", "the service is asked for under a name that is not its own", hint=hint)


def require_local(client: str | None, headers: Mapping[str, str]) -> None:
    """Open mode is for this machine: AccessError JC473 for a request from elsewhere, or that a proxy passes on."""
    if client is not None and not is_loopback(client):
        raise AccessError("JC473", "without accounts only this machine is served", hint=_OPEN_HINT)
    if any(name in headers for name in FORWARDED):
        raise AccessError("JC473", "without accounts no proxy is served", hint=_OPEN_HINT)


def require_own_page(headers: Mapping[str, str]) -> None:
    """A writing request comes from one of our pages, or from no page. AccessError JC473 otherwise.

    Browsers say so by ``Sec-Fetch-Site``; older ones by ``Origin``, which must name the host that is asked. Programs
    send neither."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    if foreign:
        raise AccessError("JC473", "the request was made by a page of another site")


def require_safe_bind(host: str, accounts: Accounts, settings: Settings) -> bool:
    """Whether an address to bind is loopback. UsageError JC476 for one that others can reach where there are no
    accounts, or no name is allowed under which it could be asked for."""
    if is_loopback(host):
        return True
    if not accounts.any():
        raise UsageError("JC476", f"{host} can be reached by others, and there are no accounts", hint=_OPEN_HINT)
    if not settings.allowed_hosts:
        hint = "set allowed_hosts to the names of the service, or JOINTCODER_ALLOWED_HOSTS"
        raise UsageError("JC476", f"{host} can be reached by others, but under no allowed name", hint=hint)
    return False


def _listed(name: str, allowed: tuple[str, ...]) -> bool:
    for one in allowed:
        pattern = one.lower()
        if pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:])):
            return True
    return False
