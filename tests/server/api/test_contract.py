"""The description against the service: schemathesis makes up requests, good and bad ones, for every operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jointcoder.codebook.book import CodeBook
from tests.server.api.conftest import NOTE
from tests.server.api.served import serving
from tests.store.places import BACKENDS, place_of

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 10  # an operation


@pytest.fixture(scope="module", params=BACKENDS)
def described(
    request: pytest.FixtureRequest, small_us: CodeBook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("contract")
    with place_of(request.param, folder) as place, serving(folder, small_us, "--store", place) as served:
        httpx.post(f"{served.url}/v1/code", json={"text": NOTE}, timeout=60).raise_for_status()  # the coder is open now
        yield schemathesis.openapi.from_url(f"{served.url}/openapi.json")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_no_request_breaks_it(described: Any, mode: schemathesis.GenerationMode) -> None:
    failed: dict[str, str] = {}
    names = []
    for found in described.get_all_operations():
        operation = found.ok()
        names.append(operation.label)
        try:
            _tried(operation, mode)
        except (Exception, BaseExceptionGroup) as error:  # every operation is tried, whatever the others did
            failed[operation.label] = "; ".join(str(one) for one in getattr(error, "exceptions", (error,)))[:1500]
    assert len(names) == 24
    assert failed == {}


def _tried(operation: Any, mode: schemathesis.GenerationMode) -> None:
    """Requests as the description allows them, or as it does not."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:
        assert mode is schemathesis.GenerationMode.NEGATIVE  # nothing about this operation can be wrong
