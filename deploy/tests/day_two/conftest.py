"""Fixtures of the day-two procedures: a context, and `az` with fixed responses."""

import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy import readiness
from deploy.context import DeployContext
from deploy.settings import DeploySettings, Environment
from tests.support.deploy_environment import REPOSITORY, SUBSCRIPTION
from tests.support.recorded_cluster import RecordedCluster, make_service

Responses = Callable[[str, Any], None]


@pytest.fixture
def context(tmp_path: Path) -> DeployContext:
    """Context of dev with the outputs of Terraform. Its console prints to `console.file`."""
    settings = DeploySettings(environment=Environment.DEV, subscription_id=SUBSCRIPTION)
    found = DeployContext(settings, Console(file=StringIO(), width=200), tmp_path)
    outputs = REPOSITORY / "deploy" / "tests" / "data" / "outputs.json"
    (found.folder / "outputs.json").write_bytes(outputs.read_bytes())
    return found


@pytest.fixture
def output(context: DeployContext) -> Callable[[], str]:
    """Return the text that the context has printed."""
    return lambda: context.console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def cluster() -> RecordedCluster:
    """A cluster with two ready models."""
    return RecordedCluster({"deployments": [make_service("plate-seg", "v1-0-0")]})


@pytest.fixture
def respond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Responses:
    """Put an `az` first on PATH that returns fixed JSON by subcommand (and `--name`), and records its calls."""
    programs = tmp_path / "programs"
    programs.mkdir()
    responses: dict[str, Any] = {}
    script = programs / "az"
    script.write_text(
        f"#!{sys.executable} -IS\n"
        "import json, pathlib, sys\n"
        "folder = pathlib.Path(__file__).parent\n"
        "with (folder / 'az-calls').open('a') as calls: calls.write(json.dumps(sys.argv[1:]) + '\\n')\n"
        "responses = json.loads((folder / 'responses.json').read_text())\n"
        "subcommand = ' '.join(sys.argv[1:]).partition(' --')[0]\n"
        "name = sys.argv[sys.argv.index('--name') + 1] if '--name' in sys.argv else ''\n"
        "subcommand = f'{subcommand} {name}' if f'{subcommand} {name}' in responses else subcommand\n"
        "print(json.dumps(responses[subcommand])) if subcommand in responses else sys.exit(f'unknown: {subcommand}')\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")

    def add(subcommand: str, response: Any) -> None:
        responses[subcommand] = response
        (programs / "responses.json").write_text(json.dumps(responses))

    return add


@pytest.fixture
def az_calls(tmp_path: Path) -> Callable[[], list[list[str]]]:
    """Return the recorded calls of `az`."""

    def read() -> list[list[str]]:
        path = tmp_path / "programs" / "az-calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read


@pytest.fixture(autouse=True)
def readiness_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the wait for readiness, which needs a real cluster; return its calls."""
    calls: list[str] = []
    monkeypatch.setattr(readiness, "run", lambda context: calls.append(str(context.environment)))
    return calls
