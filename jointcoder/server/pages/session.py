"""Signing in and out, and the language of a reader who is not signed in.

    GET  /login            name and password; a link to the hospital's own accounts where there are such
    POST /login            303 to where the reader wanted to go; 401 wrong, 429 locked
    POST /logout           the session ends in the store
    POST /login/language   the reader chooses; an account keeps it

Who may sign in, and how often one may try, is the business of :mod:`jointcoder.server.auth`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from jointcoder.errors import JointCoderError
from jointcoder.server.pages import i18n
from jointcoder.server.pages.shell import Viewer, anyone, back_to, keep, render
from jointcoder.server.problem import of_error

if TYPE_CHECKING:
    from jointcoder.server.auth import Auth

router = APIRouter()
Somebody = Annotated[Viewer, Depends(anyone)]
LONGEST = 1024  # of a name or password that is looked at
REFUSALS = ("JC471", "JC474")


@router.get("/")
def begin(who: Somebody) -> Response:
    """The page that a person works from."""
    return RedirectResponse("/worklist" if who.may("coder", "lead", "admin") else "/account", status_code=303)


@router.get("/login")
def login(request: Request, who: Somebody, next: str = "") -> Response:
    """The form; whoever is signed in goes on to where the form would lead."""
    to = _auth(request).safe_next(next)
    if who.name:
        return RedirectResponse(to, status_code=303)
    return _form(request, who, to)


@router.post("/login")
def sign_in(
    request: Request,
    who: Somebody,
    name: Annotated[str, Form(max_length=LONGEST)] = "",
    password: Annotated[str, Form(max_length=LONGEST)] = "",
    next: Annotated[str, Form(max_length=LONGEST)] = "",
) -> Response:
    """Sign in, or the form again with the reason; the name stays, the password does not."""
    auth = _auth(request)
    to = auth.safe_next(next)
    try:
        return auth.sign_in(request, name, password, to=to)
    except JointCoderError as error:
        if error.code not in REFUSALS:
            raise
        return _form(request, who, to, name=name, error=error)


@router.post("/logout")
def sign_out(request: Request) -> Response:
    """End the session."""
    return _auth(request).sign_out(request)


@router.post("/login/language")
def choose_language(
    request: Request,
    who: Somebody,
    language: Annotated[str, Form(max_length=8)] = "",
    next: Annotated[str, Form(max_length=LONGEST)] = "",
) -> Response:
    """Keep a language: in a cookie, and in the account of whoever is signed in to one."""
    auth = _auth(request)
    answer = back_to(auth.safe_next(next))
    if language in i18n.LANGUAGES:
        keep(answer, request, i18n.COOKIE, language)
        if who.name and not who.open:
            auth.accounts.set_language(who.name, language, by=who.name)
    return answer


def _form(request: Request, who: Viewer, to: str, *, name: str = "", error: JointCoderError | None = None) -> Response:
    problem = of_error(error) if error else None
    return render(
        request,
        who,
        "login.html",
        status=problem.status if problem else 200,
        headers=problem.headers if problem else None,
        next=to,
        name=name,
        code=problem.code if problem else "",
        retry=problem.headers.get("Retry-After", "") if problem else "",
        oidc=_auth(request).oidc,
    )


def _auth(request: Request) -> Auth:
    auth: Auth = request.app.state.auth
    return auth
