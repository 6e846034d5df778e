"""One's own account: password, language, colours.

GET  /account            who one is here, in which roles
POST /account/password   the old one and the new one twice; every session ends, this one too
POST /account/language   "", en or zh           POST /account/theme   system, light or dark (this browser only)
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from jointcoder.errors import JointCoderError
from jointcoder.server.pages import i18n
from jointcoder.server.pages.shell import THEME_COOKIE, THEMES, Viewer, back_to, keep, render, viewer
from jointcoder.server.problem import of_error

router = APIRouter()
Anyone = Annotated[Viewer, Depends(viewer())]
LONGEST = 1024
WRONG, UNFIT, LOCKED = "JC471", "JC477", "JC474"


@router.get("/account")
def show(request: Request, who: Anyone) -> Response:
    """The page."""
    return _page(request, who)


@router.post("/account/password")
def change_password(
    request: Request,
    who: Anyone,
    old: Annotated[str, Form(max_length=LONGEST)] = "",
    new: Annotated[str, Form(max_length=LONGEST)] = "",
    again: Annotated[str, Form(max_length=LONGEST)] = "",
) -> Response:
    """Change the password, then sign in anew; or the page again with the reason."""
    if new != again:
        return _page(request, who, status=422, fault="differ")
    auth = request.app.state.auth
    address = request.client.host if request.client else ""
    try:
        auth.accounts.change_password(who.name, old, new, address=address)
    except JointCoderError as error:
        if error.code not in (WRONG, UNFIT, LOCKED):
            raise
        return _page(request, who, status=of_error(error).status, fault=error.code, hint=error.message)
    return back_to("/login", done="password")


@router.post("/account/language")
def choose_language(request: Request, who: Anyone, language: Annotated[str, Form(max_length=8)] = "") -> Response:
    """Choose the language of the pages; "": as the browser asks."""
    answer = back_to("/account", done="language")
    if language in i18n.LANGUAGES:
        keep(answer, request, i18n.COOKIE, language)
    else:
        language = ""
        answer.delete_cookie(i18n.COOKIE, path="/")
    if not who.open:
        request.app.state.auth.accounts.set_language(who.name, language, by=who.name)
    return answer


@router.post("/account/theme")
def choose_theme(request: Request, theme: Annotated[str, Form(max_length=8)] = "") -> Response:
    """Choose light or dark for this browser."""
    answer = back_to("/account", done="theme")
    if theme in THEMES and theme != THEMES[0]:
        keep(answer, request, THEME_COOKIE, theme)
    else:
        answer.delete_cookie(THEME_COOKIE, path="/")
    return answer


def _page(request: Request, who: Viewer, *, status: int = 200, fault: str = "", hint: str = "") -> Response:
    account = None if who.open else request.app.state.auth.accounts.get(who.name)
    return render(
        request,
        who,
        "account.html",
        status=status,
        account=account,
        fault=fault,
        hint=hint,
        languages=i18n.LANGUAGES,
        themes=THEMES,
        undecided=not (account and account.language) and not request.cookies.get(i18n.COOKIE),
    )
