"""Generated requests for every operation of the OpenAPI document, v2 infer included: no response is a 5xx.

The exception is 504 for a request that sets a deadline of its own.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.running_facade import Facade

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXAMPLES = int(os.environ.get("THALE_FUZZ_EXAMPLES", "25"))
"""Requests for each operation. The nightly workflow sends 100."""


@pytest.mark.timeout(900)
def test_operations_return_no_5xx(facade: Facade) -> None:
    import schemathesis  # takes seconds, also in runs without integration tests

    document = schemathesis.openapi.from_url(f"{facade.url}/openapi.json")
    checked = []
    for operation in (result.ok() for result in document.get_all_operations()):

        @given(case=operation.as_strategy())
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def check(case: schemathesis.Case) -> None:
            response = case.call(timeout=60)
            has_own_deadline = "timeout_s" in f"{case.query}{case.body!r}"
            assert response.status_code < 500 or (response.status_code == 504 and has_own_deadline), response.text

        check()
        checked.append(operation.label)
    assert {"POST /v1/phenotype", "POST /v2/models/{name}/infer"} <= set(checked)
