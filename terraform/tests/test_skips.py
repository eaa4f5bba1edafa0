"""Skips of the tests with real plans."""

import pytest

from .conftest import skip_without_login


@pytest.mark.parametrize(
    "errors",
    [
        "Error: unable to build authorizer for Resource Manager API: could not configure AzureCli Authorizer",
        "Error: building account: could not acquire access token to parse claims",
    ],
)
def test_plan_skips_without_login(errors: str) -> None:
    with pytest.raises(pytest.skip.Exception, match="az login"):
        skip_without_login(errors)


def test_plan_does_not_skip_on_other_errors() -> None:
    skip_without_login("Error: Unsupported argument")
