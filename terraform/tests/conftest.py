"""Plans of the three environments, created by the real terraform without Azure."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

TERRAFORM = Path(__file__).parents[1]
OFFLINE = TERRAFORM.parents[1] / "shared" / "terraform-offline" / "setup"
ENVIRONMENTS = ("dev", "staging", "prod")

ORGANISATION = {
    "subscription_id": "00000000-0000-0000-0000-000000000001",
    "admin_group_ids": ["00000000-0000-0000-0000-000000000002"],
    "alert_emails": {"page": ["pager@example.org"], "ticket": ["team@example.org"]},
}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def terraform() -> Run:
    """Run terraform in a folder, with the provider from the registry or from an offline mirror."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed: https://developer.hashicorp.com/terraform/install")
    environment = dict(os.environ)
    configured = Path(environment.get("TF_CLI_CONFIG_FILE", "")).is_file()
    if not configured and OFFLINE.exists():
        mirror = subprocess.run([OFFLINE], capture_output=True, text=True, check=True)
        environment["TF_CLI_CONFIG_FILE"] = mirror.stdout.strip()

    def run(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        command = ["terraform", f"-chdir={folder}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)

    return run


@pytest.fixture(scope="session")
def workspace(terraform: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an initialised copy of this folder with a local state."""
    copy = tmp_path_factory.mktemp("terraform") / "terraform"
    shutil.copytree(TERRAFORM, copy, ignore=shutil.ignore_patterns(".terraform*", "tests/__pycache__"))
    rules = Path("observability", "rules")
    shutil.copytree(TERRAFORM.parent / rules, copy.parent / rules)
    (copy / "azure" / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    for folder in ("azure", "bootstrap"):
        result = terraform("init", "-input=false", "-no-color", folder=copy / folder)
        if result.returncode != 0 and "Failed to query available provider packages" in result.stderr:
            pytest.skip("the azurerm provider is unavailable: no registry, and no offline mirror")
        assert result.returncode == 0, result.stderr
    return copy


@pytest.fixture(scope="session")
def plans(terraform: Run, workspace: Path) -> Mapping[str, Any]:
    """Return the plan of each environment, as `terraform show -json` prints it."""
    folder = workspace / "azure"
    (folder / "organisation.auto.tfvars.json").write_text(json.dumps(ORGANISATION))
    with ThreadPoolExecutor() as pool:
        plans = pool.map(lambda environment: _plan(terraform, folder, environment), ENVIRONMENTS)
        return dict(zip(ENVIRONMENTS, plans, strict=True))


def _plan(terraform: Run, folder: Path, environment: str) -> Any:
    out = f"{environment}.tfplan"
    variables = f"-var-file=../environments/{environment}.tfvars"
    result = terraform(
        "plan", "-input=false", "-no-color", "-refresh=false", "-lock=false", f"-out={out}", variables, folder=folder
    )
    skip_without_login(result.stderr)
    assert result.returncode == 0, result.stderr
    return json.loads(terraform("show", "-json", out, folder=folder).stdout)


def skip_without_login(errors: str) -> None:
    """Skip a test if the real provider has no login to Azure. Tests with a mocked provider need none."""
    if re.search(r"unable to build authorizer|could not configure \w+ Authorizer|building account", errors):
        pytest.skip("the azurerm provider needs a login to Azure for a plan: az login")
