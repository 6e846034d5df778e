"""What the OpenAPI document says of each operation: bodies, answers, every error, and a worked example.

    @router.get("/v1/codes", **operation("search_codes", answer=CodesOut, errors=(422,)))

Examples are files (``examples/<operation>.json``: ``request``, ``answer``, ``parameters``); tests send each request and
hold the answer against its schema. Knows no route.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from jointcoder.errors import CATALOGUE
from jointcoder.server import problem
from jointcoder.server.bodies import LINES

REF = "#/components/schemas/{model}"
PROBLEM = f"{REF[:-7]}ProblemOut"
FHIR = "application/fhir+json"
ERRORS = {
    304: "",
    400: "JC104",
    401: "JC470",
    403: "JC472",
    404: "JC460",
    409: "JC462",
    412: "JC461",
    413: "JC482",
    415: "JC483",
    422: "JC484",
    428: "JC485",
    429: "JC475",
    503: "JC430",
    504: "JC468",
}
"""Status → the error that stands for it in the examples."""
ALWAYS = (401, 403, 422, 429, 503)
WITH_BODY = (400, 413, 415)
_OPERATION = "x-jointcoder"


def operation(
    name: str,
    *,
    answer: type[BaseModel] | tuple[type[BaseModel], ...] = (),
    status: int = 200,
    body: type[BaseModel] | None = None,
    lines: bool = False,
    stream: bool = False,
    text: bool = False,
    fhir: bool = False,
    public: bool = False,
    errors: Sequence[int] = (),
) -> dict[str, Any]:
    """The arguments of a route's decorator.

    ``answer``, ``body``: shapes of :mod:`.shapes` and :mod:`.taken`; of several answers it is one. ``lines``: the body
    is a list, or JSON lines; ``stream``: the answer is JSON lines; ``text``: it is plain text; ``fhir``: it is FHIR,
    and so are errors; ``public``: nobody need sign in.
    """
    media = LINES[0] if stream else "text/plain" if text else FHIR if fhir else "application/json"
    extra: dict[str, Any] = {
        _OPERATION: {"answer": _names(answer), "status": status, "media": media, "plain": text or stream}
    }
    if body is not None:
        accepted = (FHIR, "application/json") if fhir else ("application/json",)
        extra[_OPERATION] |= {
            "body": _names(body),
            "accepted": accepted,
            "lines": lines,
        }
    extra |= {"security": []} if public else {}
    codes = dict.fromkeys((*(ALWAYS[2:] if public else ALWAYS), *(WITH_BODY if body is not None else ()), *errors))
    return {
        "operation_id": name,
        "response_model": None,
        "status_code": status,
        "responses": {code: _error(code, fhir=fhir) for code in sorted(codes)},
        "openapi_extra": extra,
    }


@cache
def example(name: str) -> dict[str, Any]:
    """The worked example of an operation; empty where there is none."""
    file = files("jointcoder.server.api") / "examples" / f"{name}.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the shapes and examples that :func:`operation` noted. Made once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        license_info=app.license_info,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for path in made["paths"].values():
        for one in path.values():
            noted = one.pop(_OPERATION, None)
            if noted is not None:
                _complete(one, noted, schemas)
    _require(schemas, _shape())
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    made["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key, made with `jointcoder accounts`."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "session": {"type": "apiKey", "in": "cookie", "name": "jointcoder_session"},
    }
    made["security"] = [{"key": []}, {"header": []}, {"session": []}, {}]
    app.openapi_schema = made
    return made


def _complete(one: dict[str, Any], noted: dict[str, Any], schemas: dict[str, Any]) -> None:
    shown = example(one["operationId"])  # only now: the maker of the document drops every null
    schema = _schema(noted["answer"], schemas) if noted["answer"] else {}
    content: dict[str, Any] = {"schema": schema}
    if noted["plain"]:
        content = {"schema": {"type": "string"}} | ({"x-line": schema} if schema else {})
    if "answer" in shown:
        content["example"] = shown["answer"]
    status = str(noted["status"])
    said = one["responses"].get(status, {}).get("description", "Done")
    one["responses"][status] = {"description": said, "content": {noted["media"]: content}, "headers": HEADERS}
    if "body" in noted:
        schema = _schema(noted["body"], schemas)
        schema = {"type": "array", "items": schema} if noted["lines"] else schema
        sent = {"example": shown["request"]} if "request" in shown else {}
        accepted: dict[str, Any] = {media: {"schema": schema, **sent} for media in noted["accepted"]}
        if noted["lines"]:
            accepted[LINES[0]] = {"schema": {"type": "string", "description": "One encounter as JSON a line."}}
            if sent:
                accepted[LINES[0]]["example"] = "".join(json.dumps(part) + "\n" for part in shown["request"])
        one["requestBody"] = {"required": True, "content": accepted}
    for parameter in one.get("parameters", []):
        given = shown.get("parameters", {})
        if parameter["name"] in given:
            parameter["example"] = given[parameter["name"]]


HEADERS = {
    name: {"description": f"The {what.replace('_', ' ')} in use, with its hash.", "schema": {"type": "string"}}
    for name, what in (
        ("Jointcoder-Version", "program"),
        ("Jointcoder-Workflow", "workflow"),
        ("Jointcoder-Code-Book", "code_book"),
        ("Jointcoder-Model", "model"),
        ("Jointcoder-Pack", "learned pack"),
        ("Jointcoder-Adapters", "adapters"),
    )
}


def _names(kinds: type[BaseModel] | tuple[type[BaseModel], ...] | None) -> list[str]:
    """The names of shapes: what the document is made from is JSON itself."""
    return [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)) if kind is not None]


def _schema(names: Sequence[str], schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to the schema of a shape, which is put among the shared ones."""
    from jointcoder.server.api import shapes, taken

    for name in names:
        shape = getattr(shapes, name, None) or getattr(taken, name)
        _require(schemas, shape.model_json_schema(ref_template=REF), name)
    found = [{"$ref": REF.format(model=name)} for name in names]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _require(schemas: dict[str, Any], made: dict[str, Any], name: str = "ProblemOut") -> None:
    schemas.update(made.pop("$defs", {}))
    schemas[name] = made


def _shape() -> dict[str, Any]:
    from jointcoder.server.api.shapes import ProblemOut

    return ProblemOut.model_json_schema(ref_template=REF)


def _error(status: int, *, fhir: bool) -> dict[str, Any]:
    """An error as the document shows it."""
    code = ERRORS[status]
    if not code:
        return {"description": "Not changed since the version that If-None-Match names"}
    if fhir:
        shown = {"schema": {"type": "object", "description": "An OperationOutcome"}}
        return {"description": CATALOGUE[code], "content": {FHIR: shown}}
    told = problem.Problem(status, code, CATALOGUE[code], "…", "", "urn:uuid:00000000-0000-0000-0000-000000000000")
    found: dict[str, Any] = {
        "description": CATALOGUE[code],
        "content": {problem.MEDIA_TYPE: {"schema": {"$ref": PROBLEM}, "example": told.body()}},
    }
    if status in (429, 503):
        found["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return found
