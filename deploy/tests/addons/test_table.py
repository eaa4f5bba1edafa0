"""Table of add-ons: invalid entries are rejected before any installation."""

import shutil
from pathlib import Path

import pytest

from tests.support.addon_installer import PLATFORM, REPOSITORY, InstallerEnvironment, installed_charts


def copy_installer(folder: Path, old: str, new: str) -> Path:
    """Return the root of a copy of the installer with one replacement in its table."""
    root = folder / "checkout"
    ignore = shutil.ignore_patterns("__pycache__", "tests", "environments")
    shutil.copytree(REPOSITORY / "deploy", root / "deploy", ignore=ignore)
    platform = root / "kubernetes" / "platform"
    platform.mkdir(parents=True)
    text = (PLATFORM / "addons.toml").read_text()
    assert old in text
    (platform / "addons.toml").write_text(text.replace(old, new, 1))
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version = "2.18.3"', 'version = "2.18"', "keda violates the rule that an add-on has an exact version"),
        ('version = "2.18.3"', 'version = "latest"', "keda violates the rule that an add-on has an exact version"),
        ('version = "2.18.3"', 'version = ">=2.18.3"', "keda violates the rule that an add-on has an exact version"),
        ('chart = "keda"', 'chart = "keda"\nmanifest = "x"', "keda violates the rule that an add-on is either"),
        ('namespace = "keda"\n', "", "keda violates the rule that an add-on has a chart with a namespace"),
        ('name = "keda"', 'name = "kserve"', "kserve is listed twice"),
        ('environments = ["laptop"]', 'environments = ["laptob"]', "names existing environments"),
        ('environments = ["laptop"]', 'environment = ["laptop"]', "is not a valid table of add-ons"),
        ("https://kedacore", "http://kedacore", "has an encrypted source"),
        ("[cluster]", "[cluster", "is not a valid table of add-ons"),
    ],
)
def test_apply_rejects_invalid_table(env: InstallerEnvironment, old: str, new: str, message: str) -> None:
    result = env.run("apply", "--environment", "laptop", root=copy_installer(env.folder, old, new))
    assert result.returncode == 1
    assert message in result.stderr
    assert not env.calls("helm")


def test_apply_installs_nothing_when_values_are_missing(env: InstallerEnvironment) -> None:
    root = copy_installer(env.folder, "values/keda.yaml", "values/missing.yaml")
    for folder in ("values", "manifests"):
        (root / "kubernetes" / "platform" / folder).symlink_to(PLATFORM / folder)
    (root / "observability").symlink_to(REPOSITORY / "observability")
    result = env.run("apply", "--environment", "laptop", root=root)
    assert result.returncode == 1
    assert "values/missing.yaml cannot be read (No such file or directory)" in result.stderr
    assert installed_charts(env) == []
