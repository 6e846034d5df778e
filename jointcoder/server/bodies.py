"""What comes in: how large it may be, and JSON read from it with coded errors.

:class:`BodyLimit` refuses a body that says it is too large before it is read, and one that turns out to be as soon as
it is (JC482, 413). :class:`Body` reads JSON, or JSON lines; another media type is JC483 (415), what is no JSON JC104
(400). Knows no field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jointcoder.errors import InputError, JointCoderError

JSON = "application/json"
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # may be half of a surrogate pair


class BodyLimit:
    """Refuses bodies over ``limit`` bytes; ``refuse(scope, error)`` makes the answer."""

    def __init__(self, app: ASGIApp, *, limit: int, refuse: Any) -> None:
        self.app = app
        self.limit = limit
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self.limit:
            await self._refuse(scope, receive, send)
            return
        got, over, begun = 0, False, False

        async def counted() -> Message:
            nonlocal got, over
            message = await receive()
            got += len(message.get("body", b""))
            if got > self.limit:
                over = True
                raise self._error()
            return message

        async def sent(message: Message) -> None:
            nonlocal begun
            if over and not begun:  # whoever caught the error may have given it another name
                begun = True
                await self._refuse(scope, receive, send)
            elif not over or begun_before(message):
                begun = True
                await send(message)

        def begun_before(message: Message) -> bool:
            return not over and message["type"] != "http.response.start"

        try:
            await self.app(scope, counted, sent)
        except JointCoderError:
            if not over or begun:
                raise
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self.refuse(scope, self._error())
        response.headers["Connection"] = "close"  # what is left of the body is not read
        await response(scope, receive, send)

    def _error(self) -> JointCoderError:
        return InputError(
            "JC482",
            f"the request is larger than {self.limit} bytes",
            hint="send less at a time, or raise body_limit_mb in the settings",
        )


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body as it came, with its media type. Reading it as JSON is left to the route's own thread."""

    media: str
    sent: bytes

    def json(self) -> Any:
        """One JSON value. InputError JC483 for another media type, JC104 for what is no JSON."""
        if not _is_json(self.media):
            _unsupported(self.media, JSON)
        return parsed(self.sent)

    def values(self) -> Iterator[Any]:
        """The values of a JSON list or of JSON lines; a line that is no JSON is an InputError in its place. InputError
        JC483, JC104 for the whole, JC108 for JSON that is no list."""
        if self.media in LINES:
            yield from json_lines(self.sent)
            return
        if not _is_json(self.media):
            _unsupported(self.media, f"{JSON} or {LINES[0]}")
        value = parsed(self.sent)
        if not isinstance(value, list):
            raise InputError("JC108", "the body is no list", hint="send a JSON list, or JSON lines")
        yield from value


async def read_body(request: Request) -> Body:
    """The body (a dependency of routes). InputError JC483 for a charset other than UTF-8."""
    return Body(_media(request), await request.body())


def parsed(body: bytes) -> Any:
    """Bytes → a JSON value that can be stored and sent again. InputError JC104."""
    if not body.strip():
        raise InputError("JC104", "the body is empty", hint="send a JSON value")
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
        if _HALF.search(body):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise InputError("JC104", "the body is no Unicode text", hint="send UTF-8") from None
    except json.JSONDecodeError as error:
        raise InputError("JC104", f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise InputError("JC104", "a number is no number, or the body is nested too deeply") from None
    return value


def json_lines(body: bytes) -> Iterator[Any]:
    """The values of JSON lines; a line that is none is an InputError JC104 in its place."""
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                yield parsed(line)
            except InputError:
                yield InputError("JC104", f"line {number}: not valid JSON", hint="one JSON object a line")


def _media(request: Request) -> str:
    media, _, rest = request.headers.get("content-type", "").partition(";")
    charset = re.search(r"charset=\"?([\w-]+)", rest)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        _unsupported(f"{media.strip()} in {charset[1]}", "UTF-8")
    return media.strip().lower()


def _is_json(media: str) -> bool:
    return media == JSON or media.endswith("+json")


def _unsupported(media: str, wanted: str) -> NoReturn:
    shown = media if re.fullmatch(r"[\w.+/ -]{1,60}", media) else "none"
    raise InputError("JC483", f"the media type of the body is {shown}", hint=f"send {wanted}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
