"""Fixture of the add-on installer's tests: a fake cluster."""

from pathlib import Path

import pytest

from tests.support.addon_installer import InstallerEnvironment, build_installer_environment


@pytest.fixture
def env(tmp_path: Path) -> InstallerEnvironment:
    return build_installer_environment(tmp_path)
