"""Tests of the command line: documented commands exist, and errors are one sentence."""

import re

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from deploy.day_two import cli
from deploy.errors import DeployError
from tests.support.deploy_environment import REPOSITORY

PAGE = (REPOSITORY / "docs" / "day-two.md").read_text()


def test_page_describes_each_command_with_its_options() -> None:
    commands = get_command(cli.app).commands  # type: ignore[attr-defined]
    described = set(re.findall(r"deploy\.day_two ([a-z-]+)", PAGE)) | set(
        re.findall(r"`([a-z]+-[a-z-]+|[a-z]+)`", PAGE)
    )
    assert commands.keys() <= described
    for command, options in re.findall(r"deploy\.day_two ([a-z-]+)((?: [^`\n]+)?)", PAGE):
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", options)) <= known, command


@pytest.mark.parametrize("section", ["Upgrade add-ons", "Upgrade Kubernetes", "Change a node pool", "Restore models"])
def test_sections_have_the_same_parts(section: str) -> None:
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    for part in ("**When.**", "**Before you start.**", "**It worked if**", "**To go back.**"):
        assert part in text, part


def test_laptop_has_no_node_pools() -> None:
    result = CliRunner().invoke(cli.app, ["drain-pool", "--env", "laptop", "--pool", "x"])
    assert isinstance(result.exception, DeployError)
    assert "pass dev, staging or prod" in str(result.exception)


def test_restore_models_needs_no_environment() -> None:
    result = CliRunner().invoke(cli.app, ["restore-models", "--help"])
    assert result.exit_code == 0
    assert "--store" in result.output
