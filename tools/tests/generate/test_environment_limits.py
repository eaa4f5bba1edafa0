"""What `thale capacity` reckons with is what the overlays and Terraform say."""

import shutil

import pytest

from tests.support.manifests import KUBERNETES
from thale.capacity.environment_limits import ENVIRONMENT_LIMITS_FILE, dump_environment_limits, read_environment_limits
from tools.generate.environment_limits import environment_limits


def test_the_fleets_are_those_of_the_overlays_and_of_terraform() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not there: it builds the overlays")
    assert dump_environment_limits(environment_limits()).decode() == ENVIRONMENT_LIMITS_FILE.read_text(), (
        "run `make generate`"
    )


def test_every_environment_of_terraform_has_a_fleet() -> None:
    environments = {path.stem for path in (KUBERNETES.parent / "terraform" / "environments").glob("*.tfvars")}
    assert set(read_environment_limits()) == environments
