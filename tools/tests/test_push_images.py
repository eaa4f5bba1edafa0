"""Tests of the upload of images, with an engine and a cosign that record their arguments."""

from pathlib import Path

import pytest

from tools import push_images

ENGINE = """#!/bin/sh
echo "$0 $@" >> "$CALLS"
case "$1" in
  login) cat >> "$CALLS"; echo >> "$CALLS" ;;
  push) test "$2" != "$REFUSED" ;;
  inspect) echo "other.example/x@sha256:0"; echo "${4%:*}@sha256:$(echo "$4" | cksum | cut -d ' ' -f 1)" ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("podman", "cosign"):
        (tmp_path / name).write_text(ENGINE)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(push_images, "OUTPUT", tmp_path / "dist" / "images.txt")
    return tmp_path / "calls"


def test_images_are_pushed_and_signed_by_digest(calls: Path) -> None:
    variables = {"REGISTRY": "ghcr.io/Lab", "REGISTRY_USER": "anna", "REGISTRY_PASSWORD": "secret"}
    assert push_images.main("podman", "v1.2.3", variables) == 0
    references = push_images.OUTPUT.read_text().split()
    assert [reference.partition("@sha256:")[0] for reference in references] == [
        "ghcr.io/lab/thale-services",
        "ghcr.io/lab/thale-model-server",
    ]
    lines = calls.read_text().splitlines()
    assert [line for line in lines if "cosign" in line] == [
        f"{calls.parent}/cosign sign --yes {reference}" for reference in references
    ]
    assert f"{calls.parent}/podman login --username anna --password-stdin ghcr.io" in lines
    assert all("secret" not in line for line in lines if "podman" in line), "a password is visible in the process list"


def test_nothing_is_signed_after_a_failed_push(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REFUSED", "ghcr.io/lab/thale-model-server:v1")
    assert push_images.main("podman", "v1", {"REGISTRY": "ghcr.io/lab"}) == 1
    assert "podman push failed with status 1" in capsys.readouterr().err
    assert "cosign" not in calls.read_text()
    assert not push_images.OUTPUT.exists()


def test_missing_registry_is_reported(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert push_images.main("podman", "v1", {}) == 2
    assert "set REGISTRY" in capsys.readouterr().err


def test_missing_engine_is_reported(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert push_images.main("docker-missing", "v1", {"REGISTRY": "ghcr.io/lab"}) == 1
    assert "docker-missing is not installed" in capsys.readouterr().err
