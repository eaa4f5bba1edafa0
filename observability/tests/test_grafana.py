"""Deployment of dashboards to Grafana: ConfigMaps built by kustomize, and the upload to Azure Managed Grafana."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from observability.dashboards.__main__ import GENERATED

OBSERVABILITY_DIR = GENERATED.parents[1]
DASHBOARDS = sorted(path.stem for path in GENERATED.glob("*.json"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl not found: https://kubernetes.io/docs/tasks")
def test_kustomization_builds_a_config_map_per_dashboard() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(OBSERVABILITY_DIR / "dashboards")], capture_output=True, check=True, timeout=60
    )
    maps = list(yaml.safe_load_all(built.stdout))
    assert sorted(name.removesuffix(".json") for one in maps for name in one["data"]) == DASHBOARDS
    for one in maps:
        [text] = one["data"].values()
        assert json.loads(text)["uid"] == one["metadata"]["name"].replace("-dashboard", "")
        assert one["metadata"]["labels"] == {"grafana_dashboard": "1"}
        assert len(text) < 1_000_000


def run_upload(folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with a fake `az` that records its arguments and then runs the script."""
    fake_az = folder / "az"
    fake_az.write_text(f'#!/bin/sh\necho "$@" >> {folder / "calls"}\n{script}\n')
    fake_az.chmod(fake_az.stat().st_mode | stat.S_IXUSR)
    command = [sys.executable, str(OBSERVABILITY_DIR / "grafana" / "azure.py"), "gf-thale-dev"]
    path = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"PATH": path})


def test_upload_replaces_every_dashboard(tmp_path: Path) -> None:
    result = run_upload(tmp_path, "exit 0")
    assert (result.returncode, result.stdout.split()) == (0, DASHBOARDS)
    calls = (tmp_path / "calls").read_text().splitlines()
    for dashboard, call in zip(DASHBOARDS, calls, strict=True):
        assert call.startswith("grafana dashboard update --name gf-thale-dev --overwrite true --definition ")
        assert f"{dashboard}.json" in call
        assert "/generated/azure/" in call


def test_upload_stops_at_a_rejected_dashboard(tmp_path: Path) -> None:
    result = run_upload(tmp_path, 'case "$*" in *cost.json*) exit 3;; esac')
    assert result.returncode == 3
    assert "rejected cost.json" in result.stderr
    assert result.stdout.split() == ["capacity"]


def test_upload_names_the_installation_when_az_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, str(OBSERVABILITY_DIR / "grafana" / "azure.py"), "gf-thale-dev"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": str(tmp_path)})
    assert result.returncode == 2
    assert "az extension add --name amg" in result.stderr
