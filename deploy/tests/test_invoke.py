"""Tests of commands in a private cluster: which arguments are files, and which cluster runs them."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from deploy import cluster as clusters
from deploy.context import DeployContext
from deploy.day_two.failover import in_region
from deploy.invoke import _pack_files
from deploy.settings import DeploySettings, Environment
from tests.support.deploy_environment import REPOSITORY


@pytest.fixture(name="context")
def make_context(tmp_path: Path) -> DeployContext:
    return DeployContext(DeploySettings(environment=Environment.DEV), Console(quiet=True), tmp_path)


def test_pack_files_uploads_a_file_and_keeps_a_long_patch(context: DeployContext, tmp_path: Path) -> None:
    """A patch of a status is longer than a file name may be, for which the operating system raises an error."""
    manifest = tmp_path / "object.yaml"
    manifest.write_text("kind: Namespace")
    patch = '{"status":{"message":"' + "x" * 300 + '"}}'
    folder = tmp_path / "files"
    folder.mkdir()
    packed, files = _pack_files(context, ["patch", "--filename", str(manifest), "--patch", patch], folder)
    assert packed == ["patch", "--filename", files[0].name, "--patch", patch]
    assert files[0].read_text() == "kind: Namespace"


def test_commands_of_each_region_run_in_its_cluster(context: DeployContext) -> None:
    outputs = json.loads((REPOSITORY / "deploy" / "tests" / "data" / "outputs.json").read_text())
    regions = outputs["facts"]["value"]["regions"]
    regions["secondary"] = {**regions["primary"], "cluster": "aks-thale-dev-northeurope"}
    (context.folder / "outputs.json").write_text(json.dumps(outputs))
    wrappers = {
        region: Path(clusters.connect(in_region(context, region)).command[0]) for region in ("primary", "secondary")
    }
    for region, path in wrappers.items():
        assert f" THALE_DEPLOY_REGION={region} " in path.read_text()
