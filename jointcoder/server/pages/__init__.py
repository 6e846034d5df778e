"""The pages: HTML made on the server, htmx for what changes within a page, small scripts of our own for the keyboard.

    shell.py       who reads, language, templates, addresses          i18n.py       phrases
    session.py     /  /login  /logout                                 account.py    /account
    worklist.py    /worklist                                          upload.py     /upload
    encounter*.py  /encounters/{version}                              accounts.py   /admin/accounts
    audit.py       /admin/audit                                       about.py      /about
    errors.py      errors as pages

Templates are in ``../templates``, what browsers load in ``../static``, phrases in ``../data/{en,zh}``. Nothing is
loaded from elsewhere and nothing stands inline, so the strictest content security policy holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI


def mount(app: FastAPI) -> None:
    """Add every page to the application, ``/static``, and the pages for errors."""
    from jointcoder.server.pages import about, account, accounts, audit, encounter, session, upload, worklist
    from jointcoder.server.pages.errors import error_page
    from jointcoder.server.pages.static import files

    for module in (session, worklist, encounter, upload, account, accounts, audit, about):
        app.include_router(module.router, include_in_schema=False)
    app.mount("/static", files(), name="static")
    app.state.error_page = error_page
