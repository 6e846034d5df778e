"""The audit's word for lists and parts of pages: a look is one entry, however often what it shows is asked for again.

    looked(request, "worklist.view", "worklist", details={"status": ["to_review"]}, rows=50)

Pages refresh themselves and programs poll. What the same reader (a session, a key) is shown again within
:data:`LOOK_S` seconds under the same action, subject and details is the same look. Each process remembers by itself and
forgets when it ends: that makes an entry more, never one less. The entry is written before anything is shown.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from threading import Lock
from typing import TYPE_CHECKING, Any

from fastapi import Request

from jointcoder.server.auth import current_user
from jointcoder.server.deps import get_desk
from jointcoder.store.audit import Audit

if TYPE_CHECKING:
    from jointcoder.store.lines import Page, Query

LOOK_S = 600.0  # so long it is the same look
MOST = 20_000  # looks that are remembered


class Looks:
    """Which looks were written down lately. Safe to share between threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = Lock()
        self._until: dict[str, float] = {}

    def known(self, look: str) -> bool:
        """Whether it was written down within the time of one look."""
        with self._lock:
            return self._until.get(look, float("-inf")) > self.clock()

    def keep(self, look: str) -> None:
        """It is written down now."""
        with self._lock:
            now = self.clock()
            if len(self._until) >= MOST:
                self._until = {one: until for one, until in self._until.items() if until > now}
            if len(self._until) >= MOST:
                self._until.clear()
            self._until[look] = now + LOOK_S


def looked(
    request: Request,
    action: str,
    kind: str,
    subject: str = "",
    *,
    details: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
    afresh: bool = False,
    **counts: int,
) -> None:
    """Write that the one who asks looks at something, unless it is the same look still; ``afresh``: in any case.
    ``counts`` go into the entry and tell no looks apart. AccessError JC470, AssetError JC430: what cannot be audited is
    not shown."""
    user, looks = current_user(request), request.app.state.looks
    session = request.state.csrf if user.way == "session" else user.key
    said = {name: value for name, value in (details or {}).items() if value not in (None, "", (), [])}
    look = json.dumps([user.name, user.way, session, action, subject, said], sort_keys=True, default=str)
    if not afresh and looks.known(look):
        return
    entry: dict[str, Any] = {"details": {**said, **counts}, "versions": versions}
    Audit(get_desk(request).store).add(actor=user.name, action=action, kind=kind, subject=subject, **entry)
    looks.keep(look)


def listed(request: Request, query: Query, page: Page) -> None:
    """Write that the one who asks looks at a page of the worklist. Raises as :func:`looked` does."""
    looked(request, "worklist.view", "worklist", details=_asked(query), rows=len(page.lines), total=page.total)


def _asked(query: Query) -> dict[str, Any]:
    """Filters, order and place of a worklist, for its entry. What is sought in ids may be a name: its hash stands for
    it."""
    said = asdict(query) | {"holder": "nobody" if query.holder == "" else query.holder}
    if query.text:
        said["text"] = hashlib.sha256(query.text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return said
