"""``/v1/codes``: search while a coder types, and one code with all that is printed at it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from jointcoder.errors import CodeBookError
from jointcoder.records import Kind, System
from jointcoder.server.api.answers import ok
from jointcoder.server.api.operations import operation
from jointcoder.server.api.shapes import CodeHitOut, CodeOut, CodesOut, told
from jointcoder.server.deps import Asker, BooksDep
from jointcoder.server.problem import OtherStatusError

router = APIRouter(tags=["codes"])
On = Annotated[dt.date | None, Query(description="Day that decides the edition; default: the newest.")]


@router.get("/v1/codes", **operation("search_codes", answer=CodesOut, errors=(422,)))
def search_codes(
    request: Request,
    user: Asker,
    books: BooksDep,
    q: Annotated[str, Query(min_length=1, max_length=200, description="The beginning of a code, or words.")],
    kind: Annotated[Kind | None, Query(description="diagnosis or procedure; both by default.")] = None,
    system: Annotated[System | None, Query(description="One code system only.")] = None,
    lang: Annotated[str | None, Query(pattern="^[a-z]{2}$", description="Language of the words.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    on: On = None,
) -> Response:
    """Find codes: those that begin so, then by words, then by lines of the alphabetic index.

    Each hit says how it was found, by which wording, and which excluding notes bind the code.
    """
    found = books.search(q, kind=kind, system=system, lang=lang, k=limit, on=on)
    book = books.on(on)
    items = tuple(CodeHitOut.model_validate(hit) for hit in found)
    return ok(CodesOut(book=book.info.id, edition=book.info.edition, items=items, versions=told(request)))


@router.get("/v1/codes/{code}", **operation("get_code", answer=CodeOut, errors=(404, 422)))
def get_code(
    request: Request,
    user: Asker,
    books: BooksDep,
    code: Annotated[str, Path(max_length=60, description="With or without its dot, in any case.")],
    system: Annotated[System | None, Query(description="Needed only where two systems hold the code.")] = None,
    on: On = None,
) -> Response:
    """One code: names, place in the hierarchy, notes with those of its headings, dates, what is below it."""
    try:
        page = books.describe(code, system=system, on=on)
    except CodeBookError as error:
        raise OtherStatusError(error, 404 if error.code == "JC501" else 422) from None
    return ok(CodeOut.of(page, told(request)))
