"""What browsers load beside the pages: styles, scripts, icons. Served from the package; nothing comes from elsewhere.

A URL that names the file's version (``?v=…``, see :func:`jointcoder.server.pages.shell.static`) may be kept for long;
any other is asked for anew, so that modules which import one another are never of two versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.staticfiles import StaticFiles

from jointcoder.server.pages.shell import folder

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Scope

KEPT = "public, max-age=604800"
ASKED = "no-cache"


class Files(StaticFiles):
    """Static files with a word on how long to keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        versioned = b"v" in parse_qs(scope.get("query_string", b""))
        response.headers["Cache-Control"] = KEPT if versioned else ASKED
        return response


def files() -> Files:
    """The folder ``static`` of this package."""
    return Files(directory=folder("static"))
