"""Ways of the dashboards into a Grafana: ConfigMaps by the real kustomize, Azure's by its command."""

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


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not there: https://kubernetes.io/docs/tasks")
def test_every_dashboard_is_a_config_map_that_a_sidecar_finds() -> None:
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
    """Run the command with an `az` that writes down what it is asked, and then does as the script says."""
    fake_az = folder / "az"
    fake_az.write_text(f'#!/bin/sh\necho "$@" >> {folder / "asked"}\n{script}\n')
    fake_az.chmod(fake_az.stat().st_mode | stat.S_IXUSR)
    command = [sys.executable, str(OBSERVABILITY_DIR / "grafana" / "azure.py"), "gf-thale-dev"]
    path = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"PATH": path})


def test_azures_dashboards_replace_those_that_are_there(tmp_path: Path) -> None:
    done = run_upload(tmp_path, "exit 0")
    assert (done.returncode, done.stdout.split()) == (0, DASHBOARDS)
    calls = (tmp_path / "asked").read_text().splitlines()
    for dashboard, call in zip(DASHBOARDS, calls, strict=True):
        assert call.startswith("grafana dashboard update --name gf-thale-dev --overwrite true --definition ")
        assert f"{dashboard}.json" in call
        assert "/generated/azure/" in call


def test_a_refused_dashboard_ends_it(tmp_path: Path) -> None:
    done = run_upload(tmp_path, 'case "$*" in *cost.json*) exit 3;; esac')
    assert done.returncode == 3
    assert "does not take cost.json" in done.stderr
    assert done.stdout.split() == ["capacity"]


def test_without_az_it_says_what_to_install(tmp_path: Path) -> None:
    command = [sys.executable, str(OBSERVABILITY_DIR / "grafana" / "azure.py"), "gf-thale-dev"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": str(tmp_path)})
    assert done.returncode == 2
    assert "az extension add --name amg" in done.stderr
