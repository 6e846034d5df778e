"""What runs here: program, model, workflow, code books, and whether coding works now.

GET /about
"""

from __future__ import annotations

import platform
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from jointcoder import __version__
from jointcoder.server.pages.shell import Viewer, render, viewer

router = APIRouter()
Anyone = Annotated[Viewer, Depends(viewer())]


@router.get("/about")
def show(request: Request, who: Anyone) -> Response:
    """The page."""
    state = request.app.state
    versions = getattr(state, "versions", None)
    facts: dict[str, Any] = versions().model_dump(mode="json") if versions else {}
    facts.pop("program", None)
    desk = getattr(state, "desk", None)
    return render(
        request,
        who,
        "about.html",
        program=__version__,
        python=platform.python_version(),
        facts=[(name, value) for name, value in facts.items() if value],
        trouble=desk.ready() if desk is not None else "JC489",
        store=desk.store.place if desk is not None and who.may("admin") else "",
    )
