"""Provider lock files: the version, and hashes of every platform that `make terraform-lock` names."""

import re
from pathlib import Path

import pytest

TERRAFORM = Path(__file__).parents[1]
MAKEFILE = (TERRAFORM.parent / "Makefile").read_text()
PLATFORMS = {"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64"}
FOLDERS = ("azure", "bootstrap")
PROVIDER = 'provider "registry.terraform.io/hashicorp/azurerm"'


def lock_file_faults(text: str) -> list[str]:
    """Return what a lock file lacks: the provider, a version 5.2 or newer below 6, or the hashes of all platforms."""
    block = text.partition(PROVIDER)[2].partition("\n}")[0]
    if not block:
        return ["azurerm is not locked"]
    faults = []
    version = re.search(r'version\s*=\s*"(\d+)\.(\d+)\.\d+"', block)
    if version is None or int(version[1]) != 5 or int(version[2]) < 2:
        faults.append("the version is not in >= 5.2, < 6.0")
    packages = set(re.findall(r'"h1:([A-Za-z0-9+/]{43}=)"', block))  # one of each platform
    archives = set(re.findall(r'"zh:([0-9a-f]{64})"', block))  # signed by the registry, of all platforms
    if len(packages) < len(PLATFORMS):
        faults.append(f"{len(packages)} of {len(PLATFORMS)} h1 hashes: run `make terraform-lock`")
    if len(archives) < len(PLATFORMS):
        faults.append(f"{len(archives)} zh hashes: the lock is not of the registry")
    return faults


def make_lock_file(version: str = "5.2.0", packages: int = 5, archives: int = 12) -> str:
    hashes = [f'    "h1:{number:043}=",' for number in range(packages)]
    hashes += [f'    "zh:{number:064x}",' for number in range(archives)]
    return "\n".join([f"{PROVIDER} {{", f'  version     = "{version}"', "  hashes = [", *hashes, "  ]", "}", ""])


@pytest.mark.parametrize("folder", FOLDERS)
def test_committed_lock_file_has_all_platforms(folder: str) -> None:
    path = TERRAFORM / folder / ".terraform.lock.hcl"
    if not path.exists():
        pytest.skip("no lock file yet: `make terraform-lock` needs the Terraform registry")
    assert lock_file_faults(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "azurerm is not locked"),
        (make_lock_file("4.50.0"), "not in >= 5.2"),
        (make_lock_file("5.1.0"), "not in >= 5.2"),
        (make_lock_file(packages=1), "1 of 5 h1 hashes"),
        (make_lock_file(archives=0), "0 zh hashes"),
    ],
)
def test_incomplete_lock_file_is_a_fault(text: str, fault: str) -> None:
    assert any(fault in found for found in lock_file_faults(text))
    assert lock_file_faults(make_lock_file()) == []


def test_make_locks_every_platform_in_every_folder() -> None:
    recipe = MAKEFILE.partition("terraform-lock: ##")[2].partition(".PHONY")[0]
    assert set(re.findall(r"-platform=(\w+)", recipe)) == PLATFORMS
    assert re.search(r"for folder in ([\w ]+);", recipe)[1].split() == list(FOLDERS)  # type: ignore[index]
