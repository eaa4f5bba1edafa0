import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deploy_environment import REPOSITORY, DeployEnvironment, build_deploy_environment

OFFLINE = REPOSITORY.parent / "shared" / "terraform-offline" / "setup"


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployEnvironment]:
    """A deploy environment with the fake commands first on PATH."""
    for program in ("kubectl", "git", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: the deploy tests run the real one")
    with build_deploy_environment(tmp_path) as environment:
        monkeypatch.setenv("PATH", f"{environment.bin_dir}:{os.environ['PATH']}")
        yield environment


@pytest.fixture
def real_terraform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let terraform find its providers, in the registry or in an offline mirror with a fake Azure provider."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed: https://developer.hashicorp.com/terraform/install")
    if not OFFLINE.exists():
        pytest.skip("the shared folder with the fake Azure provider is missing")
    mirror = subprocess.run([OFFLINE], capture_output=True, text=True, check=True)
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", mirror.stdout.strip())
