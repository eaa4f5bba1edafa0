"""The generated environment limits match the overlays and Terraform."""

import shutil

import pytest

from tests.support.manifests import KUBERNETES
from thale.capacity.environment_limits import ENVIRONMENT_LIMITS_FILE, dump_environment_limits, read_environment_limits
from tools.generate.environment_limits import environment_limits


@pytest.mark.slow
def test_environment_limits_are_up_to_date() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is missing: it builds the overlays")
    assert dump_environment_limits(environment_limits()).decode() == ENVIRONMENT_LIMITS_FILE.read_text(), (
        "run `make generate`"
    )


def test_each_terraform_environment_has_limits() -> None:
    environments = {path.stem for path in (KUBERNETES.parent / "terraform" / "environments").glob("*.tfvars")}
    assert set(read_environment_limits()) == environments
