"""Tests of the problem table: every error has a spec, a unique code and a description."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.requests import Request

from thale import errors
from thale.errors import ThaleError
from thale.facade.api.problems import PROBLEM_SPECS, describe_problem, handle_thale_error


def leaf_errors(error_class: type[ThaleError] = ThaleError) -> Iterator[type[ThaleError]]:
    subclasses = [child for child in error_class.__subclasses__() if child.__module__.startswith(errors.__name__)]
    if not subclasses:
        yield error_class
    for child in subclasses:
        yield from leaf_errors(child)


def test_every_error_has_a_problem_spec() -> None:
    assert [leaf.__name__ for leaf in leaf_errors() if leaf not in PROBLEM_SPECS] == []


def test_every_error_has_a_unique_code_and_description() -> None:
    codes = [leaf.code for leaf in leaf_errors()]
    assert len(set(codes)) == len(codes)
    assert all(describe_problem(code) for code in codes)


@pytest.mark.parametrize("path", ["/v1/phenotype", "/v2/models/plate-seg/infer"])
@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (errors.OverloadedError(4, 17), 503, "17"),
        (errors.OverloadedError.for_uploads(4, 9), 503, "9"),
        (errors.RateLimitedError("rate", 3600), 429, "3600"),
        (errors.IdempotencyKeyInUseError(3), 409, "3"),
        (errors.ModelStartingError("plate-seg", "1.0.0", 55), 503, "30"),
        (errors.ShuttingDownError("the server stops"), 503, "2"),
        (errors.ModelUnavailableError("no worker"), 503, "2"),
        (errors.AuthenticationUnavailableError("no keys"), 503, "2"),
        (errors.ParameterError("page"), 422, None),
        (errors.ModelFailedError("no tensor"), 502, None),
    ],
)
def test_errors_that_pass_have_their_retry_after(
    path: str, error: ThaleError, status: int, retry_after: str | None
) -> None:
    request = Request({"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""})
    response = asyncio.run(handle_thale_error(request, error))
    assert (response.status_code, response.headers.get("retry-after")) == (status, retry_after)
