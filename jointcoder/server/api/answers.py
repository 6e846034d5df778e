"""How routes answer: a model as JSON, once, with what conditional requests need."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel

from jointcoder.errors import JointCoderError

JSON = "application/json"
LINES = "application/x-ndjson"
_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*(?:,|$)')


def ok(model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None, media: str = JSON) -> Response:
    """The model as JSON. It was validated when it was made: it is written, not validated again."""
    return Response(model.model_dump_json(), status, dict(headers or {}), media)


def quoted(etag: str) -> str:
    """As the header ``ETag`` holds it."""
    return f'"{etag}"'


def unchanged(given: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names this version."""
    return given.strip() == "*" or any(tag == etag for _, tag in _tags(given))


def expected(given: str, current: str) -> str:
    """The version that a change was made from, by ``If-Match``: the one now in force if it is named, else another that
    is. JointCoderError JC485 where none is: a change that nobody can order is not taken."""
    tags = [tag for weak, tag in _tags(given) if not weak]
    if not tags:
        raise JointCoderError(
            "JC485",
            "a change names the version it was made from",
            hint='send If-Match with the ETag of the record, e.g. If-Match: "7-3"; * and weak tags do not count',
        )
    return current if current in tags else tags[0]


def _tags(header: str) -> list[tuple[bool, str]]:
    return [(bool(weak), tag) for weak, tag in _TAG.findall(header)]
